#!/usr/bin/env bash
# One of the programs that ci/preload.sh compares. Usage: ci/programs/run.sh PROGRAM FOLDER INPUT
# It works in FOLDER, which is empty, and leaves in FOLDER/result what must be the same on every malloc; INPUT is a file or folder
# that the lane prepared. Whoever calls this decides the malloc, for the shell and everything it starts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$2"
input=$3

# Python's own tests of what leans on malloc, and every object from malloc and not from Python's own arenas.
run_python3() {
    PYTHONMALLOC=malloc /usr/bin/python3 "$here/outcomes.py" result \
        test.test_threading test.test_fork1 test.test_gc test.test_json test.test_re
}

# A server that is filled, asked by a benchmark, and made to save itself in a forked child.
run_redis() {
    redis-server --port 0 --unixsocket "$PWD/socket" --dir "$PWD" --save '' --io-threads 2 \
        --enable-debug-command yes --daemonize no >server.log &
    local server=$!
    # shellcheck disable=SC2064 # the server that there is now
    trap "kill $server 2>/dev/null || true" EXIT
    local cli=(redis-cli -s "$PWD/socket")
    for _ in $(seq 100); do "${cli[@]}" ping >/dev/null 2>&1 && break || sleep 0.1; done
    awk 'BEGIN { for (i = 0; i < 100000; i++) {
        key = "key:" i; value = sprintf("%0*d", i * 7 % 300 + 1, i); printf "SET %s %s\r\n", key, value
        if (i % 4 == 0) printf "HSET hash:%d field:%d %s\r\n", i % 1000, i, value
        if (i % 4 == 1) printf "RPUSH list:%d %s\r\n", i % 500, value
        if (i % 4 == 2) printf "ZADD sorted:%d %d %s\r\n", i % 100, i, value
        if (i % 3 == 0) printf "DEL key:%d\r\n", i - 50 } }' | "${cli[@]}" --pipe | tail -n 1 >result
    { "${cli[@]}" debug digest; "${cli[@]}" dbsize; } >>result
    redis-benchmark -s "$PWD/socket" -q -n 10000 -r 10000 -d 100 -P 8 -t set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset |
        tr '\r' '\n' | tee benchmark.log | sed -n 's/^\(.*\): [0-9.]* requests per second.*/\1/p' >>result
    "${cli[@]}" bgsave >/dev/null
    for _ in $(seq 200); do [ "$("${cli[@]}" info persistence | tr -d '\r' | sed -n 's/^rdb_bgsave_in_progress://p')" = 0 ] && break || sleep 0.1; done
    "${cli[@]}" info persistence | tr -d '\r' | grep '^rdb_last_bgsave_status' >>result
    "${cli[@]}" flushall >>result
    "${cli[@]}" shutdown nosave
    wait "$server"
    echo "server ended with $?" >>result
}

run_sqlite3() {
    { sqlite3 :memory: <"$here/tables.sql" && sqlite3 file.db <"$here/tables.sql"; } >result
}

# mimalloc's C source, as the registry gives it. It writes down when it was compiled.
run_gcc() {
    SOURCE_DATE_EPOCH=0 gcc -O1 -I "$input/include" -I "$input/src" -c "$input/src/static.c" -o result
}

run_lua() {
    lua5.4 "$here/words.lua" >result
}

run_perl() {
    PERL_HASH_SEED=0 perl "$here/hashes.pl" >result
}

run_sort() {
    LC_ALL=C sort --parallel=2 -S 300M "$input" >sorted
    sha256sum <sorted >result
    rm sorted
}

# What a repository holds, after all of it was packed anew.
run_git() {
    # Whoever owns the input.
    export HOME=$PWD
    git config --global safe.directory '*'
    git clone -q --no-local --bare "$input" clone.git
    cd clone.git
    git -c pack.threads=2 gc -q --aggressive --prune=now
    git fsck --full --strict 2>/dev/null
    { git rev-list --all --objects | sort; git cat-file --batch-all-objects --batch-check; } >../result
}

"run_$1"
