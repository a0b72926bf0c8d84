# Rust from Debian's packages, unpacked into the build folder and not installed, since they conflict with a toolchain that is there
# already. Sourced after lib.sh.

# debian_rust START [PACKAGE...]: a compiler whose version starts so, its cargo and standard library, and further packages: of the same
# source those that are named as rustc-web's are (rust-web-src), others as they come. Sets `rust`, the folder, and what it takes to run its usr/bin/cargo;
# `compiler` and `version`, the package's. Fails where no such package is to be had.
debian_rust() {
    local start=$1 name more='' wanted package
    compiler='' version=''
    shift
    [ -n "$(apt-cache madison rustc 2>/dev/null)" ] || step "package lists" apt-get update -q
    for name in rustc-web rustc; do
        version=$(apt-cache madison "$name" | awk -v want="$start" 'index($3, want) == 1 {print $3; exit}')
        [ -z "$version" ] || { compiler=$name && break; }
    done
    if [ -z "$compiler" ]; then
        echo "no Debian package of rustc $start is to be had here: looked for rustc-web and rustc" >&2
        return 1
    fi
    rust=$build/debian-rust/$version
    more=" ${compiler/rustc/cargo}=$version libstd-${compiler/rustc/rust}-dev=$version"
    for package in "$@"; do
        case $package in
        *-web*) more+=" ${package/-web/${compiler#rustc}}=$version" ;;
        *) more+=" $package" ;;
        esac
    done
    if [ ! -e "$rust/packages/done${more// /,}" ]; then
        mkdir -p "$rust/packages"
        # What an installation would bring in, packages that are installed already aside.
        # shellcheck disable=SC2086 # one word a package
        wanted=$(apt-get install -s --no-install-recommends "$compiler=$version" $more |
            sed -n 's/^Inst \([^ ]*\).* (\([^ ]*\) .*/\1=\2/p')
        # shellcheck disable=SC2086 # one word a package
        (cd "$rust/packages" && apt-get download -q $wanted)
        for package in "$rust"/packages/*.deb; do dpkg-deb -x "$package" "$rust"; done
        touch "$rust/packages/done${more// /,}"
    fi
    local libraries
    libraries=$(uname -m)-linux-gnu
    export LD_LIBRARY_PATH=$rust/usr/lib/$libraries:$rust/lib/$libraries
    export RUSTC=$rust/usr/bin/rustc
    "$RUSTC" -V
}

# debian_rust_std ARCHITECTURE: the standard library of the same version for another of Debian's architectures, beside the machine's own.
# Package lists of that architecture lie in the build folder: the system's are left as they are.
debian_rust_std() {
    local arch=$1 package="libstd-${compiler/rustc/rust}-dev" lists=$build/debian-rust/lists-$1
    [ ! -e "$rust/packages/$arch" ] || return 0
    mkdir -p "$lists/partial" "$lists/cache/archives/partial" "$rust/packages/$arch.new"
    local options=(-q -o "APT::Architectures=$(dpkg --print-architecture),$arch" -o Dir::State::Lists="$lists" -o Dir::Cache="$lists/cache")
    apt-get "${options[@]}" update
    (cd "$rust/packages/$arch.new" && apt-get "${options[@]}" download "$package:$arch=$version")
    for package in "$rust/packages/$arch.new"/*.deb; do dpkg-deb -x "$package" "$rust"; done
    mv "$rust/packages/$arch.new" "$rust/packages/$arch"
    rm -rf "$lists"
}
