//go:build browser

package browser_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"surprisal.dev/runner/artifact/artifacttest"
	"surprisal.dev/runner/site/browser"
)

const foreignSpec = `package theirs

import "surprisal.dev/experiment"

experiment.#Experiment

name: "theirs"
models: {for m in ["a", "b"] {(m): scores: {path: "\(m)/scored_documents.parquet", protocol: "theirs"}}}
gaps: "a-vs-b": {a: "a", b: "b"}
`

// hostileNames are names of datasets that mean something in addresses, paths, HTML, CSV or LaTeX.
var hostileNames = []string{
	`<img src=x onerror="window.stolen=1">`, "..a/b../~c", "a#b?c=1&d=%2F%zz", `=cmd|' /C calc'!A0`, `50% of "x_{1}" & $y$, {z}~^#`, strings.Repeat("long/", 200) + "name",
}

// writeForeign writes a table of 300 documents of 10 kB in one row group, and one document for each hostile name.
func writeForeign(path string, model uint64) error {
	text, losses := rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(2, model))
	var rows []artifacttest.ForeignRow
	for n := range int64(300) {
		d := artifacttest.ForeignRow{Dataset: "theirs/web", Tags: []string{"web"}, Shard: "part-0", Row: &n}
		var words strings.Builder
		for words.Len() < 10_000 {
			start := int32(words.Len())
			fmt.Fprintf(&words, " w%x", text.Uint32())
			end := int32(words.Len())
			d.TokenIDs, d.TokenStarts, d.TokenEnds = append(d.TokenIDs, int32(text.Uint32()>>8)), append(d.TokenStarts, start), append(d.TokenEnds, end)
			for range end - start {
				d.PerByteLoss = append(d.PerByteLoss, losses.ExpFloat64())
			}
		}
		start, end := int32(0), int32(words.Len())
		d.Text, d.ScoreStart, d.ScoreEnd, d.NumBytes = words.String(), &start, &end, &end
		rows = append(rows, d)
	}
	for _, name := range hostileNames {
		d := rows[0]
		d.Dataset, d.Row = name, new(int64)
		rows = append(rows, d)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return parquet.WriteFile(path, rows)
}

// testForeign makes a site of the tables of another tool, with one row group each, and reads a document by range.
func testForeign(t *testing.T, f *fixture) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "experiment.cue"), []byte(foreignSpec), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, model := range []string{"a", "b"} {
		if err := writeForeign(filepath.Join(dir, model, "scored_documents.parquet"), uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	site := filepath.Join(t.TempDir(), "site")
	for _, args := range [][]string{{"pin"}, {"run"}, {"export", "site", site}} {
		command(t, dir, f.runner, args...)
	}
	x := f.open(t, serve(t, http.FileServer(http.Dir(site))))
	const page = "#/theirs/gap/a-vs-b"
	x.visit(page + "/documents?dataset=theirs%2Fweb")
	x.contains("output", "300 documents")
	x.Requests()
	x.visit(page + "/document?dataset=theirs%2Fweb&shard=part-0&row=150&at=5000")
	x.must(x.Wait(`document.querySelector(".heat canvas") !== null && document.querySelector(".current") !== null`))
	x.must(x.Wait(`document.querySelector(".inspector").innerText.includes("#")`)) // The IDs of tokens were read.
	if got := x.text(".inspector"); !strings.Contains(got, "bits per byte") || strings.Contains(got, "rank") || strings.Contains(got, "NaN") || strings.Contains(got, "undefined") {
		t.Errorf("the document page says %q", got)
	}
	all := 0.0
	for _, r := range x.Requests() {
		all += r.Bytes
		if strings.HasSuffix(r.URL, ".parquet") && (r.Bytes > 1<<20 || r.Range == "") {
			t.Errorf("a request for %s, range %q, has %.0f bytes", r.URL, r.Range, r.Bytes)
		}
	}
	size := int64(0)
	tables, err := filepath.Glob(filepath.Join(site, "data", "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		info, err := os.Stat(table)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	testNames(t, x, page)
	t.Logf("a document was read in %.0f bytes of %d", all, size)
	if size < 10<<20 || all > float64(size)/8 {
		t.Errorf("a document was read in %.0f bytes of %d", all, size)
	}
}

// testNames uses datasets whose names are hostile: in links and addresses, on a small screen, and in copies of a table.
func testNames(t *testing.T, x *tab, page string) {
	for _, name := range hostileNames {
		x.visit(page + "/datasets?small=1")
		x.must(x.Do(fmt.Sprintf(`[...document.querySelectorAll("tbody th")].find((e) => e.title === %s).querySelector("a").click()`, quote(t, name))))
		x.must(x.Wait(`location.hash.includes("/documents?dataset=") && document.querySelector(".loading") === null`))
		address := x.hash()
		x.visit(address) // A link restores it.
		if got := get[string](x, `document.querySelector(".choose select").value`); got != name {
			t.Errorf("the address %s chooses %q, want %q", address, got, name)
		}
		x.contains("output", "1 document")
		x.must(x.Click("tbody a"))
		x.must(x.Wait(`document.querySelector(".heat canvas") !== null`))
		x.must(x.Show(browser.Screen{Width: 390, Height: 844}))
		if over := get[float64](x, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			t.Errorf("%.40q makes the page %v pixels wider than the screen", name, over)
		}
		x.must(x.Show(browser.Screen{Width: 1280, Height: 900}))
	}
	x.visit(page + "/datasets?small=1&sort=name")
	lines, err := csv.NewReader(strings.NewReader(copied(x, "CSV"))).ReadAll()
	if err != nil || len(lines) != len(hostileNames)+2 {
		t.Fatalf("CSV: %d lines, %v", len(lines), err)
	}
	found := map[string]bool{}
	for _, line := range lines {
		if strings.HasPrefix(line[0], "=") {
			t.Errorf("CSV has the formula %q", line[0])
		}
		found[strings.TrimPrefix(line[0], "'")] = true
	}
	for _, name := range hostileNames {
		if !found[name] {
			t.Errorf("CSV has no %q", name)
		}
	}
	latex := copied(x, "LaTeX")
	if !strings.Contains(latex, `50\% of "x\_\{1\}" \& \$y\$, \{z\}\textasciitilde{}\textasciicircum{}\# & `) {
		t.Errorf("LaTeX: %s", latex)
	}
	if get[bool](x, `"stolen" in window`) {
		t.Error("a name ran as a script")
	}
}

// quote returns a JavaScript string.
func quote(t *testing.T, text string) string {
	t.Helper()
	data, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
