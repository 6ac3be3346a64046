package spec_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "surprisal.dev/runner/spec"
)

// The test binary also serves as the process that evaluates.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "evaluate" {
		code, _ := Serve(os.Stdin, os.Stdout, plugins().Sections)
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// bounded evaluates specs in another process of this binary.
func bounded(t *testing.T, limit time.Duration, memory int64) Bounded {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Bounded{Command: []string{program, "evaluate"}, Time: limit, Memory: memory}
}

// The valid parts of a spec with mistakes are returned, from another process as from this one.
func TestPartOfASpec(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "x.cue"), "package x\nimport \"surprisal.dev/experiment\"\nexperiment.#Experiment\nname: \"partial\"\n")
	here, err := Load(t.Context(), dir, plugins())
	if _, ok := errors.AsType[Errors](err); !ok || here == nil {
		t.Fatalf("found %+v, %v", here, err)
	}
	there, err := bounded(t, time.Minute, 1<<30).Load(t.Context(), dir, plugins())
	if _, ok := errors.AsType[Errors](err); !ok || there == nil || there.Name != here.Name {
		t.Errorf("found %+v, %v; want %+v", there, err, here)
	}
}

// Of a spec with mistakes, the parts without mistakes are returned, so that their files can be checked. Parts with
// mistakes are cleared, and paths outside of the confining directory are among them.
func TestDiscard(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "x.cue"), `package x
import "surprisal.dev/experiment"
experiment.#Experiment
name: "x"
datasets: {
	good: source: text: path: "a.txt"
	other: {source: text: path: "b.txt", tags: [1]}
	source: source: text: path: 1
	unknown: source: txt: path: "a.txt"
	outside: source: text: path: "../a.txt"
	blank: source: text: path: "c.txt"
}
skip: blank: " "
models: {
	good: backend: echo: {}
	family: {backend: echo: {}, family: " "}
	scoring: {backend: echo: {}, scoring: prefix: "x"}
	weights: {backend: echo: {}, weights: gguf: path: 1}
	outside: {backend: echo: {}, weights: gguf: path: "../a.gguf"}
	formats: {backend: echo: {}, weights: {gguf: path: "a", safetensors: path: "b"}}
	alone: weights: gguf: path: "a.gguf"
	both: {backend: echo: {}, scores: {path: "t", protocol: "p"}}
	scores: scores: {path: "t", protocol: 1}
	table: scores: {path: "t", protocol: "p"}
	"table.two": scores: {path: "t", protocol: "p"}
}
sweeps: s: {models: ["scoring", "good"], over: "scoring.context": [8]}
`)
	o := plugins()
	o.Confine = dir
	for _, load := range []func() (*Experiment, error){
		func() (*Experiment, error) { return Load(t.Context(), dir, o) },
		func() (*Experiment, error) { return bounded(t, time.Minute, 1<<30).Load(t.Context(), dir, o) },
	} {
		e, err := load()
		if _, ok := errors.AsType[Errors](err); !ok || e == nil {
			t.Fatalf("found %+v, %v", e, err)
		}
		var got []string
		for _, d := range e.Datasets {
			if d.Source.Config != nil && d.Skip == "" {
				got = append(got, d.Name)
			}
		}
		for _, m := range e.Models {
			if m.Backend != nil && m.Backend.Config != nil {
				got = append(got, m.Name+" backend")
			}
			if m.Weights != nil {
				got = append(got, m.Name+" weights")
			}
			if m.Scores != nil {
				got = append(got, m.Name+" scores")
			}
		}
		want := []string{"good", "other", "alone weights", "family backend", "good backend", "good@context=8 backend", "table scores", "table.two scores"}
		if !slices.Equal(got, want) {
			t.Errorf("found %q\nwant  %q\n%v", got, want, err)
		}
	}
}

// The size limit applies to the total of all files.
func TestLargeFilesTogether(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.cue", "b.cue"} {
		writeFile(t, filepath.Join(dir, name), "package x\n"+strings.Repeat("// a remark\n", 17<<20/12))
	}
	if _, err := Load(t.Context(), dir, plugins()); err == nil || !strings.Contains(err.Error(), "exceed the limit of 32 MiB") {
		t.Errorf("found %.200v", err)
	}
}

// TestBombs checks that a spec that exceeds its limits gives an error that names the limit, not a stack trace, and does
// not affect other processes.
func TestBombs(t *testing.T) {
	nested := func(open, middle, end string, n int) string {
		return "x: " + strings.Repeat(open, n) + middle + strings.Repeat(end, n)
	}
	doubling, interpolated := "a0: \"0123456789abcdef\"\n", "a0: \"0123456789abcdef\"\n"
	for i := range 60 {
		doubling += fmt.Sprintf("a%d: a%d + a%d\n", i+1, i, i)
		interpolated += fmt.Sprintf("a%d: \"\\(a%d)\\(a%d)\"\n", i+1, i, i)
	}
	var chain strings.Builder
	fmt.Fprintln(&chain, "a0: 0")
	for i := range 200_000 {
		fmt.Fprintf(&chain, "a%d: a%d + 1\n", i+1, i)
	}
	var alternatives strings.Builder
	for i := range 40 {
		fmt.Fprintf(&alternatives, "({a%d: 1} | {b%d: 1}) & ", i, i)
	}
	const (
		slow, quick = time.Minute, 2 * time.Second
		memory      = "cannot evaluate the specification within 1m0s and 256 MiB of memory: it needs more memory"
		either      = "cannot evaluate the specification within 2s and 256 MiB of memory: it "
	)
	huge := "strings.Repeat(strings.Repeat(\"0123456789\", 10000), 10)"
	tests := []struct {
		name, source string
		limit        time.Duration
		want         string
	}{
		{"doubling strings", doubling, slow, memory},
		{"doubling interpolations", interpolated, slow, memory},
		{"comprehension", "import \"list\"\nx: [for i in list.Range(0, 100000000, 1) {i}]\n", quick, either},
		{"nested comprehensions", "_l: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\nx: [for a in _l for b in _l for c in _l for d in _l " +
			"for e in _l for f in _l for g in _l for h in _l {a + h}]\n", quick, either},
		{"repeated string", "import \"strings\"\nx: strings.Repeat(\"0123456789\", 1099511627776)\n", slow, "exceeds limit"},
		{"string that no machine has", "import \"strings\"\nx: strings.Repeat(strings.Repeat(strings.Repeat(\"0\", 1000000), 1000), 1000000)\n", slow, memory},
		{"string that the machine would grant", "import \"strings\"\nx: strings.Repeat(strings.Repeat(\"0123456789\", 1000000), 400)\n", slow, memory},
		{"repeated list", "import \"list\"\nx: list.Repeat([1, 2, 3], 1000000000)\n", slow, "exceeds limit"},
		{"repeated lists", "import \"list\"\n_a: list.Repeat([1, 2, 3], 1000000)\nx: list.Repeat([_a], 1000000)\n", quick, either},
		{"nested lists", nested("[", "1", "]", 100_000), slow, "exceeds maximum nesting depth"},
		{"nested structs", nested("{a: ", "1", "}", 100_000), slow, "exceeds maximum nesting depth"},
		{"nested parentheses", nested("(", "1", ")", 100_000), slow, "exceeds maximum nesting depth"},
		{"chain of references", chain.String(), quick, ""},
		{"structure that holds itself", "#A: {n: int, next: #A}\nx: #A & {n: 1}\n", slow, "structural cycle"},
		{"disjunctions", "_x: " + strings.TrimSuffix(alternatives.String(), "& ") + "\n", quick, either},
		{"power", "import \"math\"\nx: math.Pow(10, 1000000000)\n", slow, "exponent out of range"},
		{"large file", "x: \"" + strings.Repeat("0123456789abcdef", 1<<22) + "\"\n", slow, "exceed the limit of 32 MiB"},
		{"large names", "import \"strings\"\nmodels: (" + huge + "): {}\nskip: (" + huge + "): \"gone\"\n", slow, "bytes)..."},
		{"large values", "import \"strings\"\nmodels: m: family: 1\nmodels: m: family: " + huge + "\nscoring: prefix: " + huge + "\n", slow, "..."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			imports, rest, _ := strings.Cut(test.source, "\n")
			if !strings.HasPrefix(imports, "import") {
				imports, rest = "", test.source
			}
			writeFile(t, filepath.Join(dir, "x.cue"), "package x\n"+imports+"\nimport \"surprisal.dev/experiment\"\nexperiment.#Experiment\nname: \"x\"\n"+rest)
			_, err := bounded(t, test.limit, 256<<20).Load(t.Context(), dir, plugins())
			wrong, ok := errors.AsType[Errors](err)
			if !ok {
				t.Fatalf("found %v; want an error of the spec", err)
			}
			if len(err.Error()) > 4000 || strings.Contains(err.Error(), "goroutine") {
				t.Errorf("the error is %.4000s", err)
			}
			t.Logf("%.300v", wrong)
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("found %.1000v\nwant %s", err, test.want)
			}
		})
	}
}
