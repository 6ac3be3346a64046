package specs_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"testing"

	"surprisal.dev/plugins/ngram"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/backend"
	"surprisal.dev/providers/hf"
	"surprisal.dev/providers/jsonl"
	"surprisal.dev/providers/parquet"
	"surprisal.dev/providers/text"
	"surprisal.dev/runner/cli"
	"surprisal.dev/runner/workspace"
)

// runnerVariable makes the test binary the runner.
const runnerVariable = "SURPRISAL_TEST_RUNNER"

// The test binary also serves as the runner and its built-in plugins. The latter start without its variables.
func TestMain(m *testing.M) {
	served := len(os.Args) > 1 && slices.Contains([]string{"plugin", "evaluate", "exec"}, os.Args[1])
	if served || os.Getenv(runnerVariable) != "" {
		os.Exit(cli.Main(context.Background(), builtins()))
	}
	os.Exit(m.Run())
}

// builtins are those of the runner, and the torch backend as far as plans need it.
func builtins() workspace.Builtins {
	return workspace.Builtins{
		Providers: map[string]sdk.Provider{"hf": hf.New(), "jsonl": jsonl.New(), "parquet": parquet.New(), "text": text.New()},
		Backends:  map[string]sdk.Backend{"ngram": ngram.New(), "torch": described{}},
	}
}

// described is the torch backend without libtorch. It can do nothing but describe itself.
type described struct{ sdk.Backend }

// Describe implements sdk.Backend.
func (described) Describe(context.Context) (protocol.BackendDescription, error) {
	return backend.Description("none"), nil
}

// runner returns a command of the runner. No hub is at its endpoint, so that a request fails.
func runner(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program, args...)
	c.Env = append(os.Environ(), runnerVariable+"=1", "HF_ENDPOINT=http://127.0.0.1:1", "HF_HUB_CACHE="+t.TempDir())
	return c
}
