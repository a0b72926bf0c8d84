#!/usr/bin/env bash
# The libraries on aarch64, where heads are matched with NEON: tests built with Rust and a cross compiler from Debian's packages, and run
# by qemu. Not part of the usual run: an emulated processor takes its time, and the emulator keeps notes of each page of the region: tests of
# thousands of maps take it more memory than there is. Usage: ci/aarch64.sh [CARGO TEST ARGUMENT...]
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. ci/debian-rust.sh

target=aarch64-unknown-linux-gnu
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
need qemu-aarch64 qemu-user
debian_rust 1.
debian_rust_std arm64
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
export CARGO_TARGET_DIR=$build/aarch64
tests=("$@")
[ $# -gt 0 ] || tests=(-p bucketmask-map --lib --test model --test cursor --test str_map --test gc_map)

step "tests on $target" "$rust/usr/bin/cargo" test --target $target "${tests[@]}"
