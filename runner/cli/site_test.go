package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/plugins/ngram"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/text"
	"surprisal.dev/runner/cli"
	"surprisal.dev/runner/workspace"
)

// serve serves an experiment or a site until it is interrupted, and then leaves no files.
func TestServe(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	builtins := workspace.Builtins{
		Providers: map[string]sdk.Provider{"text": text.New()}, Backends: map[string]sdk.Backend{"ngram": ngram.New()},
	}
	study, public := filepath.Join(dir, "study"), filepath.Join(dir, "public")
	for _, args := range [][]string{{"init", study}, {"run", study}, {"export", "site", public, study, "--title", "exported"}} {
		var stderr bytes.Buffer
		if code := cli.Run(t.Context(), args, io.Discard, &stderr, builtins); code != 0 {
			t.Fatalf("%q: exit code %d: %s", args, code, &stderr)
		}
	}
	for _, args := range [][]string{{study, "--title", "exported"}, {public}} {
		ctx, stop := context.WithCancel(t.Context())
		out, in := io.Pipe()
		ended := make(chan int, 1)
		var stderr bytes.Buffer
		go func() {
			ended <- cli.Run(ctx, append([]string{"serve"}, args...), in, &stderr, builtins)
			_ = in.Close() // It returns no error.
		}()
		address, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, &stderr)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSpace(address)+"site.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"title":"exported"`)) {
			t.Errorf("%q: got %s, %v: %.200s", args, answer.Status, err, body)
		}
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("%q: exit code %d: %s", args, code, &stderr)
		}
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "surprisal-site-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
}
