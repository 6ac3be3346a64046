package text

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/providers/source"
	"surprisal.dev/providers/source/sourcetest"
)

func TestRows(t *testing.T) {
	tests := []struct {
		name    string
		config  string
		content string
		want    []string
	}{
		{"a file is a row, to the byte", `"split": "file"`, "one\r\n\xff\n\n", []string{`0 a.txt:0 "one\r\n\xff\n\n"`}},
		{"a byte order mark at the start is skipped, once", `"split": "file"`, "\ufeff\ufeffone\ufeff", []string{`0 a.txt:0 "\ufeffone\ufeff"`}},
		{"nothing but a byte order mark", `"split": "file"`, "\ufeff", []string{`0 a.txt:0 ""`}},
		{"half a byte order mark", `"split": "file"`, "\xef\xbb", []string{`0 a.txt:0 "\xef\xbb"`}},
		{"a byte order mark before lines", `"split": "lines"`, "\ufeffone\n\ufefftwo", []string{`0 a.txt:0 "one"`, `1 a.txt:1 "\ufefftwo"`}},
		{"a byte order mark before paragraphs", `"split": "paragraphs"`, "\ufeff\n\none", []string{`0 a.txt:0 "one"`}},
		{"an empty file is an empty row", `"split": "file"`, "", []string{`0 a.txt:0 ""`}},

		{"lines with a final end", `"split": "lines"`, "one\ntwo\n", []string{`0 a.txt:0 "one"`, `1 a.txt:1 "two"`}},
		{"lines without one", `"split": "lines"`, "one\ntwo", []string{`0 a.txt:0 "one"`, `1 a.txt:1 "two"`}},
		{"an empty line is an empty row", `"split": "lines"`, "one\n\n", []string{`0 a.txt:0 "one"`, `1 a.txt:1 ""`}},
		{"CRLF is an end, CR is text", `"split": "lines"`, "a\r\nb\rc\r\r\n\r\nd\r", []string{
			`0 a.txt:0 "a"`, `1 a.txt:1 "b\rc\r"`, `2 a.txt:2 ""`, `3 a.txt:3 "d\r"`}},
		{"spaces and NUL stay", `"split": "lines"`, " a \x00\t\n", []string{`0 a.txt:0 " a \x00\t"`}},
		{"an empty file has no lines", `"split": "lines"`, "", []string{}},

		{"paragraphs", `"split": "paragraphs"`, "one\ntwo\n\nthree\n", []string{`0 a.txt:0 "one\ntwo"`, `1 a.txt:1 "three"`}},
		{"blank lines have white space and come in any number", `"split": "paragraphs"`, "\n \t\r\n\fone \n\v\f\n\r\n\r\n  two\r\nthree",
			[]string{`0 a.txt:0 "\fone "`, `1 a.txt:1 "  two\r\nthree"`}},
		{"no-break spaces are text", `"split": "paragraphs"`, "one\n\u00a0\ntwo", []string{`0 a.txt:0 "one\n\u00a0\ntwo"`}},
		{"a file of blank lines has no paragraphs", `"split": "paragraphs"`, " \n\n", []string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := sourcetest.Dir(t, map[string]string{"a.txt": test.content})
			rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.txt", `+test.config+`}`), 0, 0, "text")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, sourcetest.Format(rows)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSeparatorCutsAtItsFirstPlace(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"qa.txt": "two\t2\ta\n\nthree\n\t\nfour\t"})
	rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "qa.txt", "split": "lines", "separator": "\t"}`), 0, 0,
		"target", "input")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`0 qa.txt:0 "2\ta" "two\t"`,
		`1 qa.txt:1 "" ""`,
		`2 qa.txt:2 !line 3: no separator "\t"`,
		`3 qa.txt:3 "" "\t"`,
		`4 qa.txt:4 "" "four\t"`,
	}
	if diff := cmp.Diff(want, sourcetest.Format(rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Everything that determines the rows is part of a source's identity, with its defaults and in its written form.
func TestParameters(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.txt": "one"})
	for config, want := range map[string]string{
		``:                               `{"split":"file"}`,
		`, "split": "lines"`:             `{"split":"lines"}`,
		`, "separator": "<&>\t"`:         `{"separator":"<&>\t","split":"file"}`,
		`, "sha256": "` + sumOfOne + `"`: `{"split":"file"}`,
		`, "separator": "", "split": "paragraphs"`: `{"split":"paragraphs"}`,
	} {
		got, err := New().Resolve(t.Context(), protocol.ResolveRequest{Source: sourcetest.Source(dir, `{"path": "a.txt"`+config+`}`)})
		if err != nil || string(got.Parameters) != want {
			t.Errorf("%s: parameters %s, %v; want %s", config, got.Parameters, err, want)
		}
	}
}

// sumOfOne is what sha256sum prints of "one".
const sumOfOne = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"

// Rows of any kind are split in two, and the error for a row that cannot be split contains its position.
func TestSeparators(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.txt": "\n\none => 1\nmore\n\ntwo =>\n\nthree\n\n => 4", "empty.txt": "", "none.txt": "a=b"})
	for _, test := range []struct {
		split, path string
		fields      []string
		want        []string
	}{
		{"file", "a.txt", []string{"input", "target"}, []string{`0 a.txt:0 "\n\none => " "1\nmore\n\ntwo =>\n\nthree\n\n => 4"`}},
		{"file", "empty.txt", []string{"input", "target"}, []string{`0 empty.txt:0 "" ""`}},
		{"file", "none.txt", []string{"input"}, []string{`0 none.txt:0 !the file: no separator " => "`}},
		{"lines", "none.txt", []string{"input"}, []string{`0 none.txt:0 !line 1: no separator " => "`}},
		{"paragraphs", "a.txt", []string{"target", "input"}, []string{
			`0 a.txt:0 "1\nmore" "one => "`, `1 a.txt:1 !the paragraph at line 6: no separator " => "`,
			`2 a.txt:2 !the paragraph at line 8: no separator " => "`, `3 a.txt:3 "4" " => "`}},
		{"paragraphs", "a.txt", []string{"input", "input"}, []string{
			`0 a.txt:0 "one => " "one => "`, `1 a.txt:1 !the paragraph at line 6: no separator " => "`,
			`2 a.txt:2 !the paragraph at line 8: no separator " => "`, `3 a.txt:3 " => " " => "`}},
	} {
		rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "`+test.path+`", "split": "`+test.split+`", "separator": " => "}`), 0, 0, test.fields...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, sourcetest.Format(rows)); diff != "" {
			t.Errorf("%s of %s (-want +got):\n%s", test.split, test.path, diff)
		}
	}
	supervised := map[string]string{"x/a.txt": "a => b\nc => d\n\ne", "x/b.txt": "f => g\n"}
	for _, split := range []string{"file", "lines", "paragraphs"} {
		t.Run(split, func(t *testing.T) {
			sourcetest.Check(t, New(), supervised, `{"path": "x/*", "split": "`+split+`", "separator": " => "}`, "target", "input")
		})
	}
}

func TestGlobOrderAndCompression(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, err := io.WriteString(w, "from gzip")
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	dir := sourcetest.Dir(t, map[string]string{
		"in/b.txt": "b", "in/a.txt": "a", "in/a/z.txt": "z", "in/c.txt.gz": gz.String(), "in/skip.md": "no", "out.txt": "no",
	})
	rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "in/**/*.{txt,txt.gz}", "split": "file"}`), 0, 0, "text")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`0 a.txt:0 "a"`, `1 a/z.txt:0 "z"`, `2 b.txt:0 "b"`, `3 c.txt.gz:0 "from gzip"`}
	if diff := cmp.Diff(want, sourcetest.Format(rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReading(t *testing.T) {
	files := map[string]string{"x/a.txt": "one\n\ntwo\n\nthree", "x/b/c.txt": "four\n", "x/empty.txt": ""}
	for _, split := range []string{"file", "lines", "paragraphs"} {
		t.Run(split, func(t *testing.T) {
			sourcetest.Check(t, New(), files, `{"path": "x/**", "split": "`+split+`"}`, "text")
		})
	}
}

func TestLongRowsAreProblems(t *testing.T) {
	const most = 3 << 20 // more than one read of the lines
	long := strings.Repeat("x", most+1)
	halves := long[:most/2] + "\r\n" + long[:most/2-2]
	dir := sourcetest.Dir(t, map[string]string{
		"a.txt": "one\n\n" + long + "\n\ntwo\n\n" + long[1:] + "\r\n", "halves.txt": halves, "longer.txt": halves + "x",
	})
	for _, test := range []struct {
		path, split string
		want        []string
		sizes       []int
	}{
		{"a.txt", "lines", []string{`line 3 has more than 3145728 bytes, the most that a row may have`}, []int{3, 0, 0, 3, 0, most}},
		{"a.txt", "paragraphs", []string{`the paragraph at line 3 has more than 3145728 bytes, the most that a row may have`}, []int{3, 3, most}},
		{"a.txt", "file", []string{`the file has more than 3145728 bytes, the most that a row may have; use split: "paragraphs" or "lines"`}, nil},
		{"halves.txt", "file", nil, []int{most}},
		{"halves.txt", "paragraphs", nil, []int{most}},
		{"longer.txt", "paragraphs", []string{`the paragraph at line 1 has more than 3145728 bytes, the most that a row may have`}, nil},
	} {
		rows, err := sourcetest.Read(t, newProvider(most), sourcetest.Source(dir, `{"path": "`+test.path+`", "split": "`+test.split+`"}`), 0, 0, "text")
		if err != nil {
			t.Fatal(err)
		}
		var problems []string
		var sizes []int
		for _, r := range rows {
			if r.Problem != "" {
				problems = append(problems, r.Problem)
				continue
			}
			sizes = append(sizes, len(r.Values[0]))
		}
		if diff := cmp.Diff(test.want, problems) + cmp.Diff(test.sizes, sizes); diff != "" {
			t.Errorf("%s, %s: problems and sizes (-want +got):\n%s", test.path, test.split, diff)
		}
	}
}

// A small file that decompresses to one long row needs no more memory than the longest allowed row.
func TestBombs(t *testing.T) {
	const most, long = 1 << 20, 128 << 20
	var zip bytes.Buffer
	w := gzip.NewWriter(&zip)
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var zst bytes.Buffer
	z.Reset(&zst)
	for range long / most {
		_, err := w.Write(bytes.Repeat([]byte("x"), most))
		_, zErr := z.Write(bytes.Repeat([]byte("x"), most))
		if err := errors.Join(err, zErr); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	dir := sourcetest.Dir(t, map[string]string{"a.gz": zip.String(), "a.zst": zst.String()})
	for _, path := range []string{"a.gz", "a.zst"} {
		for _, split := range []string{"file", "lines", "paragraphs"} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			rows, err := sourcetest.Read(t, newProvider(most), sourcetest.Source(dir, `{"path": "`+path+`", "split": "`+split+`"}`), 0, 0, "text")
			runtime.ReadMemStats(&after)
			if err != nil || len(rows) != 1 || !strings.Contains(rows[0].Problem, "has more than 1048576 bytes") {
				t.Errorf("%s, %s: rows %.200v, error %v", path, split, rows, err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
				t.Errorf("%s, %s: %d bytes were allocated for a file that holds %d", path, split, n, long)
			}
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.txt": "one"})
	tests := []struct{ config, field, want string }{
		{`{"path": "a.txt", "split": "words"}`, "text", `split "words": expected "file", "paragraphs" or "lines"`},
		{`{"path": "a.txt", "splt": "lines"}`, "text", `unknown field "splt"`},
		{`{"split": "lines"}`, "text", "path is empty"},
		{`{"path": "a.txt"}`, "txet", `no field "txet"; the fields of text are "text"`},
		{`{"path": "a.txt", "separator": "\t"}`, "text", `no field "text"; the fields of text are "input", "target"`},
	}
	for _, test := range tests {
		_, err := sourcetest.Read(t, New(), sourcetest.Source(dir, test.config), 0, 0, test.field)
		if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s, field %q: error %v of kind %q; want one of invalid input with %q", test.config, test.field, err,
				protocol.KindOf(err), test.want)
		}
	}
}

func TestSchema(t *testing.T) {
	description, err := New().Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	schema := cuecontext.New().CompileString(description.Schema).LookupPath(cue.ParsePath("#Config"))
	if schema.Err() != nil {
		t.Fatal(schema.Err())
	}
	tests := []struct{ config, want string }{
		{`{path: "a"}`, ""},
		{`{path: "a", split: "lines", separator: "\t", sha256: "` + strings.Repeat("0a", 32) + `"}`, ""},
		{`{}`, "path: field is required"},
		{`{path: ""}`, "path: "},
		{`{path: "a", split: "word"}`, "split: "},
		{`{path: "a", sha256: "12"}`, "sha256: "},
		{`{path: "a", paht: "b"}`, "paht: field not allowed"},
	}
	for _, test := range tests {
		value := schema.Unify(cuecontext.New().CompileString(test.config))
		err := value.Validate(cue.Concrete(true), cue.Final())
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error %v; want %q", test.config, err, test.want)
		}
	}
}

// TestParagraphsAgreeWithARegexp checks the splitter against a second definition of a paragraph.
func TestParagraphsAgreeWithARegexp(t *testing.T) {
	paragraph := regexp.MustCompile(`(?:[^\n]*[^ \t\v\f\r\n][^\n]*(?:\n|$))+`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([ab \t\r\f]|\n|\r\n|é){0,60}`).Draw(t, "text")
		want := paragraph.FindAllString(text, -1)
		for i, p := range want {
			if strings.HasSuffix(p, "\n") {
				want[i] = strings.TrimSuffix(strings.TrimSuffix(p, "\n"), "\r")
			}
		}
		p := paragraphs{lines: source.NewLines(strings.NewReader(text), source.MaxRow), max: source.MaxRow}
		var got []string
		for {
			piece, _, err := p.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(piece))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", text, diff)
		}
	})
}

// FuzzText puts the pieces back together: only line ends and blank lines are between them.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "a", "\n", "a\n\nb\r\n\r\n c\n", "\xff\x00\n\t\n\ufeffx", "a\rb\r\n \r\n"} {
		f.Add([]byte(seed))
	}
	gaps := map[string]*regexp.Regexp{
		"lines":      regexp.MustCompile(`^\r?\n$`),
		"paragraphs": regexp.MustCompile(`^(\r?\n)?([ \t\v\f\r]*\n)*[ \t\v\f\r]*$`),
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if bytes.HasPrefix(content, []byte{0x1f, 0x8b}) || bytes.HasPrefix(content, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
			return // read as compressed
		}
		if bytes.HasPrefix(content, []byte{0xff, 0xfe}) || bytes.HasPrefix(content, []byte{0xfe, 0xff}) {
			return // refused as UTF-16
		}
		dir := sourcetest.Dir(t, map[string]string{"a": string(content)})
		content = bytes.TrimPrefix(content, []byte("\ufeff"))
		for _, split := range []string{"file", "lines", "paragraphs"} {
			config, err := json.Marshal(map[string]string{"path": "a", "split": split})
			if err != nil {
				t.Fatal(err)
			}
			rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, string(config)), 0, 0, "text")
			if err != nil {
				t.Fatal(err)
			}
			rest := content
			for i, r := range rows {
				at := 0
				if split == "paragraphs" {
					at = bytes.Index(rest, r.Values[0])
				} else if i > 0 {
					at = bytes.IndexByte(rest, '\n') + 1
				}
				if at < 0 || !bytes.HasPrefix(rest[at:], r.Values[0]) {
					t.Fatalf("%s: row %q is not next in %q", split, r.Values[0], rest)
				}
				if gap := rest[:at]; (at > 0 || i > 0) && !gaps[split].Match(gap) {
					t.Fatalf("%s: %q is before row %q of %q", split, gap, r.Values[0], content)
				}
				rest = rest[at+len(r.Values[0]):]
			}
			if len(rest) > 0 && !gaps[split].Match(rest) {
				t.Fatalf("%s: %q is left of %q", split, rest, content)
			}
		}
	})
}
