package gap

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// doc is a document for hand-written tests. Its losses are integers in nats, so that sums are exact, and the last value
// is repeated to the end of the text.
type doc struct {
	dataset, shard string
	row            int64
	text           string
	start, end     int32 // end 0 is the end of the text
	tags           []string
	a, b           []float64
	unscoredA      []int32 // starts and ends
	unscoredB      []int32
}

func (d doc) scored(nats []float64, unscored []int32) (artifact.ExportedDocument, artifact.LedgerRow) {
	s := artifact.ExportedDocument{Dataset: d.dataset, Tags: d.tags, Shard: d.shard, Row: d.row, Text: d.text, ScoreStart: d.start, ScoreEnd: d.end}
	if s.ScoreEnd == 0 {
		s.ScoreEnd = int32(len(d.text))
	}
	for i := range len(d.text) {
		s.PerByteLoss = append(s.PerByteLoss, nats[min(i, len(nats)-1)])
		s.TokenIDs = append(s.TokenIDs, int32(d.text[i]))
		s.TokenStarts = append(s.TokenStarts, int32(i))
		s.TokenEnds = append(s.TokenEnds, int32(i+1))
	}
	l := artifact.LedgerRow{Shard: d.shard, Row: d.row, ScoredBytes: s.ScoreEnd - s.ScoreStart}
	for r := range slices.Chunk(unscored, 2) {
		l.UnscoredStarts, l.UnscoredEnds, l.UnscoredReasons = append(l.UnscoredStarts, r[0]), append(l.UnscoredEnds, r[1]), append(l.UnscoredReasons, "no context")
		l.ScoredBytes -= max(0, min(r[1], s.ScoreEnd)-max(r[0], s.ScoreStart))
	}
	return s, l
}

// sides writes the documents' tables of both models.
func sides(t testing.TB, docs ...doc) (a, b Side) {
	t.Helper()
	return side(t, "A", docs, func(d doc) ([]float64, []int32) { return d.a, d.unscoredA }),
		side(t, "B", docs, func(d doc) ([]float64, []int32) { return d.b, d.unscoredB })
}

func side(t testing.TB, name string, docs []doc, losses func(doc) ([]float64, []int32)) Side {
	t.Helper()
	s := Side{Name: name}
	byDataset := map[string][]doc{}
	for _, d := range docs {
		byDataset[d.dataset] = append(byDataset[d.dataset], d)
	}
	for _, key := range slices.Sorted(maps.Keys(byDataset)) {
		dir := t.TempDir()
		f := createFiles(t, dir)
		for _, d := range byDataset[key] {
			nats, unscored := losses(d)
			scored, ledger := d.scored(nats, unscored)
			f.write(t, scored, ledger)
		}
		f.close(t)
		s.Datasets = append(s.Datasets, Table{Dataset: key, Tags: f.tags, ScoredPath: filepath.Join(dir, "scored_documents.parquet")})
	}
	return s
}

func compare(t *testing.T, a, b Side) *Summary {
	t.Helper()
	s, err := Compare(t.Context(), a, b, t.TempDir(), Options{Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// near compares the sums of rows. What units tell about them is tested by TestUnits.
var near = cmp.Options{
	cmpopts.EquateApprox(1e-12, 0), cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(Row{}, "Units", "WonA", "WonB", "Effective", "Error", "Low", "High", "P", "PSigns", "Q", "Detectable", "Verdict"),
}

// row is a row with losses of a and b nats.
func row(name string, documents, bytes int64, a, b float64) Row {
	n := float64(bytes) * math.Ln2
	x, y, g := a/n, b/n, (a-b)/n
	return Row{Name: name, Documents: documents, Bytes: bytes, ABPB: &x, BBPB: &y, GapBPB: &g, DeltaBits: (a - b) / math.Ln2}
}

// A comparison computed by hand: every sum of every row.
func TestSums(t *testing.T) {
	a, b := sides(t,
		doc{dataset: "web/x", shard: "s", row: 0, text: "ab 1\nab", a: []float64{1}, b: []float64{2, 2, 0}, tags: []string{"t/u"}},
		doc{dataset: "web/x", shard: "s", row: 5, text: "", a: []float64{1}, b: []float64{1}, tags: []string{"v"}},
		doc{dataset: "web/y", shard: "s", row: 0, text: "ab", a: []float64{4}, b: []float64{1}, tags: []string{"t/u"}},
		doc{dataset: "none", shard: "s", row: 0, text: "", a: []float64{4}, b: []float64{1}},
	)
	s := compare(t, a, b)
	check := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got, near); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	check("overall", s.Overall, row("overall", 4, 9, 15, 6))
	// Documents without scored bytes count. A dataset without scored bytes stays, with null bpb.
	check("datasets", s.Datasets, []Row{row("web/y", 1, 2, 8, 2), row("web/x", 2, 7, 7, 4), {Name: "none", Documents: 1}})
	// "web/x" and "web/y" would be single datasets with their own names. A dataset counts completely in each of its
	// tags.
	check("groups", s.Groups, []Row{row("t", 3, 9, 15, 6), row("t/u", 3, 9, 15, 6), row("web", 3, 9, 15, 6), row("v", 2, 7, 7, 4)})
	// Equal differences are sorted by name. Rows of buckets count segments.
	check("buckets", s.Buckets, []Row{
		row("text/word", 3, 6, 12, 6), row("text/number", 1, 1, 1, 0), row("whitespace/newline", 1, 1, 1, 0), row("whitespace/single_space", 1, 1, 1, 0),
	})
	var literals []string
	for _, l := range s.TopLiterals.AWorse {
		literals = append(literals, fmt.Sprintf("%s %s %d %d %.3g %s%s", l.Name, l.Bucket, l.Documents, l.Bytes, l.DeltaBits*math.Ln2, l.ABoundaries, l.ExampleDataset))
	}
	// Equal differences are sorted by first occurrence.
	check("literals", literals, []string{
		"ab text/word 3 6 6 |a|b|web/y", "␠ whitespace/single_space 1 1 1 |␠|web/x", "1 text/number 1 1 1 |1|web/x", "⏎ whitespace/newline 1 1 1 |⏎|web/x",
	})
	if len(s.TopLiterals.BWorse) != 0 {
		t.Errorf("literals where b is worse: got %v", s.TopLiterals.BWorse)
	}
	var segments []string
	for _, list := range [][]Segment{s.TopSegments.AWorse, s.TopSegments.BWorse} {
		for _, g := range list {
			segments = append(segments, fmt.Sprintf("%s %s:%d[%d,%d) %.3g", g.Text, g.Dataset, g.Row, g.Start, g.End, g.DeltaBits*math.Ln2))
		}
	}
	check("segments", segments, []string{"ab web/y:0[0,2) 6", "ab web/x:0[5,7) 2", "␠ web/x:0[2,3) 1", "1 web/x:0[3,4) 1", "⏎ web/x:0[4,5) 1", "ab web/x:0[0,2) -2"})
	var documents []string
	for _, d := range s.TopDocuments.AWorse {
		documents = append(documents, fmt.Sprintf("%s:%d %.3g %s[%d,%d) %.3g %q", d.Dataset, d.Row, d.DeltaBits*math.Ln2, *d.WorstText, *d.WorstStart, *d.WorstEnd, *d.WorstGapBPB*math.Ln2, d.Preview))
	}
	check("documents", documents, []string{`web/y:0 6 ab[0,2) 3 "ab"`, `web/x:0 3 ab[5,7) 1 "ab␠1⏎ab"`})
	check("zero-loss bytes", s.ZeroLoss, Bytes{B: 5, Either: 5})
}

// Segments are clipped to the scored span before their bucket is determined. A character that crosses the boundary
// belongs to the part before it. A part without a whole character counts only in the dataset.
func TestClipping(t *testing.T) {
	for _, test := range []struct {
		name, text string
		start, end int32
		want       string
	}{
		{"url", "https://x", 1, 9, "text/punctuation 8"},
		{"line break", "a\r\nb", 2, 4, "text/word 1, whitespace/newline 1"},
		{"start inside a character", "éab", 1, 4, "text/word 3"},
		{"end inside a character", "aé", 0, 2, "text/non_ascii_word 2"},
		{"no whole character", "a é", 3, 4, ""},
		{"number", "1,000", 1, 5, "text/punctuation 4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := sides(t, doc{dataset: "d", shard: "s", text: test.text, start: test.start, end: test.end, a: []float64{2}, b: []float64{1}})
			s := compare(t, a, b)
			var got []string
			for _, r := range s.Buckets {
				got = append(got, fmt.Sprintf("%s %d", r.Name, r.Bytes))
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if n := int64(test.end - test.start); s.Overall.Bytes != n || math.Abs(s.Overall.DeltaBits*math.Ln2-float64(n)) > 1e-12 {
				t.Errorf("overall: got %d bytes and %v bits, want %d bytes and as many nats", s.Overall.Bytes, s.Overall.DeltaBits, n)
			}
			if test.want == "" && (s.TopDocuments.AWorse[0].WorstText != nil || s.TopDocuments.AWorse[0].Preview != "a␠é") {
				t.Errorf("got worst segment %v", s.TopDocuments.AWorse[0])
			}
		})
	}
}

// Bytes that one side did not score are excluded from the sums and counts of both sides. Segments do not change.
func TestUnscored(t *testing.T) {
	a, b := sides(t,
		doc{dataset: "d", shard: "s", text: "abcd ef", a: []float64{9, 9, 3}, b: []float64{7, 7, 1}, unscoredA: []int32{0, 2}, unscoredB: []int32{1, 3, 4, 5}},
		doc{dataset: "d", shard: "s", row: 1, text: "xy", a: []float64{1}, b: []float64{1}, unscoredA: []int32{0, 2}},
		doc{dataset: "d", shard: "s", row: 2, text: "xyz", start: 1, a: []float64{5, 1}, b: []float64{0, 1}, unscoredB: []int32{0, 1}},
	)
	s := compare(t, a, b)
	for _, test := range []struct{ got, want any }{
		{s.Overall, row("overall", 3, 5, 11, 5)},
		{s.Buckets, []Row{row("text/word", 3, 5, 11, 5)}},
		{s.Unscored, Bytes{A: 4, B: 3, Either: 6}},
		{s.TopLiterals.AWorse[0].Name, "ef"},
		{s.TopLiterals.AWorse[1].Name, "abcd"},
		{s.TopLiterals.AWorse[1].Bytes, int64(1)},
	} {
		if diff := cmp.Diff(test.want, test.got, near); diff != "" {
			t.Error(diff)
		}
	}
}

func TestPreviews(t *testing.T) {
	long := strings.Repeat("é", 200)
	for _, test := range []struct{ got, want string }{
		{preview("a b\n", 0, 1), "a␠b⏎"},
		{preview(long[:240], 0, 2), long[:240]},
		{preview(long, 0, 2), long[:2*118] + "…"},
		{preview(long, 398, 400), "…" + long[:2*118]},
		{preview(strings.Repeat("x", 100)+"HERE"+strings.Repeat("y", 100), 100, 104), "…" + strings.Repeat("x", 57) + "HERE" + strings.Repeat("y", 57) + "…"},
		{shorten("12345", 5), "12345"},
		{shorten("123456", 5), "1234…"},
		{tokenBoundaries("ab cd", 1, 4, []int32{0, -1, 2, 2, 3}, []int32{2, -1, 2, 3, 5}), "|…b|␠|c…|"},
		{tokenBoundaries("ab", 0, 2, nil, nil), "(no aligned tokens)"},
		{tokenBoundaries("ab cd", 1, 4, nil, []int32{2, 2, 3, 5}), "|…b|␠|c…|"},
		{tokenBoundaries("ab cd", 2, 3, nil, []int32{0, 2, 3, 3, 5}), "|␠|"},
		{tokenBoundaries("ab cd", 0, 1, nil, []int32{1, 5}), "|a|"},
		{tokenBoundaries("ab cd", 4, 5, nil, []int32{2, 4}), "(no aligned tokens)"},
	} {
		if test.got != test.want {
			t.Errorf("got %q\nwant %q", test.got, test.want)
		}
	}
}

// A preview is a window of code points around the middle of the shown bytes, shifted to be inside the text.
func TestPreviewWindow(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 2000 {
		text := make([]rune, 100+r.IntN(200))
		for i := range text {
			text[i] = []rune("aé€🙂")[r.IntN(4)]
		}
		first := r.IntN(len(text))
		last := first + r.IntN(min(len(text)-first, 1+r.IntN(200))) + 1
		const content = previewLimit - 2
		from := max(0, (first+last)/2-content/2)
		to := min(len(text), from+content)
		from = max(0, to-content)
		want := string(text[from:to])
		if len(text) <= previewLimit {
			from, to, want = 0, len(text), string(text)
		}
		if from > 0 {
			want = "…" + want
		}
		if to < len(text) {
			want += "…"
		}
		if got := preview(string(text), len(string(text[:first])), len(string(text[:last]))); got != want {
			t.Fatalf("code points [%d, %d) of %d: got %q\nwant %q", first, last, len(text), got, want)
		}
	}
}

// Sides that cannot be compared are rejected with the dataset, shard and row.
func TestRefusals(t *testing.T) {
	base := []doc{
		{dataset: "d", shard: "s", row: 0, text: "one", a: []float64{1}, b: []float64{1}, tags: []string{"t"}},
		{dataset: "d", shard: "s", row: 1, text: "two", a: []float64{1}, b: []float64{1}, tags: []string{"t"}},
		{dataset: "e", shard: "s", row: 0, text: "three", a: []float64{1}, b: []float64{1}},
	}
	losses := func(d doc) ([]float64, []int32) { return d.b, d.unscoredB }
	change := func(f func(docs []doc) []doc) func(*testing.T) (Side, Side) {
		return func(t *testing.T) (Side, Side) {
			a, _ := sides(t, base...)
			return a, side(t, "B", f(slices.Clone(base)), losses)
		}
	}
	for name, test := range map[string]struct {
		make func(*testing.T) (Side, Side)
		want string
	}{
		"document missing": {change(func(d []doc) []doc { return slices.Delete(d, 1, 2) }),
			`dataset "d", shard "s", row 1: the scores of model "A" have this row, but those of model "B" do not`},
		"document too many": {change(func(d []doc) []doc { d = slices.Insert(d, 1, d[0]); d[1].shard = "r"; return d }),
			`dataset "d", shard "r", row 0: the scores of model "B" have this row, but those of model "A" do not`},
		"document twice": {change(func(d []doc) []doc { return slices.Insert(d, 1, d[0]) }),
			`dataset "d", shard "s", row 0: duplicate row in the scores of model "B"`},
		"document twice on both sides": {func(t *testing.T) (Side, Side) { return sides(t, base[0], base[0]) },
			`dataset "d", shard "s", row 0: duplicate row in the scores of models "A" and "B"`},
		"dataset missing": {change(func(d []doc) []doc { return d[:2] }), `dataset "e" has scores of model "A" but not of model "B"`},
		"dataset twice": {func(t *testing.T) (Side, Side) {
			a, b := sides(t, base...)
			b.Datasets = append(b.Datasets, b.Datasets[0])
			return a, b
		}, `model "B": duplicate dataset "d"`},
		"another text": {change(func(d []doc) []doc { d[1].text = "twO!"; return d }),
			`dataset "d", shard "s", row 1: the texts differ: 3 bytes for model "A" and 4 for "B", different from byte 2 on`},
		"another span": {change(func(d []doc) []doc { d[1].start = 1; return d }), `row 1: the scored spans differ: [0, 3) for model "A" and [1, 3) for "B"`},
		"protocols": {func(t *testing.T) (Side, Side) {
			a, b := sides(t, base...)
			a.Protocol, b.Protocol = []byte(`{"stride": 1, "dtype":"f32"}`), []byte(`{"dtype":"bf16","stride":1,"eos":true}`)
			return a, b
		}, `models "A" and "B" have different scoring protocols (dtype: a "f32", b "bf16"; eos: a not set, b true)`},
		"no protocol": {func(t *testing.T) (Side, Side) {
			a, b := sides(t, base...)
			a.Protocol = []byte(`[]`)
			return a, b
		}, `model "A": the scoring protocol is not a JSON object`},
		"damaged": {func(t *testing.T) (Side, Side) {
			a, b := sides(t, base...)
			if err := os.Truncate(b.Datasets[0].ScoredPath, 100); err != nil {
				t.Fatal(err)
			}
			return a, b
		}, `scored_documents.parquet: not a Parquet file, or truncated`},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := test.make(t)
			scratch := t.TempDir()
			_, err := Compare(t.Context(), a, b, t.TempDir(), Options{Scratch: scratch})
			if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("got error %v, want %q of kind invalid input", err, test.want)
			}
			if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
				t.Errorf("got %v (%v) in the scratch directory", left, err)
			}
		})
	}
	t.Run("forced protocols", func(t *testing.T) {
		a, b := sides(t, base...)
		a.Protocol = []byte(`{"x":1}`)
		out := t.TempDir()
		s, err := Compare(t.Context(), a, b, out, Options{Force: true})
		if err != nil || len(s.Protocols.Differences) != 1 {
			t.Fatalf("got %v, %v", s, err)
		}
		if report, err := os.ReadFile(filepath.Join(out, "report.md")); err != nil || !bytes.Contains(report, []byte("**The scoring protocols differ**: `the scoring protocol is known only for model")) {
			t.Errorf("the report does not list the difference: %v", err)
		}
	})
	t.Run("other devices", func(t *testing.T) {
		a, b := sides(t, base...)
		a.Datasets[0].Computed = map[string]string{"device": "cpu", "ranks": "1"}
		b.Datasets[0].Computed = map[string]string{"device": "cuda", "ranks": "1"}
		out := t.TempDir()
		s, err := Compare(t.Context(), a, b, out, Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("device: %q has cpu, %q has cuda", a.Name, b.Name)
		if len(s.ComputedDifferences) != 1 || s.ComputedDifferences[0] != want {
			t.Errorf("got %q, want %q", s.ComputedDifferences, want)
		}
		if report, err := os.ReadFile(filepath.Join(out, "report.md")); err != nil || !bytes.Contains(report, []byte("- Computed by different hardware or software: `"+want+"`\n")) {
			t.Errorf("the report does not list the difference: %v", err)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a, b := sides(t, base...)
		if _, err := Compare(ctx, a, b, t.TempDir(), Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// The files have the same bytes for any number of literals in memory and any order of the tables.
func TestDeterministic(t *testing.T) {
	dir := t.TempDir()
	a, b := hostile(t, dir, 1, 30)
	want := files(t, a, b, 0)
	for _, literals := range []int{1, 7, 300} {
		if diff := cmp.Diff(want, files(t, a, b, literals)); diff != "" {
			t.Errorf("%d literals in memory: %s", literals, diff)
		}
	}
	for _, s := range []*Side{&a, &b} {
		slices.Reverse(s.Datasets)
		for i := range s.Datasets {
			reversed(t, &s.Datasets[i])
		}
	}
	if diff := cmp.Diff(want, files(t, a, b, 0)); diff != "" {
		t.Errorf("tables out of order: %s", diff)
	}
}

func files(t *testing.T, a, b Side, literals int) map[string]string {
	t.Helper()
	out := t.TempDir()
	scratch := t.TempDir()
	if _, err := Compare(t.Context(), a, b, out, Options{Scratch: scratch, literals: literals}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("got %v (%v) in the scratch directory", left, err)
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(out, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		content[e.Name()] = string(data)
	}
	return content
}

// reversed replaces a table with one whose rows are reversed.
func reversed(t *testing.T, tab *Table) {
	t.Helper()
	in, err := artifact.OpenScored(tab.ScoredPath)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	tab.ScoredPath = filepath.Join(t.TempDir(), artifact.ScoredFile)
	file, err := os.Create(tab.ScoredPath)
	if err != nil {
		t.Fatal(err)
	}
	out := artifact.NewScoredWriter(file)
	for i := in.Len() - 1; i >= 0; i-- {
		var d artifact.ScoredDocument
		if err := errors.Join(in.SeekRow(i), in.Read(&d), out.Write(d)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(out.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// records returns values as JSON objects.
func records[T any](t *testing.T, values []T) (all []map[string]any) {
	t.Helper()
	data, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func ranked[T any](t *testing.T, d Directions[T]) (all []map[string]any) {
	t.Helper()
	for i, record := range append(records(t, d.AWorse), records(t, d.BWorse)...) {
		record["direction"], record["rank"] = "model_a_worse", json.Number(strconv.Itoa(i+1))
		if n := len(d.AWorse); i >= n {
			record["direction"], record["rank"] = "model_b_worse", json.Number(strconv.Itoa(i-n+1))
		}
		all = append(all, record)
	}
	return all
}

// cellOf returns a JSON value as a cell of a table: numbers with the fewest sufficient digits, and null as an empty
// cell.
func cellOf(t *testing.T, v any) string {
	t.Helper()
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.ContainsAny(v.String(), ".eE") {
			return v.String()
		}
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	t.Fatalf("got %v in a table", v)
	return ""
}

// readCSV returns the rows of a table by column.
func readCSV(t *testing.T, path string) (rows []map[string]string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// readParquet returns the rows of a table by column, in the form of readCSV.
func readParquet(t *testing.T, path string) (rows []map[string]string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	reader := parquet.NewReader(file)
	buffer := make([]parquet.Row, 1)
	for range file.NumRows() {
		if n, err := reader.ReadRows(buffer); n != 1 {
			t.Fatal(n, err)
		}
		row := map[string]string{}
		for _, v := range buffer[0] {
			text := v.String()
			switch {
			case v.IsNull():
				text = ""
			case v.Kind() == parquet.Double:
				text = strconv.FormatFloat(v.Double(), 'g', -1, 64)
			}
			row[file.Schema().Fields()[v.Column()].Name()] = text
		}
		rows = append(rows, row)
	}
	return rows
}

// The tables have the same rows as the summary, in the same order, and every document.
func TestTables(t *testing.T) {
	a, b := hostile(t, t.TempDir(), 2, 10)
	out := t.TempDir()
	s, err := Compare(t.Context(), a, b, out, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(40); s.Overall.Documents != n {
		t.Fatalf("got %d documents, want %d", s.Overall.Documents, n)
	}
	for name, want := range map[string][]map[string]any{
		"datasets": records(t, s.Datasets), "groups": records(t, s.Groups), "buckets": records(t, s.Buckets),
		"segments": ranked(t, s.TopSegments), "literals": ranked(t, s.TopLiterals), "documents": nil,
	} {
		rows := readCSV(t, filepath.Join(out, name+".csv"))
		if diff := cmp.Diff(rows, readParquet(t, filepath.Join(out, name+".parquet"))); diff != "" {
			t.Errorf("%s (-csv +parquet): %s", name, diff)
		}
		if name == "documents" {
			// The summary contains only the worst of them.
			if len(rows) != 40 {
				t.Errorf("documents.csv: got %d rows, want 40", len(rows))
			}
			continue
		}
		if len(rows) != len(want) || len(want) == 0 {
			t.Errorf("%s.csv: got %d rows, want %d", name, len(rows), len(want))
			continue
		}
		for i, row := range rows {
			for column, got := range row {
				if want, ok := want[i][column]; !ok || got != cellOf(t, want) {
					t.Errorf("%s.csv: row %d, column %s: got %q, want %v", name, i, column, got, want)
				}
			}
		}
	}
	var read Summary
	data, err := os.ReadFile(filepath.Join(out, "summary.json"))
	if err := errors.Join(err, json.Unmarshal(data, &read)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, &read, cmpopts.IgnoreFields(Protocols{}, "A", "B")); diff != "" {
		t.Errorf("summary.json: %s", diff)
	}
	lines, err := os.ReadFile(filepath.Join(out, "worst_documents.jsonl"))
	if n := strings.Count(string(lines), "\n"); err != nil || n != len(s.TopDocuments.AWorse)+len(s.TopDocuments.BWorse) {
		t.Errorf("worst_documents.jsonl: got %d lines (%v)", n, err)
	}
	if !strings.HasPrefix(string(lines), `{"direction":"model_a_worse","rank":1,"dataset":"`) {
		t.Errorf("worst_documents.jsonl starts with %.80s", lines)
	}
}
