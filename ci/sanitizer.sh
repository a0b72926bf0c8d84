#!/usr/bin/env bash
# The libraries' tests under a sanitizer, on the stable compiler and without suppressions. Usage: ci/sanitizer.sh thread|address
# The standard library is not instrumented, so what the tests need of it must be visible to the sanitizer by itself: no
# std::sync::mpsc and no bare fences.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The tests of a package that need a feature, which its own lane turns on; a line in any case.
featured() {
    grep -B2 '^required-features' "$1/Cargo.toml" | sed -n 's/^name = "\(.*\)"/\1/p' | grep . || echo none
}

# Tests with a harness of their own, a name a line: those of several threads. The built-in harness passes results over
# std::sync::mpsc, which ThreadSanitizer would see as a race; ours does so too, but for one test at a time.
threaded_tests() {
    grep -B1 '^harness = false' "$1/Cargo.toml" | sed -n 's/^name = "\(.*\)"/\1/p' | grep -vxF "$(featured "$1")"
}

# Tests but for the models that loom runs (loom checks those, on stacks of its own, which no sanitizer can follow), for
# those of a feature, which have a lane of their own, and for those that say that no sanitizer can run them, and why.
plain_tests() {
    grep -LE 'loom::|^//! Not for sanitizers' "$1"/tests/*.rs | sed 's|.*/\(.*\)\.rs|\1|' | grep -vxF "$(featured "$1")"
}

kind=${1:?thread or address}
case $kind in
# The model's ten million operations take minutes under the race detector; a tenth finds what there is to find.
thread) tests=threaded_tests targets=() && export TSAN_OPTIONS=halt_on_error=1 BUCKETMASK_STEPS=250000 ;;
address) tests=plain_tests targets=(--lib) && export ASAN_OPTIONS=detect_leaks=1 ;;
*) echo "thread or address, not $kind" >&2 && exit 2 ;;
esac

# The unstable flag, allowed on a stable compiler for these crates only.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=$kind -Cunsafe-allow-abi-mismatch=sanitizer"
# Where scenarios tell the race detector what it cannot see; the library itself has no need to.
[ "$kind" = thread ] && RUSTFLAGS+=" --cfg bucketmask_told"
# The concurrent map keeps the memory of freed entries for the next ones, where a use after the freeing would not be seen.
[ "$kind" = address ] && RUSTFLAGS+=" --cfg bucketmask_unkept"
export CARGO_TARGET_DIR=$build/$kind-sanitizer

ran=0
for package in alloc gc map; do
    chosen=("${targets[@]}")
    while read -r name; do chosen+=(--test "$name"); done < <("$tests" "$package")
    if [ "${#chosen[@]}" = 0 ]; then
        echo "$package has no test of several threads"
        continue
    fi
    cargo test --target "$host" -p "bucketmask-$package" "${chosen[@]}" -- --test-threads=1
    ran=$((ran + 1))
done
[ "$ran" -gt 0 ]
