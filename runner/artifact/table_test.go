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

// exported returns a valid exported document of n bytes in tokens of up to four bytes.
func exported(r *rand.Rand, row int64, n int) artifact.ExportedDocument {
	d := artifact.ExportedDocument{Dataset: "a/b", Tags: []string{"x/y", "z"}, Shard: "s.jsonl", Row: row, ScoreEnd: int32(n)}
	d.Text = strings.Repeat("x", n)
	for at := 0; at < n; {
		size := min(1+r.IntN(4), n-at)
		d.TokenIDs = append(d.TokenIDs, r.Int32N(1000))
		d.TokenStarts = append(d.TokenStarts, int32(at))
		d.TokenEnds = append(d.TokenEnds, int32(at+size))
		loss := r.ExpFloat64()
		for range size {
			d.PerByteLoss = append(d.PerByteLoss, loss)
		}
		at += size
	}
	return d
}

func equal(a, b artifact.ExportedDocument) bool {
	return a.Dataset == b.Dataset && slices.Equal(a.Tags, b.Tags) && a.Shard == b.Shard && a.Row == b.Row && a.Text == b.Text &&
		a.ScoreStart == b.ScoreStart && a.ScoreEnd == b.ScoreEnd && slices.Equal(a.TokenIDs, b.TokenIDs) &&
		slices.Equal(a.PerByteLoss, b.PerByteLoss) && slices.Equal(a.TokenStarts, b.TokenStarts) && slices.Equal(a.TokenEnds, b.TokenEnds)
}

func writeExported(t testing.TB, documents ...artifact.ExportedDocument) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scored_documents.parquet")
	var buffer bytes.Buffer
	w := artifact.NewExportedWriter(&buffer)
	for _, d := range documents {
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buffer.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Rows of every size, including empty ones, are read unchanged.
func TestExportedRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var want []artifact.ExportedDocument
	for i, n := range []int{0, 1, 7, 100_000, 0, 3, 32_768, 32_767, 1_000_000, 5, 3_000_000, 0} {
		want = append(want, exported(r, int64(i), n))
	}
	want[2].Tags = nil
	path := writeExported(t, want...)

	reader, err := artifact.OpenExported(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	i := 0
	for got, err := range reader.All() {
		if err != nil {
			t.Fatal(err)
		}
		if !equal(want[i], got) {
			t.Fatalf("row %d, of %d bytes, came back different", i, len(want[i].Text))
		}
		i++
	}
	if i != len(want) {
		t.Fatalf("got %d rows, want %d", i, len(want))
	}
}

// Shards and row numbers are read without the rest of a row.
func TestKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	keys, err := artifact.OpenRowIDs(writeExported(t, exported(r, 7, 10), exported(r, 3, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	for _, row := range []int64{7, 3} {
		var got artifact.RowID
		if err := keys.Read(&got); err != nil || got != (artifact.RowID{Shard: "s.jsonl", Row: row}) {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if err := keys.Read(new(artifact.RowID)); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: got error %v", err)
	}
}

func TestOtherTables(t *testing.T) {
	documents := []artifact.Document{{ID: "1", Shard: "a", Row: 3, Text: "né", ScoreStart: 1, ScoreEnd: 3, Meta: `{"k":1}`}, {}}
	ledger := []artifact.LedgerRow{
		{Shard: "a", Row: 3, TokenNats: 3, SpanNats: 1, OutsideNats: 1, EOSNats: 0.5, NoBytesNats: 0.5, ScoredBytes: 2},
		{Shard: "a", Row: 4, ScoredBytes: 1, UnscoredStarts: []int32{0, 4}, UnscoredEnds: []int32{2, 5}, UnscoredReasons: []string{"no context", "no token"}},
	}
	counts := []artifact.TokenCount{{ID: 7, Count: 1 << 40, Text: "\n"}}
	roundTrip(t, documents, artifact.NewDocumentWriter, artifact.OpenDocuments)
	roundTrip(t, ledger, artifact.NewLedgerWriter, artifact.OpenLedger)
	roundTrip(t, counts, artifact.NewTokenCountWriter, artifact.OpenTokenCounts)
}

func roundTrip[T any](t *testing.T, want []T, writer func(io.Writer) *artifact.Writer[T], open func(string) (*artifact.Reader[T], error)) {
	t.Helper()
	var files [2]bytes.Buffer
	for i := range files {
		w := writer(&files[i])
		for _, row := range want {
			if err := w.Write(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0].Bytes(), files[1].Bytes()) {
		t.Errorf("%T: the same rows gave different bytes", want)
	}
	path := filepath.Join(t.TempDir(), "t.parquet")
	if err := os.WriteFile(path, files[0].Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var got []T
	for row, err := range reader.All() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// A writer and a reader reject the same rows, with the row and the expected and actual values.
func TestRefusedRows(t *testing.T) {
	good := artifact.ExportedDocument{
		Dataset: "d", Shard: "s", Row: 7, Text: "aé", ScoreEnd: 3,
		TokenIDs: []int32{1}, TokenStarts: []int32{0}, TokenEnds: []int32{3}, PerByteLoss: []float64{1, -1e-17, 0},
	}
	if err := artifact.NewExportedWriter(io.Discard).Write(good); err != nil {
		t.Fatalf("a good row was refused: %v", err)
	}
	for name, test := range map[string]struct {
		change func(*artifact.ExportedDocument)
		want   string
	}{
		"no name":           {func(d *artifact.ExportedDocument) { d.Dataset = "" }, `dataset_name is empty`},
		"names not UTF-8":   {func(d *artifact.ExportedDocument) { d.Tags = []string{"\xff"} }, `name "\xff" is not valid UTF-8`},
		"text not UTF-8":    {func(d *artifact.ExportedDocument) { d.Text = "a\xffb" }, `text: invalid UTF-8 at byte 1`},
		"span past the end": {func(d *artifact.ExportedDocument) { d.ScoreEnd = 4 }, `scored span [0, 4) is out of range: require 0 <= start <= end <= 3`},
		"span backwards":    {func(d *artifact.ExportedDocument) { d.ScoreStart, d.ScoreEnd = 2, 1 }, `scored span [2, 1) is out of range`},
		"span before 0":     {func(d *artifact.ExportedDocument) { d.ScoreStart = -1 }, `scored span [-1, 3) is out of range`},
		"too few losses":    {func(d *artifact.ExportedDocument) { d.PerByteLoss = []float64{1, 2} }, `expected 3 losses, one per byte of the text, got 2`},
		"NaN":               {func(d *artifact.ExportedDocument) { d.PerByteLoss = []float64{1, math.NaN(), 2} }, `the loss at byte 1 is NaN`},
		"infinite":          {func(d *artifact.ExportedDocument) { d.PerByteLoss = []float64{1, 2, math.Inf(1)} }, `the loss at byte 2 is +Inf`},
		"negative":          {func(d *artifact.ExportedDocument) { d.PerByteLoss = []float64{-2e-9, 1, 2} }, `the loss at byte 0 is -2e-09; it must be finite and at least -1e-09`},
		"token past end":    {func(d *artifact.ExportedDocument) { d.TokenEnds = []int32{4} }, `token 0: span [0, 4) must`},
		"token half there":  {func(d *artifact.ExportedDocument) { d.TokenStarts = []int32{-1} }, `token 0: span [-1, 3) must`},
		"fewer ids":         {func(d *artifact.ExportedDocument) { d.TokenIDs = nil }, `as many IDs as starts, got 0 and 1`},
		"fewer ends":        {func(d *artifact.ExportedDocument) { d.TokenEnds = nil }, `as many starts as ends, got 1 and 0`},
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			test.change(&bad)
			check := func(who string, err error) {
				if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
					t.Errorf("%s: got error %v, want %q of kind invalid input", who, err, test.want)
				}
			}
			check("writer", artifact.NewExportedWriter(io.Discard).Write(bad))
			check("reader", readAll(foreign(t, row{bad, int32(len(bad.Text))})))
		})
	}
	t.Run("num_bytes", func(t *testing.T) {
		err := readAll(foreign(t, row{good, 4}))
		want := `dataset "d", shard "s", row 7: num_bytes: expected 3, the text's size in bytes, got 4`
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	})
	t.Run("ledger", func(t *testing.T) {
		for _, test := range []struct {
			row  artifact.LedgerRow
			want string
		}{
			{artifact.LedgerRow{UnscoredStarts: []int32{1}}, "as many unscored starts as ends and reasons, got 1, 0 and 0"},
			{artifact.LedgerRow{UnscoredStarts: []int32{1, 1}, UnscoredEnds: []int32{2, 2}, UnscoredReasons: []string{"", ""}}, "range [1, 2) after byte 2"},
			{artifact.LedgerRow{TokenNats: math.Inf(-1)}, "is -Inf nats"},
			{artifact.LedgerRow{SpanNats: math.NaN()}, "is NaN nats"},
			{artifact.LedgerRow{OutsideNats: math.NaN()}, "is NaN nats"},
			{artifact.LedgerRow{EOSNats: math.NaN()}, "is NaN nats"},
			{artifact.LedgerRow{NoBytesNats: math.Inf(1)}, "is +Inf nats"},
		} {
			if err := artifact.NewLedgerWriter(io.Discard).Write(test.row); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		}
	})
}

type row struct {
	artifact.ExportedDocument
	NumBytes int32 `parquet:"num_bytes"`
}

// foreign writes rows without any check.
func foreign[T any](t testing.TB, rows ...T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "foreign.parquet")
	if err := parquet.WriteFile(path, rows); err != nil {
		t.Fatal(err)
	}
	return path
}

func readAll(path string) error {
	_, err := rowsOf(path)
	return err
}

func rowsOf(path string) (rows []artifact.ExportedDocument, err error) {
	reader, err := artifact.OpenExported(path)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	for row, err := range reader.All() {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// A file with other columns is rejected with name and type. Optional columns and lists, as pyarrow writes them, are
// read.
func TestColumns(t *testing.T) {
	type optional struct {
		Dataset     string    `parquet:"dataset_name,optional,dict"`
		Tags        []string  `parquet:"tags,optional,list"`
		Shard       string    `parquet:"shard_name,optional"`
		Row         int64     `parquet:"row_index,optional"`
		Text        string    `parquet:"text,optional,dict"`
		ScoreStart  *int32    `parquet:"score_byte_start,optional"`
		ScoreEnd    *int32    `parquet:"score_byte_end,optional"`
		TokenIDs    []int32   `parquet:"token_ids,optional,list"`
		PerByteLoss []float64 `parquet:"per_byte_loss,optional,list" parquet-element:",dict"`
		TokenStarts []int32   `parquet:"token_byte_starts,optional,list"`
		TokenEnds   []int32   `parquet:"token_byte_ends,optional,list"`
		NumBytes    int32     `parquet:"num_bytes,optional"`
		More        float32   `parquet:"more"`
	}
	start, end := int32(0), int32(2)
	full := optional{
		"d", []string{"t"}, "s", 1, "ab", &start, &end, []int32{5}, []float64{1, 1}, []int32{0}, []int32{2}, 2, 1,
	}
	if err := readAll(foreign(t, full, full)); err != nil {
		t.Errorf("optional columns: %v", err)
	}
	null := full
	null.ScoreEnd = nil
	for _, test := range []struct{ name, path, want string }{
		{"null", foreign(t, full, null), `row 1 of 2: column "score_byte_end": unexpected null`},
		{"missing", foreign(t, struct {
			Dataset string `parquet:"dataset_name"`
			Tag     string `parquet:"tag"`
		}{}), `column "tags" of type list<string> is missing; columns are dataset_name, tag`},
		{"another type", foreign(t, struct {
			Dataset int32 `parquet:"dataset_name"`
		}{}), `column "dataset_name": expected string, got int32`},
		{"unsigned", foreign(t, struct {
			Dataset string   `parquet:"dataset_name"`
			Tags    []string `parquet:"tags,list"`
			Shard   string   `parquet:"shard_name"`
			Row     uint64   `parquet:"row_index"`
		}{}), `column "row_index": expected int64, got INT(64,false)`},
		{"no list", foreign(t, struct {
			Dataset string   `parquet:"dataset_name"`
			Tags    []string `parquet:"tags"`
		}{}), `column "tags": expected list<string>, got repeated string`},
		{"another list", foreign(t, struct {
			Dataset string  `parquet:"dataset_name"`
			Tags    []int32 `parquet:"tags,list"`
		}{}), `column "tags": expected list<string>, got list<int32>`},
		{"a struct", foreign(t, struct {
			Dataset struct{ A, B string } `parquet:"dataset_name"`
		}{}), `column "dataset_name": expected string, got a struct`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := readAll(test.path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), test.path) || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("got error %v\nwant %s: %s", err, test.path, test.want)
			}
		})
	}
}

// Every prefix of a file and every file with a damaged byte is either rejected or read, without a panic.
func TestDamagedFiles(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	whole, err := os.ReadFile(writeExported(t, exported(r, 0, 40), exported(r, 1, 0), exported(r, 2, 300)))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "damaged.parquet")
	write := func(data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; n < len(whole); n += 1 + n/50 {
		write(whole[:n])
		if err := readAll(path); err == nil {
			t.Fatalf("the first %d of %d bytes were read as a whole file", n, len(whole))
		}
	}
	write(whole)
	want, err := rowsOf(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(whole); i += 7 {
		damaged := bytes.Clone(whole)
		damaged[i] ^= byte(1 + r.IntN(255))
		write(damaged)
		// Damage to columns that are not read does not matter.
		if got, err := rowsOf(path); err == nil && !cmp.Equal(want, got) {
			t.Errorf("a change of byte %d of %d is not noticed, and gives other rows", i, len(whole))
		}
	}
	if err := readAll(filepath.Join(t.TempDir(), "none.parquet")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: got %v, want fs.ErrNotExist", err)
	}
}

func FuzzExported(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{0, 3, 200} {
		data, err := os.ReadFile(writeExported(f, exported(r, 0, n), exported(r, 1, 5)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	path := filepath.Join(f.TempDir(), fmt.Sprint(os.Getpid()))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := readAll(path); err != nil && !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("an error that does not name the file: %v", err)
		}
	})
}

// A row group ends when its rows have 8 MiB.
func TestRowGroups(t *testing.T) {
	path := create(t, "documents.parquet", func(f io.Writer) error {
		w := artifact.NewDocumentWriter(f)
		for row := range int64(6) {
			if err := w.Write(artifact.Document{Shard: "s", Row: row, Text: strings.Repeat("x", 3<<20)}); err != nil {
				return err
			}
		}
		return w.Close()
	})
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var rows []int64
	for _, group := range table.RowGroups() {
		rows = append(rows, group.NumRows())
	}
	if !slices.Equal(rows, []int64{3, 3}) {
		t.Errorf("got row groups of %d rows, want two of 3", rows)
	}
}
