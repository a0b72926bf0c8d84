#!/usr/bin/env bash
# Instructions that the collector costs a program while it does not run, counted by callgrind: keeping the masks of a GcMap, of
# each insert and removal, and a barrier that finds nothing being marked, of each store. Shows each share beside what it is to
# be, and fails where one grew over what it was when this was written. Usage: ci/gc-costs.sh. What a mask costs are the lines
# of the map's source that write its lane and its summary, where they were inlined; what a barrier costs is a loop with it
# less the same loop without.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need valgrind valgrind
cargo build -q --release -p bucketmask-map --example gc_costs
program=${GC_COSTS:-$build/release/examples/gc_costs}
few=20000 many=120000
profiles=$(mktemp -d)
trap 'rm -rf "$profiles"' EXIT

# The lines that write a mask, each as FILE LINE: from where its lane is found to the next closing brace, and how it is found.
mask_lines() {
    for file in table lift; do
        awk -v file=$file.rs '/self\.zones\.lane\(/ {inside = 1} inside {print file, NR} inside && /^ *}$/ {inside = 0}' map/src/raw/$file.rs
    done
    awk '/unsafe fn lane\(/ {inside = 1} inside {print "layout.rs", NR} inside && /^    }$/ {exit}' map/src/raw/layout.rs
}
mask_lines >"$profiles/lines"
for file in table lift layout; do
    grep -q "^$file.rs " "$profiles/lines" || { echo "$file.rs: no line writes a mask: this script does not know the source any more" && exit 1; }
done

# Instructions of one run: all of them, and those of the lines that write masks.
run() {
    local profile=$profiles/$1.$2
    valgrind --tool=callgrind --compress-strings=no --compress-pos=no --dump-line=yes --callgrind-out-file="$profile" \
        "$program" "$1" "$2" >/dev/null 2>&1
    awk '
        FILENAME == ARGV[1] {wanted[$1, $2]; next}
        /^fn=/ {summing = /(::mark|::unmark)$/}
        /^(fl|fi|fe)=/ {file = $0; sub(/.*\//, "", file); at_raw = /map\/src\/raw\//}
        /^calls=/ {skip = 1; next}
        /^[0-9]+ [0-9]+/ {
            if (skip) {skip = 0; next}
            all += $2
            if (at_raw && ((file, $1) in wanted) || summing && file == "summary.rs") masks += $2
        }
        END {print all + 0, masks + 0}' "$profiles/lines" "$profile"
}

# Instructions a step of a case: all, and for masks.
a_step() {
    { run "$1" $few; run "$1" $many; } | awk -v steps=$((many - few)) '
        {all[NR] = $1; masks[NR] = $2} END {printf "%.3f %.3f\n", (all[2] - all[1]) / steps, (masks[2] - masks[1]) / steps}'
}

{
    echo "insert $(a_step insert)"
    echo "insert-remove $(a_step insert-remove)"
    for case in store store-bare fill fill-bare; do echo "$case $(a_step $case)"; done
} | awk '
    {all[$1] = $2; masks[$1] = $3}
    function row(name, whole, part, wanted, gate) {
        if (whole <= 0 || name ~ /masks/ && part <= 0) {
            printf "%s: nothing was counted\n", name
            failed++
            return
        }
        share = 100 * part / whole
        failed += share > gate
        printf "%-34s %9.2f %9.2f %8.2f %%   %s <= %.0f %%%s\n", name, whole, part, share, (share > wanted ? "!" : " "), wanted,
            (share > gate ? "   grew over " gate " %" : "")
    }
    END {
        printf "%-34s %9s %9s %10s     target\n", "instructions of a step", "all", "of it", "share"
        row("insert: masks", all["insert"], masks["insert"], 3, 8)
        row("removal: masks", all["insert-remove"] - all["insert"], masks["insert-remove"] - masks["insert"], 3, 12.5)
        row("store to any object: barrier", all["store-bare"], all["store"] - all["store-bare"], 2, 10)
        row("stores to one array: barrier", all["fill-bare"], all["fill"] - all["fill-bare"], 2, 6)
        exit failed > 0
    }'
