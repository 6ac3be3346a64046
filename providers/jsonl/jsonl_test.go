package jsonl

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"cuelang.org/go/cue/cuecontext"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/providers/source"
	"surprisal.dev/providers/source/sourcetest"
)

// TestLines reads one line each.
func TestLines(t *testing.T) {
	tests := []struct{ line, field, want string }{
		{`{"text": "one"}`, "text", `"one"`},
		{` {"n":-1.5e+3,"x":[true,false,null,{}],"text":"" } `, "text", `""`},
		{`{"a": {"b": [1, {"c": "deep"}]}}`, "a.b.1.c", `"deep"`},
		{`{"0": "a name"}`, "0", `"a name"`},
		{`{"a.b": "one name"}`, `a\.b`, `"one name"`},
		{`{"a.b": "one name"}`, "a.b", `"one name"`},
		{`{"a": {"b": "a path", "a.b": ""}}`, "a.b", `"a path"`},
		{`{"a": {"b": "a path"}, "a.b": "one name"}`, `\a.b`, `"a path"`},
		{`{"a": {"b": "a path"}, "a.b": "one name"}`, `a\.b`, `"one name"`},
		{`{"a.b": "one name", "a": {"b": "a path"}}`, "a.b",
			`!line 1: field "a.b" is both a name and a path; write "a\\.b" for the name, or "\\a.b" for the path`},
		{`{"a.b": "one", "a.b": "two"}`, "a.b", `!line 1: duplicate name "a.b" in an object`},
		{`{"a.b": 3}`, "a.b", `!line 1: field "a.b" is a number, not a string`},
		{`{"t\u0065xt": "escaped name"}`, "text", `"escaped name"`},
		{`{"text": "\"\\\/\b\f\n\r\t\u00e9\u0000"}`, "text", `"\"\\/\b\f\n\r\té\x00"`},
		{`{"text": "\ud83d\ude00"}`, "text", `"😀"`},
		{"{\"text\": \"\xff\xed\xa0\x80\"}", "text", `"\xff\xed\xa0\x80"`}, // for the dataset's policy
		{`{"x": 1, "x": 2, "text": "one"}`, "text", `"one"`},
		{`{"x": "\ud800", "text": "one"}`, "text", `"one"`},

		{`{"text": 3}`, "text", `!line 1: field "text" is a number, not a string`},
		{`{"text": null}`, "text", `!line 1: field "text" is null, not a string`},
		{`{"text": {"a": 1}}`, "text", `!line 1: field "text" is an object, not a string`},
		{`{"text": ["a"]}`, "text", `!line 1: field "text" is an array, not a string`},
		{`{"text": true}`, "text", `!line 1: field "text" is a boolean, not a string`},
		{`{"id": 1, "body": "b"}`, "boddy", `!line 1: no field "boddy"; fields are "body", "id"; did you mean "body"?`},
		{`{"id": 1, "Text": "b"}`, "text", `!line 1: no field "text"; fields are "Text", "id"; did you mean "Text"?`},
		{`{"id": 1, "body": "b"}`, "text", `!line 1: no field "text"; fields are "body", "id"`},
		{`{"\u001b[2J": 1}`, "text", `!line 1: no field "text"; fields are "\x1b[2J"`},
		{`{}`, "text", `!line 1: no field "text"; fields are none`},
		{`{"a": {"b": ""}}`, "a.c", `!line 1: no field "c" in "a"; fields are "b"`},
		{`{"a": {"b.c": ""}}`, "a.b.c", `!line 1: no field "b" in "a"; fields are "b\\.c"`},
		{`{"a.b": {"c": ""}}`, `a\.b.d`, `!line 1: no field "d" in "a\\.b"; fields are "c"`},
		{`{"a": ["b"]}`, "a.1", `!line 1: no element "1" in "a", an array of 1 elements`},
		{`{"a": "b"}`, "a.b", `!line 1: no field "b" in "a", which is a string`},
		{`{"text": "a", "text": "b"}`, "text", `!line 1: duplicate name "text" in an object`},
		{`{"a": {"b": "a"}, "a": {}}`, "a.b", `!line 1: duplicate name "a" in an object`},
		{`{"text": "a\ud800b"}`, "text", `!line 1: field "text" has the escape \ud800, half of a surrogate pair, which is not a character`},
		{`{"text": "\ud83d\nde00"}`, "text", `!line 1: field "text" has the escape \ud83d, half of a surrogate pair, which is not a character`},
		{`{"text": "\ude00\ud83d"}`, "text", `!line 1: field "text" has the escape \ude00, half of a surrogate pair, which is not a character`},
		{`"text"`, "text", `!line 1: a string, not an object`},

		{`{"a": ["x", "y"]}`, "a.0", `"x"`},
		{`{"a": [["x", "y"], ["z"]]}`, "a.1.0", `"z"`},
		{`{"a": ["x", "y"]}`, "a.01", `!line 1: no field "a.01"`},
		{`{"a": ["x", "y"]}`, "a.2", `!line 1: no element "2" in "a", an array of 2 elements`},
		{`{"a": ["x", "y"]}`, "a.-1", `!line 1: no element "-1" in "a", an array of 2 elements`},
		{`{"a": ["x", "y"]}`, "a.b", `!line 1: no element "b" in "a", an array of 2 elements`},
		{`{"a": []}`, "a.0", `!line 1: no element "0" in "a", an array of 0 elements`},
		{`{"a": {"b": {}}}`, "a.b.c", `!line 1: no field "c" in "a.b"; fields are none`},
		{`{"a": {"b": 1}}`, "a.b.c", `!line 1: no field "c" in "a.b", which is a number`},
		{`{"a": null}`, "a.b", `!line 1: no field "b" in "a", which is null`},
		{`{"\ud800": 1, "text": "a"}`, "text", `"a"`},
		{`{"text\ud800": 1, "text": "a", "x\u0041": {"text": "b"}}`, "text", `"a"`},
		{`{"x": {"text": "inner"}, "text": "outer"}`, "text", `"outer"`},
		{`{"x": ["inner"], "0": "outer"}`, "0", `"outer"`},
		{`{"text": "\u00E9\uD83D\uDE00x"}`, "text", `"é😀x"`},
		{`{"text": "\ud83d\ude00\ud83d\ude01"}`, "text", `"😀😁"`},
		{`{"text": "x\ud83d"}`, "text", `!line 1: field "text" has the escape \ud83d, half of a surrogate pair, which is not a character`},
		{`{"text": "\ud83d\u0041"}`, "text", `!line 1: field "text" has the escape \ud83d, half of a surrogate pair, which is not a character`},
		{`{"text": "\ud83d\ud83d"}`, "text", `!line 1: field "text" has the escape \ud83d, half of a surrogate pair, which is not a character`},
		{`{"x": -0.0E-10, "y": [1e5,0], "text": "a"}`, "text", `"a"`},
		{`{"x": -}`, "text", `!line 1, column 8: expected a digit, found '}'`},
		{`{"x": 1e+}`, "text", `!line 1, column 10: expected a digit, found '}'`},
		{`{"x": .5}`, "text", `!line 1, column 7: expected a value, found '.'`},
		{`{"x": +5}`, "text", `!line 1, column 7: expected a value, found '+'`},
		{`{"x" 1}`, "text", `!line 1, column 6: expected a colon, found '1'`},
		{`{"x": [1 2]}`, "text", `!line 1, column 10: expected a comma or "]", found '2'`},
		{`{"x": [1,]}`, "text", `!line 1, column 10: expected a value, found ']'`},
		{`{"x": "a`, "text", `!line 1, column 9: expected the string's closing quote, but the line ends; a row is one line`},
		{`{"x": "\u12`, "text", `!line 1, column 12: expected one of the four hexadecimal digits of an escape, but the line ends; a row is one line`},
		{`{"x": falsy}`, "text", `!line 1, column 11: expected false, found 'y'`},
		{`1`, "text", `!line 1: a number, not an object`},
		{`null`, "text", `!line 1: null, not an object`},
		{`true`, "text", `!line 1: a boolean, not an object`},
		{`{"text": "a"`, "text", `!line 1, column 13: expected a comma or "}", but the line ends; a row is one line`},
		{`{`, "text", `!line 1, column 2: expected a name in double quotes, but the line ends; a row is one line`},
		{`{"text": "a",}`, "text", `!line 1, column 14: expected a name in double quotes, found '}'`},
		{`{"text": "a"} x`, "text", `!line 1, column 15: expected the end of the line, found 'x'`},
		{`{"text": 'a'}`, "text", `!line 1, column 10: expected a value, found '\''`},
		{`{"text": NaN}`, "text", `!line 1, column 10: expected a value, found 'N'`},
		{`{"text": nul}`, "text", `!line 1, column 13: expected null, found '}'`},
		{`{"text": 01}`, "text", `!line 1, column 11: expected a comma or "}", found '1'`},
		{`{"text": 1.}`, "text", `!line 1, column 12: expected a digit, found '}'`},
		{`{"text": "\x"}`, "text", `!line 1, column 12: expected one of " \ / b f n r t u, found 'x'`},
		{`{"text": "\u12g4"}`, "text", `!line 1, column 15: expected one of the four hexadecimal digits of an escape, found 'g'`},
		{"{\"text\": \"a\tb\"}", "text", `!line 1, column 12: expected an escape such as \n or \t, found '\t'`},
		{"{}\xff", "text", `!line 1, column 3: expected the end of the line, found the byte 0xff`},
		{`{"a":` + strings.Repeat("[", 10001), "text", `!line 1, column 10005: nested more than 10000 deep`},
	}
	for _, test := range tests {
		dir := sourcetest.Dir(t, map[string]string{"a.jsonl": test.line + "\n"})
		rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.jsonl"}`), 0, 0, test.field)
		if err != nil {
			t.Errorf("%.60s: %v", test.line, err)
			continue
		}
		if diff := cmp.Diff([]string{"0 a.jsonl:0 " + test.want}, sourcetest.Format(rows)); diff != "" {
			t.Errorf("%.60s (-want +got):\n%s", test.line, diff)
		}
	}
}

// The field of a cluster has a string or an integer, whose digits do not change. Equal integers are equal.
func TestCluster(t *testing.T) {
	for line, want := range map[string]string{
		`{"text": "x", "book": "b\n"}`:                   `"x" "b\n"`,
		`{"text": "x", "book": 17}`:                      `"x" "17"`,
		`{"text": "x", "book": -9007199254740993}`:       `"x" "-9007199254740993"`,
		`{"text": "x", "book": 0}`:                       `"x" "0"`,
		`{"text": "x", "book": -0}`:                      `"x" "0"`,
		`{"text": "x", "book": -10}`:                     `"x" "-10"`,
		`{"text": "x", "book": "-0"}`:                    `"x" "-0"`,
		`{"text": "x", "book": 007}`:                     ` !line 1, column 24: expected a comma or "}", found '0'`,
		`{"text": "x", "book": -0.0}`:                    ` !line 1: field "book" is -0.0; a cluster has a string or an integer`,
		`{"text": "x", "book": 1.5}`:                     ` !line 1: field "book" is 1.5; a cluster has a string or an integer`,
		`{"text": "x", "book": 1e3}`:                     ` !line 1: field "book" is 1e3; a cluster has a string or an integer`,
		`{"text": "x", "book": null}`:                    ` !line 1: field "book" is null; a cluster has a string or an integer`,
		`{"text": "x", "book": {"title": "a long one"}}`: ` !line 1: field "book" is {"title": "a long on; a cluster has a string or an integer`,
		`{"text": 3, "book": 17}`:                        ` !line 1: field "text" is a number, not a string`,
		`{"text": "x"}`:                                  ` !line 1: no field "book"; fields are "text"`,
	} {
		dir := sourcetest.Dir(t, map[string]string{"a.jsonl": line + "\n"})
		rows, err := sourcetest.ReadCluster(t, New(), sourcetest.Source(dir, `{"path": "a.jsonl"}`), "book", "text")
		if err != nil {
			t.Errorf("%s: %v", line, err)
		} else if got := strings.Join(sourcetest.Format(rows), ""); got != "0 a.jsonl:0"+prefixSpace(want) {
			t.Errorf("%s: got %s, want %s", line, got, want)
		}
	}
}

func prefixSpace(s string) string { return " " + strings.TrimPrefix(s, " ") }

// Several fields of a row do not share a buffer, nor do rows.
func TestSeveralFields(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.jsonl": `{"a": {"b": "\n1", "c": "\t2"}, "t": "\u00e9"}` + "\n" + `{"t": "\u00fc", "a": {"c": "plain", "b": "\r"}}` + "\n" +
		`{"t": "x", "a": {"c": 1, "b": 2}}` + "\n" + `{"t": "x", "a": {"c": "y"}}`})
	rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.jsonl"}`), 0, 0, "a.c", "t", "a.b", "t")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`0 a.jsonl:0 "\t2" "é" "\n1" "é"`, `1 a.jsonl:1 "plain" "ü" "\r" "ü"`,
		`2 a.jsonl:2 !line 3: field "a.c" is a number, not a string`, `3 a.jsonl:3 !line 4: no field "b" in "a"; fields are "c"`,
	}
	if diff := cmp.Diff(want, sourcetest.Format(rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A problem of a row does not affect the next row.
func TestProblemsPass(t *testing.T) {
	good := `{"t": "good"}`
	var lines, want []string
	for i, bad := range []string{`{"t": "a", "t": "b"}`, `{"t": "\ud800"}`, `{"t": 1}`, `{"x": "a"}`, `{"t": [[[`, `{"t": {"x": `, `{"t": "a`, `"t"`} {
		lines = append(lines, bad, good)
		want = append(want, fmt.Sprintf(`%d a.jsonl:%[1]d "good"`, 2*i+1))
	}
	dir := sourcetest.Dir(t, map[string]string{"a.jsonl": strings.Join(lines, "\n")})
	rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.jsonl"}`), 0, 0, "t")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, row := range sourcetest.Format(rows) {
		if i%2 == 1 {
			got = append(got, row)
		} else if rows[i].Problem == "" {
			t.Errorf("no problem: %s", row)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Values that are not requested are checked to the same depth as requested ones, which is that of encoding/json.
func TestDepth(t *testing.T) {
	s, err := newScanner([]source.Field{{Name: "t"}})
	if err != nil {
		t.Fatal(err)
	}
	nested := func(n int) []byte {
		return []byte(`{"x": ` + strings.Repeat("[", n) + strings.Repeat("]", n) + `, "y": [{}], "t": "a"}`)
	}
	for range 2 { // the depth of a row does not add to the next one's
		if values, err := s.scan(nested(maxDepth - 1)); err != nil || string(values[0]) != "a" {
			t.Errorf("found %q, %v", values, err)
		}
		if _, err := s.scan(nested(maxDepth)); err == nil || !strings.Contains(err.Error(), "nested more than 10000 deep") {
			t.Errorf("found %v", err)
		}
	}
}

const three = "\ufeff{\"t\": \"one\", \"u\": \"1\"}\r\n\n \t\n{\"t\": 2}\n{\"u\": \"3\", \"t\": \"three\"}"

var threeRows = []string{
	`0 %[1]s:0 "one" "1"`,
	`1 %[1]s:1 !line 4: field "t" is a number, not a string`,
	`2 %[1]s:2 "three" "3"`,
}

func compressed(t testing.TB, name, content string) string {
	t.Helper()
	var b bytes.Buffer
	switch {
	case strings.HasSuffix(name, ".gz"):
		for _, half := range []string{content[:len(content)/2], content[len(content)/2:]} { // two members, as pigz and cat make
			w := gzip.NewWriter(&b)
			if _, err := w.Write([]byte(half)); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
	case strings.HasSuffix(name, ".zst"):
		w, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		return string(w.EncodeAll([]byte(content), nil))
	default:
		return content
	}
	return b.String()
}

func TestByteOrderMarkBlankLinesAndCompression(t *testing.T) {
	for _, name := range []string{"a.jsonl", "a.jsonl.gz", "a.jsonl.zst"} {
		content := compressed(t, name, three)
		for _, name := range []string{name, "no-extension"} {
			dir := sourcetest.Dir(t, map[string]string{name: content})
			rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "`+name+`"}`), 0, 0, "t", "u")
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, row := range threeRows {
				want = append(want, strings.ReplaceAll(row, "%[1]s", name))
			}
			if diff := cmp.Diff(want, sourcetest.Format(rows)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

func TestReading(t *testing.T) {
	sourcetest.Check(t, New(), map[string]string{
		"x/a.jsonl": three, "x/b/c.jsonl.gz": compressed(t, ".gz", three), "x/empty.jsonl": "", "x/z.jsonl.zst": compressed(t, ".zst", three),
	}, `{"path": "x/**"}`, "t", "u")
}

func TestBadFiles(t *testing.T) {
	long := strings.Repeat(`{"t": "a line"}`+"\n", 10000)
	gz, zst := compressed(t, ".gz", long), compressed(t, ".zst", long)
	flip := []byte(gz)
	flip[len(flip)-6] ^= 1
	tests := []struct{ name, content, want string }{
		{"a.json", "[\n{\"t\": \"one\"}\n]\n", `begins with "[": it is a JSON array; expected JSON Lines, one object per line; convert it: jq -c '.[]'`},
		{"b.json", "\n \r\n\t[1, 2]", `b.json begins with "["`},
		{"cut.jsonl.gz", gz[:len(gz)/4], "cut.jsonl.gz: truncated gzip data after"},
		{"sum.jsonl.gz", string(flip), "sum.jsonl.gz: damaged gzip data after 160000 bytes of content"},
		{"tail.jsonl.gz", gz + "tail", "tail.jsonl.gz: "},
		{"cut.jsonl.zst", zst[:len(zst)-3], "cut.jsonl.zst: truncated zstd data after"},
		{"plain.jsonl.gz", "{}", `its name ends in .gz, but its first bytes "{}" are not gzip; download or copy the file again, or rename it`},
		{"empty.jsonl.zst", "", `its name ends in .zst, but its first bytes "" are not zstd`},
	}
	for _, test := range tests {
		dir := sourcetest.Dir(t, map[string]string{test.name: test.content})
		_, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "`+test.name+`"}`), 0, 0, "t")
		if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: error %v of kind %q; want one of invalid input with %q", test.name, err, protocol.KindOf(err), test.want)
		}
	}
}

func TestLongLine(t *testing.T) {
	const most = 3 << 20 // more than one read of the lines
	line := `{"t": "` + strings.Repeat("x", most-len(`{"t": ""}`)) + `"}`
	dir := sourcetest.Dir(t, map[string]string{"a.jsonl": line + " \n" + line + "\n"})
	rows, err := sourcetest.Read(t, newProvider(most), sourcetest.Source(dir, `{"path": "a.jsonl"}`), 0, 0, "t")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Problem != "line 1 has more than 3145728 bytes, the most that a row may have" ||
		len(rows[1].Values[0]) != most-len(`{"t": ""}`) {
		t.Errorf("got %d rows, first problem %q", len(rows), rows[0].Problem)
	}
}

// A byte order mark that is not at the start of a file is damage, as in concatenated files with marks.
func TestByteOrderMarkInside(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.jsonl": "\ufeff{\"t\": \"one\"}\n\ufeff{\"t\": \"two\"}\n"})
	rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.jsonl"}`), 0, 0, "t")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`0 a.jsonl:0 "one"`, `1 a.jsonl:1 !line 2, column 1: expected a value, found '\ufeff'`}
	if diff := cmp.Diff(want, sourcetest.Format(rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An array that is not at the start of a file is a bad row, like any other value.
func TestArrayInside(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{"a.jsonl": "{\"t\": \"one\"}\n[]\n{\"t\": \"two\"}\n"})
	rows, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.jsonl"}`), 0, 0, "t")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`0 a.jsonl:0 "one"`, `1 a.jsonl:1 !line 2: an array, not an object`, `2 a.jsonl:2 "two"`}
	if diff := cmp.Diff(want, sourcetest.Format(rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEmptyNameInField(t *testing.T) {
	for _, field := range []string{"", ".", "a..b", "a."} {
		dir := sourcetest.Dir(t, map[string]string{"a.jsonl": "{}"})
		_, err := sourcetest.Read(t, New(), sourcetest.Source(dir, `{"path": "a.jsonl"}`), 0, 0, field)
		if want := fmt.Sprintf("field %q has an empty name", field); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q", err, want)
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

// reference reads the string at the names of path as encoding/json does.
func reference(line []byte, path ...string) (value string, ok bool) {
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(line, &object) != nil || object == nil {
			return "", false
		}
		line = object[name]
	}
	if len(line) == 0 || line[0] != '"' {
		return "", false
	}
	return value, json.Unmarshal(line, &value) == nil
}

// FuzzJSONL compares the scanner with encoding/json.
func FuzzJSONL(f *testing.F) {
	for _, seed := range []string{
		`{"t":"a","a":{"b":"c"}}`, `{"a":{"b":"\ud83d\ude00\n"},"t":"\u0041"}`, `{"t":"\ud800"}`, `{"t":"a","t":"b"}`, ` {"t" : [1.5e-3, -0, {}] } `,
		`[]`, `1`, `{"t":"\u00"}`, `{"t":tru}`, `{"\u0074":"x"}`, "{\"t\":\"\x00\"}", `{"a":{"b":"x"},"t":"y"}z`, `{"t":-}`, `{"t":1e}`, `{"":""}`,
		strings.Repeat(`{"a":`, 10000) + `1` + strings.Repeat(`}`, 10000), strings.Repeat(`{"a":`, 10001) + `1` + strings.Repeat(`}`, 10001),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if !utf8.Valid(line) {
			return // encoding/json replaces bytes that the scanner keeps
		}
		s, err := newScanner([]source.Field{{Name: "t"}, {Name: "a.b"}})
		if err != nil {
			t.Fatal(err)
		}
		values, err := s.scan(line)
		message := ""
		if p, isProblem := errors.AsType[problem](err); isProblem {
			message = string(p)
		} else if err != nil {
			t.Fatalf("%q: an error that is not a problem: %v", line, err)
		}
		invalid := strings.HasPrefix(message, ", column ")
		if invalid == json.Valid(line) {
			t.Fatalf("%q: json.Valid says %v, the scanner %q", line, !invalid, message)
		}
		if invalid || strings.Contains(message, "duplicate name") || strings.Contains(message, "surrogate") {
			return
		}
		first, firstOK := reference(line, "t")
		second, secondOK := reference(line, "a", "b")
		if strings.Contains(message, "both a name and a path") {
			return
		}
		if whole, ok := reference(line, "a.b"); ok {
			second, secondOK = whole, ok
		}
		if (err == nil) != (firstOK && secondOK) {
			t.Fatalf("%q: encoding/json finds %v and %v, the scanner %q", line, firstOK, secondOK, message)
		}
		if err == nil && (string(values[0]) != first || string(values[1]) != second) {
			t.Fatalf("%q: encoding/json reads %q and %q, the scanner %q", line, first, second, values)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	line := []byte(`{"id": 12345, "url": "https://example.com/a/b", "meta": {"lang": "en", "score": 0.98, "tags": ["a", "b"]}, "text": "` +
		strings.Repeat(`The ray of light is bent again as it leaves the second prism.\n`, 20) + `"}`)
	s, err := newScanner([]source.Field{{Name: "text"}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := s.scan(line); err != nil {
			b.Fatal(err)
		}
	}
}
