#!/usr/bin/env bash
# The report's page as a browser shows it, on a desk and on a phone: nothing may be wider than its place, and the pictures that are
# taken may not be empty. The page gets no script; a copy of it gets the one that measures. Usage: ci/screenshots.sh [FOLDER], where
# FOLDER has a report.html; without one, a hurried report is made. The pictures lie in the build folder. Where there is no chromium,
# Debian's is installed, which takes root or sudo.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

work=$build/screenshots
widths=(1280 390)
height=6000

# What overflows, as the browser lays it out: the page, then each element that is not meant to scroll.
probe='<script>
const wide = [];
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) wide.push("the page: " + root.scrollWidth);
for (const element of document.body.querySelectorAll("*")) {
    if (element.closest(".scroll") || element.closest("svg") || getComputedStyle(element).display === "inline") continue;
    if (element.scrollWidth > element.clientWidth + 1) wide.push(element.tagName + " " + element.textContent.slice(0, 40));
}
for (const picture of document.querySelectorAll("svg")) {
    const frame = picture.getBoundingClientRect();
    for (const text of picture.querySelectorAll("text")) {
        const box = text.getBoundingClientRect();
        if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
            wide.push("outside its picture: " + text.textContent);
    }
}
const pictures = document.querySelectorAll("svg").length;
parent.postMessage(JSON.stringify({ width: innerWidth, pictures, wide }), "*");
</script>'

# Root has no sandbox in chromium, and a container's /dev/shm may be too small for it.
flags=(--headless --disable-gpu --disable-dev-shm-usage --hide-scrollbars --no-first-run --user-data-dir="$work/profile")
[ "$(id -u)" != 0 ] || flags+=(--no-sandbox)

browser() {
    timeout 60 chromium "${flags[@]}" "$@" 2>"$work/log" || {
        local code=$?
        printf 'chromium %s ended with %s%s; its last words:\n' "${flags[*]}" "$code" "$([ "$code" != 124 ] || echo ', after a minute')" >&2
        tail -n 5 "$work/log" >&2
        grep -qi 'sandbox' "$work/log" && echo 'where the kernel lets nobody make a sandbox, run this as root, who goes without' >&2
        return 1
    }
}

# A page with nothing in it, before what could fail for its contents.
starts() {
    rm -rf "$work/profile"
    browser --version
    printf '<!DOCTYPE html><p>it runs</p>' >"$work/first.html"
    browser --dump-dom "file://$work/first.html" | grep -o 'it runs'
}

# framed FILE WIDTH: a page that shows FILE in a frame of that width: a browser's own window is never as narrow as a phone.
framed() {
    printf '<!DOCTYPE html><body style="margin:0"><script>onmessage = told => document.body.textContent = told.data</script>
<iframe src="file://%s" style="border:0;width:%spx;height:%spx"></iframe></body>' "$1" "$2" "$height" >"$work/framed.html"
    echo "file://$work/framed.html"
}

# measure FILE WIDTH: what the browser says of a page.
measure() {
    { cat "$1" && printf '%s' "$probe"; } >"$work/probed.html"
    browser --window-size="$2,$height" --virtual-time-budget=5000 --dump-dom "$(framed "$work/probed.html" "$2")" |
        grep -o '{"width".*}' || { echo "chromium told nothing of $1 at $2" >&2 && return 1; }
}

# judge ANSWER WIDTH: fails where anything is too wide, or the browser had another width than wanted.
judge() {
    python3 -c '
import json, sys
told = json.loads(sys.argv[1])
assert told["width"] == int(sys.argv[2]), told
assert told["pictures"] >= 7, told
sys.exit("\n".join(told["wide"]) if told["wide"] else 0)' "$1" "$2"
}

shot() {
    local page=$1 width=$2
    browser --window-size="$width,$height" --screenshot="$work/$width.png" "$(framed "$page" "$width")" >/dev/null
    # A page of one colour packs into next to nothing.
    local bytes
    bytes=$(stat -c %s "$work/$width.png")
    [ "$bytes" -gt 100000 ] || { echo "$work/$width.png is empty: $bytes bytes" >&2 && return 1; }
    judge "$(measure "$page" "$width")" "$width"
    echo "$work/$width.png: $bytes bytes, nothing overflows"
}

# The check is checked: a page with something too wide must not pass, nor one with a text outside its picture.
refuses() {
    local name
    sed 's|</body>|<p style="width:2000px">wide</p></body>|' "$1" >"$work/wide.html"
    sed 's|</svg>|<text x="690" y="10">outside</text></svg>|' "$1" >"$work/outside.html"
    for name in wide outside; do
        if judge "$(measure "$work/$name.html" 390)" 390 2>/dev/null; then
            echo "the check lets pass what overflows: $name" >&2
            return 1
        fi
    done
    echo "pages that overflow are refused"
}

mkdir -p "$work"
need chromium chromium fonts-dejavu-core
need python3 python3
folder=${1:-}
step "chromium" starts
if [ -z "$folder" ]; then
    folder=$work/report
    cargo build --release
    "$build/release/bucketmask" report --quick --out "$folder" >/dev/null
fi
[ -s "$folder/report.html" ] || { echo "$folder has no report.html" >&2 && exit 1; }
page=$(cd "$folder" && pwd)/report.html
for width in "${widths[@]}"; do step "$width wide" shot "$page" "$width"; done
step "what overflows is refused" refuses "$page"
