#!/usr/bin/env bash
# Records three real programs (python3, redis under load, a step of a Rust build) on the preload library, replays each on every
# allocator, and shows what recording cost. Traces stay in the build folder. Usage: ci/traces.sh [PROGRAM...]
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

library=$build/release/libbucketmask_preload.so
work=$build/traces
rounds=${ROUNDS:-5}
programs=(python3 redis cargo)
[ $# = 0 ] || programs=("$@")
# Recording may take this much more processor time.
most=1.10

packages() {
    export RUNLEVEL=1
    need cc build-essential
    need /usr/bin/time time
    need /usr/bin/python3 python3
    need redis-server redis-server redis-tools
}

binaries() {
    cargo build --release -p bucketmask-preload
    cargo build --release
}

run_program() {
    case $1 in
    python3) /usr/bin/python3 ci/programs/records.py ;;
    redis) ci/programs/run.sh redis "$work/redis" /dev/null ;;
    # Of a build, the step that reads all manifests; the compiler brings a malloc of its own.
    cargo) for _ in 1 2 3 4 5; do "$(rustc --print sysroot)/bin/cargo" metadata --offline --format-version 1; done ;;
    esac
}

# once PROGRAM [VARIABLE=VALUE...]: seconds of processor time, of the program and all that it started.
once() {
    local program=$1
    shift
    rm -rf "$work/redis"
    mkdir -p "$work/redis"
    export -f run_program
    export work
    /usr/bin/time -f '%U %S' -o "$work/cost" env LD_PRELOAD="$library" "$@" bash -c "run_program $program" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" "$work/cost" >&2 && return 1; }
    awk 'END { print $1 + $2 }' "$work/cost"
}

median() {
    sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

# The program with and without recording, in turn; then the largest of its processes' traces is replayed.
trace() {
    local program=$1
    for _ in $(seq "$rounds"); do
        once "$program" >>"$work/$program.plain"
        rm -f "$work/$program".*.trace
        once "$program" BUCKETMASK_RECORD="$work/$program.%p.trace" >>"$work/$program.recorded"
    done
    local plain recorded largest
    plain=$(median <"$work/$program.plain")
    recorded=$(median <"$work/$program.recorded")
    largest=$(ls -S "$work/$program".*.trace | head -n 1)
    mv "$largest" "$work/$program.trace"
    rm -f "$work/$program".*.trace
    awk -v name="$program" -v a="$plain" -v b="$recorded" -v most="$most" -v bytes="$(stat -c %s "$work/$program.trace")" 'BEGIN {
        printf "%s: %.2f s of processor time, %.2f s recorded: %.2f (%s, <= %.2f); a trace of %.1f MiB\n",
            name, a, b, b / a, b / a <= most ? "met" : "missed", most, bytes / 1048576 }'
    "$build/release/bucketmask" frag --quick --rounds 3 --idle 1 --replay "$work/$program.trace" --json "$work/$program.jsonl"
}

mkdir -p "$work"
step "packages" packages
step "build" binaries
rm -f "$work"/*.plain "$work"/*.recorded "$work"/*.trace
for program in "${programs[@]}"; do step "$program" trace "$program"; done
