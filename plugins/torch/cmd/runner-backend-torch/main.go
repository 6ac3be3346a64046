//go:build torch

// Command runner-backend-torch is the torch backend, a plugin that runner starts.
package main

// #cgo golangci CFLAGS: -I${SRCDIR}
import "C" // openmp.c

import (
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/backend"
)

func main() { sdk.ServeBackend(backend.New()) }
