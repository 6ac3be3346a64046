package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// The log of a process is forwarded line by line at the levels of the lines, whatever the sizes of its writes.
func TestLogLines(t *testing.T) {
	long := strings.Repeat("L", maxLogLine)
	for _, piece := range []int{1, 7, 1 << 20} {
		var b bytes.Buffer
		l := &logLines{log: hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: &b, DisableTime: true})}
		text := []byte("[WARN]  runner: hot\n[ERROR] x\n[DEBUG] y]z\nplain [WARN] text\n" + long + long + "\nunfinished")
		for n := len(text); n > 0; n = len(text) {
			written, err := l.Write(text[:min(piece, n)])
			if err != nil || written != min(piece, n) {
				t.Fatalf("wrote %d, %v", written, err)
			}
			text = text[written:]
		}
		got := b.String()
		if !strings.HasPrefix(got, "[WARN]  runner: hot\n[ERROR] x\n[DEBUG] [DEBUG] y]z\n[DEBUG] plain [WARN] text\n[DEBUG] LLL") || strings.Contains(got, "unfinished") ||
			strings.Count(got, "L") != 2*maxLogLine {
			t.Errorf("pieces of %d: %d lines, %.200q", piece, strings.Count(got, "\n"), got)
		}
	}
}

// A canceled run is canceled even if actions failed, and a run with failures is not done.
func TestConclude(t *testing.T) {
	action := func(name string, s plan.State, warnings ...string) *plan.Action {
		return &plan.Action{Name: name, Status: plan.Status{State: s, Key: "k" + name, Warnings: warnings}}
	}
	failed := []Failure{{"b", errors.New("x")}}
	for _, test := range []struct {
		actions  []*plan.Action
		failures []Failure
		want     string
	}{
		{nil, nil, StateDone}, {[]*plan.Action{action("a", plan.Done), action("b", plan.Skipped)}, nil, StateDone}, {[]*plan.Action{action("b", plan.Failed), action("c", plan.Blocked)}, failed, StateFailed},
		{[]*plan.Action{action("b", plan.Failed), action("c", plan.Canceled)}, failed, StateCanceled},
	} {
		o := Outcome{Counts: map[plan.State]int{}}
		o.conclude(&plan.Plan{Actions: test.actions}, test.failures)
		n := 0
		for _, count := range o.Counts {
			n += count
		}
		if o.State != test.want || n != len(test.actions) || len(o.Failures) != len(test.failures) {
			t.Errorf("%+v, want %s", o, test.want)
		}
	}
	var all []*plan.Action
	var want []store.RunAction
	for _, s := range []plan.State{plan.Pending, plan.Waits, plan.Skipped, plan.Failed, plan.Blocked, plan.Canceled, plan.Cached, plan.Done} {
		all = append(all, action(string(s), s, "w1", "w2"))
		key := ""
		if s == plan.Cached || s == plan.Done {
			key = "k" + string(s)
		}
		want = append(want, store.RunAction{Name: string(s), Key: key, State: string(s)})
	}
	p := &plan.Plan{Actions: all}
	if diff := cmp.Diff(want, actionsOf(p)); diff != "" {
		t.Error(diff)
	}
	o := Outcome{Counts: map[plan.State]int{}}
	o.conclude(p, nil)
	if len(o.Warnings) != 16 || o.Warnings[0] != "pending: w1" || o.Warnings[15] != "done: w2" {
		t.Errorf("warnings %q", o.Warnings)
	}
	if got := machine(RunOptions{Cores: 2, Memory: 5, Devices: 3}); got.Cores != 2 || got.Memory != 5 || got.Devices != 3 {
		t.Errorf("%+v", got)
	}
	if got := machine(RunOptions{}); got.Memory < 1<<20 {
		t.Errorf("all of the machine's memory is %d bytes", got.Memory)
	}
	a, b := newRunID(), newRunID()
	if a == b || len(a) != len("20060102-150405.000-00000000") {
		t.Errorf("two runs are called %s and %s", a, b)
	}
}

// A run without a lease only succeeds if there is nothing to do.
func TestWithoutLease(t *testing.T) {
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := &Workspace{Store: s}
	cause := errors.New("full")
	skipped := &plan.Action{Name: "a", Status: plan.Status{State: plan.Skipped}}
	if o, err := w.withoutLease(t.Context(), &plan.Plan{Actions: []*plan.Action{skipped}}, Outcome{Counts: map[plan.State]int{}}, cause); err != nil || o.State != StateDone || !errors.Is(o.Unrecorded, cause) {
		t.Errorf("%+v, %v", o, err)
	}
	pending := &plan.Action{Name: "b", Kind: "k", Parameters: []byte("{}"), Status: plan.Status{State: plan.Pending}}
	if o, err := w.withoutLease(t.Context(), &plan.Plan{Actions: []*plan.Action{skipped, pending}}, Outcome{Counts: map[plan.State]int{}}, cause); !errors.Is(err, cause) {
		t.Errorf("%+v, %v", o, err)
	}
}

// The time per byte comes from the latest runs with measurements, weighted by their bytes.
func TestRatesOfRuns(t *testing.T) {
	state := t.TempDir()
	files := map[string]string{}
	for i := range 9 {
		dir := fmt.Sprintf("runs/2026010%d-000000.000-00000000/", i+1)
		files[dir+"journal.jsonl"] = fmt.Sprintf("{\"run\":\"r\",\"sequence\":%d}\n", i+1)
		if i%4 != 3 { // 0, 1, 2, 4, 5, 6 and 8
			files[dir+ratesFile] = fmt.Sprintf(`[{"kind":"score","who":"m","bytes":%d,"seconds":%d},{"kind":"train","who":"m","bytes":1,"seconds":0}]`, 1<<i, 10*(i+1))
		}
	}
	writeFiles(t, state, files)
	w := &Workspace{state: state}
	want := map[string]map[string]float64{"score": {"m": float64(30+50+60+70+90) / (1<<2 + 1<<4 + 1<<5 + 1<<6 + 1<<8)}, "train": {"m": 0}}
	if diff := cmp.Diff(want, w.rates()); diff != "" || len(w.warnings) != 0 {
		t.Errorf("warnings %q (-want +got):\n%s", w.warnings, diff)
	}
	// Invalid measurements are skipped with a warning per run, and older runs are used instead.
	for i, bad := range []string{`{"bytes":-1,"seconds":1}`, `{"bytes":1,"seconds":-1}`, `{"bytes":9.3e18,"seconds":1}`, `{"bytes":1,"seconds":9.3e18}`} {
		writeFiles(t, state, map[string]string{"runs/20260109-000000.000-00000000/" + ratesFile: "[" + bad + "]"})
		w := &Workspace{state: state}
		if got := w.rates()["score"]["m"]; len(w.warnings) != 1 || !strings.Contains(w.warnings[0], "invalid measurement: ") ||
			math.Abs(got-float64(20+30+50+60+70)/(1<<1+1<<2+1<<4+1<<5+1<<6)) > 1e-12 {
			t.Errorf("%d: %v, warnings %q", i, got, w.warnings)
		}
	}
}

// Measurements are saved by kind and by model or provider. A run without measurements leaves no file.
func TestSaveRates(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	all := map[work]measurement{}
	if err := saveRates(root, all); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("nothing was measured, and there is %v, %v", entries, err)
	}
	for _, a := range []struct {
		kind, who string
		bytes     int64
		seconds   float64
	}{{"score", "n", 1, 1}, {"score", "m", 2, 3}, {"score", "m", 4, 5}, {"score", "m", 0, 100}, {"gap", "", 1, 0}} {
		measure(all, &plan.Action{Kind: a.kind, Rates: plan.Rates{Who: a.who}, Cost: plan.Cost{Bytes: a.bytes}, Status: plan.Status{Seconds: a.seconds}})
	}
	if err := saveRates(root, all); err != nil {
		t.Fatal(err)
	}
	want := []rate{{"gap", "", 1, 0}, {"score", "m", 6, 8}, {"score", "n", 1, 1}}
	if got, err := readRates(dir); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

// Random actions are chosen by the seed, in addition to those that are named. Each key is chosen once.
func TestChoose(t *testing.T) {
	p := &plan.Plan{Experiment: "x"}
	for i := range 12 {
		state := plan.Cached
		if i == 11 {
			state = plan.Pending
		}
		p.Actions = append(p.Actions, &plan.Action{Name: fmt.Sprint("a", i), Status: plan.Status{State: state, Key: fmt.Sprintf("%06x%s", i/2, strings.Repeat("0", 58))}})
	}
	drawn := func(o RedoOptions) string {
		chosen, err := choose(p, o)
		if err != nil {
			return err.Error()
		}
		var names []string
		keys := map[string]bool{}
		for _, a := range chosen {
			if keys[a.Key] || a.State != plan.Cached {
				t.Errorf("%+v chooses %s, %s", o, a.Name, a.State)
			}
			keys[a.Key] = true
			names = append(names, a.Name)
		}
		return strings.Join(names, " ")
	}
	for _, test := range []struct {
		o    RedoOptions
		want string
	}{
		{RedoOptions{}, ""}, {RedoOptions{Actions: []string{"a3"}}, "a3"}, {RedoOptions{Actions: []string{"a3", "a2", "a3"}}, "a3"}, {RedoOptions{Actions: []string{"000002"}}, "a4"},
		{RedoOptions{Actions: []string{"a5", "00000"}}, "the store does not hold an action of x with the name or key \"00000\"; `runner plan` lists the names"},
		{RedoOptions{Actions: []string{"a11"}}, "the store does not hold an action of x with the name or key \"a11\"; `runner plan` lists the names"},
		{RedoOptions{Actions: []string{"b3"}}, "the store does not hold an action of x with the name or key \"b3\"; `runner plan` lists the names; did you mean a3?"},
		{RedoOptions{Actions: []string{strings.Repeat("0", 6)}, Count: 0}, "a0"},
	} {
		if got := drawn(test.o); got != test.want {
			t.Errorf("%+v: %q, want %q", test.o, got, test.want)
		}
	}
	all := drawn(RedoOptions{Count: 100, Seed: 1})
	if len(strings.Fields(all)) != 6 || all != drawn(RedoOptions{Count: 6, Seed: 1}) || all == drawn(RedoOptions{Count: 6, Seed: 2}) {
		t.Errorf("drawn are %q", all)
	}
	if all := drawn(RedoOptions{Count: 100, Seed: 1, Actions: []string{"a9"}}); !strings.HasPrefix(all, "a9 ") || len(strings.Fields(all)) != 6 {
		t.Errorf("drawn are %q", all)
	}
	if some := drawn(RedoOptions{Count: 2, Seed: 1, Actions: []string{"a9"}}); !strings.HasPrefix(some, "a9 ") || len(strings.Fields(some)) != 3 {
		t.Errorf("drawn are %q", some)
	}
}

// Differences between a source and its pin, and the list of sources to pin.
func TestChanged(t *testing.T) {
	of := func(files ...string) (r protocol.Resolution) {
		for _, f := range files {
			name, digest, _ := strings.Cut(f, " ")
			r.Files = append(r.Files, protocol.File{Name: name, Digest: digest})
		}
		return r
	}
	for _, test := range []struct {
		before, now protocol.Resolution
		want        string
	}{
		{of(), of(), ""}, {of("a 1", "b 2"), of("b 2", "a 1"), ""}, {of("a 1", "b 2"), of("a 1", "b 3"), "the file b changed from 2 to 3"},
		{of("a 1"), of("a 1", "b 2"), "the file b was added"}, {of("a 1", "b 2", "c 3"), of("a 1", "c 3"), "the file b was removed"},
	} {
		if got := changed(test.before, test.now); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	dataset := func(key, provider, config, skip string) spec.Dataset {
		return spec.Dataset{Name: key, Skip: skip, Source: spec.Source{Provider: provider, Config: []byte(config)}}
	}
	var got []string
	for _, s := range sourcesOf(&spec.Experiment{
		Datasets: []spec.Dataset{dataset("a", "text", "1", ""), dataset("b", "text", "1", ""), dataset("c", "jsonl", "1", ""), dataset("d", "text", "2", "gone"), dataset("e", "text", "3", "")},
		Models:   []spec.Model{{Name: "m"}, {Name: "n", Scores: &spec.Scores{Path: "t"}}, {Name: "o", Scores: &spec.Scores{Path: "t"}}},
	}) {
		got = append(got, s.provider+" "+string(s.config)+" "+s.path)
	}
	want := []string{"text 1 datasets.a.source.text", "jsonl 1 datasets.c.source.jsonl", "text 3 datasets.e.source.text", `scores {"path":"t"} models.n.scores.path`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A state directory is recognized by its marker, or by having only the entries of one.
func TestInspectState(t *testing.T) {
	for _, test := range []struct {
		files  map[string]string
		marked bool
		want   string
	}{
		{nil, false, ""}, {map[string]string{stateMarker: ""}, false, ""}, {map[string]string{stateMarker: "", "runs/x": "", ".gitignore": "", "digests.json": ""}, false, ""},
		{map[string]string{stateMarker: `{"layout":1,"kind":"state"}`, "mine": ""}, true, ""}, {map[string]string{stateMarker: `{"layout":0,"kind":"state"}`}, false, "is damaged"},
		{map[string]string{stateMarker: `{"layout":1,"kind":"store"}`}, false, "is damaged"}, {map[string]string{stateMarker: `{"layout":2,"kind":"store"}`}, false, "is damaged"},
		{map[string]string{stateMarker: `{"layout":2,"kind":"state"}`}, false, "has layout 2 of a newer runner; this one supports layout 1"},
		{map[string]string{stateMarker: "", "mine": ""}, false, "it contains mine but not state.json"},
	} {
		dir := t.TempDir()
		writeFiles(t, dir, test.files)
		marked, err := inspectState(openRoot(t, dir))
		if marked != test.marked || (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput) {
			t.Errorf("%v: %v, %v; want %v, %q", test.files, marked, err, test.marked, test.want)
		}
	}
}

func TestIgnoreState(t *testing.T) {
	for _, test := range []struct{ name, before, want string }{
		{"as a killed run left it", "", "*\n"},
		{"as a user wrote it", "runs\n", "runs\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, ".gitignore")
			writeFiles(t, dir, map[string]string{".gitignore": test.before})
			if err := ignoreState(openRoot(t, dir)); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != test.want {
				t.Errorf("got %q, want %q (%v)", got, test.want, err)
			}
		})
	}
	dir := t.TempDir()
	if err := ignoreState(openRoot(t, dir)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, ".gitignore")); err != nil || string(got) != "*\n" {
		t.Errorf("got %q, want a pattern for everything (%v)", got, err)
	}
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Close(); err != nil {
			t.Error(err)
		}
	})
	return root
}
