#!/usr/bin/env bash
# The libraries' tests under a sanitizer, on the stable compiler and without suppressions. Usage: ci/sanitizer.sh thread|address
# The standard library is not instrumented, so what the tests need of it must be visible to the sanitizer by itself: no
# std::sync::mpsc and no bare fences.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

kind=${1:?thread or address}
case $kind in
thread) export TSAN_OPTIONS=halt_on_error=1 ;;
address) export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 ;;
*) echo "thread or address, not $kind" >&2 && exit 2 ;;
esac

# The unstable flag, allowed on a stable compiler for these crates only.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=$kind -Cunsafe-allow-abi-mismatch=sanitizer"
export CARGO_TARGET_DIR=$build/$kind-sanitizer

# Unit and integration tests; documentation tests are built by rustdoc, which knows nothing of the sanitizer. Models that
# loom runs are left out: loom checks them, on stacks of its own, which no sanitizer can follow.
for package in alloc gc map; do
    targets=(--lib)
    while read -r file; do targets+=(--test "$(basename "$file" .rs)"); done < <(grep -L 'loom::' "$package"/tests/*.rs)
    cargo test --target "$host" -p "bucketmask-$package" "${targets[@]}"
done
