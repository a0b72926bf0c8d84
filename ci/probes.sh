#!/usr/bin/env bash
# The static probes of the example `probed`, looked at with the tools that docs/probes.md tells of: what the notes say, how often gdb
# stops at each, what a probe is in the code, what perf and bpftrace make of them on this machine, and how often each is hit in a second;
# beside them the atomic loads of a read of the concurrent map. Fails where a probe is never hit or is not one nop. Usage: ci/probes.sh [--update]: --update pastes the outputs into the page. x86-64 Linux.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

page=docs/probes.md
case $host in
x86_64-*-linux-*) ;;
*) echo "the page shows x86-64 Linux; this is $host" && exit 0 ;;
esac
need gdb gdb
need readelf binutils
need python3 python3

# Not linked by lld: perf takes addresses for places in the file, which they are in what GNU ld writes.
export RUSTFLAGS="-Clinker-features=-lld" CARGO_TARGET_DIR=$build/probes
cargo build -q -p bucketmask-map --features probes --example probed
program=$build/probes/debug/examples/probed
# As programs are run; not position-independent, so that an address in the file is one in the process. With the target named, macros
# that the compiler loads are built without these flags.
RUSTFLAGS="$RUSTFLAGS -Crelocation-model=static" \
    cargo build -q --release --target "$host" -p bucketmask-map --features probes --example probed --example concurrent_get
fast=$build/probes/$host/release/examples/probed
reader=$build/probes/$host/release/examples/concurrent_get

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

# Each atomic load of one lookup: the place in the code and in the source, what it reads, and what it finds.
loads() {
    python3 ci/atomic-loads.py "$reader" concurrent_get::read_under_a_guard '$rsi == 7' concurrent_get::read_with_a_guard >"$found/loads.gdb"
    printf '%-76s address  value\n' 'load'
    quiet_gdb -x "$found/loads.gdb" "$reader" | grep '^+0x'
}

# Where the probes stand: the innermost place in the source that is not the probe's own function, by event.
probe_places() {
    readelf -n "$fast" | awk '
        /Provider: bucketmask_/ {provider = $2}
        /Name:/ {name = $2}
        /Location:/ && provider {sub(/,/, "", $2); if ($2 !~ /^0x0*$/) print provider ":" name, $2; provider = ""}' |
        while read -r event address; do
            printf '%s %s\n' "$event" "$(addr2line -i -e "$fast" "$address" | grep -v 'probes.rs' | sed "s|$root/||; s/ (.*//" | head -n 1)"
        done | sort -u
}

# Hits a second: those that perf counts of a run, by the time that the run takes when nobody counts, least of five.
rates() {
    local count=1000000 event events=() armed=1 least
    command -v perf >/dev/null || { echo "no perf here" && return; }
    for event in $probes; do
        perf --buildid-dir "$found/cache.fast" buildid-cache --add "$fast" >/dev/null 2>&1 || true
        perf --buildid-dir "$found/cache.fast" probe "sdt_$event" >"$found/armed" 2>&1 || { armed=; break; }
        events+=("sdt_$event")
    done
    if [ -n "$armed" ]; then
        least=$(for _ in 1 2 3 4 5; do
            local TIMEFORMAT=%R
            { time "$fast" $count >/dev/null; } 2>&1
        done | sort -n | head -n 1)
        perf stat -x, -e "$(IFS=,; echo "${events[*]}")" "$fast" $count 2>"$found/counted" >/dev/null || true
        probe_places >"$found/places"
        echo "\$ perf stat -e 'sdt_bucketmask_*' probed $count"
        awk -v seconds="$least" '
            FILENAME ~ /places$/ {place[$1] = place[$1] (place[$1] ? ", " : "") $2; next}
            {split($0, field, ","); sub(/^sdt_/, "", field[3]); if (field[3]) {name[++all] = field[3]; hit[all] = field[1]}}
            END {
                printf "%-30s %10s %14s  %s\n", "event", "hits", "hits a second", "path"
                for (at = 1; at <= all; at++) printf "%-30s %10d %14.0f  %s\n", name[at], hit[at], hit[at] / seconds, place[name[at]]
                printf "%s s without perf\n", seconds
            }' "$found/places" "$found/counted"
    else
        head -3 "$found/armed"
    fi
    for event in "${events[@]}"; do perf probe -q -d "$event" || true; done
}

# A probe's hits and homes by bpftrace, or why the kernel lets nobody.
run_bpftrace() {
    command -v bpftrace >/dev/null || { echo "no bpftrace here" && return; }
    bpftrace --version
    local recipe
    for recipe in 'usdt:PROBED:bucketmask_map:get { @lookups = count(); }' \
        'usdt:PROBED:bucketmask_map:split { @moved = lhist(arg1, 0, 64, 8); }'; do
        printf "$ bpftrace -e '%s' -c PROBED\n" "$recipe"
        timeout 60 bpftrace -e "${recipe//PROBED/$program}" -c "$program" 2>&1 | sed "s|$root/||g" | grep -v '^$' | head -n 20 || true
    done
}

notes() {
    readelf -n "$program" | awk '
        /Provider: bucketmask_/ {provider = $2}
        /Name:/ {name = $2}
        /Arguments:/ && provider {sub(/^ *Arguments: */, ""); if (!seen[provider name]++) printf "%-32s %s\n", provider ":" name, $0; provider = ""}' | sort
}

hits >"$found/hits.txt" || { cat "$found/hits.txt" && echo "a probe was never hit" && exit 1; }
code >"$found/code.txt" || { cat "$found/code.txt" && echo "a probe is not one nop" && exit 1; }
for what in notes stops loads run_perf run_bpftrace rates; do "$what" >"$found/$what.txt"; done
for what in notes hits stops code loads run_perf run_bpftrace rates; do echo "--- $what" && cat "$found/$what.txt"; done

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
