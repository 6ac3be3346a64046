package workspace_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/ngram"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/text"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
	"surprisal.dev/runner/workspace"
)

func TestMain(m *testing.M) { actiontest.Main(m, nil) }

// directory is an experiment directory.
type directory struct {
	t   *testing.T
	dir string
}

const experiment = `package test

import "surprisal.dev/experiment"

experiment.#Experiment

name: "test"
_lines: {split: "lines"}
datasets: {
	corpus: {source: text: _lines & {path: "corpus.txt"}, use: "train"}
	"books/a": source: text: _lines & {path: "a*.txt"}
}
models: {
	big: backend: ngram: {order: 3, train: "corpus"}
	small: backend: ngram: {order: 1, train: "corpus"}
}
gaps: "big-small": {a: "big", b: "small"}
`

// newDirectory returns an experiment with two models, trained on corpus and compared on books/a: seven actions.
func newDirectory(t *testing.T) *directory {
	t.Helper()
	f := &directory{t, t.TempDir()}
	f.write("experiment.cue", experiment)
	f.write("corpus.txt", "the cat sat on the mat\nthe dog sat on the cat")
	f.write("a.txt", "the cat sat\nthe dog")
	return f
}

func (f *directory) write(name, content string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *directory) replace(old, with string) {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join(f.dir, "experiment.cue"))
	if err != nil || !strings.Contains(string(data), old) {
		f.t.Fatalf("no %q in the spec: %v", old, err)
	}
	f.write("experiment.cue", strings.Replace(string(data), old, with, 1))
}

func (f *directory) open() *workspace.Workspace { return f.openWith(workspace.Options{}) }

// openWith is open with more options.
func (f *directory) openWith(o workspace.Options) *workspace.Workspace {
	f.t.Helper()
	o.Dir, o.Log = f.dir, hclog.NewNullLogger()
	o.Builtins = workspace.Builtins{
		Providers: map[string]sdk.Provider{"text": text.New()}, Backends: map[string]sdk.Backend{"ngram": ngram.New()},
	}
	w, err := workspace.Open(f.t.Context(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := w.Close(); err != nil {
			f.t.Error(err)
		}
	})
	return w
}

// observer ignores all events.
type observer struct{}

func (observer) Observe(engine.Event)                  {}
func (observer) Advance(*plan.Action, action.Progress) {}

var options = workspace.RunOptions{Cores: 2, Observer: func(*plan.Plan) engine.Observer { return observer{} }}

func (f *directory) run(w *workspace.Workspace) workspace.Outcome {
	f.t.Helper()
	p, err := w.Plan(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	o, err := w.Run(f.t.Context(), p, options)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, failure := range o.Failures {
		f.t.Fatal(failure.Err)
	}
	return o
}

// runs opens the directory and runs its plan.
func (f *directory) runs() (*workspace.Workspace, workspace.Outcome) {
	f.t.Helper()
	w := f.open()
	return w, f.run(w)
}

// files lists the files in a subdirectory.
func (f *directory) files(dir string) (names []string) {
	f.t.Helper()
	err := fs.WalkDir(os.DirFS(f.dir), dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return names
}

func wantInvalid(t *testing.T, err error, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q in it", err, want)
		}
	}
}

const reportFile = ".surprisal/reports/gap/big-small/report.md"

func (f *directory) report() string {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join(f.dir, reportFile))
	if err != nil {
		f.t.Error(err)
	}
	return string(data)
}

func TestRun(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	w, first := f.runs()
	if d := cmp.Diff(map[plan.State]int{plan.Done: 7}, first.Counts); d != "" || first.State != workspace.StateDone {
		t.Errorf("%s: %s", first.State, d)
	}
	r, err := w.Store.GetRun(t.Context(), first.ID)
	if err != nil || r.State != workspace.StateDone || len(r.Actions) != 7 || r.Finished.Before(r.Started) {
		t.Errorf("found %+v, %v", r, err)
	}
	if len(first.Published) != 1 || !strings.HasSuffix(first.Published[0].Path, reportFile) || f.report() == "" {
		t.Errorf("found the reports %v", first.Published)
	}

	w, second := f.runs()
	if d := cmp.Diff(map[plan.State]int{plan.Cached: 7}, second.Counts); d != "" || second.ID == first.ID {
		t.Errorf("again: %s", d)
	}
	last, err := workspace.LastRun(f.dir, "")
	if err != nil || last.Run != second.ID || last.State != workspace.StateDone || len(last.Entries) != 7 {
		t.Errorf("the last run is %+v, %v", last, err)
	}
	v, err := w.Verify(t.Context())
	if err != nil || v.Ledgers != 2 || len(v.Problems) > 0 || v.Bytes == 0 {
		t.Errorf("verified %+v, %v", v, err)
	}
}

// Moving the spec to another directory does not change cache keys.
func TestRunElsewhere(t *testing.T) {
	t.Parallel()
	f, g := newDirectory(t), newDirectory(t)
	w, _ := f.runs()
	keys := func(w *workspace.Workspace) (all []string) {
		p, err := w.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Resolve(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		for _, a := range p.Actions {
			all = append(all, a.Name+" "+a.Key)
		}
		return all
	}
	v, _ := g.runs()
	if d := cmp.Diff(keys(w), keys(v)); d != "" {
		t.Error(d)
	}
}

// A run that is stopped before it begins is canceled.
func TestStop(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	w := f.open()
	p, err := w.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := options
	stop := make(chan struct{})
	close(stop)
	o.Stop = stop
	outcome, err := w.Run(t.Context(), p, o)
	if err != nil || outcome.State != workspace.StateCanceled || outcome.Counts[plan.Canceled] != 7 {
		t.Errorf("found %+v, %v", outcome, err)
	}
	if _, _, err := w.Latest(t.Context()); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("a headline of nothing: found error %v", err)
	}
}

// The reports of a directory are those of the last run. They are restored if deleted, and not shown for another spec.
func TestReports(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	w, _ := f.runs()
	before := f.report()
	_, s, err := w.Latest(t.Context())
	if err != nil || len(s.Published) != 1 || len(s.Reports) != 2 || s.Reports[1].Kind != "gap" {
		t.Fatalf("found %+v, %v", s, err)
	}
	if gaps := s.Reports[1].Report.(gap.Headlines); len(gaps) != 1 || gaps[0].GapBPB == nil || *gaps[0].GapBPB >= 0 {
		t.Fatalf("got %+v; want the larger model to do better", gaps)
	}

	if err := os.RemoveAll(filepath.Join(f.dir, ".surprisal/reports/gap/big-small")); err != nil {
		t.Fatal(err)
	}
	f.runs()
	if f.report() != before {
		t.Error("a deleted report is another one now")
	}

	f.replace("order: 3", "order: 2")
	f.runs()
	if f.report() == before {
		t.Error("the report did not change with the spec")
	}
	f.replace("order: 2", "order: 3")
	w = f.open()
	if _, s, err = w.Latest(t.Context()); err != nil || len(s.Published) > 0 {
		t.Errorf("got the reports %v, %v; want none, for the directory holds another spec's", s.Published, err)
	}
	f.run(w)
	if f.report() != before {
		t.Error("the report is not that of the spec")
	}
}

// Names of gaps may be prefixes of others.
func TestReportNames(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	f.replace(`gaps: "big-small": {a: "big", b: "small"}`, `gaps: {g: {a: "big", b: "small"}, "g.key": {a: "small", b: "big"}}
matrix: h: models: ["big", "small"]`)
	for range 2 {
		_, o := f.runs()
		for _, r := range o.Published {
			if _, err := os.Stat(r.Path); err != nil {
				t.Error(err)
			}
		}
		if len(o.Published) != 3 {
			t.Errorf("found the reports %v", o.Published)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	w, _ := f.runs()
	if _, err := w.Find(t.Context(), "score big"); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("found error %v", err)
	}
	old, err := w.Find(t.Context(), "score big books/a")
	if err != nil {
		t.Fatal(err)
	}
	f.write("a.txt", "the mat")
	w, _ = f.runs()
	now, err := w.Find(t.Context(), "score big books/a")
	if err != nil || now.Key == old.Key {
		t.Fatalf("got %v, %v; want the latest", now, err)
	}
	for what, want := range map[string]string{
		"big books/a": now.Key, // the end of a name also refers to the latest action
		now.Key:       now.Key,
		now.Key[:12]:  now.Key,
		old.Key:       old.Key,
		old.Key[:12]:  old.Key,
	} {
		if r, err := w.Find(t.Context(), what); err != nil || r.Key != want {
			t.Errorf("%q: got %v, %v, want %s", what, r, err, want)
		}
	}
	_, err = w.Find(t.Context(), "books/a")
	wantInvalid(t, err, `"books/a" matches materialize books/a, score big books/a, score small books/a; use a longer name or key`)
	for _, what := range []string{"", "nothing", strings.Repeat("0", 64), "000000"} {
		if _, err := w.Find(t.Context(), what); protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%q: found error %v", what, err)
		}
	}

	r, file, err := w.FindFile(t.Context(), []string{"score", "big", "books/a", artifact.LedgerFile})
	if err != nil || r.Key != now.Key || file != artifact.LedgerFile {
		t.Errorf("found %v, %q, %v", r, file, err)
	}
	if r, file, err = w.FindFile(t.Context(), []string{"score", "big", "books/a"}); err != nil || r.Key != now.Key || file != "" {
		t.Errorf("found %v, %q, %v", r, file, err)
	}
	for kind, want := range map[string]string{
		"score big books/a": artifact.SummaryFile, "gap big-small": "report.md", "materialize corpus": artifact.MetadataFile, "train big": "",
	} {
		r, err := w.Find(t.Context(), kind)
		if err != nil || w.MainFile(r) != want {
			t.Errorf("%s: got %v, want %s: %v", kind, r, want, err)
		}
	}
	if got := w.MainFile(&store.Record{}); got != "" {
		t.Errorf("of nothing, the main file is %q", got)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	why := func(w *workspace.Workspace, what string) workspace.Explanation {
		t.Helper()
		x, err := w.Explain(t.Context(), what)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	w, _ := f.runs()
	if x := why(w, "train big"); x.Why != "done: the store did not hold this key" || len(x.Changed) > 0 {
		t.Errorf("found %+v", x)
	}
	f.replace("order: 3", "order: 2")
	w, _ = f.runs()
	x := why(w, "train big")
	if want := []plan.Field{{Path: "parameters.config.order", Before: "3", After: "2"}}; !slices.Equal(x.Changed, want) || !strings.HasPrefix(x.Why, "done") {
		t.Errorf("got %+v, want %v", x, want)
	}
	if x := why(w, "score big books/a"); len(x.Changed) != 2 || x.Changed[0].Path != "inputs.model/model.bin" {
		t.Errorf("found %+v", x)
	}
	// A failed run in between is not compared with.
	f.write("a.txt", "\xff")
	w = f.open()
	p, err := w.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o, err := w.Run(t.Context(), p, options)
	if err != nil || o.State != workspace.StateFailed || len(o.Failures) != 1 || o.Counts[plan.Blocked] != 3 {
		t.Fatalf("found %+v, %v", o, err)
	}
	if r, err := w.Store.GetRun(t.Context(), o.ID); err != nil || r.State != workspace.StateFailed || r.Experiment != "test" || r.Finished.IsZero() {
		t.Errorf("found %+v, %v", r, err)
	}
	f.write("a.txt", "the mat")
	w, _ = f.runs()
	if x := why(w, "materialize books/a"); len(x.Changed) != 1 || x.Changed[0].Path != "parameters.files.0.digest" {
		t.Errorf("found %+v", x)
	}
	if x := why(w, "train small"); !strings.HasPrefix(x.Why, "cached") {
		t.Errorf("found %+v", x)
	}
	// An action that runs again because its result was deleted has no changed parts.
	key := why(w, "train small").Record.Key
	if err := os.RemoveAll(filepath.Join(f.dir, ".surprisal/store")); err != nil {
		t.Fatal(err)
	}
	w, _ = f.runs()
	if x := why(w, "train small"); x.Why != "done: the store did not hold this key" || len(x.Changed) > 0 || x.Record.Key != key {
		t.Errorf("found %+v", x)
	}
	if err := os.RemoveAll(filepath.Join(f.dir, ".surprisal/runs")); err != nil {
		t.Fatal(err)
	}
	if x := why(w, key); x.Why != "the action is in the store, but in no run of this directory" || x.Record.Name != "train small" {
		t.Errorf("found %+v", x)
	}
}

// gc keeps the artifacts of remaining runs. The next run recreates deleted ones byte for byte.
func TestGC(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	_, first := f.runs()
	f.replace("order: 3", "order: 2")
	between := time.Now()
	w, _ := f.runs()
	before := f.files(".surprisal/store/blobs")

	if r, err := w.Store.GC(t.Context(), store.GCOptions{}); err != nil || r.Blobs+r.Records > 0 {
		t.Errorf("freed %+v, %v while both runs stay", r, err)
	}
	dry, err := w.Store.GC(t.Context(), store.GCOptions{DropBefore: between, DryRun: true})
	if err != nil || !slices.Equal(dry.Runs, []string{first.ID}) {
		t.Errorf("would free %+v, %v", dry, err)
	}
	if now := f.files(".surprisal/store/blobs"); !slices.Equal(now, before) {
		t.Error("a dry run freed something")
	}
	r, err := w.Store.GC(t.Context(), store.GCOptions{DropBefore: between})
	// The training of big with order 3, its score and the gap are deleted. The dry run reported the same.
	if err != nil || r.Records != 3 {
		t.Errorf("freed %+v, %v", r, err)
	}
	if v, err := w.Verify(t.Context()); err != nil || len(v.Problems) > 0 || v.Ledgers != 2 {
		t.Errorf("verified %+v, %v", v, err)
	}
	if _, o := f.runs(); o.Counts[plan.Cached] != 7 {
		t.Errorf("counts are %v, want all cached", o.Counts)
	}
	f.replace("order: 2", "order: 3")
	if _, o := f.runs(); o.Counts[plan.Cached] != 4 || o.Counts[plan.Done] != 3 {
		t.Errorf("counts are %v, want 3 made again", o.Counts)
	}
	if now := f.files(".surprisal/store/blobs"); !slices.Equal(now, before) {
		t.Errorf("got the blobs %q, want %q", now, before)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	w, _ := f.runs()
	r, err := w.Find(t.Context(), "score big books/a")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.Outputs, func(o store.File) bool { return o.Name == artifact.LedgerFile })
	path, err := w.Store.LocalPath(t.Context(), r.Outputs[i].Digest, "")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0xff
	if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, data, 0o444)); err != nil {
		t.Fatal(err)
	}
	v, err := w.Verify(t.Context())
	if err != nil || len(v.Problems) != 1 || v.Problems[0].Path != path {
		t.Errorf("one damaged file: verified %+v, %v", v, err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Verify(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("found error %v", err)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	w, _ := f.runs()
	r, err := w.Find(t.Context(), "gap big-small")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new", "copy")
	if err := w.Store.Export(t.Context(), r, dir); err != nil {
		t.Fatal(err)
	}
	for _, file := range r.Outputs {
		data, err := os.ReadFile(filepath.Join(dir, file.Name))
		if err != nil || protocol.Digest(data) != file.Digest {
			t.Errorf("%s: %v", file.Name, err)
		}
	}
	if err := w.Store.Export(t.Context(), r, dir); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("over a directory that is not empty: found error %v", err)
	}
}

func changes(pinned []workspace.Pinned) []string {
	by := map[string]string{}
	for _, p := range pinned {
		by[p.Source] = p.Change
	}
	var all []string
	for _, source := range slices.Sorted(maps.Keys(by)) {
		all = append(all, by[source])
	}
	return all
}

func TestPin(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	w := f.open()
	pin := func(want ...string) string {
		t.Helper()
		pinned, err := w.Pin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := changes(pinned); !slices.Equal(got, want) { // a*.txt, then corpus.txt
			t.Errorf("the sources are %q, want %q", got, want)
		}
		data, err := os.ReadFile(filepath.Join(f.dir, "surprisal.lock"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	planned := func() error {
		_, err := w.Plan(t.Context())
		return err
	}
	first := pin("added", "added")
	if again := pin("kept", "kept"); again != first {
		t.Error("pinning the same changed the lock file")
	}
	if err := planned(); err != nil {
		t.Error(err)
	}
	for _, change := range []struct {
		do   func()
		want string
	}{
		{func() { f.write("a.txt", "another") }, "the file a.txt changed from sha256:"},
		{func() { f.write("a2.txt", "more") }, "the file a2.txt was added"},
		{func() { f.write("a2.txt", "more"); f.remove("a.txt") }, "the file a2.txt was added"},
	} {
		change.do()
		wantInvalid(t, planned(), change.want, "since the source was pinned; undo the change, or accept it with `runner pin`", `datasets."books/a".source.text`, "experiment.cue:")
		f.remove("a2.txt")
		f.write("a.txt", "the cat sat\nthe dog")
		if err := planned(); err != nil {
			t.Errorf("restored: %v", err)
		}
	}
	f.write("a.txt", "another")
	second := pin("changed", "kept")
	if err := planned(); err != nil || second == first {
		t.Errorf("accepted: %v", err)
	}
	f.write("a2.txt", "more")
	pin("changed", "kept")
	f.remove("a2.txt")
	wantInvalid(t, planned(), "the file a2.txt was removed since the source was pinned")

	// Every source that cannot be pinned is reported, and the lock file does not change.
	before := pin("changed", "kept")
	f.remove("a.txt")
	f.remove("corpus.txt")
	_, err := w.Pin(t.Context())
	wantInvalid(t, err, `datasets."books/a".source`, `datasets.corpus.source`)
	if data, err := os.ReadFile(filepath.Join(f.dir, "surprisal.lock")); err != nil || string(data) != before {
		t.Errorf("a failed pin wrote the lock file: %v", err)
	}
}

func (f *directory) remove(name string) {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.t.Fatal(err)
	}
}

func (f *directory) git(args ...string) {
	f.t.Helper()
	c := exec.CommandContext(f.t.Context(), "git", append([]string{"-C", f.dir, "-c", "user.name=test", "-c", "user.email=test@example.org"}, args...)...)
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := c.CombinedOutput(); err != nil {
		f.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

func (f *directory) commit(message string) {
	f.t.Helper()
	f.git("add", "-A")
	f.git("commit", "--quiet", "--allow-empty", "-m", message)
}

// against lists the differences from the spec at a revision.
func (f *directory) against(revision string) (all []string) {
	f.t.Helper()
	w := f.open()
	p, err := w.Plan(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	base, err := w.PlanAt(f.t.Context(), revision)
	if err != nil {
		f.t.Fatal(err)
	}
	changes, err := p.Against(f.t.Context(), base)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, c := range changes {
		all = append(all, fmt.Sprintf("%s %s %v", c.What, c.Name, c.Fields))
	}
	return all
}

func TestPlanAt(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	f.write(".gitignore", ".surprisal\n")
	f.git("init", "--quiet")
	f.commit("first")
	f.git("tag", "first")
	if got := f.against("HEAD"); len(got) > 0 {
		t.Errorf("nothing changed, and yet %q", got)
	}
	f.replace("order: 3", "order: 2")
	f.replace("name: \"test\"", "name: \"renamed\"")
	want := []string{
		"changed train big [parameters.config.order: 3 -> 2]",
		"changed score big books/a [inputs.model: base value -> changed train big parameters.config.order: 3 -> 2]",
		"changed gap big-small [inputs.a/books/a: base value -> changed score big books/a]",
	}
	if d := cmp.Diff(want, f.against("first")); d != "" {
		t.Error(d)
	}
	f.commit("second")

	// A committed source is read from the revision.
	f.write("a.txt", "another text")
	if got := f.against("HEAD"); len(got) != 4 || !strings.HasPrefix(got[0], "changed materialize books/a [parameters.files.0.digest: ") {
		t.Errorf("found %q", got)
	}
	w := f.open()
	for revision, want := range map[string]string{
		"nowhere": "unknown git revision \"nowhere\": use a branch", "--all": "unknown git revision", "": "unknown git revision",
	} {
		_, err := w.PlanAt(t.Context(), revision)
		wantInvalid(t, err, want)
		if protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%q: found error %v", revision, err)
		}
	}
	_, err := newDirectory(t).open().PlanAt(t.Context(), "HEAD")
	wantInvalid(t, err, "is not in a git repository")

	f.write("experiment.cue", "package test\nname: 7 & 8\n")
	f.commit("broken")
	f.write("experiment.cue", experiment)
	_, err = f.open().PlanAt(t.Context(), "HEAD")
	wantInvalid(t, err, "the spec at HEAD: ", "experiment.cue:2")
}

// A typical pull request that changes data: git has the lock file but not the data.
func TestPlanAtPinned(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	f.write(".gitignore", ".surprisal\n*.txt\n")
	if _, err := f.open().Pin(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.git("init", "--quiet")
	f.commit("first")
	f.write("a.txt", "another text")
	if _, err := f.open().Pin(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := f.against("HEAD")
	if len(got) != 4 || !strings.HasPrefix(got[0], "changed materialize books/a [parameters.files.0.digest: ") {
		t.Errorf("found %q", got)
	}
	// The copy of the revision is outside of the directory that the spec is confined to.
	w := f.openWith(workspace.Options{Confine: f.dir})
	if _, err := w.PlanAt(t.Context(), "HEAD"); err != nil {
		t.Error(err)
	}
}

// The CUE module of a spec deep in a repository is copied, including its links.
func TestPlanAtModule(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	root := f.dir
	f.git("init", "--quiet")
	for _, name := range []string{"experiment.cue", "a.txt", "corpus.txt"} {
		f.remove(name)
	}
	f.write("elsewhere/big.bin", "not part of the module")
	f.write("module/cue.mod/module.cue", "module: \"example.org/m\"\nlanguage: version: \"v0.13.0\"\n")
	f.write("module/shared/shared.cue", "package shared\n\norder: 3\n")
	f.write("module/data/a.txt", "the cat")
	f.write("module/data/corpus.txt", "the cat sat")
	f.write("module/specs/x/experiment.cue", strings.NewReplacer(
		`import "surprisal.dev/experiment"`, "import (\n\t\"surprisal.dev/experiment\"\n\t\"example.org/m/shared\"\n)",
		"order: 3", "order: shared.order", `"corpus.txt"`, `"data/corpus.txt"`, `"a*.txt"`, `"data/a.txt"`,
	).Replace(experiment))
	if err := os.Symlink("../../data", filepath.Join(root, "module/specs/x/data")); err != nil {
		t.Fatal(err)
	}
	f.commit("first")
	f.write("module/shared/shared.cue", "package shared\n\norder: 4\n")
	f.dir = filepath.Join(root, "module/specs/x")
	got := f.against("HEAD")
	if len(got) != 3 || got[0] != "changed train big [parameters.config.order: 3 -> 4]" {
		t.Errorf("found %q", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), filepath.Join(newDirectory(t).dir, "a.txt")} {
		_, err := workspace.Open(t.Context(), workspace.Options{Dir: dir, Log: hclog.NewNullLogger()})
		if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: found error %v", dir, err)
		}
	}
	if _, err := workspace.LastRun(newDirectory(t).dir, ""); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("no run: found error %v", err)
	}
}

// The name of a file at a revision stays within its line.
func TestPlanAtNames(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	f.git("init", "--quiet")
	const name = "bad\n::error::planted.cue"
	f.write(name, "package mistaken\n\nx: 1 &\n")
	f.commit("first")
	f.remove(name)
	_, err := f.open().PlanAt(t.Context(), "HEAD")
	if err == nil || !strings.Contains(err.Error(), `bad\n::error::planted.cue`) || strings.Contains(err.Error(), name) {
		t.Errorf("error %v", err)
	}
}
