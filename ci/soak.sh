#!/usr/bin/env bash
# The long run: the allocator's masks against a model over very many operations on four threads, which takes many minutes
# and is not part of the usual run. Usage: ci/soak.sh [OPERATIONS], 10^9 unless said.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

operations=${1:-1000000000}
export BUCKETMASK_STEPS=$((operations / 4))
cargo test -q --release -p bucketmask-alloc --test model --no-run
step "masks against the model, $operations operations" cargo test -q --release -p bucketmask-alloc --test model
