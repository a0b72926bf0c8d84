#!/usr/bin/env bash
# Instructions of malloc and free on their fast paths, counted by callgrind, beside mimalloc's. Fails where ours grew by more
# than 5 % over the record. Usage: ci/instructions.sh [--update]: --update writes the record anew.
# Counts don't depend on the machine's load; they do on the compiler, whose version the record names.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

record=ci/instructions.jsonl
need valgrind valgrind
cargo build -q --release -p bucketmask-alloc --example fast_path
program=$build/release/examples/fast_path
cases="pair pair-opaque batch malloc malloc-free replace"
few=20000 many=120000

# All instructions of one run.
collected() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$@" 2>&1 | awk '/Collected/ {print $NF}'
}

# Instructions a step of a case, the loop included.
a_step() {
    awk -v few="$(collected "$1" "$2" $few)" -v many="$(collected "$1" "$2" $many)" -v steps=$((many - few)) \
        'BEGIN {if (few == "" || many == "") exit 1; printf "%.3f", (many - few) / steps}'
}

counts() {
    local case none impl value
    for case in $cases; do
        none=$(a_step none "$case")
        for impl in bucketmask mimalloc; do
            value=$(a_step "$impl" "$case")
            awk -v case="$case" -v impl="$impl" -v value="$value" -v none="$none" 'BEGIN {printf "%s %s %.2f\n", case, impl, value - none}'
        done
    done
}

lines() {
    awk '{value[$1, $2] = $3; if ($2 == "bucketmask") order[++cases] = $1
        printf "{\"suite\":\"alloc\",\"case\":\"instructions/%s\",\"impl\":\"%s\",\"metric\":\"instructions\",\"value\":%s,\"unit\":\"instructions\",\"better\":\"lower\",\"n\":%d,\"rounds\":1,\"spread\":0}\n", $1, $2, $3, steps}
        END {for (at = 1; at <= cases; at++) printf "{\"suite\":\"alloc\",\"case\":\"instructions/%s\",\"metric\":\"instructions\",\"impl\":\"bucketmask\",\"peer\":\"mimalloc\",\"ratio\":%.3f,\"better\":\"lower\"}\n", order[at], value[order[at], "bucketmask"] / value[order[at], "mimalloc"]}
    ' steps=$((many - few)) "$1"
}

found=$(mktemp)
trap 'rm -f "$found"' EXIT
counts >"$found"
if [ "${1:-}" = --update ]; then
    lines "$found" >$record
    rustc -V >ci/instructions.rustc
fi

# Case, ours, the record's, mimalloc's; fails if one of ours grew.
sed -n 's/.*"case":"instructions\/\([^"]*\)","impl":"bucketmask","metric":"instructions","value":\([0-9.]*\).*/\1 record \2/p' $record |
    cat - "$found" | awk -v compiler="$(cat ci/instructions.rustc)" '
    $2 == "record" {record[$1] = $3}
    $2 == "bucketmask" {ours[$1] = $3; order[++cases] = $1}
    $2 == "mimalloc" {theirs[$1] = $3}
    END {
        printf "%-12s %10s %10s %10s %8s   instructions; a pair is one malloc and one free; record: %s\n", "case", "bucketmask", "record", "mimalloc", "ratio", compiler
        for (at = 1; at <= cases; at++) {
            name = order[at]
            grew = record[name] == "" || ours[name] > 1.05 * record[name]
            failed += grew
            printf "%-12s %10.2f %10.2f %10.2f %8.2f%s\n", name, ours[name], record[name], theirs[name], ours[name] / theirs[name], grew ? "   grew by more than 5 %" : ""
        }
        exit failed > 0
    }'
