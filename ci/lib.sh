# What every lane shares: where the repository is, headings, times, packages. Sourced, not run.
# Invariant: a lane runs from any folder, and fails at the first command that fails.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
host=$(rustc -vV | sed -n 's/^host: //p')
build=${CARGO_TARGET_DIR:-$root/target}
# Lanes build once: what an incremental build would keep for the next fills twelve gigabytes and saves nothing.
export CARGO_INCREMENTAL=0

# step NAME COMMAND...: a heading, the command, how long it took and how much is free on the build folder's disk.
step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n=== %s\n' "$name"
    "$@"
    printf -- '--- %s: %s s, %s free\n' "$name" "$((SECONDS - start))" "$(df -h --output=avail "$root" | tail -1 | tr -d ' ')"
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

# unpack FOLDER PACKAGE...: what installing the packages would bring in, unpacked into FOLDER, once, and not installed: such as
# compilers that conflict with the one that is there.
unpack() {
    local folder=$1 wanted package
    shift
    [ ! -e "$folder/unpacked" ] || return 0
    mkdir -p "$folder/packages"
    wanted=$(apt-get install -s --no-install-recommends "$@" | sed -n 's/^Inst \([^ ]*\).* (\([^ ]*\) .*/\1=\2/p')
    # shellcheck disable=SC2086 # one word a package
    (cd "$folder/packages" && apt-get download -q $wanted)
    for package in "$folder"/packages/*.deb; do dpkg-deb -x "$package" "$folder"; done
    rm -r "$folder/packages"
    touch "$folder/unpacked"
}

# component NAME: a rustup component, where rustup is what manages the toolchain and it is missing.
component() {
    command -v "$1" >/dev/null && "$1" --version >/dev/null 2>&1 && return
    rustup component add "${1#cargo-}"
}

# keep_block NAME PAGE FILE WHAT [--update]: what stands in PAGE between <!-- NAME: begin ... --> and <!-- NAME: end --> is FILE's text:
# written there with --update, else compared, where the compiler is the one of ci/instructions.rustc. WHAT changed, if it did.
keep_block() {
    local name=$1 page=$2 file=$3 what=$4
    grep -q "^<!-- $name: begin" "$page" && grep -q "^<!-- $name: end -->" "$page" || { echo "$page has no block $name" >&2 && return 1; }
    awk -v block="$file" -v name="$name" '
        index($0, "<!-- " name ": end -->") == 1 {inside = 0}
        !inside {print}
        index($0, "<!-- " name ": begin") == 1 {inside = 1; while ((getline line <block) > 0) print line}
    ' "$page" >"$file.page"
    if [ "${5:-}" = --update ]; then
        cat "$file.page" >"$page"
    elif ! cmp -s ci/instructions.rustc <(rustc -V); then
        echo "$(rustc -V) is not $(cat ci/instructions.rustc): nothing to compare $page with"
    else
        diff -u "$page" "$file.page" || {
            echo "$page: $what changed; $0 --update writes it anew" >&2
            return 1
        }
    fi
}
