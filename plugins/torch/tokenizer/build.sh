#!/bin/sh
# Builds the tokenizer library from rust/ into the cache directory named by the first argument, and prints the linker
# flags for CGO_LDFLAGS. Go does not notice that a library has changed, so its digest is part of its path.
set -eu

if [ $# -ne 1 ]; then
	echo "usage: $0 CACHE_DIR" >&2
	exit 2
fi
mkdir -p "$1"
cache=$(cd "$1" && pwd)
cd "$(dirname "$0")/rust"
if ! command -v cargo >/dev/null; then
	echo "$0: no cargo on the PATH; install Rust 1.87 or later" >&2
	exit 1
fi
cargo build --release --locked --quiet --target-dir "$cache/tokenizer/target" >&2
built=$cache/tokenizer/target/release/libsurprisal_tokenizer.a
directory=$cache/tokenizer/$(sha256sum "$built" | cut -c-16)
if [ ! -e "$directory/libsurprisal_tokenizer.a" ]; then
	mkdir -p "$directory"
	cp "$built" "$directory/libsurprisal_tokenizer.a.part"
	mv "$directory/libsurprisal_tokenizer.a.part" "$directory/libsurprisal_tokenizer.a"
fi
echo "-L$directory -lsurprisal_tokenizer -ldl -lm -lpthread"
