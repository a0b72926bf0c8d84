#!/usr/bin/env bash
# Whether the aligned buckets of the bench `classic` are asked for at multiples of 64, in the machine code of the binary that is
# measured: the alignment is the second argument of the allocator's call. Fails where it is another number, or can't be seen.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need objdump binutils
binary=$build/release/bucketmask
[ -x "$binary" ] || cargo build --release

# The code of the function that allocates buckets, whose mangled name holds its path.
code() {
    objdump -d --no-show-raw-insn "$binary" | awk '
        /^[0-9a-f]+ <.*>:$/ { wanted = $0 ~ /classic/ && $0 ~ /bucket/ && $0 ~ /allocate/ }
        wanted'
}

# The last numbers put into the register of the second argument, and where the calls go: `number HEX`, `call NAME`. A call through
# a table of addresses names the place in the table; what the loader puts there is resolved by the symbols.
steps() {
    case $host in
    x86_64-*) code | sed -nE 's/.*mov +\$0x([0-9a-f]+),%[er]si$/number \1/p; s/.*call +\*.*# ([0-9a-f]+) .*/call \1/p; s/.*call +[0-9a-f]+ <(.*)>$/call \1/p' ;;
    aarch64-*) code | sed -nE 's/.*mov\s+[wx]1, #0x([0-9a-f]+).*/number \1/p; s/.*\bbl\s+[0-9a-f]+ <(.*)>$/call \1/p' ;;
    *) echo "no way to read the code of $host" >&2 && return 1 ;;
    esac | awk '
        FILENAME != "-" && NF == 3 { name[$1] = $3; next }
        FILENAME != "-" { goes[$1] = $2; next }
        $1 == "call" && $2 in goes { $2 = name[goes[$2]] }
        { print }' <(nm "$binary" | sed 's/^0*//') \
        <(objdump -R "$binary" | sed -nE 's/^0*([0-9a-f]+) R_X86_64_RELATIVE +\*ABS\*\+0x0*([0-9a-f]+)$/\1 \2/p') -
}

found=$(steps | awk '$1 == "number" { last = $2 } $1 == "call" && $2 ~ /rust_alloc_zeroed/ { print last; exit }')
if [ "$found" != 40 ]; then
    printf 'buckets are asked for at multiples of 0x%s, not 0x40; the code:\n' "${found:-?}" >&2
    code >&2
    exit 1
fi
echo "buckets are asked for at multiples of 64: 0x$found in the second argument of the allocator's call"
