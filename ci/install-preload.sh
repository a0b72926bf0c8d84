#!/usr/bin/env bash
# Installs the library for LD_PRELOAD, the command `bucketmask-run` that puts it under a program, and its manual page. Usage:
# [DESTDIR=] [PREFIX=/usr/local] [LIBDIR=PREFIX/lib] ci/install-preload.sh [--uninstall]. Files go below DESTDIR (for packagers) and name
# each other by PREFIX.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PREFIX=${PREFIX:-/usr/local}
LIBDIR=${LIBDIR:-$PREFIX/lib}
DESTDIR=${DESTDIR:-}
library=$LIBDIR/bucketmask/libbucketmask_preload.so
command=$PREFIX/bin/bucketmask-run
manual=$PREFIX/share/man/man1/bucketmask-run.1
licences=$PREFIX/share/doc/bucketmask

# put MODE FROM TO
put() {
    mkdir -p "$DESTDIR$(dirname "$3")"
    install -m "$1" "$2" "$DESTDIR$3"
    echo "$DESTDIR$3"
}

case ${1:-} in
'') ;;
--uninstall)
    rm -f "$DESTDIR$library" "$DESTDIR$command" "$DESTDIR$manual" "$DESTDIR$licences"/LICENSE-{MIT,APACHE}
    rmdir --ignore-fail-on-non-empty "$DESTDIR$licences" "$DESTDIR$(dirname "$library")" 2>/dev/null || true
    exit
    ;;
*)
    echo "usage: [DESTDIR=] [PREFIX=/usr/local] ci/install-preload.sh [--uninstall]" >&2
    exit 2
    ;;
esac

cargo build --release -p bucketmask-preload
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
sed "s|@LIBRARY@|$library|g" alloc/preload/bucketmask-run.sh >"$made/run"
sed "s|@LIBRARY@|$library|g; s|@VERSION@|$version|g" alloc/preload/bucketmask-run.1 >"$made/manual"
put 644 "$build/release/libbucketmask_preload.so" "$library"
put 755 "$made/run" "$command"
put 644 "$made/manual" "$manual"
put 644 LICENSE-MIT "$licences/LICENSE-MIT"
put 644 LICENSE-APACHE "$licences/LICENSE-APACHE"
