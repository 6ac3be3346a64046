#!/bin/sh
# Builds the tokenizer library from rust/ into the cache directory named by the first argument, and prints the linker
# flags for CGO_LDFLAGS. Go does not notice that a library has changed, so the digest of its sources and of the
# compiler's version is part of its path. Checkouts with different sources can use one cache.
set -eu

if [ $# -ne 1 ]; then
	echo "usage: $0 CACHE_DIR" >&2
	exit 2
fi
mkdir -p "$1/tokenizer"
cache=$(cd "$1/tokenizer" && pwd)
cd "$(dirname "$0")/rust"
if ! command -v cargo >/dev/null; then
	echo "$0: no cargo on the PATH; install Rust 1.87 or later" >&2
	exit 1
fi
digest=$({ cargo --version --verbose && find . -path ./target -prune -o -type f -print | LC_ALL=C sort | xargs sha256sum; } | sha256sum | cut -c-16)
directory=$cache/$digest
if [ ! -e "$directory/libsurprisal_tokenizer.a" ]; then
	new=$(mktemp -d "$cache/new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	cargo build --release --locked --quiet --target-dir "$new/target" >&2
	mkdir -p "$directory"
	mv "$new/target/release/libsurprisal_tokenizer.a" "$directory/"
fi
echo "-L$directory -lsurprisal_tokenizer -ldl -lm -lpthread"
