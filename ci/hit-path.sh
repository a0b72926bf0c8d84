#!/usr/bin/env bash
# The hit path register by register: writes the block of docs/map.md from the disassembly of a lookup, or checks that it is
# what the disassembly gives. Usage: ci/hit-path.sh [--update]. With another compiler than ci/instructions.rustc names, or
# another processor family, the check only says that it has nothing to compare with: instructions are the compiler's.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

page=docs/map.md
need objdump binutils
cargo build -q --release -p bucketmask-map --example hit_path
program=$build/release/examples/hit_path

found=$(mktemp)
trap 'rm -f "$found" "$found.page"' EXIT
case $host in
x86_64-*) objdump -d -C --no-show-raw-insn -M intel "$program" | sed -E "s/call +[0-9a-f]+ </call </" | "$program" >"$found" ;;
*)
    echo "the page shows x86_64; this is $host"
    exit 0
    ;;
esac

keep_block "hit path" $page "$found" "the hit path has" "${1:-}"
