//go:build slow

package scaling_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// The memory of a report is proportional to the largest document and to the number of models.
func TestMemory(t *testing.T) {
	const size = 16_000_000
	const models = 3
	dir := os.Getenv("SURPRISAL_MEMORY_TABLES")
	if dir == "" {
		dir = t.TempDir()
		t.Setenv("SURPRISAL_MEMORY_TABLES", dir)
		for i := range models {
			writeLarge(t, dir, i, size)
		}
	}
	actiontest.WithinMemory(t, artifact.ScalingMemory(models, size), func() {
		of := []byte(`{"datasets":["d"],"models":[{"name":"a"},{"name":"b"},{"name":"c"}],"x":{}}`)
		task := action.Task{Descriptor: plan.Descriptor{Kind: "scaling", Parameters: of}, Inputs: map[string]string{}, Dir: t.TempDir()}
		for i := range models {
			for _, file := range []string{artifact.ScoredFile, artifact.SummaryFile} {
				task.Inputs[fmt.Sprintf("%03d", i)+"/d/"+file] = filepath.Join(dir, fmt.Sprintf("%03d", i), file)
			}
		}
		if _, err := (scaling.Kind{}).Work(t.Context(), &task); err != nil {
			t.Fatal(err)
		}
	})
}

// writeLarge writes the scores of a model on four documents. The two in the middle have size bytes, in tokens of four
// bytes and of a large vocabulary.
func writeLarge(t *testing.T, dir string, i, size int) {
	t.Helper()
	dir = filepath.Join(dir, fmt.Sprintf("%03d", i))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, artifact.ScoredFile))
	if err != nil {
		t.Fatal(err)
	}
	w := artifact.NewScoredWriter(file)
	s := artifact.ScoreSummary{Model: artifact.ModelSize{Parameters: int64(math.Pow10(i + 3))}}
	text := strings.Repeat("A short sentence. Of words, and 12.5 numbers! ", size/46+1)
	for row, n := range []int{100, size, size, 100} {
		d := artifact.ScoredDocument{Shard: "s", Row: int64(row), Text: text[:n], ScoreEnd: int32(n)}
		for at := 4; at <= n; at += 4 {
			d.TokenIDs, d.TokenEnds = append(d.TokenIDs, int32(at*7919%200_000)), append(d.TokenEnds, int32(at))
			d.TokenNLL = append(d.TokenNLL, 1+float64(at%977)/float64(i+1))
			s.ScoredTokens++
			s.Ledger.Span += d.TokenNLL[len(d.TokenNLL)-1]
		}
		s.Documents++
		s.ScoredBytes += int64(n)
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	s.Finish()
	if err := errors.Join(w.Close(), file.Close(), artifact.WriteJSON(filepath.Join(dir, artifact.SummaryFile), s)); err != nil {
		t.Fatal(err)
	}
}
