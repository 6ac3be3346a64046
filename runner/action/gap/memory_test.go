//go:build slow

package gap_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/artifact"
)

// The memory of a comparison is that of the largest document.
func TestMemory(t *testing.T) {
	const size = 16_000_000
	limit := artifact.GapMemory(size)
	dir := os.Getenv("SURPRISAL_MEMORY_TABLES")
	if dir == "" {
		dir = t.TempDir()
		t.Setenv("SURPRISAL_MEMORY_TABLES", dir)
		for _, model := range []string{"a", "b"} {
			writeLarge(t, filepath.Join(dir, model), size)
		}
	}
	actiontest.WithinMemory(t, limit, func() {
		var sides [2]gap.Side
		for i, model := range []string{"a", "b"} {
			sides[i] = gap.Side{Name: model, Datasets: []gap.Table{{Key: "d", ScoredPath: filepath.Join(dir, model)}}}
		}
		if _, err := gap.Compare(t.Context(), sides[0], sides[1], t.TempDir(), gap.Options{}); err != nil {
			t.Fatal(err)
		}
	})
}

// writeLarge writes a table of three documents, the one in the middle of size bytes, in tokens of four bytes.
func writeLarge(t *testing.T, path string, size int) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := artifact.NewScoredWriter(f)
	for row, n := range []int{100, size, 100} {
		d := artifact.ScoredDocument{Shard: "s", Row: int64(row), Text: strings.Repeat("the text, again; ", n/17+1)[:n], ScoreEnd: int32(n)}
		for at := 4; at <= n; at += 4 {
			d.TokenIDs, d.TokenEnds = append(d.TokenIDs, int32(at)), append(d.TokenEnds, int32(at))
			d.TokenNLL = append(d.TokenNLL, float64(at%7)+float64(len(path)%3))
		}
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
