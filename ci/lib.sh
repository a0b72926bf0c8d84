# What every lane shares: where the repository is, headings, times, packages. Sourced, not run.
# Invariant: a lane runs from any folder, and fails at the first command that fails.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
host=$(rustc -vV | sed -n 's/^host: //p')
build=${CARGO_TARGET_DIR:-$root/target}

# step NAME COMMAND...: a heading, the command, and how long it took.
step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n=== %s\n' "$name"
    "$@"
    printf -- '--- %s: %s s\n' "$name" "$((SECONDS - start))"
}

# need COMMAND PACKAGE...: installs the packages where the command is missing.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null && return
    install_packages "$@"
}

install_packages() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    [ -n "${packages_updated:-}" ] || $sudo apt-get update -q
    packages_updated=1
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends "$@"
}

# component NAME: a rustup component, where rustup is what manages the toolchain and it is missing.
component() {
    command -v "$1" >/dev/null && "$1" --version >/dev/null 2>&1 && return
    rustup component add "${1#cargo-}"
}
