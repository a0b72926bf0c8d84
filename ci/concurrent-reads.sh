#!/usr/bin/env bash
# Whether a read of the concurrent map has an atomic read-modify-write or a fence in its machine code: there must be none, in either of
# two ways to read, but in the one call that a thread's first guard makes. A write, looked at by the same words, must show one.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case $host in
x86_64-*) ;;
*)
    echo "the check reads the code of x86_64; this is $host"
    exit 0
    ;;
esac
need objdump binutils
cargo build -q --release -p bucketmask-map --example concurrent_get
program=$build/release/examples/concurrent_get
"$program" >/dev/null

# The code of the functions whose demangled name fits a pattern.
code() {
    objdump -d -C --no-show-raw-insn -M intel "$program" | awk -v wanted="$1" '
        /^[0-9a-f]+ <.*>:$/ { inside = $0 ~ wanted }
        inside'
}

# Locked instructions and fences; an exchange with memory locks by itself.
locked() { grep -E '\b(lock|mfence|lfence|sfence|cmpxchg|xadd)\b|\bxchg\b.*\[' || true; }

for name in read_under_a_guard read_with_a_guard; do
    body=$(code "concurrent_get::$name")
    count=$(grep -c '^ ' <<<"$body" || true)
    [ "$count" -gt 20 ] || { echo "$name: $count instructions are no read" && exit 1; }
    found=$(locked <<<"$body")
    if [ -n "$found" ]; then
        printf '%s has a locked instruction or a fence:\n%s\n' "$name" "$found" >&2
        exit 1
    fi
    # All it may call is the slow path of a thread's first guard; under a guard, nothing.
    calls=$(grep -cE '\bcall\b' <<<"$body" || true)
    allowed=1
    [ "$name" = read_under_a_guard ] && allowed=0
    [ "$calls" -le "$allowed" ] || { echo "$name has $calls calls, which this check does not look into" && exit 1; }
    away=$(grep -E '\bj[a-z]+ .*<' <<<"$body" | grep -vF "<concurrent_get::$name+" || true)
    [ -z "$away" ] || { printf '%s goes on elsewhere:\n%s\n' "$name" "$away" && exit 1; }
    echo "$name: $count instructions, none locked, no fence, $calls calls"
done

if [ -z "$(code 'write.*Core.*::(put|take|commit)|concurrent::guard::Guard.*insert' | locked)" ]; then
    echo "the check finds nothing locked in a write either: it does not see" >&2
    exit 1
fi
echo "a write has locked instructions, seen by the same words"
