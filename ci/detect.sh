#!/usr/bin/env bash
# Faults on purpose, in a checked build: each is found, and nothing else said. Then the report that docs/checked.md shows, without
# addresses, lines, and all of a stack but its beginning, which other compilers inline otherwise: written there with --update, else compared. Usage: ci/detect.sh [--update]
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

page=docs/checked.md
export CARGO_TARGET_DIR=$build/checked
cargo build -q --release --features checked
program=$CARGO_TARGET_DIR/release/bucketmask
"$program" detect --quick --json "$build/detect.jsonl"

found=$(mktemp)
trap 'rm -f "$found" "$found.page"' EXIT
{
    echo '```text'
    "$program" detect --report pointer/stale |
        sed -E "s/0x[0-9a-f]+/0x.../g; s|$root/||g; s|benches/src/\.\./\.\./||g; s/\.rs:[0-9]+(:[0-9]+)?/.rs/
            s/\{?closure(_env)?#[0-9]+\}?/{closure}/g; /^$/d" |
        awk '/^    +0: / { print; getline; print; print "      ..."; inside = 1; next }
            /^  ? ? ?[a-z]/ { inside = 0 }
            !inside { print }'
    echo '```'
} >"$found"
keep_block "report" $page "$found" "a report has" "${1:-}"
