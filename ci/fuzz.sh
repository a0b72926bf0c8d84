#!/usr/bin/env bash
# The fuzz targets, `api` over the allocator's whole interface, `map` over the maps', `gc` over the collector's, `trace` over traces,
# each for SECONDS.
# Usage: [FUZZ="TARGET..."] ci/fuzz.sh [SECONDS [LIBFUZZER OPTION...]]
# Coverage comes from LLVM's pass, which a stable compiler takes as well, so neither nightly nor cargo-fuzz is needed
# (`cargo fuzz run api` works where they are). Inputs that found something new are kept in the build folder.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

seconds=${1:-60}
[ $# = 0 ] || shift
need c++ g++
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares"
export CARGO_TARGET_DIR=$build/fuzz
RUSTFLAGS="$(echo $coverage) --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1" \
    cargo build --release --manifest-path fuzz/Cargo.toml --target "$host"
for target in ${FUZZ:-api map gc trace}; do
    corpus=$build/fuzz/corpus/$target
    mkdir -p "$corpus" "$build/fuzz/artifacts"
    "$build/fuzz/$host/release/$target" -max_total_time="$seconds" -max_len=4096 -len_control=0 -timeout=30 \
        -rss_limit_mb=4096 -artifact_prefix="$build/fuzz/artifacts/$target-" -print_final_stats=1 "$@" "$corpus"
done
