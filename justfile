set shell := ["bash", "-euo", "pipefail", "-c"]

caches := env("XDG_CACHE_HOME", "")
cache := (if caches == "" { env("HOME") / ".cache" } else { caches }) / "surprisal"
golangci_version := "v2.15.0"
golangci := cache / "golangci-lint-" + golangci_version / "golangci-lint"
fuzz_seconds := "30"
# each checkout has a cache for itself: what golangci-lint keeps names files by their absolute paths
export GOLANGCI_LINT_CACHE := justfile_directory() / "bin/golangci-lint-cache"
# the same for all commands, or each would compile its own copy of every dependency
export GOFLAGS := "-trimpath " + `go env GOFLAGS`
# for the shell: the folder of the Go that is installed; one that it fetches in its place lacks doc/
installed_go := '$(cd / && GOTOOLCHAIN=local go env GOROOT)'
# for the shell: what go build -tags torch takes, installed and built first where it is missing
torch := 'environment="$(go run ./plugins/torch/libtorch/cmd)"; eval "$environment"; ' + \
    'tokenizer="$(plugins/torch/tokenizer/build.sh "' + cache + '")"; export CGO_LDFLAGS="$tokenizer $CGO_LDFLAGS"'

_default:
    @{{ just_executable() }} --justfile {{ justfile() }} --list --unsorted

# gap reports over real text that every Go installation carries, on the embedded backend
demo: build
    @ln -sfn "{{ installed_go }}" examples/first/text
    @bin/runner run examples/first

# the same text on SmolLM2-135M and Gemma-3-270M; installs libtorch and fetches the models where they are missing
demo-torch: build torch
    @python3 examples/torch/models.py {{ cache }}/models
    @ln -sfn "{{ installed_go }}" examples/torch/text
    @ln -sfn {{ cache }}/models examples/torch/models
    @bin/runner run examples/torch

# everything: check, tests with real servers, crashes and Python, generated code, fuzzing
test: check test-race test-slow test-s3 test-python test-examples test-torch test-docs-torch fresh fuzz

# the inner loop: build, vet for all platforms, lint, unit tests; what the other recipes test was vetted here, tags included
check: build lint vet-platforms
    go test ./...

# what go vet reports for the platforms that tests do not run on
vet-platforms:
    go build -o bin/vet ./internal/vet
    for platform in linux/arm64 darwin/arm64; do \
      CGO_ENABLED=0 GOOS="${platform%/*}" GOARCH="${platform#*/}" bin/vet -tags slow,s3,python ./...; \
    done

# build bin/runner
build:
    @test -x bin/runner || echo "building bin/runner; the first time takes a minute or two" >&2
    @go build -buildvcs=false -ldflags="-s -w" -o bin/runner ./runner

# build bin/runner-backend-torch; installs libtorch where there is none
torch:
    @test -x bin/runner-backend-torch || echo "building bin/runner-backend-torch; the first time takes some minutes" >&2
    @{{ torch }}; go build -tags torch -buildvcs=false -ldflags="-s -w" -o bin/ ./plugins/torch/cmd/runner-backend-torch

# the tokenizer against the Python library, over the vocabularies of packages (120 MB, fetched once)
test-tokenizer:
    @cmp -s testdata/torch/tokenizer/requirements.txt {{ cache }}/tokenizer/python/requirements.txt || { \
      rm -rf {{ cache }}/tokenizer/python; python3 -m venv {{ cache }}/tokenizer/python; \
      {{ cache }}/tokenizer/python/bin/pip install --quiet --disable-pip-version-check -r testdata/torch/tokenizer/requirements.txt; \
      cp testdata/torch/tokenizer/requirements.txt {{ cache }}/tokenizer/python/; }
    flags="$(plugins/torch/tokenizer/build.sh {{ cache }})"; folder="$(testdata/torch/tokenizer/fetch.sh {{ cache }})"; \
      CGO_LDFLAGS="$flags" SURPRISAL_PYTHON="{{ cache }}/tokenizer/python/bin/python" SURPRISAL_TOKENIZERS="$folder" \
      go test -tags torch,python ./plugins/torch/tokenizer

# the torch backend
test-torch: (_install-golangci)
    @{{ torch }}; go vet -tags torch,models,cuda ./plugins/torch/... && \
      {{ golangci }} run --build-tags torch,models,cuda ./plugins/torch/... && go test -vet=off -tags torch -timeout 30m ./plugins/torch/...

# the pages of docs/ that need the torch backend, with the two real models (330 MB, fetched once)
test-docs-torch: torch
    @python3 examples/torch/models.py {{ cache }}/models
    SURPRISAL_DOCS_TORCH="$PWD/bin" SURPRISAL_MODELS="{{ cache }}/models" go test -vet=off -run 'TestPages/(tutorial|torch)' ./docs

# the picture of README, from a run of demo-torch
picture: demo-torch
    go run ./docs/picture examples/torch/.surprisal/reports/gap/smollm2-vs-gemma3/summary.json docs/picture

# the torch backend on real models: against transformers, documents alone and together, memory against plans (330 MB, fetched once)
test-models:
    @python3 examples/torch/models.py {{ cache }}/models
    @{{ torch }}; SURPRISAL_MODELS="{{ cache }}/models" go test -tags torch,models -timeout 40m -v -run 'RealModels|Memory' ./plugins/torch/backend

# what needs an NVIDIA GPU: tests, and the throughput of a model of 8 billion random weights, which folder keeps (16 GB)
test-cuda folder *options: cuda-programs
    plugins/torch/cuda.sh bin/cuda {{ folder }} {{ options }}

# the programs of test-cuda, for plugins/torch/cuda.sh on a machine without Go
cuda-programs:
    mkdir -p bin/cuda
    python3 testdata/torch/agree.py documents bin/cuda/documents.jsonl
    CGO_ENABLED=0 go build -buildvcs=false -ldflags="-s -w" -o bin/cuda/runner ./runner
    @{{ torch }}; go build -tags torch -buildvcs=false -ldflags="-s -w" -o bin/cuda/ ./plugins/torch/cmd/runner-backend-torch; \
      for package in tensor decoder backend; do \
        go test -c -tags torch,cuda,models -ldflags="-s -w" -o bin/cuda/$package.test ./plugins/torch/$package; \
      done

# go vet and golangci-lint (staticcheck among its linters), installed when missing
lint: (_install-golangci)
    go vet -tags slow,s3,python ./...
    {{ golangci }} run --build-tags slow,s3,python ./...

_install-golangci:
    @test -x {{ golangci }} || { echo "installing golangci-lint {{ golangci_version }}" >&2; GOBIN={{ parent_directory(golangci) }} go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@{{ golangci_version }}; }

# format all Go and CUE files
fmt: (_install-golangci)
    {{ golangci }} fmt ./...
    go run cuelang.org/go/cmd/cue fmt ./cue/... ./examples/first/...

# what runs at the same time, under the race detector
test-race:
    go test -vet=off -race ./runner/engine ./runner/executor ./runner/action/score ./plugins/host

# kill -9, full disks, read-only stores, two runs that must agree; the memory of large documents, one package at a time
test-slow:
    go test -vet=off -tags slow -timeout 20m ./runner
    go test -vet=off -tags slow -p 1 -run '^TestMemory$' -v ./runner/action/materialize ./runner/action/score ./runner/action/gap

# the store and the providers against a real S3 server
test-s3:
    SURPRISAL_S3_SERVER="$(testdata/s3/install.sh {{ cache }})" go test -vet=off -tags s3 -run S3 ./runner/store ./providers/source

# tables read back by DuckDB and pyarrow, pages of docs/ with pandas, the gap report against a reference in Python, Unicode classes against regex, and dequantisation against gguf
test-python: _python
    SURPRISAL_PYTHON="{{ cache }}/python/bin/python" go test -vet=off -tags python ./plugins/unicode17 ./runner/artifact ./runner/action/gap ./plugins/torch/libtorch ./plugins/torch/checkpoint
    SURPRISAL_DOCS_PYTHON="{{ cache }}/python/bin" go test -vet=off -run TestPages/how-to ./docs

_python:
    @cmp -s testdata/python/requirements.txt {{ cache }}/python/requirements.txt || { \
      echo "installing testdata/python/requirements.txt" >&2; rm -rf {{ cache }}/python; python3 -m venv {{ cache }}/python; \
      {{ cache }}/python/bin/pip install --quiet --disable-pip-version-check -r testdata/python/requirements.txt; \
      cp testdata/python/requirements.txt {{ cache }}/python/; }

# the third-party plugins under examples/, each in its own module
test-examples:
    for dir in examples/plugins/*/; do (cd "$dir" && go vet ./... && go test ./...); done

# write all generated code again
generate: _python
    go generate ./...
    "{{ cache }}/python/bin/python" plugins/unicode17/generate.py plugins/unicode17/tables.go

# fail if generated code is not what its command makes
fresh: _python
    rm -rf bin/generated && mkdir -p bin/generated
    plugins/protocol/generate.sh "$PWD/bin/generated"
    diff -r --exclude=doc.go plugins/protocol/pluginpb bin/generated
    "{{ cache }}/python/bin/python" plugins/unicode17/generate.py | diff plugins/unicode17/tables.go -
    go mod tidy -diff

# each fuzz target for a while, two at a time
fuzz:
    #!/usr/bin/env bash
    set -euo pipefail
    # At the end of its time go test may fail with nothing but its own deadline; then the target has its time again. An
    # input that breaks something is written down and always fails.
    fuzz() {
      local output; output="$(mktemp)"
      for attempt in 1 2 3; do
        if go test "$1" -vet=off -run '^$' -fuzz "^$2\$" -fuzztime {{ fuzz_seconds }}s -fuzzminimizetime 10x -parallel 1 >"$output" 2>&1; then
          echo "$2 $(tail -1 "$output")"; rm "$output"; return 0
        fi
        if ! grep -q 'context deadline exceeded' "$output" || grep -q 'Failing input written' "$output"; then break; fi
      done
      cat "$output"; rm "$output"; return 1
    }
    export -f fuzz
    for package in $(go list -f '{{{{.Dir}}' ./...); do
      grep -hos '^func Fuzz[A-Za-z0-9]*' "$package"/*_test.go | sed "s|^func |$package |" || true
    done | xargs -P 2 -L 1 bash -c 'fuzz "$@"' fuzz

# measure: planning and warm runs, the gap report, the n-gram backend
bench: build
    go run ./bench/plan
    go run ./bench/gap -mb 5
    go run ./bench/gap -mb 50
    GOMAXPROCS=1 go test -run '^$' -bench . ./plugins/ngram

# remove what was built here; the caches outside of the checkout stay
clean:
    rm -rf bin examples/*/text examples/torch/models examples/*/.surprisal
