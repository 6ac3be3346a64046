package specs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue/format"
	"github.com/google/go-cmp/cmp"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/spec"
)

var update = flag.Bool("update", false, "write the table of keys and tags")

// variants are the values of tags with which the specs are planned in addition to their defaults.
var variants = map[string][][]string{
	"gap-suite": {
		{"bundle=all", "models=all", "bucket=s3://bucket/suite"}, {"bundle=base_raw", "models=8b"}, {"bundle=bio_chem", "bucket=gs://bucket/suite"}, {"bundle=code_ecosystem", "bucket=s3://bucket/suite"},
		{"bundle=long_context"}, {"bundle=multilingual_raw"}, {"bundle=runnable_long_tail"}, {"bundle=synthetic"},
	},
	"outliers":     {{"run=full"}, {"run=stable"}},
	"sliding":      {{"models=8b"}, {"models=70b"}},
	"release-gate": {{"candidate=64000", "release=16000", "before=32000", "bucket=s3://bucket/suite"}, {"requests=gs://bucket/requests"}},
}

// Every spec plans without network: counts, bounds of what it reads and needs, and what is to be pinned.
func TestPlans(t *testing.T) {
	t.Parallel()
	for _, dir := range directories(t) {
		for _, values := range append([][]string{nil}, variants[dir]...) {
			t.Run(strings.Join(append([]string{dir}, values...), " "), func(t *testing.T) {
				t.Parallel()
				args := []string{"plan", dir, "--unpinned"}
				for _, v := range values {
					args = append(args, "-t", v)
				}
				checkPlan(t, output(t, append(args, "--json")...))
				text := string(output(t, args...))
				for _, want := range []string{"\nlicense  ", "\nnot pinned  ", "\nmodel  ", " not pinned. Run `runner pin`"} {
					if !strings.Contains(text, want) {
						t.Errorf("the plan does not have %q:\n%s", want, text)
					}
				}
			})
		}
	}
}

// output returns the output of a command of the runner, which must succeed with nothing but warnings.
func output(t *testing.T, args ...string) []byte {
	t.Helper()
	c := runner(t, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	stdout, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	for line := range strings.Lines(stderr.String()) {
		if !strings.HasPrefix(line, "warning: ") {
			t.Errorf("unexpected: %s", line)
		}
	}
	return stdout
}

// checkPlan checks that a plan has scores that wait for a pin, with bounds of their cost, and comparisons.
func checkPlan(t *testing.T, data []byte) {
	t.Helper()
	var p struct {
		Actions []struct {
			Kind, Name, State string
			Cost              struct{ Documents, Bytes, Memory int64 }
		}
	}
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, a := range p.Actions {
		n[a.Kind]++
		// A book is one document without a limit.
		if a.Kind == "score" && (a.Cost.Documents == 0 || a.Cost.Bytes == 0) && !strings.HasSuffix(a.Name, " books/gatsby") {
			t.Errorf("%s has no bound of its text", a.Name)
		}
	}
	comparisons := n["gap"] + n["scaling"] + n["outliers"] + n["sliding"]
	if n["score"] == 0 || comparisons == 0 {
		t.Errorf("the plan has %v", n)
	}
}

// The checkpoints of the release gate are in the order of their steps by their names, too, which lists of models follow.
// None is later than the candidate, and each has the weights of its step.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		tags []string
		want []int64
	}{
		{nil, []int64{1000, 4000, 16000, 64000, 128000, 142000, 143000}},
		{[]string{"candidate=64000", "release=16000", "before=32000"}, []int64{1000, 4000, 16000, 32000, 64000}},
		{[]string{"candidate=1143000", "release=9000", "before=100000"}, []int64{1000, 4000, 9000, 16000, 64000, 100000, 1143000}},
	} {
		e := load(t, "release-gate", test.tags...)
		slices.SortFunc(e.Models, func(a, b spec.Model) int { return strings.Compare(a.Name, b.Name) })
		var steps []int64
		for _, m := range e.Models {
			steps = append(steps, int64(*m.Step))
			if m.Weights.Hub.Revision != fmt.Sprintf("step%d", int64(*m.Step)) {
				t.Errorf("%s has the revision %q", m.Name, m.Weights.Hub.Revision)
			}
		}
		if d := cmp.Diff(test.want, steps); d != "" {
			t.Errorf("%q: %s", test.tags, d)
		}
	}
}

// A candidate that is not the latest of the three checkpoints is refused.
func TestCheckpointsOutOfOrder(t *testing.T) {
	t.Parallel()
	for _, values := range [][]string{{"candidate=64000"}, {"candidate=64000", "release=16000"}, {"before=1000"}, {"before=143000"},
		{"candidate=-1", "before=-2", "release=-3"},
	} {
		args := []string{"plan", "release-gate", "--unpinned"}
		for _, v := range values {
			args = append(args, "-t", v)
		}
		text, err := runner(t, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(text), "are not above 0 and in this order; set all three: -t release=N -t before=N -t candidate=N") {
			t.Errorf("%q: %v\n%s", values, err, text)
		}
	}
}

// The windows of a book that is not pinned are those of its limits: 100,000, each of which the model reads twice. The memory
// is at least that of the weights.
func TestSlidingBounds(t *testing.T) {
	t.Parallel()
	var p struct {
		Actions []struct {
			Kind string
			Cost struct {
				Documents, Bytes, Memory int64
				AtMost                   bool
			}
		}
	}
	if err := json.Unmarshal(output(t, "plan", "sliding", "--unpinned", "-t", "models=70b", "--json"), &p); err != nil {
		t.Fatal(err)
	}
	var windows, bytes int64
	for _, a := range p.Actions {
		if a.Kind == "windows" {
			windows += a.Cost.Documents
			bytes += a.Cost.Bytes
		}
		if model := a.Kind == "windows" || a.Kind == "score"; model && (!a.Cost.AtMost || a.Cost.Memory < 141e9) {
			t.Errorf("%+v, want bounds and at least the weights", a)
		}
	}
	if windows != 100_000 || bytes != 100_000*(100+50)*4 {
		t.Errorf("%d windows of %d bytes", windows, bytes)
	}
	text := string(output(t, "plan", "sliding", "--unpinned", "-t", "models=70b"))
	if want := "  ≤61 MB  ≤2.15e+18 operations\n"; !strings.Contains(text, want) {
		t.Errorf("no %q in:\n%s", want, text)
	}
}

// A change of a key or a tag of the suite breaks comparisons with earlier reports, so each is a change of the table.
func TestKeys(t *testing.T) {
	t.Parallel()
	e := load(t, "gap-suite", "bundle=all")
	var table bytes.Buffer
	for _, d := range e.Datasets {
		table.WriteString(d.Name + "\t" + strings.Join(d.Tags, " ") + "\n")
		if d.About == nil || d.About.License == "" || d.About.Contamination == "" || d.Minimum == nil || d.Minimum.Documents == 0 {
			t.Errorf("%s: not everything is known about its text: %+v", d.Name, d.About)
		}
		family, _, _ := strings.Cut(d.Name, "/")
		if len(d.Tags) < 2 {
			t.Errorf("%s of %s has the tags %q", d.Name, family, d.Tags)
		}
	}
	const golden = "testdata/gap-suite.tsv"
	if *update {
		if err := os.WriteFile(golden, table.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), table.String()); d != "" {
		t.Errorf("keys or tags changed; if that is intended, run go test ./specs -update (-%s, +suite):\n%s", golden, d)
	}
}

// A skip names a dataset of the suite, also if another bundle or a bucket is chosen.
func TestSkips(t *testing.T) {
	t.Parallel()
	without, with := skipped(load(t, "gap-suite", "bundle=all")), skipped(load(t, "gap-suite", "bundle=all", "bucket=s3://bucket/suite"))
	for key, reason := range with {
		if strings.Contains(reason, "-t bucket") {
			t.Errorf("%s is skipped although there is a bucket", key)
		}
		if without[key] != reason {
			t.Errorf("%s: with a bucket it is skipped because %q, without one %q", key, reason, without[key])
		}
	}
	if len(with) == 0 || len(without) <= len(with) {
		t.Errorf("%d datasets are skipped without a bucket, %d with one", len(without), len(with))
	}
}

func skipped(e *spec.Experiment) map[string]string {
	of := map[string]string{}
	for _, d := range e.Datasets {
		if d.Skip != "" {
			of[d.Name] = d.Skip
		}
	}
	return of
}

// load reads a spec in this process.
func load(t *testing.T, dir string, tags ...string) *spec.Experiment {
	t.Helper()
	o := spec.Options{Tags: tags, Providers: map[string]spec.Schema{}, Backends: map[string]spec.Schema{}, Sections: action.Sections(kinds.All())}
	b := builtins()
	for name, p := range b.Providers {
		d, err := p.Describe(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		o.Providers[name] = spec.Schema{CUE: d.Schema}
	}
	for name, p := range b.Backends {
		d, err := p.Describe(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		o.Backends[name] = spec.Schema{CUE: d.Schema}
	}
	e, err := spec.Load(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// directories returns the directories of the specs.
func directories(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*/experiment.cue")
	if err != nil || len(found) == 0 {
		t.Fatalf("%q, %v", found, err)
	}
	for i, f := range found {
		found[i] = filepath.Dir(f)
	}
	return found
}

// The CUE files are formatted as `cue fmt` does it.
func TestFormat(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".cue" {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		formatted, err := format.Source(source)
		if err == nil && !slices.Equal(formatted, source) {
			t.Errorf("%s is not formatted; run ./just fmt", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
