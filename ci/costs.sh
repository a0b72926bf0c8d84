#!/usr/bin/env bash
# What the statistics and the check for double frees cost: the example `fast_path` as it is, without counting requested bytes, and
# without looking whether a slot is free already, by instructions (callgrind) and by time (least of alternating rounds). The
# targets are 2 % and 0.5 %; this shows, it does not judge. Usage: ci/costs.sh [ROUNDS [FILE]]: 9 rounds unless said; FILE
# gets the figures, one JSON object a line.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rounds=${1:-9}
file=${2:-/dev/null}
need valgrind valgrind
few=20000 many=120000 timed=40000000
variants="whole uncounted unchecked"

program() {
    case $1 in
    whole) echo "$build/release/examples/fast_path" ;;
    *) echo "$build/costs-$1/release/examples/fast_path" ;;
    esac
}

cargo build -q --release -p bucketmask-alloc --example fast_path
for variant in uncounted unchecked; do
    RUSTFLAGS="--cfg bucketmask_$variant" CARGO_TARGET_DIR=$build/costs-$variant \
        cargo build -q --release -p bucketmask-alloc --example fast_path
done

# All instructions of one run.
collected() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 | awk '/Collected/ {print $NF}'
}

# Instructions a step, the loop taken off: CASE VARIANT, as `instructions CASE VARIANT VALUE`.
counted() {
    local at=("$(program "$2")" bucketmask "$1") loop=("$(program whole)" none "$1")
    awk -v case="$1" -v variant="$2" -v steps=$((many - few)) \
        -v few="$(collected "${at[@]}" $few)" -v many="$(collected "${at[@]}" $many)" \
        -v few_loop="$(collected "${loop[@]}" $few)" -v many_loop="$(collected "${loop[@]}" $many)" \
        'BEGIN {printf "instructions %s %s %.3f\n", case, variant, (many - few - many_loop + few_loop) / steps}'
}

# Nanoseconds of processor time a step, the loop included, as `time CASE VARIANT VALUE`.
timed() {
    local TIMEFORMAT=%U
    { time "$(program "$2")" bucketmask "$1" $timed; } 2>&1 |
        awk -v case="$1" -v variant="$2" -v steps=$timed '{printf "time %s %s %.4f\n", case, variant, $1 * 1e9 / steps}'
}

measure() {
    local case variant round
    for case in pair batch malloc-free replace; do
        for variant in $variants; do counted "$case" "$variant"; done
    done
    for ((round = 0; round < rounds; round++)); do
        for case in pair batch replace; do
            for variant in $variants; do timed "$case" "$variant"; done
        done
    done
}

# The least of each, its spread over the rounds, and for both variants what the whole costs more, in percent.
measure | awk -v rounds="$rounds" -v file="$file" '
    {
        key = $1 " " $2
        if (!(key in order)) { order[key] = ++keys; name[keys] = key }
        at = key " " $3
        if (!(at in least) || $4 < least[at]) least[at] = $4
        if (!(at in most) || $4 > most[at]) most[at] = $4
    }
    function line(measure, case, impl, value, unit, n, spread) {
        printf "{\"suite\":\"alloc\",\"case\":\"costs/%s\",\"impl\":\"%s\",\"metric\":\"%s\",\"value\":%s,\"unit\":\"%s\",\"better\":\"lower\",\"n\":%d,\"rounds\":%d,\"spread\":%.3f}\n", case, impl, measure, value, unit, n, measure == "time" ? rounds : 1, spread >file
    }
    END {
        printf "%-14s %-12s %9s %9s %9s   %18s %18s\n", "measure", "case", "whole", "uncounted", "unchecked", "statistics cost", "the check costs"
        for (k = 1; k <= keys; k++) {
            split(name[k], part, " ")
            whole = least[name[k] " whole"]; uncounted = least[name[k] " uncounted"]; unchecked = least[name[k] " unchecked"]
            printf "%-14s %-12s %9.2f %9.2f %9.2f   %16.1f %% %16.1f %%\n", part[1], part[2], whole, uncounted, unchecked, 100 * (whole / uncounted - 1), 100 * (whole / unchecked - 1)
            split("whole uncounted unchecked", impls, " ")
            for (i = 1; i <= 3; i++) {
                at = name[k] " " impls[i]
                impl = impls[i] == "whole" ? "bucketmask" : "bucketmask-" impls[i]
                line(part[1], part[2], impl, least[at], part[1] == "time" ? "ns" : "instructions", part[1] == "time" ? '$timed' : '$((many - few))', most[at] / least[at] - 1)
                if (i > 1) printf "{\"suite\":\"alloc\",\"case\":\"costs/%s\",\"metric\":\"%s\",\"impl\":\"bucketmask\",\"peer\":\"%s\",\"ratio\":%.4f,\"better\":\"lower\"}\n", part[2], part[1], impl, whole / least[at] >file
            }
        }
    }'
