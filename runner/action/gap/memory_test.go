//go:build slow

package gap_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/artifact"
)

// The memory of a comparison is proportional to the largest document.
func TestMemory(t *testing.T) {
	const size = 16_000_000
	limit := artifact.GapMemory(size)
	if limit > 400e6 {
		t.Fatalf("got %d MB in the plan, want at most 400", limit/1e6)
	}
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
			sides[i] = gap.Side{Name: model, Datasets: []gap.Table{{Dataset: "d", ScoredPath: filepath.Join(dir, model)}}}
		}
		if _, err := gap.Compare(t.Context(), sides[0], sides[1], t.TempDir(), gap.Options{}); err != nil {
			t.Fatal(err)
		}
	})
}

// writeLarge writes a table of four documents. The two in the middle have size bytes, in tokens of four bytes. The
// words and the losses are random, so that neither compresses well and there are many literals.
func writeLarge(t *testing.T, path string, size int) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(1, uint64(path[len(path)-1])))
	w := artifact.NewScoredWriter(f)
	for row, n := range []int{100, size, size, 100} {
		d := artifact.ScoredDocument{Shard: "s", Row: int64(row), Text: words(n), ScoreEnd: int32(n)}
		for at := 4; at <= n; at += 4 {
			d.TokenIDs, d.TokenEnds = append(d.TokenIDs, int32(at)), append(d.TokenEnds, int32(at))
			d.TokenNLL = append(d.TokenNLL, r.ExpFloat64())
		}
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// words returns n bytes of random words.
func words(n int) string {
	r := rand.New(rand.NewPCG(2, 2))
	text := make([]byte, n)
	for i := range text {
		if text[i] = ' '; r.Uint32()%6 > 0 {
			text[i] = 'a' + byte(r.Uint32()%16)
		}
	}
	return string(text)
}
