#!/usr/bin/env python3
"""Writes THIRD-PARTY.txt: every crate that is linked into the library or the program, its licence, and the texts that licences ask for.

usage: third-party.py [--check]     (--check writes nothing, and fails if the file is not what would be written)
"""

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "THIRD-PARTY.txt"
# The same crates for every PostgreSQL version; `cuda` would add cudarc and its like, but the packages have no CUDA.
PRODUCTS = {"library": "pg15", "program": "cli"}
OF = "--no-default-features --target x86_64-unknown-linux-gnu"

# Of several licences that a crate offers, the first of these is taken: Apache-2.0, our own, asks for one text for all.
LICENCES = {
    "Apache-2.0": "Apache License",
    "MIT": "Permission is hereby granted, free of charge",
    "0BSD": "Permission to use, copy, modify",
    "Zlib": "as-is",
    "ISC": "Permission to use, copy, modify",
    "BSD-2-Clause": "Redistribution and use in source",
    "BSD-3-Clause": "Redistribution and use in source",
    "Unicode-3.0": "UNICODE LICENSE V3",
    "CC0-1.0": "CC0",
    "Apache-2.0 WITH LLVM-exception": "Apache License",
}


def linked(features):
    """The crates in a product, as `cargo tree` sees them: no procedural macros, which run in the compiler."""
    tree = cargo(f"tree --edges normal,no-proc-macro --prefix none --format {{p}} {OF} --features {features}")
    words = [line.split() for line in tree.splitlines()]
    return {(name, version.removeprefix("v")) for name, version, *_ in words if name != "coopembed"}


def packages():
    """What each crate's manifest says, by name and version."""
    metadata = json.loads(cargo(f"metadata --format-version 1 {OF} --features pg15,cli".replace("--target", "--filter-platform")))
    return {(package["name"], package["version"]): package for package in metadata["packages"]}


def cargo(arguments):
    command = ["cargo", *arguments.split(), "--locked"]
    return subprocess.run(command, cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True).stdout


def chosen(expression):
    """The licences under which a crate is used: one of each OR, all of each AND."""
    words = expression.replace("/", " OR ").replace("(", " ( ").replace(")", " ) ")
    words = re.sub(r" WITH (\S+)", r"_WITH_\1", words).split()

    def any_of():
        offers = [all_of()]
        while words and words[0] == "OR":
            words.pop(0)
            offers.append(all_of())
        known = [offer for offer in offers if all(one in LICENCES for one in offer)]
        if not known:
            raise SystemExit(f"error: no known licence in \"{expression}\"; known: {', '.join(LICENCES)}")
        return min(known, key=lambda offer: [list(LICENCES).index(one) for one in offer])

    def all_of():
        parts = one()
        while words and words[0] == "AND":
            words.pop(0)
            parts = parts + one()
        return parts

    def one():
        word = words.pop(0)
        if word != "(":
            return [word.replace("_WITH_", " WITH ")]
        inner = any_of()
        words.pop(0)
        return inner

    return any_of()


def text_of(package, licence):
    """The licence as the crate brings it, if it does."""
    folder = Path(package["manifest_path"]).parent
    found = [p for p in sorted(folder.iterdir()) if re.match(r"(?i)(licen[cs]e|copying|copyright)", p.name) and p.is_file()]
    for path in found:
        text = path.read_text(encoding="utf-8", errors="replace")
        if LICENCES[licence] in re.sub(r"\s+", " ", text):
            return "\n".join(line.rstrip() for line in text.strip().splitlines())
    return None


def notices(package):
    folder = Path(package["manifest_path"]).parent
    return [p.read_text(encoding="utf-8", errors="replace").strip() for p in sorted(folder.glob("NOTICE*"))]


def report():
    known, users = packages(), {}
    for product, features in PRODUCTS.items():
        for crate in linked(features):
            users.setdefault(crate, []).append(product)
    rows, texts, absent = [], {}, []
    for name, version in sorted(users):
        package, crate = known[name, version], f"{name} {version}"
        if package["license"] is None:
            raise SystemExit(f"error: {crate} names no licence")
        licences = chosen(package["license"])
        rows.append((crate, " AND ".join(licences), " and ".join(users[name, version])))
        for licence in licences:
            if licence == "Apache-2.0":
                for notice in notices(package):
                    texts.setdefault(notice, ("NOTICE", []))[1].append(crate)
                continue
            text = text_of(package, licence)
            if text is None:
                absent.append((crate, licence, ", ".join(package["authors"]) or package["repository"] or "unknown"))
            else:
                texts.setdefault(text, (licence, []))[1].append(crate)
    return page(rows, texts, absent)


def page(rows, texts, absent):
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    rule = "=" * 100
    out = [
        "coopembed is built from these crates, each used under the licence named here; written by packaging/third-party.py.",
        "The text of the Apache License 2.0 is in the file LICENSE beside this one; the others' texts follow.",
        "",
    ]
    out += [f"{crate:<{widths[0]}}  {licence:<{widths[1]}}  {used}" for crate, licence, used in rows]
    if absent:
        out += ["", "These bring no text of their licence, whose terms are those of the others'; with the authors that they name:", ""]
        out += [f"{crate}: {licence}, {authors}" for crate, licence, authors in absent]
    for text, (licence, crates) in sorted(texts.items(), key=lambda item: (item[1][0], item[1][1])):
        out += ["", rule, f"{licence}: {', '.join(crates)}", rule, "", text]
    return "\n".join(out) + "\n"


def main():
    found = report()
    if "--check" not in sys.argv[1:]:
        OUTPUT.write_text(found, encoding="utf-8")
    elif not OUTPUT.exists() or OUTPUT.read_text(encoding="utf-8") != found:
        raise SystemExit(f"error: {OUTPUT.name} does not fit Cargo.lock: run make third-party")


main()
