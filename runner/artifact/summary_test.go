package artifact_test

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// Bits per byte and perplexities follow from counts and losses.
func TestFinish(t *testing.T) {
	e := func(x float64) *float64 { x = math.Exp(x); return &x }
	for _, test := range []struct{ s, want artifact.ScoreSummary }{
		{artifact.ScoreSummary{}, artifact.ScoreSummary{}},
		{
			artifact.ScoreSummary{ScoredBytes: 4, ScoredTokens: 2, Tokens: 9, Words: 1, Bytes: 7, Nats: 99, Ledger: artifact.LedgerTotals{Span: 8, Tokens: 10}},
			artifact.ScoreSummary{
				ScoredBytes: 4, ScoredTokens: 2, Tokens: 9, Words: 1, Bytes: 7, Nats: 8, BPB: 2 / math.Ln2, Ledger: artifact.LedgerTotals{Span: 8, Tokens: 10},
				Perplexity: artifact.Perplexity{PerToken: e(4), PerWord: e(8), PerByte: e(2)},
			},
		},
		{
			artifact.ScoreSummary{ScoredBytes: 1, Ledger: artifact.LedgerTotals{Span: 710}},
			artifact.ScoreSummary{ScoredBytes: 1, Nats: 710, BPB: 710 / math.Ln2, Ledger: artifact.LedgerTotals{Span: 710}},
		},
	} {
		got := test.s
		got.Finish()
		if d := cmp.Diff(test.want, got); d != "" {
			t.Error(d)
		}
	}
}

// Ledgers are summed by category.
func TestLedgerTotals(t *testing.T) {
	var l artifact.LedgerTotals
	l.Add(protocol.Ledger{Tokens: 15, Span: 1, Outside: 2, EOS: 4, NoBytes: 8})
	if l.UnscoredBytes != nil {
		t.Errorf("got %v", l.UnscoredBytes)
	}
	for range 2 {
		l.Add(protocol.Ledger{Tokens: 150, Span: 10, Outside: 20, EOS: 40, NoBytes: 80, UnscoredBytes: map[string]int64{"a": 3, "b": 1}})
	}
	want := artifact.LedgerTotals{Tokens: 315, Span: 21, Outside: 42, EOS: 84, NoBytes: 168, UnscoredBytes: map[string]int64{"a": 6, "b": 2}}
	if d := cmp.Diff(want, l); d != "" {
		t.Error(d)
	}
}

// JSON is indented, and errors contain the name of the file.
func TestJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.json")
	if err := artifact.WriteJSON(path, map[string]int{"b": 1, "a": 2}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "{\n  \"a\": 2,\n  \"b\": 1\n}\n" {
		t.Errorf("got %q, %v", data, err)
	}
	var back map[string]int
	if err := artifact.ReadJSON(path, &back); err != nil || back["a"] != 2 {
		t.Errorf("got %v, %v", back, err)
	}
	var text string
	for _, err := range []error{artifact.WriteJSON(path, math.NaN()), artifact.ReadJSON(path, &text)} {
		if err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("got error %v", err)
		}
	}
	if err := artifact.ReadJSON(path+".missing", &text); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
}

// Rows are ordered by shard, bytewise, and then by number.
func TestCompareKeys(t *testing.T) {
	for _, test := range []struct {
		a, b   artifact.RowID
		before bool
	}{
		{artifact.RowID{Shard: "s10", Row: 9}, artifact.RowID{Shard: "s2", Row: 1}, true},
		{artifact.RowID{Shard: "s", Row: 2}, artifact.RowID{Shard: "s", Row: 10}, true},
		{artifact.RowID{Shard: "s", Row: 2}, artifact.RowID{Shard: "s", Row: 2}, false},
		{artifact.RowID{Shard: "S", Row: 2}, artifact.RowID{Shard: "s", Row: 1}, true},
	} {
		x, y := artifact.CompareRows(test.a.Shard, test.a.Row, test.b.Shard, test.b.Row), artifact.CompareRows(test.b.Shard, test.b.Row, test.a.Shard, test.a.Row)
		if x != -y || (x < 0) != test.before {
			t.Errorf("%v and %v: %d and %d", test.a, test.b, x, y)
		}
	}
}

// Writer and reader reject documents outside the limits, and accept those at the limits.
func TestDocumentBounds(t *testing.T) {
	for _, test := range []struct {
		d    artifact.Document
		want string
	}{
		{artifact.Document{Text: "ab", ScoreStart: 2, ScoreEnd: 2}, ""},
		{artifact.Document{Text: "ab", ScoreEnd: 2}, ""},
		{artifact.Document{Shard: "s", Row: 3, Text: "ab", ScoreEnd: 3}, `shard "s", row 3: scored span [0, 3) is out of range`},
		{artifact.Document{Shard: "s", Row: 3, Text: "a\xff"}, `shard "s", row 3: text: invalid UTF-8 at byte 1`},
	} {
		read := func() error {
			in, err := artifact.OpenDocuments(foreign(t, test.d))
			if err != nil {
				return err
			}
			var d artifact.Document
			return errors.Join(in.Read(&d), in.Close())
		}
		for who, err := range map[string]error{"writer": artifact.NewDocumentWriter(io.Discard).Write(test.d), "reader": read()} {
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got error %v, want %q", who, err, test.want)
			}
		}
	}
	for _, test := range []struct {
		starts, ends []int32
		want         string
	}{
		{[]int32{3}, []int32{2}, `shard "s", row 4: unscored range [3, 2)`},
		{[]int32{1, 3}, []int32{1, 4}, `shard "s", row 4: unscored range [1, 1)`},
		{[]int32{1, 4}, []int32{4, 4}, ""},
	} {
		reasons := slices.Repeat([]string{"r"}, len(test.starts))
		ledger, err := artifact.OpenLedger(foreign(t, artifact.LedgerRow{Shard: "s", Row: 4, UnscoredStarts: test.starts, UnscoredEnds: test.ends, UnscoredReasons: reasons}))
		if err != nil {
			t.Fatal(err)
		}
		err = ledger.Read(&artifact.LedgerRow{})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("ranges from %d to %d: got error %v, want %q", test.starts, test.ends, err, test.want)
		}
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A canceled export ends, and the export of a missing table fails.
func TestExportFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := artifact.ExportScored(ctx, writeScored(t, special...), io.Discard, artifact.Labels{Dataset: "d"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	if err := artifact.ExportScored(t.Context(), filepath.Join(t.TempDir(), "missing"), io.Discard, artifact.Labels{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
	if err := artifact.ExportScored(t.Context(), writeScored(t, special...), io.Discard, artifact.Labels{}); err == nil || !strings.Contains(err.Error(), "dataset_name is empty") {
		t.Errorf("got error %v", err)
	}
}

// A JSON file that is too large is not read.
func TestLargeJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	if err := artifact.WriteJSON(path, 1); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil { // The file has a hole, which needs no space on disk.
		t.Fatal(err)
	}
	var v any
	if err := artifact.ReadJSON(path, &v); err == nil || err.Error() != path+": it is larger than 256 MiB" {
		t.Errorf("got %v", err)
	}
}
