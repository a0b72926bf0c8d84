#!/usr/bin/env bash
# Data races: the libraries' tests under ThreadSanitizer, then races on purpose, which it has to report, and uses that look like
# races, which it must not (map/examples/races.rs). What it said lies as one JSON object in the build folder, and a summary is
# printed. docs/sanitizers.md tells which flags are set, and why. Usage: ci/tsan.sh [races] [--update]: races leaves the tests out;
# --update writes the page's table.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

races() {
    local page=()
    [ "${1:-}" != --update ] || page=(--page docs/sanitizers.md)
    need python3 python3
    # built FOLDER RUSTFLAGS ARGUMENT...: the example, built so. Plain as the tests are, new beside those of ci/sanitizer.sh.
    built() {
        RUSTC_BOOTSTRAP=1 RUSTFLAGS=$2 CARGO_TARGET_DIR=$build/$1 cargo build -q --target "$host" -p bucketmask-map --example races "${@:3}"
        echo "$build/$1/$host"
    }
    local thread="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg bucketmask_told" old new
    new=$(built thread-sanitizer "$thread" --profile test)/debug/examples/races
    old=$(CARGO_PROFILE_RELEASE_DEBUG=false built races "$thread" --release)/release/examples/races
    cargo build -q -p bucketmask-map --example races
    local plain=$build/debug/examples/races
    python3 ci/races.py --plain "$plain" --old "$old" --new "$new" --out "$build/races/races.json" "${page[@]}"
}

if [ "${1:-}" = races ]; then
    shift
else
    step "tests under ThreadSanitizer" ci/sanitizer.sh thread
fi
step "races on purpose" races "$@"
