package scores

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// foreign is a row as another tool writes it, with optional columns.
type foreign struct {
	Dataset     string    `parquet:"dataset_name,optional"`
	Tags        []string  `parquet:"tags,optional,list"`
	Shard       string    `parquet:"shard_name,optional"`
	Row         *int64    `parquet:"row_index,optional"`
	Text        string    `parquet:"text,optional"`
	ScoreStart  *int32    `parquet:"score_byte_start,optional"`
	ScoreEnd    *int32    `parquet:"score_byte_end,optional"`
	TokenIDs    []int32   `parquet:"token_ids,optional,list"`
	PerByteLoss []float64 `parquet:"per_byte_loss,optional,list"`
	TokenStarts []int32   `parquet:"token_byte_starts,optional,list"`
	TokenEnds   []int32   `parquet:"token_byte_ends,optional,list"`
	NumBytes    *int32    `parquet:"num_bytes,optional"`
}

func row(dataset, shard string, n int64, text string, start int32, losses ...float64) foreign {
	end := int32(len(text))
	return foreign{
		Dataset: dataset, Tags: []string{"t", dataset}, Shard: shard, Row: &n, Text: text, ScoreStart: &start, ScoreEnd: &end, NumBytes: &end,
		TokenIDs: []int32{1, 7}, TokenStarts: []int32{-1, 0}, TokenEnds: []int32{-1, end}, PerByteLoss: losses,
	}
}

func write(t *testing.T, rows ...foreign) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "foreign.parquet")
	if err := parquet.WriteFile(path, rows); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImport(t *testing.T) {
	path := write(t,
		row("b/x", "s2", 4, "abc", 1, 8, 1, 0),
		row("a", "s", 0, "d", 0, 2),
		row("b/x", "s10", 9, "ef", 0, 1, 1),
		row("b/x", "s2", 1, "gh", 2, 1, 1),
	)
	dir, scratch := t.TempDir(), t.TempDir()
	got, err := Import(t.Context(), path, dir, scratch)
	if err != nil {
		t.Fatal(err)
	}
	want := []Dataset{
		{Key: "a", Tags: []string{"a", "t"}, Documents: 1, Bytes: 1, ScoredBytes: 1, Tokens: 2, Nats: 2},
		{Key: "b/x", Tags: []string{"b/x", "t"}, Documents: 3, Bytes: 7, ScoredBytes: 4, Tokens: 6, ZeroLossBytes: 1, Nats: 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	scored, err := artifact.OpenScored(filepath.Join(dir, "b", "x", artifact.ScoredFile))
	if err != nil {
		t.Fatal(err)
	}
	defer scored.Close()
	var keys []artifact.Key
	for d, err := range scored.All() {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, artifact.Key{Shard: d.Shard, Row: d.Row})
	}
	if want := []artifact.Key{{Shard: "s10", Row: 9}, {Shard: "s2", Row: 1}, {Shard: "s2", Row: 4}}; !slices.Equal(keys, want) {
		t.Errorf("found %v, wanted %v", keys, want)
	}
	ledger, err := artifact.OpenLedger(filepath.Join(dir, "b", "x", artifact.LedgerFile))
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	var rows []artifact.LedgerRow
	for l, err := range ledger.All() {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, l)
	}
	wantRows := []artifact.LedgerRow{
		{Shard: "s10", Row: 9, TokenNats: 2, SpanNats: 2, ScoredBytes: 2},
		{Shard: "s2", Row: 1, TokenNats: 2, OutsideNats: 2},
		{Shard: "s2", Row: 4, TokenNats: 9, SpanNats: 1, OutsideNats: 8, ScoredBytes: 2},
	}
	if diff := cmp.Diff(wantRows, rows, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("found %v (%v) in the scratch folder", left, err)
	}
}

func TestImportRefuses(t *testing.T) {
	five := int32(5)
	wrong := row("a", "s", 1, "x", 0, 1)
	wrong.NumBytes = &five
	null := row("a", "s", 1, "x", 0, 1)
	null.Row = nil
	for _, test := range []struct {
		name string
		rows []foreign
		want string
	}{
		{"no rows", nil, "found no rows"},
		{"twice", []foreign{row("a", "s", 1, "x", 0, 1), row("b", "s", 1, "x", 0, 1), row("a", "s", 1, "y", 0, 1)}, `dataset "a", shard "s", row 1: found twice`},
		{"num_bytes", []foreign{wrong}, `dataset "a", shard "s", row 1: num_bytes: found 5, wanted 1`},
		{"null", []foreign{null}, `column "row_index": found null, wanted a value`},
		{"losses", []foreign{row("a", "s", 1, "xy", 0, 1)}, `per_byte_loss: found 1 losses, wanted 2`},
		{"negative", []foreign{row("a", "s", 1, "x", 0, -1)}, `per_byte_loss: found -1 at byte 0`},
		{"span", []foreign{row("a", "s", 1, "x", 2, 1)}, `scored span: found [2, 1)`},
		{"key that leads elsewhere", []foreign{row("../a", "s", 1, "x", 0, 1)}, `dataset_name: found "../a"`},
		{"key with an empty part", []foreign{row("a//b", "s", 1, "x", 0, 1)}, `dataset_name: found "a//b"`},
		{"sum", []foreign{row("a", "s", 1, "xy", 0, 1e308, 1e308)}, `losses whose sum is not finite`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Import(t.Context(), write(t, test.rows...), t.TempDir(), t.TempDir())
			if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("found error %v, wanted %q of kind invalid input", err, test.want)
			}
		})
	}
}
