#!/usr/bin/env bash
# The static probes of the example `probed`, looked at with the tools that docs/probes.md tells of: what the notes say, how often gdb
# stops at each, what a probe is in the code, and what perf makes of them on this machine. Fails where a probe is never hit, or is not
# one nop. Usage: ci/probes.sh [--update]: --update pastes the outputs into the page. x86-64 Linux.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

page=docs/probes.md
case $host in
x86_64-*-linux-*) ;;
*) echo "the page shows x86-64 Linux; this is $host" && exit 0 ;;
esac
need gdb gdb
need readelf binutils

# Not linked by lld: perf takes addresses for places in the file, which they are in what GNU ld writes.
export RUSTFLAGS="-Clinker-features=-lld" CARGO_TARGET_DIR=$build/probes
cargo build -q -p bucketmask-map --features probes --example probed
program=$build/probes/debug/examples/probed

found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

# gdb without what a user's own settings and the debug sections' scripts add.
quiet_gdb() {
    gdb -nx -batch -iex 'set auto-load off' -iex 'set debuginfod enabled off' "$@" 2>&1
}

probes=$(readelf -n "$program" | awk '/Provider: bucketmask_/ {provider = $2} /Name:/ && provider {print provider ":" $2; provider = ""}' | sort -u)

# How often each is hit: a breakpoint on each, none of which stops.
hits() {
    local commands=() number=0 probe
    for probe in $probes; do
        number=$((number + 1))
        commands+=(-ex "break -probe-stap $probe" -ex "ignore $number 1000000000")
    done
    quiet_gdb "${commands[@]}" -ex run -ex 'info breakpoints' "$program" >"$found/gdb"
    awk -v probes="$(echo "$probes" | tr '\n' ' ')" '
        /^[0-9]+ +breakpoint/ {number = $1}
        /already hit/ {match($0, /hit [0-9]+/); hit[number] = substr($0, RSTART + 4, RLENGTH - 4)}
        END {
            count = split(probes, name, " ")
            printf "%-32s %8s\n", "event", "hits"
            for (at = 1; at <= count; at++) {
                printf "%-32s %8d\n", name[at], hit[at]
                if (!hit[at]) missing = 1
            }
            exit missing
        }' "$found/gdb"
}

# The first stops at a lookup, with what the probe's arguments are, and who asked.
stops() {
    local command
    command=$(printf '%s\n' 'break -probe-stap bucketmask_map:get' 'commands' 'silent' \
        'printf "get hash %#lx home %lu\n", $_probe_arg0, $_probe_arg1' 'end')
    printf '%s\nrun\ncontinue\ncontinue\nbacktrace 1\n' "$command" >"$found/stops"
    quiet_gdb -x "$found/stops" "$program" | grep -E '^get |^#0' | sed -E "s|$root/||; s/0x[0-9a-f]{12,} in //"
}

# A probe in the code, between its neighbours.
code() {
    local at
    at=$(quiet_gdb -ex 'info probes stap bucketmask_map ^split$' "$program" | awk '/^stap/ {print $4; exit}')
    # From a known instruction on: bytes before the probe might be read as others than they are.
    objdump -d -C --no-show-raw-insn --start-address="$((at - 4096))" --stop-address="$((at + 16))" "$program" |
        grep -B 3 -A 1 -E "^ +$(printf '%x' "$at"):\s+nop *$"
}

run_perf() {
    command -v perf >/dev/null || { echo "no perf here" && return; }
    echo '$ perf probe -x probed -F | grep -c RawTable'
    perf probe -x "$program" -F 2>/dev/null | grep -c RawTable || true
    echo '$ perf buildid-cache --add probed && perf list sdt | grep bucketmask'
    perf --buildid-dir "$found/cache" buildid-cache --add "$program" 2>&1 || true
    perf --buildid-dir "$found/cache" list sdt 2>&1 | grep bucketmask | sed 's/  *\[.*//' | sort -u || true
    echo '$ perf probe sdt_bucketmask_map:get'
    if ! perf --buildid-dir "$found/cache" probe sdt_bucketmask_map:get >"$found/armed" 2>&1; then
        head -3 "$found/armed"
        return
    fi
    sed -n "s|$root/||; 1,2p" "$found/armed"
    echo '$ perf stat -e sdt_bucketmask_map:get probed'
    perf stat -e sdt_bucketmask_map:get "$program" 2>&1 | grep -E 'sdt_|rror|nvalid' | head -3 || true
    perf probe -q -d sdt_bucketmask_map:get || true
}

notes() {
    readelf -n "$program" | awk '
        /Provider: bucketmask_/ {provider = $2}
        /Name:/ {name = $2}
        /Arguments:/ && provider {sub(/^ *Arguments: */, ""); if (!seen[provider name]++) printf "%-32s %s\n", provider ":" name, $0; provider = ""}' | sort
}

hits >"$found/hits.txt" || { cat "$found/hits.txt" && echo "a probe was never hit" && exit 1; }
code >"$found/code.txt" || { cat "$found/code.txt" && echo "a probe is not one nop" && exit 1; }
for what in notes stops run_perf; do "$what" >"$found/$what.txt"; done
for what in notes hits stops code run_perf; do echo "--- $what" && cat "$found/$what.txt"; done

if [ "${1:-}" = --update ]; then
    awk -v found="$found" '
        /^<!-- \/output -->/ {inside = 0}
        !inside {print}
        /^<!-- output: / {
            inside = 1
            print "```text"
            file = found "/" $3 ".txt"
            while ((getline line <file) > 0) print line
            print "```"
        }' $page >"$found/page"
    cat "$found/page" >$page
fi
