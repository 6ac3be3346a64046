// Command runner runs perplexity experiments that are written in CUE.
package main

import (
	"context"
	"os"

	"surprisal.dev/plugins/ngram"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/hf"
	"surprisal.dev/providers/jsonl"
	"surprisal.dev/providers/parquet"
	"surprisal.dev/providers/text"
	"surprisal.dev/runner/cli"
	"surprisal.dev/runner/workspace"
)

func main() {
	os.Exit(cli.Main(context.Background(), workspace.Builtins{
		Providers: map[string]sdk.Provider{"hf": hf.New(), "jsonl": jsonl.New(), "parquet": parquet.New(), "text": text.New()},
		Backends:  map[string]sdk.Backend{"ngram": ngram.New()},
	}))
}
