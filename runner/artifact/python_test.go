//go:build python

package artifact_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/runner/artifact"
)

// python runs a script of testdata/gap with the interpreter that SURPRISAL_PYTHON names, which has the packages of
// testdata/python/requirements.txt.
func python(t *testing.T, script string, args ...string) []byte {
	t.Helper()
	interpreter := os.Getenv("SURPRISAL_PYTHON")
	if interpreter == "" {
		t.Fatal("SURPRISAL_PYTHON is not set; run `just test`, or set it to a Python with testdata/python/requirements.txt installed")
	}
	command := exec.Command(interpreter, append([]string{filepath.Join("..", "..", "testdata", "gap", script)}, args...)...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return out
}

type readBack struct {
	Arrow, DuckDB map[string]string
	Codecs        []string
	Values        map[string][]any
}

func read[T any](t *testing.T, writer func(io.Writer) *artifact.Writer[T], rows ...T) (r readBack) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := writer(f)
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return decodeReadBack(t, path)
}

func decodeReadBack(t *testing.T, path string) (r readBack) {
	t.Helper()
	if err := json.Unmarshal(python(t, "readback.py", path), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// pyarrow and DuckDB read the documented columns with their types and values.
func TestReadBack(t *testing.T) {
	scored := []artifact.ExportedDocument{
		{
			Dataset: "d/é", Tags: []string{"a", "b/c"}, Shard: "s", Row: 1 << 40, Text: "aé\n\x00", ScoreStart: 1, ScoreEnd: 3, TokenIDs: []int32{7, 1<<31 - 1},
			TokenStarts: []int32{-1, 0}, TokenEnds: []int32{-1, 5}, PerByteLoss: []float64{0.1, -1e-17, 0, 1e300, 1},
		},
		{Dataset: "e", Shard: "s", Row: 0},
	}
	r := decodeReadBack(t, writeExported(t, scored...))
	list := func(v ...any) []any { return append([]any{}, v...) }
	for _, check := range []struct{ want, got any }{
		{map[string]string{
			"dataset_name": "string", "tags": "list<element: string not null>", "shard_name": "string", "row_index": "int64", "text": "string",
			"score_byte_start": "int32", "score_byte_end": "int32", "token_ids": "list<element: int32 not null>",
			"per_byte_loss": "list<element: double not null>", "token_byte_starts": "list<element: int32 not null>",
			"token_byte_ends": "list<element: int32 not null>", "num_bytes": "int32",
		}, r.Arrow},
		{map[string]string{
			"dataset_name": "VARCHAR", "tags": "VARCHAR[]", "shard_name": "VARCHAR", "row_index": "BIGINT", "text": "VARCHAR", "score_byte_start": "INTEGER",
			"score_byte_end": "INTEGER", "token_ids": "INTEGER[]", "per_byte_loss": "DOUBLE[]", "token_byte_starts": "INTEGER[]",
			"token_byte_ends": "INTEGER[]", "num_bytes": "INTEGER",
		}, r.DuckDB},
		{[]string{"ZSTD"}, r.Codecs},
		{map[string][]any{
			"dataset_name": list("d/é", "e"), "tags": list(list("a", "b/c"), list()), "shard_name": list("s", "s"), "row_index": list(float64(1<<40), 0.0),
			"text": list("aé\n\x00", ""), "score_byte_start": list(1.0, 0.0), "score_byte_end": list(3.0, 0.0),
			"token_ids": list(list(7.0, float64(1<<31-1)), list()), "token_byte_starts": list(list(-1.0, 0.0), list()),
			"token_byte_ends": list(list(-1.0, 5.0), list()), "num_bytes": list(5.0, 0.0),
			"per_byte_loss": list(list("0x1.999999999999ap-4", "-0x1.70ef54646d497p-57", "0x0.0p+0", "0x1.7e43c8800759cp+996", "0x1.0000000000000p+0"), list()),
		}, r.Values},
	} {
		if diff := cmp.Diff(check.want, check.got); diff != "" {
			t.Error(diff)
		}
	}

	ledger := read(t, artifact.NewLedgerWriter, artifact.LedgerRow{
		Shard: "s", Row: 2, TokenNats: 1, SpanNats: 0.5, OutsideNats: 0.25, EOSNats: 0.25, ScoredBytes: 3, UnscoredStarts: []int32{4}, UnscoredEnds: []int32{6},
		UnscoredReasons: []string{"no token"},
	})
	documents := read(t, artifact.NewDocumentWriter, artifact.Document{ID: "i", Shard: "s", Row: 1, Text: "t", ScoreEnd: 1, Meta: "{}"})
	counts := read(t, artifact.NewTokenCountWriter, artifact.TokenCount{ID: 3, Count: 1 << 40, Text: "x"})
	confidence := read(t, artifact.NewConfidenceWriter, artifact.Confidence{
		Shard: "s", Row: 2, TopIDs: []int32{7, 0}, TopNLL: []float64{0.1, 0}, Ranks: []int32{1, 0}, Entropies: []float64{1e-300, 0},
	})
	for _, check := range []struct{ want, got map[string]string }{
		{map[string]string{
			"shard_name": "VARCHAR", "row_index": "BIGINT", "top_ids": "INTEGER[]", "top_nll": "DOUBLE[]", "ranks": "INTEGER[]", "entropies": "DOUBLE[]",
		}, confidence.DuckDB},
		{map[string]string{
			"shard_name": "VARCHAR", "row_index": "BIGINT", "token_nats": "DOUBLE", "span_nats": "DOUBLE", "outside_nats": "DOUBLE", "eos_nats": "DOUBLE",
			"no_bytes_nats": "DOUBLE", "scored_bytes": "INTEGER", "unscored_starts": "INTEGER[]", "unscored_ends": "INTEGER[]", "unscored_reasons": "VARCHAR[]",
		}, ledger.DuckDB},
		{map[string]string{
			"id": "VARCHAR", "shard": "VARCHAR", "row": "BIGINT", "text": "VARCHAR", "score_start": "INTEGER", "score_end": "INTEGER", "cluster": "VARCHAR", "meta": "VARCHAR",
		}, documents.DuckDB},
		{map[string]string{"token_id": "INTEGER", "count": "BIGINT", "token_text": "VARCHAR"}, counts.DuckDB},
	} {
		if diff := cmp.Diff(check.want, check.got); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff(map[string][]any{
		"shard_name": list("s"), "row_index": list(2.0), "top_ids": list(list(7.0, 0.0)), "top_nll": list(list("0x1.999999999999ap-4", "0x0.0p+0")),
		"ranks": list(list(1.0, 0.0)), "entropies": list(list("0x1.56e1fc2f8f359p-997", "0x0.0p+0")),
	}, confidence.Values); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string][]any{"token_id": list(3.0), "count": list(float64(1 << 40)), "token_text": list("x")}, counts.Values); diff != "" {
		t.Error(diff)
	}
}

// Tables that pyarrow writes with its defaults, with any page version, compression and dictionaries, are read
// unchanged.
func TestReadPyarrow(t *testing.T) {
	dir := t.TempDir()
	var want []struct {
		Dataset string    `json:"dataset_name"`
		Tags    []string  `json:"tags"`
		Shard   string    `json:"shard_name"`
		Row     int64     `json:"row_index"`
		Text    string    `json:"text"`
		Start   int32     `json:"score_byte_start"`
		End     int32     `json:"score_byte_end"`
		IDs     []int32   `json:"token_ids"`
		Losses  []float64 `json:"per_byte_loss"`
		Starts  []int32   `json:"token_byte_starts"`
		Ends    []int32   `json:"token_byte_ends"`
	}
	if err := json.Unmarshal(python(t, "foreign.py", dir), &want); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.parquet"))
	if err != nil || len(files) < 5 {
		t.Fatalf("got %v (%v)", files, err)
	}
	for _, path := range files {
		reader, err := artifact.OpenExported(path)
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for got, err := range reader.All() {
			if err != nil {
				t.Fatal(err)
			}
			w := want[i]
			if !equal(got, artifact.ExportedDocument{
				Dataset: w.Dataset, Tags: w.Tags, Shard: w.Shard, Row: w.Row, Text: w.Text, ScoreStart: w.Start, ScoreEnd: w.End,
				TokenIDs: w.IDs, PerByteLoss: w.Losses, TokenStarts: w.Starts, TokenEnds: w.Ends,
			}) {
				t.Fatalf("%s: row %d differs", filepath.Base(path), i)
			}
			i++
		}
		if i != len(want) {
			t.Errorf("%s: got %d rows, want %d", filepath.Base(path), i, len(want))
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
