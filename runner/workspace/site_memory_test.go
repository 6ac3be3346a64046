//go:build slow

package workspace_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/site"
)

// manyDocuments have losses of 8 bytes for each of their bytes: an export that held a table would exceed the limit.
const (
	manyDocuments = 60_000
	manyBytes     = 1000
)

// The memory of an export does not grow with the number of documents.
func TestSiteMemory(t *testing.T) {
	const variable = "SURPRISAL_MEMORY_EXPERIMENT"
	f := &directory{t, os.Getenv(variable)}
	if f.dir == "" {
		f.dir = t.TempDir()
		t.Setenv(variable, f.dir)
		f.write("experiment.cue", `package many
import "surprisal.dev/experiment"
experiment.#Experiment
name: "many"
models: {for m in ["a", "b"] {(m): scores: {path: "\(m).parquet", protocol: "generated"}}}
gaps: "a-vs-b": {a: "a", b: "b"}
`)
		for i, model := range []string{"a", "b"} {
			writeMany(t, filepath.Join(f.dir, model+".parquet"), uint64(i))
		}
		w := f.open()
		if _, err := w.Pin(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.run(w)
	}
	for _, text := range []action.Text{action.TextAll, action.TextSampled} {
		t.Run(string(text), func(t *testing.T) {
			actiontest.WithinMemory(t, 300e6, func() {
				exportTo(t, filepath.Join(t.TempDir(), "site"), site.Options{Text: text}, f.open())
			})
		})
	}
}

// writeMany writes a table of documents with tokens of four bytes. The losses are random, so that they do not compress.
func writeMany(t *testing.T, path string, model uint64) {
	t.Helper()
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := artifact.NewExportedWriter(out)
	r := rand.New(rand.NewPCG(1, model))
	for row := range int64(manyDocuments) {
		d := artifact.ExportedDocument{
			Dataset: "many", Shard: "s", Row: row, Text: fmt.Sprintf("%0*d", manyBytes, row), ScoreEnd: manyBytes,
			PerByteLoss: make([]float64, manyBytes),
		}
		for at := int32(0); at < manyBytes; at += 4 {
			loss := r.ExpFloat64()
			for i := range int32(4) {
				d.PerByteLoss[at+i] = loss
			}
			d.TokenIDs, d.TokenStarts, d.TokenEnds = append(d.TokenIDs, at), append(d.TokenStarts, at), append(d.TokenEnds, at+4)
		}
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
