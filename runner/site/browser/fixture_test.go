//go:build browser

package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"surprisal.dev/runner/site/browser"
)

// The experiment of the tests. The dataset hostile has HTML and scripts as its text, and two documents of a page, many has 10,000 documents, long has
// one of 500 kB, and odd has text whose positions in bytes and in characters differ.
const experiment = `package pages

import "surprisal.dev/experiment"

experiment.#Experiment

name: "pages"
let book = {path: "text/src/testdata/Isaac.Newton-Opticks.txt", split: "paragraphs"}
datasets: {
	"books/train": {source: text: book, rows: to: 60, use: "train"}
	"books/opticks": {source: text: book, rows: {from: 350, to: 500}, tags: ["english", "century:18"]}
	// Too little text for an interval to mean anything.
	"books/two": {source: text: book, rows: {from: 350, to: 352}}
	"code/go": {source: text: path: "text/src/net/http/*.go", rows: to: 30, tags: ["code"]}
	"web/hostile": {source: jsonl: path: "hostile.jsonl", cluster: field: "page", tags: ["html"]}
	"web/odd": {source: jsonl: path: "odd.jsonl"}
	"size/many": source: jsonl: path: "many.jsonl"
	"size/long": source: text: path: "long.txt"
}
models: {
	for n in [2, 3, 4] {"byte-\(n)gram": {backend: ngram: {order: n, train: "books/train"}, family: "bytes"}}
	"word-2gram": backend: ngram: {order: 2, tokens: "words", train: "books/train"}
	// As large as the first one, which has the same results.
	"again": backend: ngram: {order: 4, train: "books/train"}
}
gaps: "byte-vs-word": {a: "byte-4gram", b: "word-2gram"}
let few = ["books/opticks", "code/go"]
scaling: {
	order: {models: ["byte-2gram", "byte-4gram", "again"], datasets: ["books/opticks", "books/two", "code/go"]}
	designs: {models: ["byte-2gram", "byte-3gram", "byte-4gram", "again", "word-2gram"], datasets: few}
}
series: checkpoints: {models: ["byte-2gram", "byte-4gram"], x: {label: "training steps", values: {"byte-2gram": 1, "byte-4gram": 2}}, datasets: few}
drift: both: {
	reference: {model: "byte-2gram", datasets: ["books/opticks"]}
	current: {model: "byte-4gram", datasets: ["code/go"]}
	gate: maxBitsPerByte: 0.5
}
sliding: known: {models: ["byte-4gram"], datasets: ["web/odd"], chunkTokens: 8}
gates: {
	better: {candidate: "byte-4gram", against: "byte-2gram", maxBitsPerByte: 0.02, datasets: few}
	worse: {candidate: "byte-2gram", against: "byte-4gram", maxBitsPerByte: 0.02, datasets: few}
}
`

const script = `<script>window.stolen = true</script><img src=x onerror="window.stolen = true"><b>bold</b> </pre></div> {{7*7}}`

// directions has the controls with which code looks different from what it is.
const directions = "if access \u202e\u2066// check admin\u2069 \u2066 then {\u202c ok } \u05d0\u05d1 end"

const odd = "\ufeffna\u00efve \u65e5\u672c\u8a9e \U0001f600 e\u0301 tab\there\r\nline two\r\n\u00a0\u200b end"

// failedGate is the exit code of a run with a gate that failed.
const failedGate = 4

// A fixture is an exported site, and the directory of the experiment.
type fixture struct {
	browser *browser.Browser
	site    string
	dir     string
	runner  string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	root := t.TempDir()
	f := &fixture{dir: filepath.Join(root, "pages"), site: filepath.Join(root, "site")}
	f.write(t)
	f.runner = filepath.Join(root, "runner")
	command(t, "../../..", "go", "build", "-o", f.runner, "./runner")
	run := exec.Command(f.runner, "run")
	run.Dir = f.dir
	if out, err := run.CombinedOutput(); run.ProcessState == nil || run.ProcessState.ExitCode() != failedGate {
		t.Fatalf("run: %v, want a failed gate\n%s", err, out)
	}
	command(t, f.dir, f.runner, "export", "site", f.site)
	b, err := browser.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	f.browser = b
	return f
}

func (f *fixture) write(t *testing.T) {
	t.Helper()
	goroot := strings.TrimSpace(command(t, ".", "go", "env", "GOROOT"))
	book, err := os.ReadFile(filepath.Join(goroot, "src/testdata/Isaac.Newton-Opticks.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, `{"text": "document %d says %s"}`+"\n", i, strings.Repeat("light ", i%7))
	}
	lines := func(texts ...string) string {
		var b strings.Builder
		for i, text := range texts {
			line, err := json.Marshal(map[string]any{"text": text, "page": i / 2})
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(line, '\n'))
		}
		return b.String()
	}
	for name, content := range map[string]string{
		"experiment.cue": experiment,
		"hostile.jsonl":  lines(script, "plain", directions),
		"odd.jsonl":      lines(odd, "e\u0301\u0302"),
		"many.jsonl":     many.String(),
		"long.txt":       strings.Repeat(string(book), 1+500_000/len(book))[:500_000],
	} {
		if err := os.MkdirAll(f.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(goroot, filepath.Join(f.dir, "text")); err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	var errors strings.Builder
	c.Stderr = &errors
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, errors.String())
	}
	return string(out)
}

// serve serves a directory. It returns the address.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// open opens a tab at 1,280 pixels, and fails the test if a page had problems that the test did not take.
func (f *fixture) open(t *testing.T, address string) *tab {
	t.Helper()
	p, err := f.browser.Open(browser.Screen{Width: 1280, Height: 900})
	if err != nil {
		t.Fatal(err)
	}
	x := &tab{Page: p, t: t, address: address}
	t.Cleanup(func() {
		if problems := p.Problems(); len(problems) > 0 {
			t.Errorf("problems of the page: %s", strings.Join(problems, "\n"))
		}
		p.Close()
	})
	return x
}

// tab is a tab whose failures fail the test.
type tab struct {
	*browser.Page
	t       *testing.T
	address string
}

func (x *tab) must(err error) {
	x.t.Helper()
	if err != nil {
		_, file, line, _ := runtime.Caller(1)
		x.t.Fatalf("%s:%d: %v", filepath.Base(file), line, err)
	}
}

func (x *tab) visit(path string) { x.t.Helper(); x.must(x.Go(x.address + path)) }

// move opens another address of the page that is open.
func (x *tab) move(path string) {
	x.t.Helper()
	if path == "" {
		path = "#/"
	}
	x.must(x.Do(fmt.Sprintf(`location.hash = %q`, path)))
	x.must(x.Settle())
}

func get[T any](x *tab, expression string) T {
	x.t.Helper()
	v, err := browser.Evaluate[T](x.Page, expression)
	x.must(err)
	return v
}

func (x *tab) text(selector string) string {
	x.t.Helper()
	return get[string](x, fmt.Sprintf(`[...document.querySelectorAll(%q)].map((e) => e.innerText).join("\n")`, selector))
}

func (x *tab) hash() string { x.t.Helper(); return get[string](x, "location.hash") }

func (x *tab) contains(selector, want string) {
	x.t.Helper()
	if got := x.text(selector); !strings.Contains(got, want) {
		x.t.Fatalf("%s: want text with %q, got:\n%.500s", selector, want, got)
	}
}
