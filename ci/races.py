"""Runs the scenarios of map/examples/races and tells what ThreadSanitizer made of them.

Usage: races.py --plain PROGRAM [--old PROGRAM] --new PROGRAM --out FILE [--rounds N] [--page FILE] [--std]
`old` was built with the defaults of a release and runs with the runtime's default options; `new` is as ci/tsan.sh builds and runs its
tests, and has an instrumented standard library where --std says so. FILE gets one JSON object; a summary is printed. Exit code 1: a race was not found, or one was found that is none.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time

NEW_OPTIONS = "halt_on_error=1 exitcode=66 atexit_sleep_ms=0"
OLD_OPTIONS = "exitcode=66"
ACCESS = re.compile(r"^\s+(?:Previous )?(?P<what>(?:atomic )?(?:read|write)) of size (?P<size>\d+) at \S+ by (?P<who>main thread|thread \w+)", re.I)
FRAME = re.compile(r"^\s+#\d+ (?P<name>.+?) (?P<place>\S+)(?: \(\S+\))?(?: \(BuildId: \w+\))?$")
# Frames of the runtime, not of the program.
RUNTIME = re.compile(r"^(__tsan|core::|<core::|std::|<std::|alloc::|__rust|<alloc::)")


def run(program, scenario, options):
    """One process: exit code, milliseconds from its beginning to the first report, most KiB resident, and what it said."""
    environment = dict(os.environ, TSAN_OPTIONS=options)
    process = subprocess.Popen([program, scenario], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    began = reported = None
    lines = []
    for raw in process.stderr:
        now = time.monotonic()
        line = raw.decode(errors="replace").rstrip()
        if line == "begins":
            began = now
        elif "WARNING: ThreadSanitizer" in line and reported is None:
            reported = now
        lines.append(line)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    latency = None if reported is None or began is None else (reported - began) * 1000
    return {"code": process.returncode, "latency": latency, "memory": usage.ru_maxrss, "lines": lines}


def report_of(lines):
    """The first report: its kind, and both accesses with the program's own top frames."""
    kind, accesses = None, []
    for line in lines:
        if (found := re.search(r"WARNING: ThreadSanitizer: (.+?) \(pid", line)) is not None:
            if kind is not None:
                break
            kind = found[1]
        elif kind is None:
            continue
        elif (found := ACCESS.match(line)) is not None:
            accesses.append({"access": found["what"].lower(), "size": int(found["size"]), "thread": found["who"], "frames": []})
        elif (found := FRAME.match(line)) is not None and accesses and len(accesses) <= 2:
            frames = accesses[-1]["frames"]
            if len(frames) < 3 and not RUNTIME.match(found["name"]) and not accesses[-1].get("over"):
                frames.append(f"{found['name']} {found['place']}")
        elif accesses and not line.strip():
            accesses[-1]["over"] = True
    for access in accesses:
        access.pop("over", None)
    return None if kind is None else {"kind": kind, "accesses": accesses[:2]}


def middle(values):
    values = [value for value in values if value is not None]
    return round(statistics.median(values), 1) if values else None


def ask(scenario, kind, arguments):
    new = [run(arguments.new, scenario, NEW_OPTIONS) for _ in range(arguments.rounds)]
    asks_old = arguments.old is not None and kind == "race"
    old = [run(arguments.old, scenario, OLD_OPTIONS) for _ in range(max(1, arguments.rounds // 2))] if asks_old else []
    plain = run(arguments.plain, scenario, "")
    found = [one for one in new if one["code"] == 66]
    wrong = [one["code"] for one in new if one["code"] not in (0, 66)]
    # Of these a report is the tool's own fault.
    may_be_told = kind == "unseen" or kind == "std" and not arguments.std
    expected = (len(found) == len(new) if kind == "race" else may_be_told or not found) and not wrong
    return {
        "scenario": scenario,
        "kind": kind,
        "as_expected": expected,
        "may_be_told": may_be_told,
        "reported": len(found),
        "rounds": len(new),
        "other_exit_codes": wrong,
        "report": report_of(found[0]["lines"]) if found else None,
        "latency_ms": {"new": middle([one["latency"] for one in new]), "old": middle([one["latency"] for one in old])},
        "memory_kib": {
            "plain": plain["memory"],
            "new": max(one["memory"] for one in new),
            "old": max((one["memory"] for one in old), default=None),
        },
    }


def table(scenarios):
    """What a page shows: a line a scenario."""
    def cell(value, unit):
        return "-" if value is None else f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"

    yield "| scenario | is | reported | first report after, old and new flags | memory plain, old, new |"
    yield "|---|---|---|---|---|"
    for one in scenarios:
        latency = [cell(one["latency_ms"][side], "ms") for side in ("old", "new")]
        memory = [cell(None if one["memory_kib"][side] is None else one["memory_kib"][side] / 1024, "MiB") for side in ("plain", "old", "new")]
        yield f"| {one['scenario']} | {one['kind']} | {one['reported']} of {one['rounds']} | {', '.join(latency)} | {', '.join(memory)} |"


def main():
    parser = argparse.ArgumentParser()
    for name in ("plain", "new", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--old")
    parser.add_argument("--std", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page")
    arguments = parser.parse_args()
    listed = subprocess.run([arguments.plain], capture_output=True, text=True, check=True).stdout.split("\n")
    scenarios = [ask(*line.split(), arguments) for line in listed if line]
    races = [one for one in scenarios if one["kind"] == "race"]
    summary = {
        "races": len(races),
        "races_found": sum(one["as_expected"] for one in races),
        "sound": sum(one["kind"] != "race" and not one["may_be_told"] for one in scenarios),
        "may_be_told": sum(one["may_be_told"] for one in scenarios),
        "unexpected": sum(one["kind"] != "race" and not one["as_expected"] for one in scenarios),
        "latency_ms": {side: middle([one["latency_ms"][side] for one in races]) for side in ("old", "new")},
        "memory_of_plain": {
            side: middle([one["memory_kib"][side] and one["memory_kib"][side] / one["memory_kib"]["plain"] for one in races])
            for side in ("old", "new")
        },
    }
    with open(arguments.out, "w") as file:
        json.dump({"summary": summary, "scenarios": scenarios}, file, indent=1)
    lines = list(table(scenarios))
    if arguments.page:
        text = open(arguments.page).read()
        begin, end = "<!-- races: begin, written by ci/tsan.sh --update -->", "<!-- races: end -->"
        head, rest = text.split(begin)
        tail = rest.split(end)[1]
        open(arguments.page, "w").write(f"{head}{begin}\n" + "\n".join(lines) + f"\n{end}{tail}")
    print("\n".join(lines))
    print(json.dumps(summary))
    for one in scenarios:
        if not one["as_expected"]:
            print(f"{one['scenario']} is {one['kind']}, reported {one['reported']} of {one['rounds']}, other exit codes {one['other_exit_codes']}: {one['report']}", file=sys.stderr)
    sys.exit(0 if all(one["as_expected"] for one in scenarios) and races else 1)


main()
