package scores

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/artifact/artifacttest"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// foreign is a row as another tool writes it.
type foreign = artifacttest.ForeignRow

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
	// A span that ends before its text: the zero after it is outside.
	ends := row("b/x", "s2", 12, "abc!", 1, 8, 1, 0, 0)
	*ends.ScoreEnd, ends.TokenEnds[1] = 3, 4
	four := int32(4)
	ends.NumBytes = &four
	path := write(t,
		ends,
		row("a", "s", 0, "d", 0, 2),
		row("b/x", "s10", 9, "ef", 0, 1, 1),
		row("b/x", "s2", 9, "gh", 2, 1, 1),
		row("b/x", "s10", 4, "i", 0, 0.5),
	)
	dir, scratch := t.TempDir(), t.TempDir()
	got, err := Import(t.Context(), path, dir, scratch, "theirs")
	if err != nil {
		t.Fatal(err)
	}
	for i, units := range []int64{1, 3} {
		d := &got.Datasets[i]
		if u := d.Units; u.Units != units || math.Abs(u.D-d.Nats/math.Ln2) > 1e-12 || u.W != float64(d.ScoredBytes) {
			t.Errorf("%s: got the documents' sums %+v", d.Name, u)
		}
	}
	withoutUnits := cmpopts.IgnoreFields(artifact.ImportedDataset{}, "Units", "Shards")
	want := artifact.Import{Datasets: []artifact.ImportedDataset{
		{Name: "a", Tags: []string{"a", "t"}, Documents: 1, Bytes: 1, ScoredBytes: 1, Tokens: 2, Nats: 2},
		{Name: "b/x", Tags: []string{"b/x", "t"}, Documents: 4, Bytes: 9, ScoredBytes: 5, Tokens: 8, ZeroLossBytes: 1, Nats: 3.5},
	}}
	if diff := cmp.Diff(want, got, withoutUnits); diff != "" {
		t.Error(diff)
	}
	var written artifact.Import
	if err := artifact.ReadJSON(filepath.Join(dir, artifact.ImportFile), &written); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, written, withoutUnits); diff != "" {
		t.Error(diff)
	}
	var summary artifact.ScoreSummary
	if err := artifact.ReadJSON(filepath.Join(dir, "b", "x", artifact.SummaryFile), &summary); err != nil {
		t.Fatal(err)
	}
	if summary.Interval == nil || summary.Units != got.Datasets[1].Units {
		t.Errorf("got the interval %v and the sums %+v", summary.Interval, summary.Units)
	}
	nats := artifact.LedgerTotals{Tokens: 3.5, Span: 3.5}
	if diff := cmp.Diff(artifact.ScoreSummary{
		Documents: 4, Bytes: 9, ScoredBytes: 5, Tokens: 8, Nats: 3.5, BPB: 3.5 / math.Ln2 / 5, Ledger: nats, Protocol: artifact.ScoringProtocol{Imported: "theirs"},
	}, summary, cmpopts.IgnoreFields(artifact.ScoreSummary{}, "Units", "Shards", "Interval")); diff != "" {
		t.Error(diff)
	}
	for _, name := range Files(got) {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			t.Error(err)
		}
	}
	scored, err := artifact.OpenScored(filepath.Join(dir, "b", "x", artifact.ScoredFile))
	if err != nil {
		t.Fatal(err)
	}
	defer scored.Close()
	var keys []artifact.RowID
	for d, err := range scored.All() {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, artifact.RowID{Shard: d.Shard, Row: d.Row})
	}
	if want := []artifact.RowID{{Shard: "s10", Row: 4}, {Shard: "s10", Row: 9}, {Shard: "s2", Row: 9}, {Shard: "s2", Row: 12}}; !slices.Equal(keys, want) {
		t.Errorf("got %v, want %v", keys, want)
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
		{Shard: "s10", Row: 4, TokenNats: 0.5, SpanNats: 0.5, ScoredBytes: 1},
		{Shard: "s10", Row: 9, TokenNats: 2, SpanNats: 2, ScoredBytes: 2},
		{Shard: "s2", Row: 9, TokenNats: 2, OutsideNats: 2},
		{Shard: "s2", Row: 12, TokenNats: 9, SpanNats: 1, OutsideNats: 8, ScoredBytes: 2},
	}
	if diff := cmp.Diff(wantRows, rows, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	// What was imported is exported as it was.
	out, err := os.Create(filepath.Join(scratch, "exported.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	err = artifact.ExportScored(t.Context(), filepath.Join(dir, "b", "x", artifact.ScoredFile), out, artifact.Labels{Dataset: "b/x", Tags: []string{"t", "b/x"}})
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := parquet.ReadFile[foreign](out.Name())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ends, again[3]); diff != "" {
		t.Error(diff)
	}
	if err := os.Remove(out.Name()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("got %v (%v) in the scratch directory", left, err)
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
		{"no rows", nil, "the table has no rows"},
		{"twice", []foreign{row("a", "s", 1, "x", 0, 1), row("b", "s", 1, "x", 0, 1), row("a", "s", 1, "y", 0, 1)}, `dataset "a", shard "s", row 1: duplicate row`},
		{"num_bytes", []foreign{wrong}, `dataset "a", shard "s", row 1: num_bytes: expected 1, the text's size in bytes, got 5`},
		{"null", []foreign{null}, `column "row_index": unexpected null`},
		{"losses", []foreign{row("a", "s", 1, "xy", 0, 1)}, `per_byte_loss: expected 2 losses, one per byte of the text, got 1`},
		{"negative", []foreign{row("a", "s", 1, "x", 0, -1)}, `per_byte_loss: the loss at byte 0 is -1`},
		{"span", []foreign{row("a", "s", 1, "x", 2, 1)}, `scored span [2, 1) is out of range`},
		{"name that leads elsewhere", []foreign{row("../a", "s", 1, "x", 0, 1)}, `invalid dataset_name "../a"`},
		{"name with an empty part", []foreign{row("a//b", "s", 1, "x", 0, 1)}, `invalid dataset_name "a//b"`},
		{"name that ends in a slash", []foreign{row("a/", "s", 1, "x", 0, 1)}, `invalid dataset_name "a/": empty`},
		{"name of the whole file system", []foreign{row("/a", "s", 1, "x", 0, 1)}, `invalid dataset_name "/a"`},
		{"name of no dataset", []foreign{row(".", "s", 1, "x", 0, 1)}, `invalid dataset_name "."`},
		{"name with a backslash", []foreign{row(`a\b`, "s", 1, "x", 0, 1)}, `invalid dataset_name "a\\b": backslashes`},
		{"name with a zero byte", []foreign{row("a\x00b", "s", 1, "x", 0, 1)}, `invalid dataset_name "a\x00b": backslashes`},
		{"name with a . component", []foreign{row("a/./b", "s", 1, "x", 0, 1)}, `invalid dataset_name "a/./b"`},
		{"sum", []foreign{row("a", "s", 1, "xy", 0, 1e308, 1e308)}, `the sum of the losses is not finite`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Import(t.Context(), write(t, test.rows...), t.TempDir(), t.TempDir(), "p")
			if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("got error %v, want %q of kind invalid input", err, test.want)
			}
		})
	}
}

// A warning counts all datasets with a flaw and names three.
func TestWarnings(t *testing.T) {
	var found artifact.Import
	flawed := func(n int) []string {
		found.Datasets = []artifact.ImportedDataset{{Name: "sound", ScoredBytes: 4}}
		for i := range n {
			found.Datasets = append(found.Datasets, artifact.ImportedDataset{Name: fmt.Sprintf("d%d", i), ScoredBytes: 9, ZeroLossBytes: 2})
		}
		return Warnings(found)
	}
	const flaw = "a loss of exactly zero; the scorer may have skipped them but still counted them: "
	for n, want := range map[int][]string{
		0:   nil,
		3:   {"6 scored bytes in 3 of 4 datasets have " + flaw + "d0 (2 of 9), d1 (2 of 9), d2 (2 of 9)"},
		400: {"800 scored bytes in 400 of 401 datasets have " + flaw + "d0 (2 of 9), d1 (2 of 9), d2 (2 of 9) and 397 more, listed in import.json"},
	} {
		if diff := cmp.Diff(want, flawed(n)); diff != "" {
			t.Errorf("%d: %s", n, diff)
		}
	}
}

// A table that differs from the plan is rejected.
// The measurements of an import count whole texts, not scored spans.
func TestMeasured(t *testing.T) {
	path := write(t, row("a", "s", 3, "d", 0, 2), row("b/x", "s", 9, "ef", 1, 1, 1))
	table, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	of, err := plan.Canonical(parameters{Protocol: "theirs", Table: protocol.Digest(table)})
	if err != nil {
		t.Fatal(err)
	}
	at, err := plan.Canonical(localSettings{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	task := &action.Task{Descriptor: plan.Descriptor{Kind: name, Parameters: of}, Machine: at, Dir: t.TempDir()}
	r, err := Kind{}.Work(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(task.Dir, "*"))
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if want := []string{"a", "b", artifact.ImportFile}; err != nil || !slices.Equal(left, want) || len(r.Warnings) > 0 || len(r.Files) != 7 || !slices.IsSorted(r.Files) {
		t.Errorf("got %q, %v, want %q; warned %q of %q", left, err, want, r.Warnings, r.Files)
	}
	var summary artifact.ScoreSummary
	if err := artifact.ReadJSON(task.Path("b/x/"+artifact.SummaryFile), &summary); err != nil || summary.Protocol.Imported != "theirs" {
		t.Errorf("got %+v, %v", summary, err)
	}
	if d := cmp.Diff(map[string]float64{plan.MeasuredDocuments: 2, plan.MeasuredBytes: 3}, r.Measured); d != "" {
		t.Error(d)
	}
}

// A verification replays the ledger of each dataset, and names the wrong one.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	found, err := Import(t.Context(), write(t, row("a", "s", 3, "d", 0, 2), row("b/x", "s", 9, "ef", 0, 1, 1)), dir, t.TempDir(), "theirs")
	if err != nil {
		t.Fatal(err)
	}
	var outputs []store.File
	for _, name := range Files(found) {
		outputs = append(outputs, store.File{Name: name, Digest: filepath.Join(dir, filepath.FromSlash(name))})
	}
	files := action.NewFiles(outputs, func(_ context.Context, path string) (string, error) { return path, nil })
	if n, err := (Kind{}).Verify(t.Context(), files); n != 2 || err != nil {
		t.Errorf("got %d ledgers, %v", n, err)
	}
	for i, f := range outputs {
		if f.Name == "b/x/"+artifact.LedgerFile {
			outputs[i].Digest = filepath.Join(dir, "a", artifact.LedgerFile)
		}
	}
	if _, err := (Kind{}).Verify(t.Context(), files); err == nil || !strings.HasPrefix(err.Error(), `dataset b/x: shard "s" row 9: the ledger has shard "s" row 3 in this position`) {
		t.Errorf("got error %v", err)
	}
	some := action.NewFiles(slices.DeleteFunc(outputs, func(f store.File) bool { return f.Name == "a/"+artifact.LedgerFile }),
		func(_ context.Context, path string) (string, error) { return path, nil })
	if _, err := (Kind{}).Verify(t.Context(), some); err == nil {
		t.Error("got no error for a ledger that is missing")
	}
}

func TestFetch(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "t.parquet"), []byte("now"), 0o600); err != nil {
		t.Fatal(err)
	}
	digest := protocol.Digest([]byte("now"))
	for _, at := range []localSettings{{Path: "t.parquet", Dir: dir}, {Path: filepath.Join(dir, "t.parquet"), Dir: "/elsewhere"}} {
		if path, err := fetch(t.Context(), at, digest, t.TempDir()); err != nil || path != filepath.Join(dir, "t.parquet") {
			t.Errorf("%+v: got %s, %v", at, path, err)
		}
	}
	_, err := fetch(t.Context(), localSettings{Path: "t.parquet", Dir: dir}, protocol.Digest([]byte("then")), t.TempDir())
	if err == nil || protocol.KindOf(err) != protocol.Changed || !strings.Contains(err.Error(), "t.parquet changed since the plan was made") {
		t.Errorf("a table that changed: got error %v", err)
	}
}
