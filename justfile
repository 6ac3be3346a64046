set shell := ["bash", "-euo", "pipefail", "-c"]

cache := env("XDG_CACHE_HOME", env("HOME") / ".cache") / "surprisal"
golangci_version := "v2.15.0"

# the recipes
_default:
    @{{just_executable()}} --justfile {{justfile()}} --list --unsorted

# build bin/runner
build:
    @go build -trimpath -buildvcs=false -ldflags="-s -w" -o bin/runner ./runner

# gap reports over real text that every Go installation carries, on the embedded backend
demo: build
    @ln -sfn "$(go env GOROOT)" examples/first/text
    @bin/runner run examples/first
