package parquet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue/cuecontext"
	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/providers/source"
	"surprisal.dev/providers/source/sourcetest"
)

type message struct {
	Role    string  `parquet:"role,dict"`
	Content *string `parquet:"content,optional"`
}

type record struct {
	Text     string    `parquet:"text"`
	Maybe    *string   `parquet:"maybe,optional"`
	Language string    `parquet:"language,dict"`
	Raw      []byte    `parquet:"raw"`
	ID       int64     `parquet:"id"`
	Key      [16]byte  `parquet:"key,uuid"`
	Dotted   string    `parquet:"meta.title"`
	Meta     meta      `parquet:"meta"`
	Tags     []string  `parquet:"tags,list"`
	Plain    []string  `parquet:"plain"`
	Messages []message `parquet:"messages,list"`
	Turns    []turn    `parquet:"turns"`
	Body     string    `parquet:"page.body"`
	Both     string    `parquet:"both.ways"`
	Group    ways      `parquet:"both"`
}

type turn struct {
	Words []string `parquet:"words"`
}

type ways struct {
	Ways string `parquet:"ways"`
}

type meta struct {
	Source *origin `parquet:"source,optional"`
}

type origin struct {
	URL string `parquet:"url"`
}

func records(n int) []record {
	list := make([]record, n)
	for i := range list {
		s := fmt.Sprint(i)
		r := record{
			Text: "text " + s, Language: []string{"en", "fr"}[i%2], Raw: []byte{0xff, byte(i)}, ID: int64(i),
			Dotted: "title " + s, Plain: []string{"p" + s}, Body: "body " + s, Both: "column " + s, Group: ways{"path " + s},
			Turns: []turn{{[]string{"w0.0." + s, "w0.1." + s}}, {[]string{"w1.0." + s}}}[:i%3],
		}
		if i%3 > 0 {
			r.Maybe = new("maybe " + s)
			r.Meta.Source = &origin{URL: "https://example.com/" + s}
		}
		for j := range i % 4 {
			r.Tags = append(r.Tags, fmt.Sprint("tag ", i, " ", j))
			m := message{Role: "user"}
			if j > 0 {
				m = message{Role: "bot", Content: new(fmt.Sprint("answer ", i))}
			}
			r.Messages = append(r.Messages, m)
		}
		list[i] = r
	}
	return list
}

// file writes records in small pages and row groups of the given number of rows.
func file(t testing.TB, list []record, groupRows int, options ...parquet.WriterOption) string {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[record](&b, append(options, parquet.PageBufferSize(64))...)
	for len(list) > 0 {
		n := min(groupRows, len(list))
		if _, err := w.Write(list[:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		list = list[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFields(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.parquet": file(t, records(4), 3)})
	tests := []struct {
		field string
		want  []string // of rows 0 to 3
	}{
		{"text", []string{`"text 0"`, `"text 1"`, `"text 2"`, `"text 3"`}},
		{"maybe", []string{`!field "maybe" is null`, `"maybe 1"`, `"maybe 2"`, `!field "maybe" is null`}},
		{"language", []string{`"en"`, `"fr"`, `"en"`, `"fr"`}},
		{"raw", []string{`"\xff\x00"`, `"\xff\x01"`, `"\xff\x02"`, `"\xff\x03"`}},
		{`meta\.title`, []string{`"title 0"`, `"title 1"`, `"title 2"`, `"title 3"`}},
		{"meta.title", []string{`"title 0"`, `"title 1"`, `"title 2"`, `"title 3"`}},
		{"page.body", []string{`"body 0"`, `"body 1"`, `"body 2"`, `"body 3"`}},
		{`both\.ways`, []string{`"column 0"`, `"column 1"`, `"column 2"`, `"column 3"`}},
		{`\both.ways`, []string{`"path 0"`, `"path 1"`, `"path 2"`, `"path 3"`}},
		{"turns.0.words.1", []string{`!field "turns.0.words.1": the list has no such element`, `"w0.1.1"`, `"w0.1.2"`,
			`!field "turns.0.words.1": the list has no such element`}},
		{"turns.1.words.0", []string{`!field "turns.1.words.0": the list has no such element`,
			`!field "turns.1.words.0": the list has no such element`, `"w1.0.2"`, `!field "turns.1.words.0": the list has no such element`}},
		{"turns.1.words.1", []string{`!field "turns.1.words.1": the list has no such element`, `!field "turns.1.words.1": the list has no such element`,
			`!field "turns.1.words.1": the list has no such element`, `!field "turns.1.words.1": the list has no such element`}},
		{"meta.source.url", []string{`!field "meta.source.url" is null`, `"https://example.com/1"`, `"https://example.com/2"`,
			`!field "meta.source.url" is null`}},
		{"tags.0", []string{`!field "tags.0" is null or missing`, `"tag 1 0"`, `"tag 2 0"`, `"tag 3 0"`}},
		{"tags.list.2.element", []string{`!field "tags.list.2.element": the list has no such element`,
			`!field "tags.list.2.element": the list has no such element`, `!field "tags.list.2.element": the list has no such element`, `"tag 3 2"`}},
		{"plain.0", []string{`"p0"`, `"p1"`, `"p2"`, `"p3"`}},
		{"messages.1.content", []string{`!field "messages.1.content": the list has no such element`,
			`!field "messages.1.content": the list has no such element`, `"answer 2"`, `"answer 3"`}},
		{"messages.0.content", []string{`!field "messages.0.content" is null or missing`, `!field "messages.0.content" is null or missing`,
			`!field "messages.0.content" is null or missing`, `!field "messages.0.content" is null or missing`}},
		{"messages.0.role", []string{`!field "messages.0.role" is null or missing`, `"user"`, `"user"`, `"user"`}},
	}
	for _, test := range tests {
		rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.parquet"}`), 0, 0, test.field)
		if err != nil {
			t.Errorf("%s: %v", test.field, err)
			continue
		}
		for i := range test.want {
			test.want[i] = fmt.Sprintf("%d a.parquet:%d %s", i, i, test.want[i])
		}
		if diff := cmp.Diff(test.want, sourcetest.Format(rows)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.field, diff)
		}
	}
}

func TestColumnsThatCannotBeRead(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.parquet": file(t, records(2), 2)})
	for field, want := range map[string]string{
		"txet":                       `a.parquet: field "txet": no column "txet"; columns are "text", `,
		"meta.sorce.url":             `no column "sorce" in "meta"; columns are "meta.source.url", `,
		"meta.source":                `it is a group of columns`,
		"tags":                       `"tags" is a list; add the number of an element, as in "tags.0"`,
		"plain":                      `"plain" is a list; add the number of an element, as in "plain.0"`,
		"tags.first":                 `no column "first" in "tags"`,
		"plain.99999999999999999999": `value out of range`,
		"id":                         `field "id" is a column of INT(64,true), not of strings`,
		"key":                        `field "key" is a column of UUID, not of strings`,
		"text.x":                     `no column "x" in "text"`,
		"Text":                       `no column "Text"; columns are "text", `,
		"TEXT":                       `; did you mean "text"?`,
		"both.ways":                  `it is both a column with that name and a path through groups; write "both\\.ways" for the column, or "\\both.ways" for the path`,
	} {
		_, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.parquet"}`), 0, 0, field)
		if err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: error %v of kind %q; want one of invalid input with %q", field, err, protocol.KindOf(err), want)
		}
	}
}

// Strings are read whatever the annotation of their type, and other bytes are not.
func TestTypes(t *testing.T) {
	type row struct {
		JSON  string   `parquet:"json,json"`
		Enum  string   `parquet:"enum,enum"`
		Fixed [4]byte  `parquet:"fixed"`
		Price [5]byte  `parquet:"price,decimal(2:10)"`
		Ratio float64  `parquet:"ratio"`
		Flag  bool     `parquet:"flag"`
		List  []string `parquet:"list"`
	}
	var b bytes.Buffer
	if err := parquet.Write(&b, []row{{JSON: `{"a":1}`, Enum: "red", Fixed: [4]byte{'a', 0, 'c', 'd'}, List: []string{"x"}}}); err != nil {
		t.Fatal(err)
	}
	dir := sourcetest.Dir(t, map[string]string{"a.parquet": b.String()})
	for field, want := range map[string]string{
		"json": `0 a.parquet:0 "{\"a\":1}"`, "enum": `0 a.parquet:0 "red"`, "fixed": `0 a.parquet:0 "a\x00cd"`,
		"price": "!, not of strings; string columns are \"", "ratio": "!is a column of DOUBLE, not of strings", "flag": "!is a column of BOOLEAN, not of strings",
	} {
		rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.parquet"}`), 0, 0, field)
		if text, isError := strings.CutPrefix(want, "!"); isError {
			if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), `"ratio", `) || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("%s: error %v, want %q", field, err, text)
			}
		} else if err != nil || strings.Join(sourcetest.Format(rows), " ") != want {
			t.Errorf("%s: got %q, %v; want %q", field, sourcetest.Format(rows), err, want)
		}
	}
}

// The column of a cluster has strings or integers of any size, which are passed on in decimal.
func TestCluster(t *testing.T) {
	type row struct {
		Text  string  `parquet:"text"`
		Name  string  `parquet:"name,dict"`
		Small int32   `parquet:"small,dict"`
		Large int64   `parquet:"large"`
		Tiny  int8    `parquet:"tiny"`
		Whole uint64  `parquet:"whole"`
		Half  uint32  `parquet:"half"`
		Maybe *int64  `parquet:"maybe,optional"`
		List  []int64 `parquet:"list"`
		Ratio float64 `parquet:"ratio"`
		Date  int32   `parquet:"date,date"`
	}
	var b bytes.Buffer
	rows := []row{
		{Text: "x", Name: "a", Small: -3, Large: math.MinInt64, Tiny: -8, Whole: math.MaxUint64, Half: math.MaxUint32, Maybe: new(int64(5)), List: []int64{1, 7}},
		{Text: "y", Name: "b", Small: 3, Large: 4, List: []int64{2}},
	}
	if err := parquet.Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	dir := sourcetest.Dir(t, map[string]string{"a.parquet": b.String()})
	for field, want := range map[string]string{
		"name": `"x" "a", "y" "b"`, "small": `"x" "-3", "y" "3"`, "large": `"x" "-9223372036854775808", "y" "4"`, "tiny": `"x" "-8", "y" "0"`,
		"whole": `"x" "18446744073709551615", "y" "0"`, "half": `"x" "4294967295", "y" "0"`, "maybe": `"x" "5", !field "maybe" is null`,
		"list.1": `"x" "7", !field "list.1": the list has no such element`,
		"ratio":  `is a column of DOUBLE; a cluster is a column of strings or integers`, "date": `is a column of DATE; a cluster is a column of strings or integers`,
		"none": `field "none": no column "none"`,
	} {
		rows, err := sourcetest.ReadCluster(t, New(), sourcetest.Source(dir, `{"path": "a.parquet"}`), field, "text")
		if err != nil {
			if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", field, err, want)
			}
			continue
		}
		got := strings.Join(sourcetest.Format(rows), ", ")
		if got = strings.NewReplacer("0 a.parquet:0 ", "", "1 a.parquet:1 ", "").Replace(got); got != want {
			t.Errorf("%s: got %s, want %s", field, got, want)
		}
	}
}

// Messages list columns as they must be written, and no message suggests the field that it is about.
func TestMessagesNameFields(t *testing.T) {
	type words struct {
		Words []string `parquet:"words"`
	}
	type inner struct {
		B       string `parquet:"b"`
		Element struct {
			Element string `parquet:"element"`
		} `parquet:"element"`
	}
	type row struct {
		Column  string            `parquet:"a.b"`
		Plain   string            `parquet:"c.d"`
		Dots    string            `parquet:".e"`
		Slash   string            `parquet:"f\\g"`
		A       inner             `parquet:"a"`
		L       []string          `parquet:"l,list"`
		Deep    []inner           `parquet:"deep,list"`
		Turns   []words           `parquet:"turns"`
		Map     map[string]string `parquet:"map"`
		Numbers []int64           `parquet:"numbers,list"`
	}
	var b bytes.Buffer
	if err := parquet.Write(&b, make([]row, 1)); err != nil {
		t.Fatal(err)
	}
	dir := sourcetest.Dir(t, map[string]string{"a.parquet": b.String()})
	for field, want := range map[string]string{
		"a.b":            `it is both a column with that name and a path through groups; write "a\\.b" for the column, or "\\a.b" for the path`,
		"l.list.element": `"l.list" is a list; add the number of an element, as in "l.0"`,
		"turns.3.words":  `"turns.3.words" is a list; add the number of an element, as in "turns.3.words.0"`,
		"turns.words":    `"turns" is a list; add the number of an element, as in "turns.0.words.0"`,
		"deep":           `"deep" is a list; add the number of an element; columns are `,
		"deep.element.b": `no column "element" in "deep"; columns are `,
		"numbers.0":      `is a column of INT(64,true), not of strings; string columns are `,
		"turns":          `"turns" is a list; add the number of an element, as in "turns.0.words.0"`,
	} {
		_, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.parquet"}`), 0, 0, field)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), fmt.Sprintf("did you mean %q", field)) ||
			!strings.HasSuffix(want, " ") && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", field, err, want)
		}
	}
	f, err := parquet.OpenFile(strings.NewReader(b.String()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	fields := texts(f.Root())
	want := []string{`a\.b`, "c.d", `\.e`, `f\\g`, `\a.b`, "a.element.element", "l.0", "deep.0.b", "deep.0.element.element.element", "turns.0.words.0",
		"map.0.key", "map.0.value"}
	slices.Sort(fields)
	slices.Sort(want)
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	read := map[string]bool{}
	for _, field := range fields {
		path, err := source.SplitField(field)
		if err != nil {
			t.Fatal(err)
		}
		leaf, _, err := find(f.Root(), field, path)
		if err != nil {
			t.Errorf("%s: %v", field, err)
			continue
		}
		read[fmt.Sprintf("%q", leaf.Path())] = true
	}
	if len(read) != len(want) {
		t.Errorf("the fields name %d columns, want %d", len(read), len(want))
	}
}

// Only the groups that the format puts between a list and its elements may be omitted from a path.
func TestGroupsOfLists(t *testing.T) {
	type inner struct {
		Content string `parquet:"content"`
	}
	type row struct {
		Messages []inner  `parquet:"messages"`
		Tags     []string `parquet:"tags,list"`
		Deep     []inner  `parquet:"deep,list"`
	}
	var b bytes.Buffer
	if err := parquet.Write(&b, []row{{[]inner{{"a"}, {"b"}}, []string{"c", "d"}, []inner{{"e"}, {"f"}}}}); err != nil {
		t.Fatal(err)
	}
	dir := sourcetest.Dir(t, map[string]string{"a.parquet": b.String()})
	for field, want := range map[string]string{
		"messages.1.content": `"b"`, "tags.1": `"d"`, "tags.1.element": `"d"`, "tags.list.0": `"c"`, "tags.list.0.element": `"c"`,
		"deep.1.content": `"f"`, "deep.1.element.content": `"f"`, "deep.list.0.content": `"e"`, "deep.list.0.element.content": `"e"`,
		"messages.1": "!it is a group of columns", "deep.0": "!it is a group of columns", "messages.content": `!"messages" is a list; add the number of an element, as in "messages.0.content"`,
		"tags.list": `!"tags.list" is a list; add the number of an element, as in "tags.0"`, "tags.1.x": `!no column "x" in `, "messages.1.content.x": `!no column "x" in "messages.content"`,
	} {
		rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.parquet"}`), 0, 0, field)
		if text, isError := strings.CutPrefix(want, "!"); isError {
			if err == nil || !strings.Contains(err.Error(), text) || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("%s: rows %q, error %v; want %q", field, sourcetest.Format(rows), err, text)
			}
		} else if err != nil || strings.Join(sourcetest.Format(rows), " ") != "0 a.parquet:0 "+want {
			t.Errorf("%s: got %q, %v; want %s", field, sourcetest.Format(rows), err, want)
		}
	}
}

// If several fields of a row have problems, the first is reported, and the fields of the next rows stay aligned.
func TestSeveralProblems(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.parquet": file(t, records(4), 3)})
	rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.parquet"}`), 0, 0, "maybe", "tags.1", "text", "maybe")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`0 a.parquet:0 !field "maybe" is null`, `1 a.parquet:1 !field "tags.1": the list has no such element`,
		`2 a.parquet:2 "maybe 2" "tag 2 1" "text 2" "maybe 2"`, `3 a.parquet:3 !field "maybe" is null`,
	}
	if diff := cmp.Diff(want, sourcetest.Format(rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A value may be as large as a row, and a canceled read does not report its file as damaged.
func TestLongValuesAndStops(t *testing.T) {
	c := &column{field: "x"}
	value := make([]byte, source.MaxRow+1)
	got, problem, err := c.check(parquet.ByteArrayValue(value[1:]), value[1:])
	if err != nil || problem != "" || len(got) != source.MaxRow {
		t.Errorf("the longest value: %d bytes, %q, %v", len(got), problem, err)
	}
	got, problem, err = c.check(parquet.ByteArrayValue(value), value)
	if err != nil || problem != `field "x" has 67108865 bytes; at most 67108864 are allowed in a row` || got != nil {
		t.Errorf("a longer one: %d bytes, %q, %v", len(got), problem, err)
	}

	dir := sourcetest.Dir(t, map[string]string{"a.parquet": file(t, records(2000), 1000)})
	s := sourcetest.Source(dir, `{"path": "a.parquet"}`)
	pinned, err := New().Resolve(t.Context(), protocol.ResolveRequest{Source: s})
	if err != nil || !pinned.Files[0].Compressed {
		t.Fatalf("resolved %+v, %v", pinned, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	rows := 0
	err = New().Read(ctx, protocol.ReadRequest{Source: s, Pinned: pinned, Fields: []string{"text"}}, func(protocol.Row) error {
		rows++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || protocol.KindOf(err) != "" || rows != 1 {
		t.Errorf("stopped after %d rows with %v", rows, err)
	}
	f := &source.File{Label: "the file"}
	for _, test := range []struct{ err, want error }{{nil, nil}, {protocol.Invalid("as it is"), errors.New("as it is")}} {
		err := test.err
		damaged(f, &err)
		if fmt.Sprint(err) != fmt.Sprint(test.want) {
			t.Errorf("%v became %v", test.err, err)
		}
	}
}

// Row counts that differ from the actual ones are damage.
func TestRowsThatAreNotThere(t *testing.T) {
	content := footerWith(t, func(m *format.FileMetaData) { m.NumRows, m.RowGroups[0].NumRows = 3, 3 })
	dir := sourcetest.Dir(t, map[string]string{"a.parquet": content})
	for _, field := range []string{"text", "plain.0", "maybe"} {
		_, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.parquet"}`), 0, 0, field)
		want := fmt.Sprintf("a.parquet: damaged Parquet data: column %q has fewer rows than its row group; download or copy the file again", field)
		if err == nil || !strings.HasSuffix(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: error %v, want %q", field, err, want)
		}
	}
}

// If two columns have the same name, neither is used.
func TestTwoColumnsOfAName(t *testing.T) {
	content := strings.ReplaceAll(file(t, records(2), 2), "tags", "text")
	dir := sourcetest.Dir(t, map[string]string{"a.parquet": content})
	for _, field := range []string{"text", "text.0"} {
		_, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.parquet"}`), 0, 0, field)
		if want := `there are several columns "text"; rename them; columns are `; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q", err, want)
		}
	}
}

// A page that is too large is not reported as damage: another copy of the file would not help.
func TestLargePage(t *testing.T) {
	good := file(t, records(1), 1)
	// The first page's header begins with its kind, 0, and its size, both in zigzag.
	at := strings.Index(good, "\x15\x06\x15")
	if at != 4 {
		t.Fatalf("the first page's header begins with % x", good[4:12])
	}
	_, n := binary.Varint([]byte(good[7:]))
	content := good[:7] + string(binary.AppendVarint(nil, 1<<30)) + good[7+n:]
	dir := sourcetest.Dir(t, map[string]string{"a.parquet": content})
	_, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.parquet"}`), 0, 0, "text")
	want := dir + "/a.parquet: a page of 1073741824 bytes, but at most 268435456 are supported; write the file again with smaller pages"
	if err == nil || !strings.HasPrefix(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("error %v; want %q", err, want)
	}
}

func TestReading(t *testing.T) {
	list := records(20)
	files := map[string]string{
		"x/a.parquet": file(t, list[:9], 4),
		"x/b.parquet": file(t, list[9:12], 10, parquet.DataPageVersion(1), parquet.Compression(&parquet.Zstd)),
		"x/c.parquet": file(t, nil, 1),
		"x/d.parquet": file(t, list[12:], 8, parquet.Compression(&parquet.Snappy)),
	}
	for _, fields := range [][]string{{"text"}, {"maybe", "text"}, {"tags.1"}, {"messages.1.content", "language"}} {
		t.Run(strings.Join(fields, "+"), func(t *testing.T) {
			sourcetest.Check(t, New(), files, `{"path": "x/*"}`, fields...)
		})
	}
}

// footerWith returns a good file with another footer.
func footerWith(t *testing.T, change func(*format.FileMetaData)) string {
	t.Helper()
	good := file(t, records(2), 2)
	size := int(binary.LittleEndian.Uint32([]byte(good[len(good)-8:])))
	begin := len(good) - 8 - size
	var protocol thrift.CompactProtocol
	var metadata format.FileMetaData
	if err := thrift.Unmarshal(&protocol, []byte(good[begin:begin+size]), &metadata); err != nil {
		t.Fatal(err)
	}
	change(&metadata)
	footer, err := thrift.Marshal(&protocol, &metadata)
	if err != nil {
		t.Fatal(err)
	}
	return good[:begin] + string(footer) + string(binary.LittleEndian.AppendUint32(nil, uint32(len(footer)))) + "PAR1"
}

func TestBadFiles(t *testing.T) {
	good := file(t, records(50), 50)
	footer := binary.LittleEndian.AppendUint32(nil, 1<<31)
	for name, test := range map[string]struct{ content, want string }{
		"empty":     {"", "the file has 0 bytes, too few for a Parquet file"},
		"text":      {"this is no such file", `it begins with "this" and ends with "file", not PAR1`},
		"cut":       {good[:len(good)/2], "not a Parquet file, or truncated"},
		"encrypted": {"PARE" + good[4:], "the Parquet file is encrypted; decrypt it first, and name the decrypted file"},
		"footer":    {good[:len(good)-8] + string(footer) + "PAR1", "damaged Parquet footer: it claims 2147483648 bytes, but the file has"},
		"encrypted columns": {footerWith(t, func(m *format.FileMetaData) {
			m.EncryptionAlgorithm.Value = &format.AesGcmV1{AadFileUnique: []byte("unique")}
		}), "encrypted columns: the Parquet file is encrypted; decrypt it first"},
		"zeros": {"PAR1" + strings.Repeat("\x00", 100) + "\x20\x00\x00\x00PAR1", "damaged Parquet footer"},
		"page":  {good[:40] + strings.Repeat("\xff", 400) + good[440:], "damaged Parquet data"},
	} {
		dir := sourcetest.Dir(t, map[string]string{name: test.content})
		_, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "`+name+`"}`), 0, 0, "text")
		if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput ||
			!strings.Contains(err.Error(), dir+"/"+name) {
			t.Errorf("%s: error %v of kind %q; want one of invalid input with %q", name, err, protocol.KindOf(err), test.want)
		}
	}
}

func TestSchema(t *testing.T) {
	description, err := New().Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := cuecontext.New().CompileString(description.Schema + "\nx: #Config & {path: \"a\"}").Err(); err != nil {
		t.Error(err)
	}
}

// FuzzParquet damages files: every read ends with rows or an error of kind InvalidInput, never with a panic.
func FuzzParquet(f *testing.F) {
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy} {
		good := file(f, records(6), 4, parquet.Compression(codec))
		f.Add([]byte(good), uint32(0), byte(0))
		f.Add([]byte(good), uint32(100), byte(0xff))
		f.Add([]byte(good), uint32(len(good)-40), byte(0x80))
	}
	f.Add([]byte("PAR1PAR1PAR1"), uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, content []byte, at uint32, flip byte) {
		content = bytes.Clone(content)
		if int64(at) < int64(len(content)) {
			content[at] ^= flip
		}
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/a", content, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, fields := range [][]string{{"text", "maybe"}, {"tags.1"}, {"messages.0.role"}} {
			for _, from := range []int64{0, 2} {
				_, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a"}`), from, from+1000, fields...)
				if err != nil && protocol.KindOf(err) != protocol.InvalidInput {
					t.Errorf("fields %v from %d: error %v of kind %q", fields, from, err, protocol.KindOf(err))
				}
			}
		}
	})
}
