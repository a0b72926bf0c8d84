#!/usr/bin/env bash
# The libraries with the oldest compiler they promise (rust-version in Cargo.toml), taken from Debian's packages: rustc-web
# in bookworm, rustc in trixie. The packages are unpacked into the build folder, not installed, because they conflict with
# a toolchain that is there already. Without such a package the lane fails: a promise that nobody checks is none.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

promised=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
[ -n "$(apt-cache madison rustc 2>/dev/null)" ] || step "package lists" apt-get update -q

compiler='' version=''
for name in rustc-web rustc; do
    version=$(apt-cache madison "$name" | awk -v want="$promised." 'index($3, want) == 1 {print $3; exit}')
    [ -z "$version" ] || { compiler=$name && break; }
done
if [ -z "$compiler" ]; then
    echo "no Debian package of rustc $promised is to be had here: looked for rustc-web and rustc" >&2
    exit 1
fi

cargo=${compiler/rustc/cargo}
std=libstd-${compiler/rustc/rust}-dev
prefix=$build/msrv/$version
unpack "$prefix" "$compiler=$version" "$cargo=$version" "$std=$version"

libraries=$(uname -m)-linux-gnu
export LD_LIBRARY_PATH=$prefix/usr/lib/$libraries:$prefix/lib/$libraries
export RUSTC=$prefix/usr/bin/rustc
export CARGO_TARGET_DIR=$build/msrv/target
"$RUSTC" -V
"$prefix/usr/bin/cargo" check -p bucketmask-alloc -p bucketmask-gc -p bucketmask-map -p bucketmask-preload
