#!/usr/bin/env bash
# Programs from Debian on this malloc, by LD_PRELOAD: each runs as it is and on ours, does the same work, and must leave the same
# result, to the byte. Shows time and peak memory of both. First the library itself: what it exports, and how it finds a
# thread's heap. Usage: ci/preload.sh [PROGRAM...]
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

library=$build/release/libbucketmask_preload.so
work=$build/preload
family="aligned_alloc calloc cfree free free_aligned_sized free_sized mallinfo mallinfo2 malloc malloc_stats malloc_trim
    malloc_usable_size mallopt memalign posix_memalign pvalloc realloc reallocarray valloc"
programs=(python3 redis sqlite3 gcc lua perl sort git)
[ $# = 0 ] || programs=("$@")

packages() {
    # No service is wanted: the packages' own scripts start none at this level.
    export RUNLEVEL=1
    need cc build-essential
    need nm binutils
    need /usr/bin/time time
    need /usr/bin/python3 python3
    need redis-server redis-server redis-tools
    need sqlite3 sqlite3
    need lua5.4 lua5.4
    need perl perl
    need git git
    local version
    version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    [ -e "/usr/lib/python$version/test/test_threading.py" ] || install_packages "libpython$version-testsuite"
}

# The malloc family and nothing else, mimalloc's least of all.
exports() {
    diff <(tr -s ' \n' '\n' <<<"$family" | sort) <(nm -D --defined-only "$library" | awk '{print $3}' | sort)
    if nm -D --undefined-only "$library" | grep -Ew ' (malloc|calloc|realloc|free|memalign|posix_memalign)(@.*)?$'; then
        echo "the library calls a malloc of others" >&2
        return 1
    fi
    echo "exports the malloc family and nothing else"
}

# Names of the library's functions that look for a thread-local by a call, which may itself call malloc.
callers_of_tls() {
    objdump -d --no-show-raw-insn -C "$library" |
        awk '/^[0-9a-f]+ <.*>:$/ { name = $0; sub(/^[^<]*</, "", name); sub(/>:$/, "", name) } /__tls_get_addr/ { print name }' |
        grep -v '@plt' | sort -u
}

# A call to __tls_get_addr is right in the standard library's own code (its hooks for panics), and nowhere under malloc.
thread_locals() {
    local found
    found=$(callers_of_tls | grep -E 'bucketmask|^_?mi_|^(malloc|calloc|realloc|free|memalign|posix_memalign|aligned_alloc)$' || true)
    if [ -n "$found" ]; then
        printf 'call __tls_get_addr:\n%s\n' "$found" >&2
        return 1
    fi
    objdump -d --no-show-raw-insn "$library" --disassemble=malloc | grep -q '%fs:' ||
        { echo "malloc does not find its heap by the thread pointer" >&2 && return 1; }
    echo "malloc finds its heap by the thread pointer"
}

# Where the registry put mimalloc's source.
mimalloc_source() {
    cargo metadata --format-version 1 | /usr/bin/python3 -c '
import json, os, sys
package = next(p for p in json.load(sys.stdin)["packages"] if p["name"] == "libmimalloc-sys")
print(os.path.join(os.path.dirname(package["manifest_path"]), "c_src", "mimalloc", "v3"))'
}

# 100 MB of lines, the same every time.
lines() {
    [ -s "$work/lines" ] && return
    awk 'BEGIN { seed = 1; while (bytes < 100000000) { seed = (seed * 16807) % 2147483647
        line = sprintf("%010d %s", seed, substr("abcdefghijklmnopqrstuvwxyz", seed % 20 + 1)); bytes += length(line) + 1; print line } }' >"$work/lines.new"
    mv "$work/lines.new" "$work/lines"
}

# This very repository; where it came without its history, one of its files.
repository() {
    if [ -e "$root/.git" ]; then
        echo "$root"
        return
    fi
    rm -rf "$work/repository"
    git init -q "$work/repository"
    cp -r alloc gc map benches docs ci "$work/repository"
    git -C "$work/repository" add .
    git -C "$work/repository" -c user.name=ci -c user.email=ci@localhost commit -q -m "All files"
    echo "$work/repository"
}

input_of() {
    case $1 in
    gcc) mimalloc_source ;;
    sort) lines && echo "$work/lines" ;;
    git) repository ;;
    *) echo /dev/null ;;
    esac
}

# run PROGRAM INPUT KIND: once, in a folder of its own; the time and the largest process's peak go to FOLDER/cost.
run() {
    local folder=$work/$1-$3
    rm -rf "$folder"
    mkdir -p "$folder"
    local settings=(LANG=C.UTF-8)
    [ "$3" = plain ] || settings+=(LD_PRELOAD="$library" BUCKETMASK_REPORT=exit BUCKETMASK_REPORT_FILE="$work/$1.report")
    if ! /usr/bin/time -f '%e %M' -o "$folder/cost" env --default-signal=INT,QUIT "${settings[@]}" ci/programs/run.sh "$1" "$folder" "$2" >"$folder/log" 2>&1; then
        echo "$1 failed, $3:" >&2
        tail -n 40 "$folder/log" >&2
        return 1
    fi
}

compare() {
    local input
    input=$(input_of "$1")
    rm -f "$work/$1.report"
    run "$1" "$input" plain
    run "$1" "$input" ours
    # ld.so says so, and goes on, where it can't load a library; and each process that ends by exit reports.
    if grep -q 'cannot be preloaded' "$work/$1-ours/log" || ! grep -q 'at exit' "$work/$1.report"; then
        echo "$1 did not run on the library" >&2
        return 1
    fi
    [ -s "$work/$1-ours/result" ]
    cmp "$work/$1-plain/result" "$work/$1-ours/result"
    printf '%s as it is: %.1f s, %d MiB; on ours: %.1f s, %d MiB; %d bytes alike; %d processes reported\n' "$1" \
        $(awk '{print $1, $2 / 1024}' "$work/$1-plain/cost" "$work/$1-ours/cost" | sed 's/\(\.[0-9]\)[0-9]*/\1/g; s/ \([0-9]*\)\.[0-9]*$/ \1/') \
        "$(stat -c %s "$work/$1-ours/result")" "$(grep -c 'at exit' "$work/$1.report")"
}

mkdir -p "$work"
step "packages" packages
step "build" cargo build --release -p bucketmask-preload
step "exported symbols" exports
step "thread-locals" thread_locals
for program in "${programs[@]}"; do step "$program" compare "$program"; done
