#!/usr/bin/env bash
# The libraries with the oldest compiler they promise (rust-version in Cargo.toml), taken from Debian's packages: rustc-web
# in bookworm, rustc in trixie. Without such a package the lane fails: a promise that nobody checks is none.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. ci/debian-rust.sh

promised=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
debian_rust "$promised."
export CARGO_TARGET_DIR=$build/msrv
"$rust/usr/bin/cargo" check -p bucketmask-alloc -p bucketmask-gc -p bucketmask-map -p bucketmask-preload
