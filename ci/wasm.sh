#!/usr/bin/env bash
# Ring, channel and maps on WebAssembly: compiled with atomics, and run in Node by workers that share one memory; each case also with faults
# that have to make it fail. docs/wasm.md tells what works there. The compiler is Debian's, unpacked into the build folder, since the
# standard library has to be compiled with atomics, too. Usage: ci/wasm.sh [--update] [FIGURES]: figures of messages' latencies go to
# FIGURES, else into the build folder; --update writes the page's table.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. ci/debian-rust.sh

update=
[ "${1:-}" != --update ] || { update=1 && shift; }
out=$build/wasm
figures=${1:-$out/figures.jsonl}
target=wasm32-unknown-unknown
# First and largest size of the memory, in pages of 64 KiB, for the linker and for Node.
export WASM_PAGES_FIRST=512 WASM_PAGES_MOST=65536

prepare() {
    need node nodejs
    node --version
    debian_rust 1. rust-web-src rust-web-clippy lld-19
}

# Cargo of those packages, with a standard library compiled for this: compiled FOLDER RUSTFLAGS COMMAND ARGUMENT...
compiled() {
    local folder=$1 flags=$2 command=$3
    shift 3
    # Features of the compiler that are not stable: std compiled with atomics, and waiting. Neither is used by what is shipped.
    RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$out/$folder PATH=$rust/usr/bin:$PATH RUSTFLAGS="-Clinker=$rust/usr/bin/wasm-ld-19 $flags" \
        "$rust/usr/bin/cargo" "$command" --target "$target" -Zbuild-std=std,panic_abort "$@"
}

atomics="-Ctarget-feature=+atomics,+bulk-memory,+mutable-globals"
shared=(--shared-memory --import-memory "--initial-memory=$((WASM_PAGES_FIRST << 16))" "--max-memory=$((WASM_PAGES_MOST << 16))"
    --export=__stack_pointer --export=__wasm_init_tls --export=__tls_size --export=__tls_align)

# The libraries without threads, with all features that they have there; then with threads, and the cases.
lints() {
    compiled plain "" clippy -p bucketmask-alloc -p bucketmask-map --lib --no-default-features \
        --features bucketmask-map/rayon,bucketmask-map/serde -- -D warnings
    compiled atomics "$atomics" clippy -p bucketmask-alloc -p bucketmask-map --lib --no-default-features -- -D warnings
    compiled atomics "$atomics" clippy --manifest-path ci/wasm/Cargo.toml -- -D warnings
    cargo fmt --manifest-path ci/wasm/Cargo.toml --check
}

module() {
    compiled atomics "$atomics ${shared[*]/#/-Clink-arg=}" build --release --manifest-path ci/wasm/Cargo.toml
}

cases() {
    node ci/wasm/run.mjs "$out/atomics/$target/release/bucketmask_wasm.wasm" "$figures"
    if [ -x ../shared/check-figures ] && command -v python3 >/dev/null; then ../shared/check-figures "$figures"; fi
}

step "prepare" prepare
step "lints" lints
step "module" module
step "cases" cases
if [ -n "$update" ]; then
    node ci/wasm/table.mjs "$figures" docs/wasm.md
fi
