"""A bill of materials: every crate that the workspace builds with on Linux, in CycloneDX's form, from `cargo metadata`.

Usage: bill.py FILE. Invariant: what is in Cargo.lock and can be built on this platform is in the bill once, and every
reference in it leads to a component."""

import json
import subprocess
import sys

PLATFORM = "x86_64-unknown-linux-gnu"


def metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features", "--filter-platform", PLATFORM]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    entry = {
        "type": "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
        # Slashes are an old way to say "or".
        "licenses": [{"expression": package["license"].replace(" / ", " OR ").replace("/", " OR ")}],
    }
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return entry


def checksums():
    found, name, version = {}, None, None
    with open("Cargo.lock", encoding="utf-8") as lock:
        for line in lock:
            key, _, value = line.strip().partition(" = ")
            value = value.strip('"')
            if key == "name":
                name = value
            elif key == "version":
                version = value
            elif key == "checksum":
                found[name, version] = value
    return found


def main(path):
    data = metadata()
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    sums = checksums()
    used = [packages[id] for id in sorted(nodes)]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "bucketmask", "bom-ref": "bucketmask"}},
        "components": [component(package, sums) for package in used],
        "dependencies": [
            {"ref": reference(packages[id]), "dependsOn": sorted(reference(packages[d]) for d in nodes[id]["dependencies"])}
            for id in sorted(nodes)
        ],
    }
    references = [entry["bom-ref"] for entry in bill["components"]]
    assert len(set(references)) == len(references), "each component once"
    assert all(ref in references for entry in bill["dependencies"] for ref in entry["dependsOn"])
    foreign = [package for package in used if package["source"]]
    assert all((package["name"], package["version"]) in sums for package in foreign), "each from the registry, with its sum"
    with open(path, "w", encoding="utf-8") as out:
        json.dump(bill, out, indent=1)
        out.write("\n")
    print(f"{path}: {len(references)} crates, {len(foreign)} of them from the registry")


main(sys.argv[1])
