#!/usr/bin/env bash
# What trace lines cost: off, against a build without them, and on, against off. By instructions (callgrind) of the allocator's fast
# paths, which no line comes from, and by processor time over the hurried report, runs alternating. The targets are 0.5 % off and
# 5 % on; this shows, it does not judge. Usage: ci/trace-costs.sh [ROUNDS [FILE]]: 9 rounds unless said; FILE gets the figures,
# one JSON object a line.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rounds=${1:-9}
file=${2:-/dev/null}
need valgrind valgrind
few=20000 many=120000
lines=gc,mem,barrier

cargo build -q --release -p bucketmask-alloc --example fast_path
cargo build -q --release -p bucketmask-bench --bin bucketmask
for package in "bucketmask-alloc --example fast_path" "bucketmask-bench --bin bucketmask"; do
    # shellcheck disable=SC2086 # several words
    RUSTFLAGS="--cfg bucketmask_untraced" CARGO_TARGET_DIR=$build/untraced cargo build -q --release -p $package
done
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

# The build folder and the variable of untraced, off and on.
folder() { [ "$1" = untraced ] && echo "$build/untraced/release" || echo "$build/release"; }
traced() {
    local variant=$1
    shift
    if [ "$variant" = on ]; then BUCKETMASK_TRACE=$lines "$@"; else env -u BUCKETMASK_TRACE "$@"; fi
}

# All instructions of one run of a case: VARIANT CASE COUNT.
collected() {
    traced "$1" valgrind --tool=callgrind --callgrind-out-file=/dev/null "$(folder "$1")/examples/fast_path" bucketmask "$2" "$3" 2>&1 |
        awk '/Collected/ {print $NF}'
}

# User and system time of a run of the report, all its processes, in milliseconds; what it wrote as lines is counted beside.
report() {
    local variant=$1 TIMEFORMAT='%U %S' out=$found/report.$1
    { time traced "$variant" "$(folder "$variant")/bucketmask" report --quick --out "$out" >/dev/null 2>"$found/lines.$variant"; } 2>&1 |
        awk -v variant="$variant" '{printf "time report %s %.0f\n", variant, ($1 + $2) * 1000}'
}

measure() {
    local case variant round
    for case in pair batch malloc-free replace; do
        for variant in untraced off on; do
            printf 'instructions %s %s %s\n' "$case" "$variant" \
                "$(awk -v few="$(collected "$variant" "$case" $few)" -v many="$(collected "$variant" "$case" $many)" \
                    -v steps=$((many - few)) 'BEGIN {printf "%.3f", (many - few) / steps}')"
        done
    done
    # The first run finds files and memory cold.
    report off >/dev/null
    for ((round = 0; round < rounds; round++)); do
        if ((round % 2)); then set -- on off untraced; else set -- untraced off on; fi
        for variant; do report "$variant"; done
    done
}

measure | awk -v rounds="$rounds" -v file="$file" '
    {
        key = $1 " " $2
        if (!(key in seen)) { seen[key] = 1; name[++keys] = key }
        at = key " " $3
        values[at] = values[at] " " $4
    }
    # The median, and half the distance of the quartiles as a part of it.
    function median(at, list, count, i, j, swap) {
        count = split(values[at], list, " ")
        for (i = 2; i <= count; i++) for (j = i; j > 1 && list[j] + 0 < list[j - 1] + 0; j--) { swap = list[j]; list[j] = list[j - 1]; list[j - 1] = swap }
        middle = count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
        spread = middle > 0 ? (list[int((3 * count + 3) / 4)] - list[int((count + 3) / 4)]) / 2 / middle : 0
        return middle
    }
    function line(measure, case, impl, value, spread) {
        printf "{\"suite\":\"trace\",\"case\":\"costs/%s\",\"impl\":\"%s\",\"metric\":\"%s\",\"value\":%s,\"unit\":\"%s\",\"better\":\"lower\",\"n\":1,\"rounds\":%d,\"spread\":%.4f}\n", case, impl, measure, value, measure == "time" ? "ms" : "instructions", measure == "time" ? rounds : 1, spread >file
    }
    END {
        split("untraced off on", variants, " ")
        printf "%-14s %-12s %10s %10s %10s %12s %12s %10s\n", "measure", "case", "untraced", "off", "on", "off costs", "on costs", "spread"
        for (k = 1; k <= keys; k++) {
            split(name[k], part, " ")
            for (v = 1; v <= 3; v++) {
                value[v] = median(name[k] " " variants[v]); wide[v] = spread
                line(part[1], part[2], "bucketmask-" variants[v], value[v], spread)
            }
            printf "%-14s %-12s %10.2f %10.2f %10.2f %10.2f %% %10.2f %% %8.2f %%\n", part[1], part[2], value[1], value[2], value[3], 100 * (value[2] / value[1] - 1), 100 * (value[3] / value[2] - 1), 100 * wide[2]
        }
    }'
printf 'of the last run with %s: %s lines, %s\n' "$lines" "$(grep -cE '^(gc|mem|barrier) ' "$found/lines.on" || true)" \
    "$(grep -E 'events dropped' "$found/lines.on" | tail -n 1 | grep . || echo 'none dropped')"
