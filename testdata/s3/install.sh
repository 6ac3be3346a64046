#!/bin/sh
# Installs the S3 server that the store's tests run against, into the directory named by the first argument, and prints the
# path of its binary. If the binary exists, it only prints the path. Needs Go and the Go module proxy.
set -eu

version=v1.8.0

if [ $# -ne 1 ]; then
	echo "usage: $0 CACHE_DIR" >&2
	exit 2
fi
mkdir -p "$1"
cache=$(cd "$1" && pwd)
binary=$cache/versitygw-$version
if [ ! -x "$binary" ]; then
	new=$(mktemp -d "$cache/new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	# A package with a version is built with its own go.mod, not with that of the current directory.
	CGO_ENABLED=0 GOBIN=$new GOFLAGS=-trimpath go install -ldflags='-s -w' "github.com/versity/versitygw/cmd/versitygw@$version" >&2
	mv "$new/versitygw" "$binary"
fi
echo "$binary"
