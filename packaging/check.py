#!/usr/bin/env python3
"""Checks what has to agree before anything is published: versions, PGXN's metadata, licences, and what the documentation names.

usage: check.py [--release]     (--release: the changelog must have this very version as its newest)
"""

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "sql/README.md", "sql/operations.md", "sql/clients.md", "sql/sharding.md", "src/README.md",
             "tests/README.md", "model/README.md", "model/RESULTS.md", "model/clothes/README.md",
             "model/emoji/README.md", "src/data/clothes/README.md", "src/demo/clothes/gallery/README.md"]
NUMBER = r"(?:0|[1-9]\d*)"
VERSION = rf"{NUMBER}\.{NUMBER}\.{NUMBER}"
# https://pgxn.org/spec/, version 1.0.0
LICENCES = {"agpl_3", "apache_1_1", "apache_2_0", "artistic_1", "artistic_2", "bsd", "freebsd", "gfdl_1_2", "gfdl_1_3", "gpl_1",
            "gpl_2", "gpl_3", "lgpl_2_1", "lgpl_3_0", "mit", "mozilla_1_0", "mozilla_1_1", "openssl", "perl_5", "postgresql", "qpl_1_0",
            "ssleay", "sun", "zlib", "open_source", "restricted", "unrestricted", "unknown"}
PHASES = {"configure", "build", "test", "runtime", "develop"}
RELATIONS = {"requires", "recommends", "suggests", "conflicts"}

failures = []


def expect(holds, what):
    if not holds:
        failures.append(what)


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def numbers(version):
    return [int(n) for n in version.split(".")]


def versions(release):
    version = re.search(rf'^version = "({VERSION})"', read("Cargo.toml"), re.M)[1]
    control = re.search(r"^default_version = '(.*)'", read("coopembed.control"), re.M)[1]
    expect(control in (version, "@CARGO_VERSION@"), f"coopembed.control has version {control}, Cargo.toml {version}")
    released = re.findall(rf"^## \[({VERSION})\] - \d\d\d\d-\d\d-\d\d$", read("CHANGELOG.md"), re.M)
    expect(released == sorted(released, key=numbers, reverse=True), "CHANGELOG.md does not have its versions newest first")
    expect("## [Unreleased]\n" in read("CHANGELOG.md"), "CHANGELOG.md has no section [Unreleased]")
    newest = released[0] if released else "none"
    fits = version == newest or not release and numbers(version) > numbers(newest)
    expect(fits, f"CHANGELOG.md has {newest} as its newest version, Cargo.toml {version}")
    return version


def metadata(version):
    meta = json.loads(read("packaging/META.json"))
    for key in ("name", "version", "abstract", "maintainer", "license", "provides", "meta-spec"):
        expect(meta.get(key), f"META.json lacks {key}")
    expect(re.fullmatch(r"[^\s/\\\x00-\x1f]{2,}", meta["name"]), f"META.json: {meta['name']} is no name")
    expect(meta["license"] in LICENCES, f"META.json: {meta['license']} is no licence that PGXN knows")
    expect(meta["meta-spec"]["version"] == "1.0.0", "META.json is not of version 1.0.0")
    expect(meta.get("release_status", "stable") in ("stable", "testing", "unstable"), "META.json: no such release_status")
    expect(all(isinstance(tag, str) and tag and len(tag) < 256 for tag in meta.get("tags", [])), "META.json: bad tags")
    for name, part in {"": meta, **meta["provides"]}.items():
        expect(part["version"] == version, f"META.json has version {part['version']} {name}, Cargo.toml {version}")
    for name, part in meta["provides"].items():
        expect((ROOT / part["file"]).is_file(), f"META.json: {name} is in {part['file']}, which is not there")
        expect((ROOT / part.get("docfile", "README.md")).is_file(), f"META.json: no {part.get('docfile')}")
    for phase, relations in meta.get("prereqs", {}).items():
        expect(phase in PHASES and set(relations) <= RELATIONS, f"META.json: prereqs of {phase}")
    known = {p.removeprefix("pg") for p in re.findall(r"^(pg\d+) = ", read("Cargo.toml"), re.M)}
    oldest = meta["prereqs"]["runtime"]["requires"]["PostgreSQL"]
    expect(oldest == f"{min(known, key=int)}.0.0", f"META.json asks for PostgreSQL {oldest}, Cargo.toml has {sorted(known)}")


def anchors(text):
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code(text):
    """What stands in a page's code blocks and between backquotes."""
    blocks = re.findall(r"^```.*?^```|^    .*?$", text, re.M | re.S)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return "\n".join(blocks + re.findall(r"`[^`]+`", rest))


def documentation():
    """Paths, links and make targets that documents name are there, and the architecture names every folder of the sources."""
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.M))
    for document in DOCUMENTS:
        text = read(document)
        near = (ROOT / document).parent
        # Not what a build or a training makes, names with X, OLD or NEW for a version, and what stands in a URL or another path.
        for path in re.findall(r"(?<![\w/.-])((?:src|tests|sql|model|packaging)/[\w./*-]*\w)", text):
            there = path.startswith("model/mine") or re.search(r"--[A-Z]", path) or any(ROOT.glob(path)) or any(near.glob(path))
            expect(there, f"{document} names {path}, which is not there")
        for path, anchor in re.findall(r"\]\((?!\w+:)([^)#]*)(?:#([^)]*))?\)", text):
            target = near / path if path else ROOT / document
            expect(target.exists(), f"{document} links to {path}, which is not there")
            if anchor and target.is_file():
                expect(anchor in anchors(target.read_text(encoding="utf-8")), f"{document} links to {path}#{anchor}, which has no such heading")
        for target in re.findall(r"\bmake ([a-z][\w-]*)", code(text)):
            expect(target in targets, f"{document} names make {target}, which the Makefile does not have")
    expect(len(read("README.md").splitlines()) <= 300, "README.md has more than 300 lines: what is not for everybody belongs into a guide")
    architecture = read("src/README.md").partition("\n## Floors and folders\n")[2].partition("\n## ")[0]
    for folder in sorted(p.name for p in (ROOT / "src").iterdir() if p.is_dir()):
        expect(f"`src/{folder}/`" in architecture, f"src/README.md's floors lack src/{folder}/")


# What only PostgreSQL calls.
INTERNAL = {"coop_handler", "coop_fold_support", "coop_typanalyze", "coop_distance", "coop_plus", "coop_scale"}


def reference():
    """The SQL reference has every function, procedure, view and setting."""
    text = read("sql/README.md")
    definitions = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "sql/current").glob("*.sql")))
    public = set(re.findall(r"^CREATE (?:FUNCTION|PROCEDURE|VIEW|AGGREGATE) (coop_\w+)", definitions, re.M)) - INTERNAL
    expect(len(public) > 30, "sql/current has no functions where check.py looks for them")
    for name in sorted(public):
        expect(f"`{name}" in text or f"CALL {name}" in text, f"sql/README.md lacks {name}")
    settings = set(re.findall(r'c"(coopembed\.\w+)"', read("src/pg/guc.rs"))) - {"coopembed.left_out"}
    expect(len(settings) > 10, "src/pg/guc.rs has no settings where check.py looks for them")
    for name in sorted(settings):
        expect(f"`{name}`" in text, f"sql/README.md lacks {name}")


def main():
    metadata(versions("--release" in sys.argv[1:]))
    documentation()
    reference()
    third_party = subprocess.run([HERE / "third-party.py", "--check"], stderr=subprocess.PIPE, text=True)
    expect(third_party.returncode == 0, third_party.stderr.strip())
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    raise SystemExit(1 if failures else 0)


main()
