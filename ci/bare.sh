#!/usr/bin/env bash
# A fresh clone in a bare Debian with Rust, a C compiler, make and nothing else: the README's commands, as written. Needs root,
# some GiB of disk and the network; not part of the usual run. Usage: ci/bare.sh [FOLDER]
# The toolchain is this machine's, copied: a bare Debian has none that is new enough. What is committed is what is tested.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

folder=${1:-$build/bare}
suite=${SUITE:-bookworm}
need debootstrap debootstrap

system() {
    [ ! -e "$folder/etc/debian_version" ] || return 0
    debootstrap --variant=minbase --include=gcc,libc6-dev,make,ca-certificates "$suite" "$folder"
}

# Rust, the certificates and name service of this machine, and the cargo configuration that names its registry, if any.
fill() {
    mkdir -p "$folder/opt/rust" "$folder/root/.cargo"
    cp -a "$(rustc --print sysroot)/." "$folder/opt/rust/"
    cp -a /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
    cp /etc/resolv.conf /etc/hosts "$folder/etc/"
    for file in "${CARGO_HOME:-$HOME/.cargo}"/config{,.toml}; do
        [ ! -f "$file" ] || cp "$file" "$folder/root/.cargo/"
    done
    rm -rf "$folder/root/bucketmask"
    git clone -q --no-hardlinks "file://$root" "$folder/root/bucketmask"
}

inside() {
    chroot "$folder" env -i HOME=/root PATH=/opt/rust/bin:/usr/bin:/bin TERM=dumb \
        SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt sh -c "cd /root/bucketmask && $1"
}

# /proc and /dev as any container has them; taken away again whatever happens.
mounted() {
    mkdir -p "$folder/proc" "$folder/dev"
    mount -t proc proc "$folder/proc"
    trap 'umount "$folder/dev/pts" "$folder/dev" "$folder/proc"' EXIT
    mount --bind /dev "$folder/dev"
    # Terminals are a file system of their own.
    mount --bind /dev/pts "$folder/dev/pts"
}

# The first block of shell in the README, without its comments.
commands() {
    sed -n '/^```sh$/,/^```$/p' README.md | sed '/^```/d; s/ *#.*//; /^$/d'
}

step "bare $suite" system
step "toolchain and clone" fill
mounted
mapfile -t lines < <(commands)
[ "${#lines[@]}" -ge 2 ] || { echo "the README has lost its commands" >&2 && exit 1; }
for line in "${lines[@]}"; do step "$line" inside "$line"; done
