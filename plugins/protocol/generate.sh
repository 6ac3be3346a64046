#!/bin/sh
# Generates the Go code of plugin.proto: generate.sh [DIR]. DIR is pluginpb by default. The tools are pinned and kept in
# a cache directory, so that equal input gives equal bytes on every machine.
set -eu
cd "$(dirname "$0")"
out=${1:-pluginpb}

protoc=1.85.1 # grpcio-tools, which contains protoc
gen_go=v1.36.12
gen_go_grpc=v1.6.2
tools=${XDG_CACHE_HOME:-$HOME/.cache}/surprisal/protobuf-$protoc-$gen_go-$gen_go_grpc

if [ ! -e "$tools/complete" ]; then
	rm -rf "$tools"
	mkdir -p "$tools"
	python3 -m venv "$tools/python"
	"$tools/python/bin/pip" install --quiet --disable-pip-version-check "grpcio-tools==$protoc"
	GOBIN="$tools" go install "google.golang.org/protobuf/cmd/protoc-gen-go@$gen_go"
	GOBIN="$tools" go install "google.golang.org/grpc/cmd/protoc-gen-go-grpc@$gen_go_grpc"
	touch "$tools/complete"
fi

mkdir -p "$out"
PATH="$tools:$PATH" "$tools/python/bin/python" -m grpc_tools.protoc --proto_path=. \
	--go_out="$out" --go_opt=paths=source_relative \
	--go-grpc_out="$out" --go-grpc_opt=paths=source_relative plugin.proto
