#!/usr/bin/env bash
# What the events of docs/gc-barriers.md compile to: writes the page's table from the disassembly of gc/examples/barrier.rs, or
# checks that it is what the disassembly gives. Usage: ci/gc-barriers.sh [--update]. Counted are comparisons of the flag that
# barriers ask, and instructions that order memory or change it atomically. With another compiler than ci/instructions.rustc names, or on another processor family, the check only says that it has
# nothing to compare with: instructions are the compiler's.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

page=docs/gc-barriers.md
need objdump binutils
cargo build -q --release -p bucketmask-gc --example barrier
program=$build/release/examples/barrier
case $host in
x86_64-*) ;;
*)
    echo "the page shows x86_64; this is $host"
    exit 0
    ;;
esac

found=$(mktemp)
trap 'rm -f "$found" "$found.page"' EXIT

# A function's instructions, without padding.
code() {
    objdump -d -C --no-show-raw-insn -M intel "$program" | awk -v name="<barrier::$1>:" '
        /^[0-9a-f]+ </ {inside = index($0, name) > 0}
        inside && /^ +[0-9a-f]+:/ {sub(/^ +[0-9a-f]+:[ \t]*/, ""); if ($0 !~ /^(nop|int3|xchg +ax,ax|data16|cs nop)/) print}'
}

# A row: EVENT FUNCTION.
row() {
    code "$2" | awk -v event="$1" -v name="$2" '
        /BYTE PTR \[r..?\+0x8\]/ && /^(cmp|test|movzx)/ {flags++}
        /^lock |^mfence|^xchg +(QWORD|DWORD|BYTE) PTR/ {
            what = $1 == "lock" ? $1 " " $2 : $1
            if (!(what in seen)) {seen[what]; order = order (order ? ", " : "") "`" what "`"}
        }
        END {
            if (NR == 0) {print name ": not in the disassembly" >"/dev/stderr"; exit 1}
            printf "| %s | `%s` | %d | %s |\n", event, name, flags, order ? order : "none"
        }'
}

{
    echo "| event | function | looks at the flag, on all paths | instructions that order |"
    echo "|---|---|---|---|"
    row "atomic store, release" atomic_store_release
    row "atomic store, \`SeqCst\`" atomic_store_seq_cst
    row "GC pointer write" pointer_write
    row "eight of them in a loop" pointer_writes
    row "write to an \`Unpublished\`" unpublished_write
    row "publish" publish
    row "channel send inside the arena" send_inside
    row "channel receive inside the arena" receive_inside
    row "channel send between threads" send_between
    row "channel receive between threads" receive_between
    row "park" park
    row "section under a lock" section
    for name in pointer_write unpublished_write publish; do
        printf '\n```\n%s:\n' $name
        code $name | sed -E 's/ +#.*//; s/<.*>//; s/rip.0x[0-9a-f]+/rip + .../; s/^/    /; s/[ \t]+$//' | sed -E 's/^    j([a-z]+) +[0-9a-f]+/    j\1     slow/'
        echo '```'
    done
} >"$found"

keep_block "barriers" $page "$found" "what barriers compile to has" "${1:-}"
