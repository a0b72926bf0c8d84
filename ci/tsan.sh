#!/usr/bin/env bash
# Data races: the libraries' tests under ThreadSanitizer, then races on purpose, which it has to report, and uses that look like
# races, which it must not (map/examples/races). What it said lies as one JSON object in the build folder, and a summary is
# printed. docs/sanitizers.md tells which flags are set, and why. Usage: ci/tsan.sh [races] [--update]: races leaves the tests out;
# --update writes the page's table. ci/tsan.sh std: the same programs on a standard library that is instrumented, too, built from Debian's
# package of its source; not part of the usual run.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

threads="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg bucketmask_told"

races() {
    local page=()
    [ "${1:-}" != --update ] || page=(--page docs/sanitizers.md)
    need python3 python3
    # built FOLDER RUSTFLAGS ARGUMENT...: the example, built so. Plain as the tests are, new beside those of ci/sanitizer.sh.
    built() {
        RUSTC_BOOTSTRAP=1 RUSTFLAGS=$2 CARGO_TARGET_DIR=$build/$1 cargo build -q --target "$host" -p bucketmask-map --example races "${@:3}"
        echo "$build/$1/$host"
    }
    local old new
    new=$(built thread-sanitizer "$threads" --profile test)/debug/examples/races
    old=$(CARGO_PROFILE_RELEASE_DEBUG=false built races "$threads" --release)/release/examples/races
    cargo build -q -p bucketmask-map --example races
    local plain=$build/debug/examples/races
    python3 ci/races.py --plain "$plain" --old "$old" --new "$new" --out "$build/races/races.json" "${page[@]}"
}

# Debian's compiler brings no runtime of the sanitizer's: this toolchain's is taken.
on_instrumented_std() {
    . ci/debian-rust.sh
    local runtime
    runtime=$(rustc --print sysroot)/lib/rustlib/$host/lib/librustc-stable_rt.tsan.a
    cargo build -q -p bucketmask-map --example races
    debian_rust 1. rust-web-src
    cp "$runtime" "$rust/usr/lib/rustlib/$host/lib/"
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread --cfg bucketmask_told" CARGO_TARGET_DIR=$build/thread-std \
        "$rust/usr/bin/cargo" build -q -Zbuild-std=std,panic_abort,panic_unwind --target "$host" --profile test -p bucketmask-map --example races
    python3 ci/races.py --std --plain "$build/debug/examples/races" --new "$build/thread-std/$host/debug/examples/races" --out "$build/thread-std/races.json"
}

if [ "${1:-}" = std ]; then
    step "races on an instrumented standard library" on_instrumented_std
    exit
elif [ "${1:-}" = races ]; then
    shift
else
    step "tests under ThreadSanitizer" ci/sanitizer.sh thread
fi
step "races on purpose" races "$@"
