package artifact_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
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

// scored returns a valid scored document of n bytes in tokens of up to four bytes, some without bytes and some
// unscored.
func scored(r *rand.Rand, row int64, n int) artifact.ScoredDocument {
	d := artifact.ScoredDocument{Shard: "s.jsonl", Row: row, Text: strings.Repeat("x", n), ScoreEnd: int32(n)}
	for at := 0; at < n; {
		size := min(r.IntN(5), n-at)
		nll := r.ExpFloat64()
		if size > 0 && r.IntN(100) == 0 {
			nll = 0
			d.UnscoredStarts, d.UnscoredEnds = append(d.UnscoredStarts, int32(at)), append(d.UnscoredEnds, int32(at+size))
		}
		at += size
		d.TokenIDs = append(d.TokenIDs, r.Int32N(1000))
		d.TokenEnds = append(d.TokenEnds, int32(at))
		d.TokenNLL = append(d.TokenNLL, nll)
	}
	return d
}

func create(t testing.TB, name string, write func(io.Writer) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeScored(t testing.TB, documents ...artifact.ScoredDocument) string {
	t.Helper()
	return create(t, artifact.ScoredFile, func(f io.Writer) error {
		w := artifact.NewScoredWriter(f)
		for _, d := range documents {
			if err := w.Write(d); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

// special are unusual documents.
var special = []artifact.ScoredDocument{
	{Shard: "a", Row: 1, Text: "abcd", ScoreStart: 1, ScoreEnd: 3, TokenIDs: []int32{1, 2}, TokenStarts: []int32{0, 3}, TokenEnds: []int32{1, 4},
		TokenNLL: []float64{1, 2}, UnscoredStarts: []int32{1}, UnscoredEnds: []int32{3}},
	{Shard: "a", Row: 2, Text: "ab", ScoreEnd: 2, TokenIDs: []int32{1, 2}, TokenStarts: []int32{-1, 0}, TokenEnds: []int32{-1, 2},
		PerByteLoss: []float64{0.5, 0.25}},
	{Shard: "a", Row: 3, TokenIDs: []int32{1}, TokenStarts: []int32{-1}, TokenEnds: []int32{-1}},
	{Shard: "a", Row: 4, TokenIDs: []int32{9}, TokenEnds: []int32{0}, TokenNLL: []float64{3}},
	{Shard: "b", Row: 4, Text: "no token", UnscoredStarts: []int32{0}, UnscoredEnds: []int32{8}},
}

// Rows of every size, including empty ones and ones that fill many pages, are read unchanged, from the start
// and after a seek, and equal rows give equal bytes.
func TestScoredRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	want := slices.Clone(special)
	for i, n := range []int{0, 1, 7, 100_000, 0, 3, 32_768, 32_767, 1_000_000, 5, 3_000_000, 0} {
		want = append(want, scored(r, int64(i), n))
	}
	path := writeScored(t, want...)
	one, errOne := os.ReadFile(path)
	two, errTwo := os.ReadFile(writeScored(t, want...))
	if errOne != nil || errTwo != nil || !bytes.Equal(one, two) {
		t.Errorf("the same rows gave different bytes (%v, %v)", errOne, errTwo)
	}
	for name, open := range map[string]func(string) (*artifact.ScoredReader, error){"all": artifact.OpenScored, "losses": artifact.OpenLosses} {
		t.Run(name, func(t *testing.T) {
			reader, err := open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			check := func(i int, got artifact.ScoredDocument) {
				t.Helper()
				want := want[i]
				if name == "losses" {
					want.TokenIDs = nil
				}
				if want.Shard != got.Shard || want.Row != got.Row || want.Text != got.Text || want.ScoreStart != got.ScoreStart || want.ScoreEnd != got.ScoreEnd ||
					!slices.Equal(want.TokenIDs, got.TokenIDs) || !slices.Equal(want.TokenStarts, got.TokenStarts) || !slices.Equal(want.TokenEnds, got.TokenEnds) ||
					!slices.Equal(want.TokenNLL, got.TokenNLL) || !slices.Equal(want.UnscoredStarts, got.UnscoredStarts) ||
					!slices.Equal(want.UnscoredEnds, got.UnscoredEnds) || !slices.Equal(want.PerByteLoss, got.PerByteLoss) {
					t.Fatalf("row %d, of %d bytes, came back different", i, len(want.Text))
				}
			}
			i := 0
			for got, err := range reader.All() {
				if err != nil {
					t.Fatal(err)
				}
				check(i, got)
				i++
			}
			if i != len(want) || reader.Len() != int64(i) {
				t.Fatalf("got %d rows and length %d, want %d", i, reader.Len(), len(want))
			}
			var got artifact.ScoredDocument // its slices are reused
			for _, i := range []int{9, 2, 2, 3, 15, 0, 13, 1} {
				if err := errors.Join(reader.SeekRow(int64(i)), reader.Read(&got)); err != nil {
					t.Fatal(err)
				}
				check(i, got)
			}
			if err := reader.SeekRow(int64(len(want))); err == nil {
				t.Error("a seek past the end succeeded")
			}
		})
	}
}

// Losses of bytes follow from those of tokens, or are those of an imported table.
func TestLosses(t *testing.T) {
	for _, test := range []struct {
		d       artifact.ScoredDocument
		want    []float64
		noBytes float64
	}{
		{special[0], []float64{1, 0, 0, 2}, 0},
		{special[1], []float64{0.5, 0.25}, 0},
		{special[2], []float64{}, 0},
		{special[3], []float64{}, 3},
		{special[4], make([]float64, 8), 0},
		{ // The loss of a token without bytes is added to the next scored token, past an unscored one.
			artifact.ScoredDocument{
				Text: "abcdef", TokenEnds: []int32{0, 2, 4, 6, 6}, TokenNLL: []float64{1, 0, 3, 5, 7}, UnscoredStarts: []int32{0}, UnscoredEnds: []int32{2},
			},
			[]float64{0, 0, 2, 2, 2.5, 2.5}, 7,
		},
	} {
		got := test.d.Losses([]float64{9, 9, 9, 9, 9, 9, 9, 9})
		noBytes := test.d.Spread(func(int32, int32, float64) {})
		if !slices.Equal(got, test.want) || noBytes != test.noBytes {
			t.Errorf("%q: got %v and %v, want %v and %v", test.d.Text, got, noBytes, test.want, test.noBytes)
		}
	}
}

// A writer and a reader reject the same rows, with the row and the expected and actual values.
func TestRefusedScores(t *testing.T) {
	good := artifact.ScoredDocument{
		Shard: "s", Row: 7, Text: "aé", ScoreEnd: 3, TokenIDs: []int32{1, 2}, TokenEnds: []int32{1, 3}, TokenNLL: []float64{1, -1e-17},
	}
	imported := good
	imported.TokenNLL, imported.PerByteLoss = nil, []float64{1, 2, 3}
	for name, test := range map[string]struct {
		from   artifact.ScoredDocument
		change func(*artifact.ScoredDocument)
		want   string
	}{
		"shard":              {good, func(d *artifact.ScoredDocument) { d.Shard = "\xff" }, `name "\xff" is not valid UTF-8`},
		"text":               {good, func(d *artifact.ScoredDocument) { d.Text = "a\xffb" }, `text: invalid UTF-8 at byte 1`},
		"span":               {good, func(d *artifact.ScoredDocument) { d.ScoreEnd = 4 }, `scored span [0, 4) is out of range: require 0 <= start <= end <= 3`},
		"fewer ids":          {good, func(d *artifact.ScoredDocument) { d.TokenIDs = nil }, `as many IDs as ends, got 0 and 2`},
		"fewer starts":       {good, func(d *artifact.ScoredDocument) { d.TokenStarts = []int32{1} }, `as many starts as ends, or no starts, got 1 and 2`},
		"fewer losses":       {good, func(d *artifact.ScoredDocument) { d.TokenNLL = []float64{1} }, `token_nll: expected 2 losses, one per token, got 1`},
		"no losses":          {good, func(d *artifact.ScoredDocument) { d.TokenNLL = nil }, `token_nll: expected 2 losses, one per token, got 0`},
		"NaN":                {good, func(d *artifact.ScoredDocument) { d.TokenNLL = []float64{1, math.NaN()} }, `token_nll: the loss of token 1 is NaN`},
		"infinite":           {good, func(d *artifact.ScoredDocument) { d.TokenNLL = []float64{math.Inf(1), 1} }, `token_nll: the loss of token 0 is +Inf`},
		"negative":           {good, func(d *artifact.ScoredDocument) { d.TokenNLL = []float64{-2e-9, 1} }, `token_nll: the loss of token 0 is -2e-09`},
		"past the end":       {good, func(d *artifact.ScoredDocument) { d.TokenEnds = []int32{1, 4} }, `token 1: span [1, 4) must start at byte 1 or later and end within the text's 3 bytes`},
		"backwards":          {good, func(d *artifact.ScoredDocument) { d.TokenEnds = []int32{2, 1} }, `token 1: span [2, 1)`},
		"overlapping":        {good, func(d *artifact.ScoredDocument) { d.TokenStarts = []int32{0, 0} }, `token 1: span [0, 3) must start at byte 1 or later`},
		"unscored":           {good, func(d *artifact.ScoredDocument) { d.UnscoredStarts, d.UnscoredEnds = []int32{2}, []int32{4} }, `unscored range [2, 4) after byte 0 of 3`},
		"unscored starts":    {good, func(d *artifact.ScoredDocument) { d.UnscoredStarts = []int32{2} }, `as many unscored starts as ends, got 1 and 0`},
		"both losses":        {good, func(d *artifact.ScoredDocument) { d.PerByteLoss = []float64{1, 2, 3} }, `token_nll: expected no losses, because there is a loss per byte, got 2`},
		"bytes":              {imported, func(d *artifact.ScoredDocument) { d.PerByteLoss = []float64{1} }, `per_byte_loss: expected 3 losses, one per byte of the text, or none, got 1`},
		"bytes NaN":          {imported, func(d *artifact.ScoredDocument) { d.PerByteLoss = []float64{1, 2, math.NaN()} }, `per_byte_loss: the loss at byte 2 is NaN`},
		"imported past end":  {imported, func(d *artifact.ScoredDocument) { d.TokenEnds = []int32{1, 4} }, `token 1: span [1, 4)`},
		"imported half open": {imported, func(d *artifact.ScoredDocument) { d.TokenStarts = []int32{-1, 1} }, `token 0: span [-1, 1)`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := artifact.NewScoredWriter(io.Discard).Write(test.from); err != nil {
				t.Fatalf("a good row was refused: %v", err)
			}
			bad := test.from
			test.change(&bad)
			check := func(who string, err error) {
				if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
					t.Errorf("%s: got error %v, want %q of kind invalid input", who, err, test.want)
				}
			}
			check("writer", artifact.NewScoredWriter(io.Discard).Write(bad))
			check("reader", readScored(foreign(t, bad)))
		})
	}
}

// Rows at the limits of valid values are written and read.
func TestAcceptedScores(t *testing.T) {
	for name, d := range map[string]artifact.ScoredDocument{
		"ranges that touch, to the end": {Text: "abc", ScoreEnd: 3, TokenIDs: []int32{1}, TokenEnds: []int32{3}, TokenNLL: []float64{0},
			UnscoredStarts: []int32{0, 1, 2}, UnscoredEnds: []int32{1, 2, 3}},
		"an empty span at the end":   {Text: "abc", ScoreStart: 3, ScoreEnd: 3, TokenIDs: []int32{1}, TokenEnds: []int32{3}, TokenNLL: []float64{1}},
		"the least and largest loss": {Text: "ab", ScoreEnd: 2, TokenIDs: []int32{1, 2}, TokenEnds: []int32{1, 2}, TokenNLL: []float64{protocol.LossFloor, math.MaxFloat64}},
		"the same by byte":           {Text: "ab", ScoreEnd: 2, PerByteLoss: []float64{protocol.LossFloor, math.MaxFloat64}},
		"tokens without bytes": {Text: "ab", ScoreEnd: 2, TokenIDs: []int32{1, 2, 3}, TokenStarts: []int32{0, 1, 1}, TokenEnds: []int32{0, 1, 2},
			TokenNLL: []float64{1, 2, 3}},
		"tokens of another tool": {Text: "ab", ScoreEnd: 2, TokenIDs: []int32{1, 2, 3}, TokenStarts: []int32{-1, 1, 0}, TokenEnds: []int32{-1, 2, 2}, PerByteLoss: []float64{1, 2}},
	} {
		if err := errors.Join(artifact.NewScoredWriter(io.Discard).Write(d), readScored(foreign(t, d))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, test := range map[string]struct {
		d    artifact.ScoredDocument
		want string
	}{
		"an empty range":               {artifact.ScoredDocument{Text: "ab", UnscoredStarts: []int32{1}, UnscoredEnds: []int32{1}}, "unscored range [1, 1) after byte 0 of 2"},
		"a range before the text":      {artifact.ScoredDocument{Text: "ab", UnscoredStarts: []int32{-1}, UnscoredEnds: []int32{1}}, "unscored range [-1, 1)"},
		"a loss for a text of nothing": {artifact.ScoredDocument{PerByteLoss: []float64{1}}, "per_byte_loss: expected 0 losses, one per byte of the text, or none, got 1"},
		"a token before the text":      {artifact.ScoredDocument{Text: "a", TokenIDs: []int32{1}, TokenStarts: []int32{-2}, TokenEnds: []int32{-2}, PerByteLoss: []float64{1}}, "token 0: span [-2, -2)"},
		"a token that ends early":      {artifact.ScoredDocument{Text: "a", TokenIDs: []int32{1}, TokenStarts: []int32{1}, TokenEnds: []int32{0}, PerByteLoss: []float64{1}}, "token 0: span [1, 0)"},
		"an endless loss":              {artifact.ScoredDocument{Text: "a", PerByteLoss: []float64{math.Inf(1)}}, "per_byte_loss: the loss at byte 0 is +Inf"},
		"a loss below the least":       {artifact.ScoredDocument{Text: "a", PerByteLoss: []float64{math.Nextafter(protocol.LossFloor, -1)}}, "per_byte_loss: the loss at byte 0 is -1.0"},
	} {
		for who, err := range map[string]error{"writer": artifact.NewScoredWriter(io.Discard).Write(test.d), "reader": readScored(foreign(t, test.d))} {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %s: got error %v, want %q", name, who, err, test.want)
			}
		}
	}
}

// Reading can start at any row, independent of row groups. A reader reports the size of the next row's group.
func TestGroupsOfRows(t *testing.T) {
	var documents []artifact.ScoredDocument
	for row := range int64(7) {
		n := 10
		if row%2 == 1 {
			n = 9 << 20
		}
		documents = append(documents, artifact.ScoredDocument{Shard: "s", Row: row, Text: strings.Repeat("x", n), UnscoredStarts: []int32{0}, UnscoredEnds: []int32{int32(n)}})
	}
	reader, err := artifact.OpenTokens(writeScored(t, documents...))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, from := range []int64{5, 0, 6, 2, 1} {
		if err := reader.SeekRow(from); err != nil {
			t.Fatal(err)
		}
		for row := from; row < 7; row++ {
			if large := reader.GroupBytes() > 8<<20; large != (row < 6) {
				t.Errorf("before row %d its group has %d bytes", row, reader.GroupBytes())
			}
			var d artifact.ScoredDocument
			if err := reader.Read(&d); err != nil || d.Row != row || len(d.Text) != len(documents[row].Text) {
				t.Fatalf("from row %d: got row %d of %d bytes, %v", from, d.Row, len(d.Text), err)
			}
		}
		if err := reader.Read(&artifact.ScoredDocument{}); !errors.Is(err, io.EOF) || reader.GroupBytes() != 0 {
			t.Errorf("after the last row: %d bytes, %v", reader.GroupBytes(), err)
		}
	}
	for _, row := range []int64{-1, 7} {
		if err := reader.SeekRow(row); err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("no row %d: the table has 7 rows", row)) {
			t.Errorf("got error %v", err)
		}
	}
}

// The tokens of a document are read without its losses.
func TestCuts(t *testing.T) {
	reader, err := artifact.OpenTokens(writeScored(t, special...))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, want := range special {
		want = artifact.ScoredDocument{Shard: want.Shard, Row: want.Row, Text: want.Text, TokenStarts: want.TokenStarts, TokenEnds: want.TokenEnds}
		var got artifact.ScoredDocument
		if err := reader.Read(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	}
}

// Starts that follow from the ends are not stored, but are returned.
func TestStarts(t *testing.T) {
	for _, test := range []struct{ starts, ends, stored, want []int32 }{
		{[]int32{0, 2, 2}, []int32{2, 2, 5}, nil, []int32{0, 2, 2}},
		{[]int32{0, 3}, []int32{2, 5}, []int32{0, 3}, []int32{0, 3}},
		{[]int32{1}, []int32{5}, []int32{1}, []int32{1}},
		{nil, []int32{4}, nil, []int32{0}},
		{nil, nil, nil, nil},
	} {
		d := artifact.ScoredDocument{Text: "abcde", ScoreEnd: 5, TokenIDs: make([]int32, len(test.ends)), TokenStarts: test.starts, TokenEnds: test.ends, TokenNLL: make([]float64, len(test.ends))}
		reader, err := artifact.OpenScored(writeScored(t, d))
		if err != nil {
			t.Fatal(err)
		}
		var got artifact.ScoredDocument
		if err := errors.Join(reader.Read(&got), reader.Close()); err != nil {
			t.Fatal(err)
		}
		if starts := got.Starts([]int32{9, 9}); !slices.Equal(got.TokenStarts, test.stored) || !slices.Equal(starts, test.want) {
			t.Errorf("%v: stored %v, told %v, want %v and %v", test.starts, got.TokenStarts, starts, test.stored, test.want)
		}
	}
}

func readScored(path string) error {
	reader, err := artifact.OpenScored(path)
	if err != nil {
		return err
	}
	for _, err := range reader.All() {
		if err != nil {
			return errors.Join(err, reader.Close())
		}
	}
	return reader.Close()
}

// Rows whose lists are most of a page refer to the page's memory, which later reads do not overwrite.
func TestLargeRows(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	var want []artifact.ScoredDocument
	for row := range int64(3) {
		const n = 150_000
		d := artifact.ScoredDocument{Shard: "s", Row: row, Text: strings.Repeat("x", n), ScoreEnd: n}
		for at := range int32(n) {
			d.TokenIDs, d.TokenEnds, d.TokenNLL = append(d.TokenIDs, r.Int32()), append(d.TokenEnds, at+1), append(d.TokenNLL, r.ExpFloat64())
		}
		want = append(want, d, artifact.ScoredDocument{Shard: "t", Row: row})
	}
	reader, err := artifact.OpenScored(writeScored(t, want...))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var got []artifact.ScoredDocument
	for d, err := range reader.All() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d rows, want %d", len(got), len(want))
	}
	for i, d := range got {
		w := want[i]
		if d.Row != w.Row || d.Text != w.Text || !slices.Equal(d.TokenIDs, w.TokenIDs) || !slices.Equal(d.TokenEnds, w.TokenEnds) || !slices.Equal(d.TokenNLL, w.TokenNLL) {
			t.Errorf("row %d differs from that which was written", i)
		}
	}
}

// A list that continues on the next page, as other writers produce it, is read whole. An empty list at the end of a
// page does not continue.
func TestListOverPages(t *testing.T) {
	type row struct {
		Shard  string  `parquet:"shard_name"`
		Row    int64   `parquet:"row_index"`
		Starts []int32 `parquet:"unscored_starts,list"`
	}
	// Each page has about ten values. The writer ends a page when it is full, also after an empty list.
	sizes := []int{28, 0, 21, 14, 0, 0, 7, 10, 0, 9, 0, 1, 0, 0, 8, 0}
	for empty := range 24 {
		sizes = append(sizes, empty%3, 0)
	}
	path := create(t, "pages.parquet", func(f io.Writer) error {
		w := parquet.NewWriter(f, parquet.SchemaOf(row{}), parquet.PageBufferSize(64), parquet.DataPageVersion(1))
		columns := w.ColumnWriters()
		next := int32(0)
		for i, size := range sizes {
			if _, err := columns[0].WriteRowValues([]parquet.Value{parquet.ValueOf("s").Level(0, 0, 0)}); err != nil {
				return err
			}
			if _, err := columns[1].WriteRowValues([]parquet.Value{parquet.ValueOf(int64(i)).Level(0, 0, 1)}); err != nil {
				return err
			}
			if size == 0 {
				if _, err := columns[2].WriteRowValues([]parquet.Value{parquet.NullValue().Level(0, 0, 2)}); err != nil {
					return err
				}
			}
			for at := 0; at < size; at += 7 {
				var values []parquet.Value
				for j := at; j < min(at+7, size); j++ {
					values = append(values, parquet.ValueOf(next).Level(min(j, 1), 1, 2))
					next++
				}
				if _, err := columns[2].WriteRowValues(values); err != nil {
					return err
				}
			}
		}
		return w.Close()
	})
	starts, err := artifact.OpenLists(path, "unscored_starts")
	if err != nil {
		t.Fatal(err)
	}
	defer starts.Close()
	next := int32(0)
	rows := 0
	for list, err := range starts.All() {
		if err != nil {
			t.Fatalf("row %d: %v", rows, err)
		}
		if want := sizes[rows]; len(list) != want {
			t.Errorf("row %d: got %d values, want %d", rows, len(list), want)
		}
		for _, v := range list {
			if v != next {
				t.Fatalf("row %d: got %d, want %d", rows, v, next)
			}
			next++
		}
		rows++
	}
	if rows != len(sizes) {
		t.Errorf("got %d rows, want %d", rows, len(sizes))
	}
}

// An optional list may be empty, but not null.
func TestNullLists(t *testing.T) {
	type row struct {
		List []int32 `parquet:"list,optional,list"`
	}
	read := func(rows ...row) (lists [][]int32, err error) {
		reader, err := artifact.OpenLists(foreign(t, rows...), "list")
		if err != nil {
			return nil, err
		}
		defer reader.Close()
		for list, err := range reader.All() {
			if err != nil {
				return nil, err
			}
			lists = append(lists, list)
		}
		return lists, nil
	}
	got, err := read(row{[]int32{1}}, row{[]int32{}}, row{[]int32{2, 3}})
	if diff := cmp.Diff([][]int32{{1}, {}, {2, 3}}, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	if _, err := read(row{[]int32{1}}, row{}); err == nil || !strings.Contains(err.Error(), `row 1 of 2: column "list": unexpected null in a list`) {
		t.Errorf("a null list: got error %v", err)
	}
}

// An exported table has the same content in Marin's columns.
func TestExportScored(t *testing.T) {
	path := create(t, "exported.parquet", func(f io.Writer) error {
		return artifact.ExportScored(t.Context(), writeScored(t, special...), f, artifact.Labels{Dataset: "d", Tags: []string{"t"}})
	})
	reader, err := artifact.OpenExported(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var got []artifact.ExportedDocument
	for d, err := range reader.All() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
	}
	want := []artifact.ExportedDocument{
		{Shard: "a", Row: 1, Text: "abcd", ScoreStart: 1, ScoreEnd: 3, TokenIDs: []int32{1, 2}, TokenStarts: []int32{0, 3}, TokenEnds: []int32{1, 4}, PerByteLoss: []float64{1, 0, 0, 2}},
		{Shard: "a", Row: 2, Text: "ab", ScoreEnd: 2, TokenIDs: []int32{1, 2}, TokenStarts: []int32{-1, 0}, TokenEnds: []int32{-1, 2}, PerByteLoss: []float64{0.5, 0.25}},
		{Shard: "a", Row: 3, TokenIDs: []int32{1}, TokenStarts: []int32{-1}, TokenEnds: []int32{-1}},
		{Shard: "a", Row: 4, TokenIDs: []int32{9}, TokenStarts: []int32{0}, TokenEnds: []int32{0}},
		{Shard: "b", Row: 4, Text: "no token", PerByteLoss: make([]float64, 8)},
	}
	for i := range want {
		want[i].Dataset, want[i].Tags = "d", []string{"t"}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}
