package gap

import (
	"bytes"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/markdown"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

// strangers is text with a special meaning in Markdown, HTML, GitHub, a terminal or a CI log.
var strangers = []string{
	"it's \"quoted\" &amp; <b>bold</b>", "<script>alert(1)</script>", "<!-- ", "![x](https://e.example/p.png)", "[a](javascript:alert(1))",
	"[a]: https://e.example", "https://e.example/a_b_", "www.e.example", "someone@e.example", "@someone #12 :tada: $x^2$ GH-1", "*a* _b_ ~~c~~ **d**",
	"# heading", "- item", "> quote", "---", "a|b", `\|`, `\\|`, `\`, "||", "`", "``", "a`b", "`a`", "```", " ` ", "  ", " a ", "&#124;", "| --- |",
	"::error file=a::b", "a\n::error::b", "a\r\n\r\n# b", "\x1b[31mred", "a\u202eb\u2066c", "\u2028", "\x00", "tab\t|", "\xff",
}

func render(t *testing.T, report string) string {
	t.Helper()
	var out bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert([]byte(report), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var codeCell = regexp.MustCompile(`^<td>(?:<code>(.*)</code>)?</td>$`)

// Quoted text is one code span in its cell, shows the whole text, and is one line without invisible characters.
func TestQuote(t *testing.T) {
	shown := map[string]string{
		"a\n::error::b": `a\n::error::b`, "a\r\n\r\n# b": `a\r\n\r\n# b`, "\x1b[31mred": `\x1b[31mred`, "a\u202eb\u2066c": `a\u202eb\u2066c`,
		"\u2028": `\u2028`, "\x00": `\x00`, "tab\t|": `tab\t|`, "\xff": `\xff`,
	}
	for _, text := range append([]string{""}, strangers...) {
		var table strings.Builder
		markdown.Table(&table, "", []string{"a", "b"}, 1, func(int) []string { return []string{markdown.Code(text), markdown.Code(text)} })
		var lines []string
		for line := range strings.Lines(render(t, table.String())) {
			if strings.HasPrefix(line, "<td>") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		if len(lines) != 2 {
			t.Errorf("%q: got cells %q, want 2", text, lines)
			continue
		}
		want, ok := shown[text]
		if !ok {
			want = text
		}
		for _, line := range lines {
			if m := codeCell.FindStringSubmatch(line); m == nil || html.UnescapeString(m[1]) != want {
				t.Errorf("%q: got the cell %q, want the text %q", text, line, want)
			}
		}
	}
}

var tag = regexp.MustCompile(`</?([a-z0-9]+)[^>]*>`)

// Names and texts cannot add lines, headings or cells to the report.
func TestReport(t *testing.T) {
	text := strings.ToValidUTF8(strings.Join(strangers, " \n"), "\ufffd")
	a, b := sides(t,
		doc{dataset: "<i>|`::error::/x", shard: "s|\n::error::", text: text, a: []float64{2}, b: []float64{1}, tags: []string{"[t](u)"}},
		doc{dataset: "it's", shard: "_", text: "|<b>|` it's", a: []float64{1, 3, 1}, b: []float64{2}},
	)
	a.Name, b.Name = "a*\n::error::", "<img src=x>"
	out := t.TempDir()
	if _, err := Compare(t.Context(), a, b, out, Options{}); err != nil {
		t.Fatal(err)
	}
	report, err := os.ReadFile(filepath.Join(out, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(report)) {
		if !strings.HasPrefix(line, "|") && strings.HasPrefix(strings.TrimSpace(line), "::") || strings.ContainsAny(line, "\x1b\u202e\u2066\r\x00") {
			t.Errorf("got the line %q", line)
		}
	}
	rendered := render(t, string(report))
	tags := map[string]int{}
	for _, m := range tag.FindAllStringSubmatch(rendered, -1) {
		tags[m[1]]++
	}
	for name := range tags {
		switch name {
		case "h1", "h2", "p", "ul", "li", "strong", "code", "table", "thead", "tbody", "tr", "th", "td":
		default:
			t.Errorf("got the tag %s", name)
		}
	}
	for _, table := range strings.Split(rendered, "<table>")[1:] {
		heads := strings.Count(table, "<th")
		for _, row := range strings.Split(table, "<tr>")[2:] {
			if n := strings.Count(row, "<td"); n != heads-1 { // <thead> counts, too
				t.Errorf("got %d cells in a row of %d columns: %s", n, heads-1, row)
			}
		}
	}
	for _, want := range []string{
		"<h1>Gap: <code>a*\\n::error::</code> (a) and <code>&lt;img src=x&gt;</code> (b)</h1>",
		"<td><code>it's</code></td>", "<td><code>|&lt;b&gt;|`␠it's</code></td>",
		"The dataset that differs most is <code>&lt;i&gt;|`::error::/x</code>",
	} {
		if !strings.Contains(rendered, want) {
			t.Errorf("the rendered report lacks %s:\n%.3000s", want, rendered)
		}
	}
}

// No file of text that people show in a CI system has commands to that system, and JSON files keep the values.
func TestNoCommands(t *testing.T) {
	const name = "##vso[task.x]\u202e\u009b"
	a, b := sides(t, doc{dataset: name, shard: name, text: "##[group]x ##vso[y]", a: []float64{2}, b: []float64{1}, tags: []string{name}})
	a.Name, b.Name = name, "b"
	out := t.TempDir()
	if _, err := Compare(t.Context(), a, b, out, Options{}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"report.md": `#\#vso[task.x]`, "summary.json": `#\u0023vso[task.x]\u202e\u009b`, "worst_documents.jsonl": `#\u0023vso[task.x]\u202e\u009b`,
	} {
		data, err := os.ReadFile(filepath.Join(out, file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), want) || regexp.MustCompile(`##[A-Za-z]*\[|[\x{202e}\x{9b}]`).Match(data) {
			t.Errorf("%s: want %s and nothing live in\n%s", file, want, data)
		}
	}
	var s Summary
	if err := artifact.ReadJSON(filepath.Join(out, "summary.json"), &s); err != nil || s.ModelA != name {
		t.Errorf("got the model %q, %v", s.ModelA, err)
	}
}
