#!/usr/bin/env bash
# Every interleaving of the allocator's lock-free parts, small models: the tests whose names contain `loom`.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export RUSTFLAGS="--cfg loom"
export CARGO_TARGET_DIR=$build/loom
cargo test -p bucketmask-alloc --release --lib loom
