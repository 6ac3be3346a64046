//go:build slow

package sliding_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/sliding"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// The memory of a report is proportional to the largest text, and does not depend on the number of windows.
func TestMemory(t *testing.T) {
	const size = 16_000_000
	dir := os.Getenv("SURPRISAL_MEMORY_TABLES")
	if dir == "" {
		dir = t.TempDir()
		t.Setenv("SURPRISAL_MEMORY_TABLES", dir)
		writeLarge(t, dir, size)
	}
	actiontest.WithinMemory(t, artifact.SlidingMemory(size), func() {
		of := []byte(`{"model":"m","dataset":"d","slicing":{"sliceLength":2000,"chunkTokens":100,"promptTokens":50,"cursorInc":100,` +
			`"cursorUnit":"characters","topK":40},"figure":{"width":8,"dpi":100,"colorMap":"Blues"}}`)
		task := action.Task{Descriptor: plan.Descriptor{Kind: "sliding", Parameters: of}, Dir: t.TempDir(), Inputs: map[string]string{
			"documents/" + artifact.DocumentsFile: filepath.Join(dir, artifact.DocumentsFile),
			"windows/000/" + artifact.WindowsFile: filepath.Join(dir, artifact.WindowsFile),
			"windows/000/" + artifact.SummaryFile: filepath.Join(dir, artifact.SummaryFile),
		}}
		if _, err := (sliding.Kind{}).Work(t.Context(), &task); err != nil {
			t.Fatal(err)
		}
	})
}

// writeLarge writes two texts of size bytes, and the windows of one part.
func writeLarge(t *testing.T, dir string, size int) {
	t.Helper()
	create := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	texts, table := create(artifact.DocumentsFile), create(artifact.WindowsFile)
	documents, rows := artifact.NewDocumentWriter(texts), artifact.NewWindowWriter(table)
	text := strings.Repeat("A short sentence. Of words, and 12.5 numbers! ", size/46+1)[:size]
	for document := range 2 {
		d := artifact.Document{ID: fmt.Sprint(document), Shard: "s", Row: int64(document), Text: text, ScoreEnd: int32(size), Meta: "{}"}
		if err := documents.Write(d); err != nil {
			t.Fatal(err)
		}
		for at := 0; at+400 <= size; at += 100 {
			w := artifact.Window{
				Document: int64(document), Cursor: int64(at), Start: int64(at), Suffix: int64(at + 200), End: int64(at + 400), Tokens: 100,
				LogPWithoutPrompt: -70, TokenLogP: make([]float64, 50),
			}
			for i := range w.TokenLogP {
				w.TokenLogP[i] = -float64(at*(i+1)%977) / 500
				w.LogP += w.TokenLogP[i]
			}
			w.LogPTopK = w.LogP
			if err := rows.Write(w); err != nil {
				t.Fatal(err)
			}
		}
	}
	summary := filepath.Join(dir, artifact.SummaryFile)
	if err := errors.Join(documents.Close(), rows.Close(), texts.Close(), table.Close(), os.WriteFile(summary, []byte(`{"prefix":"bos","dtype":"d","computed":{"device":"x"}}`), 0o644)); err != nil {
		t.Fatal(err)
	}
}
