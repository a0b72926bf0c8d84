#!/usr/bin/env bash
# What Go's maps for several goroutines take: bytes an entry of sync.Map and of a map behind a lock. Needs Go; not part of the usual
# run. Usage: ci/sync-map.sh [--update] [GO...]: --update writes the table of docs/migrating.md; GO are toolchains' go, else that on PATH.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

update=
[ "${1:-}" != --update ] || { update=1 && shift; }
[ $# -gt 0 ] || set -- go
entries=1000000
found=$(mktemp)
trap 'rm -f "$found" "$found.page"' EXIT

{
    printf '| Go, %s entries | sync.Map | map and RWMutex | ratio |\n|---|---|---|---|\n' "$entries"
    for go; do
        # A name that tests have nothing to do with, in a folder without a module.
        "$go" run ci/programs/sync_map.go "$entries" |
            awk -v version="$("$go" version | awk '{print $3}')" '{bytes[NR] = $2} END {if (NR != 2) exit 1; printf "| %s | %s B | %s B | %.2f |\n", version, bytes[1], bytes[2], bytes[1] / bytes[2]}'
    done
} >"$found"
cat "$found"
if [ -n "$update" ]; then
    awk -v block="$found" '
        index($0, "<!-- sync.Map: end -->") == 1 {inside = 0}
        !inside {print}
        index($0, "<!-- sync.Map: begin") == 1 {inside = 1; while ((getline line <block) > 0) print line}
    ' docs/migrating.md >"$found.page"
    cat "$found.page" >docs/migrating.md
fi
