//go:build slow

package score_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/artifact"
)

// The memory of reading and scoring documents is proportional to the largest.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("scores hundreds of megabytes")
	}
	for _, of := range []struct {
		name, backend    string
		documents, bytes int
		limit            int64
	}{
		{"large", "fake", 1, 16_000_000, 400e6},
		{"many", "fake", 20_000, 32 << 10, 300e6},
		{"large, with confidence", "confident", 1, 16_000_000, 700e6},
		{"many, with confidence", "confident", 5_000, 32 << 10, 300e6},
	} {
		t.Run(of.name, func(t *testing.T) {
			limit := artifact.ScoreMemory(int64(of.bytes), of.backend == "confident")
			if limit > of.limit {
				t.Errorf("got %d MB in the plan, want at most %d", limit/1e6, of.limit/int64(1e6))
			}
			actiontest.WithinMemory(t, limit, func() { scoreLarge(t, of.backend, of.documents, of.bytes) })
		})
	}
}

func scoreLarge(t *testing.T, backend string, documents, bytes int) {
	l := actiontest.New(t, "fake", "confident")
	f, err := os.Create(filepath.Join(l.Dir, "large.txt"))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("the text of a large document, again and again; ", bytes/47+1)[:bytes-1] + "\n"
	for range documents {
		if _, err := f.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l.Dataset("large", "text", `{"path":"large.txt","split":"lines"}`, "text")
	l.Model("m", backend, `{"Size":4}`)
	l.MustRun()
}
