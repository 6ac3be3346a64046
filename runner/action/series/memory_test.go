//go:build slow

package series_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/action/series"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// The memory of a series is proportional to the number of models, not to that of the documents.
func TestMemory(t *testing.T) {
	const models, documents = 20, 200_000
	dir := os.Getenv("SURPRISAL_MEMORY_TABLES")
	values := map[string]float64{}
	var names []string
	for i := range models {
		name := fmt.Sprintf("m-%d", i)
		names, values[name] = append(names, name), float64(i)
	}
	if dir == "" {
		dir = t.TempDir()
		t.Setenv("SURPRISAL_MEMORY_TABLES", dir)
		for i := range models {
			writeLedger(t, filepath.Join(dir, score.Side(i)), i, documents)
		}
	}
	actiontest.WithinMemory(t, artifact.SeriesMemory(models), func() {
		of, err := json.Marshal(map[string]any{"models": names, "datasets": []string{"d"}, "x": scaling.Steps(values)})
		if err != nil {
			t.Fatal(err)
		}
		task := action.Task{Descriptor: plan.Descriptor{Kind: "series", Parameters: of}, Inputs: map[string]string{}, Dir: t.TempDir()}
		for i := range models {
			for _, file := range []string{artifact.LedgerFile, artifact.SummaryFile} {
				task.Inputs[score.Side(i)+"/d/"+file] = filepath.Join(dir, score.Side(i), file)
			}
		}
		if _, err := (series.Kind{}).Work(t.Context(), &task); err != nil {
			t.Fatal(err)
		}
	})
}

// writeLedger writes the ledger of a model, with a range of bytes without a loss in each document.
func writeLedger(t *testing.T, dir string, model, documents int) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, artifact.LedgerFile))
	if err != nil {
		t.Fatal(err)
	}
	w := artifact.NewLedgerWriter(file)
	s := artifact.ScoreSummary{}
	for row := range documents {
		nats := float64(100 + row*(model+3)%97)
		s.Documents++
		s.ScoredBytes += 100
		s.Ledger.Span += nats
		if err := w.Write(artifact.LedgerRow{
			Shard: fmt.Sprintf("shard-%d", row/1000), Row: int64(row), TokenNats: nats, SpanNats: nats, ScoredBytes: 100,
			UnscoredStarts: []int32{0}, UnscoredEnds: []int32{3}, UnscoredReasons: []string{"no token"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	s.Finish()
	if err := errors.Join(w.Close(), file.Close(), artifact.WriteJSON(filepath.Join(dir, artifact.SummaryFile), s)); err != nil {
		t.Fatal(err)
	}
}
