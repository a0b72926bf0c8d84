#!/usr/bin/env bash
# NUMA on any machine: boots emulated ones in QEMU, runs `bucketmask numa` in them, and asserts that at least 99 % of the pages
# are on the node that wanted them: two nodes, four nodes, four nodes of which one has no memory, and a cpuset of one node.
# Emulated, not virtualised: it takes half a minute, and runs where there is no working KVM.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$(uname -m)" = x86_64 ] || { echo "numa-vm.sh emulates x86-64 machines only, and this is $(uname -m)" >&2 && exit 1; }
[ "$#" -gt 0 ] || set -- two four memoryless

percent=99
boot_seconds=180
folder=$build/numa-vm

# The newest cloud kernel of the distribution, unpacked and not installed.
fetch_kernel() {
    local name
    [ -n "$(ls "$folder"/kernel/boot/vmlinuz-* 2>/dev/null)" ] && return
    mkdir -p "$folder/kernel"
    [ "$(id -u)" != 0 ] || [ -n "${packages_updated:-}" ] || apt-get update -q
    name=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    [ -n "$name" ] || { echo "apt knows no linux-image-cloud-amd64, whose kernel the machines boot" >&2 && exit 1; }
    (cd "$folder" && rm -f linux-image-*.deb && apt-get download -q "$name")
    dpkg-deb -x "$folder/$name"_*.deb "$folder/kernel"
    rm "$folder/$name"_*.deb
}

# An archive that holds busybox, the binary with its libraries, and a first process that runs the command.
make_initramfs() {
    local files=$folder/files
    rm -rf "$files"
    mkdir -p "$files"/{bin,proc,sys,dev,tmp}
    cp "$(command -v busybox)" "$files/bin/busybox"
    strip -o "$files/bin/bucketmask" "$build/release/bucketmask"
    ldd "$build/release/bucketmask" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$files$(dirname "$library")"
        cp -L "$library" "$files$library"
    done
    init >"$files/init"
    chmod +x "$files/init"
    (cd "$files" && find . | cpio -o -H newc --quiet) >"$folder/initramfs"
}

# The first process. Figures go to the second serial port, so that the first is for people.
init() {
    cat <<'INIT'
#!/bin/busybox sh
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs dev /dev
export NO_COLOR=1
INIT
    cat <<INIT
for kernel_argument in \$(\$busybox cat /proc/cmdline); do
    case \$kernel_argument in numa_cpuset=*) cpuset=\${kernel_argument#*=} ;; esac
done
# Into a file: a serial line tells tables no width.
check() {
    /bin/bucketmask numa --quick --assert-local $percent --json /tmp/figures >/tmp/told 2>&1
    code=\$?
    \$busybox cat /tmp/told
}
check
\$busybox cat /tmp/figures >/dev/ttyS1
if [ \$code = 0 ] && [ -n "\$cpuset" ]; then
    \$busybox echo "In a cpuset with the memory of node \$cpuset only:"
    \$busybox mount -t cgroup2 cgroup /sys/fs/cgroup
    cd /sys/fs/cgroup
    \$busybox echo +cpuset >cgroup.subtree_control
    \$busybox mkdir one
    \$busybox echo "\$cpuset" >one/cpuset.mems
    \$busybox echo \$\$ >one/cgroup.procs
    \$busybox grep Mems_allowed_list /proc/self/status
    check
    [ "\$(\$busybox grep -c cross_node_frees /tmp/figures)" = 1 ] || code=3
fi
\$busybox echo "numa ended with \$code"
\$busybox reboot -f
INIT
}

# boot NAME NODES KERNEL-ARGUMENT QEMU-OPTION...: boots a machine, shows what the command printed, and fails unless it ended
# with 0 and the kernel agreed to bind the memory of so many nodes.
boot() {
    local name=$1 nodes=$2 argument=$3 console=$folder/$1.console figures=$folder/$1.jsonl start=$SECONDS
    shift 3
    printf '\n%s:\n' "$name"
    timeout "$boot_seconds" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 1024 -smp 4 "$@" \
        -kernel "$(ls "$folder"/kernel/boot/vmlinuz-* | tail -n 1)" -initrd "$folder/initramfs" \
        -append "console=ttyS0 quiet panic=-1 $argument" \
        -display none -monitor none -no-reboot -serial "file:$console" -serial "file:$figures" 2>"$console.qemu" ||
        { cat "$console.qemu" "$console" >&2 && echo "the machine '$name' did not come to its end" >&2 && exit 1; }
    tr -d '\r' <"$console" | grep -v '^\[' || true
    grep -q 'numa ended with 0' "$console" || { echo "on the machine '$name' pages are not where they should be" >&2 && exit 1; }
    [ "$(grep -c '"metric":"bound","value":1' "$figures")" = "$nodes" ] ||
        { echo "on the machine '$name' the memory of not all $nodes nodes is bound" >&2 && exit 1; }
    if [ -x ../shared/check-figures ] && command -v python3 >/dev/null; then
        tr -d '\r' <"$figures" >"$figures.lines"
        ../shared/check-figures "$figures.lines"
    fi
    echo "$name: $((SECONDS - start)) s"
}

# memory MIB...: a node's memory each.
memory() {
    local node=0 mib
    options=()
    for mib in "$@"; do
        options+=(-object "memory-backend-ram,id=m$node,size=${mib}M")
        node=$((node + 1))
    done
}

two() {
    memory 512 512
    boot two 2 "" "${options[@]}" -numa node,nodeid=0,cpus=0-1,memdev=m0 -numa node,nodeid=1,cpus=2-3,memdev=m1
}

# With distances of a ring, and the command run once more by a process that may use node 2 only.
four() {
    memory 256 256 256 256
    boot four 4 numa_cpuset=2 "${options[@]}" -numa node,nodeid=0,cpus=0,memdev=m0 -numa node,nodeid=1,cpus=1,memdev=m1 \
        -numa node,nodeid=2,cpus=2,memdev=m2 -numa node,nodeid=3,cpus=3,memdev=m3 \
        -numa dist,src=0,dst=1,val=20 -numa dist,src=0,dst=2,val=30 -numa dist,src=0,dst=3,val=20 \
        -numa dist,src=1,dst=2,val=20 -numa dist,src=1,dst=3,val=30 -numa dist,src=2,dst=3,val=20
}

# Node 3 has a processor and no memory; node 2 is the nearest that has some.
memoryless() {
    memory 256 256 512
    boot memoryless 3 "" "${options[@]}" -numa node,nodeid=0,cpus=0,memdev=m0 -numa node,nodeid=1,cpus=1,memdev=m1 \
        -numa node,nodeid=2,cpus=2,memdev=m2 -numa node,nodeid=3,cpus=3 \
        -numa dist,src=0,dst=1,val=20 -numa dist,src=0,dst=2,val=30 -numa dist,src=0,dst=3,val=40 \
        -numa dist,src=1,dst=2,val=20 -numa dist,src=1,dst=3,val=30 -numa dist,src=2,dst=3,val=15
}

need qemu-system-x86_64 qemu-system-x86
need busybox busybox-static
need cpio cpio
need strip binutils
fetch_kernel
cargo build --release -p bucketmask-bench
make_initramfs
for machine in "$@"; do "$machine"; done
