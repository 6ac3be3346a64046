package ci_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/ci"
	"surprisal.dev/runner/ci/junittest"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// hostile is text that a spec may have: Markdown, HTML, mentions, commands to CI systems, and characters that a terminal
// obeys.
const hostile = "a|b`c</details>](http://x)**d** @team #1 :tada: <img src=x onerror=y> --> ]]> &amp; %0A::error::planted\n::error::planted\r##[error]planted\x1b[2J\u202e"

// page renders Markdown as GitHub does, without leaving out HTML.
func page(t testing.TB, source string) string {
	t.Helper()
	var out bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe())).Convert([]byte(source), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// gate returns a gate with slices of a few answers.
func gate(name string, strict bool, answers map[action.Answer]int) ci.Test {
	t := ci.Test{At: ci.Position{File: "specs/x.cue", Line: 7}}
	t.Action, t.Strict = "gate "+name, strict
	for _, answer := range []action.Answer{action.Fail, action.Inconclusive, action.Pass, ""} {
		for i := range answers[answer] {
			c := action.Case{Group: "datasets", Name: fmt.Sprintf("%s-%d%s", answer, i, name), Answer: answer}
			if answer == "" {
				c.Reason = "too few documents or bytes for a test"
			} else {
				c.Measures = []action.Measure{{Name: "gap bpb", Value: "+0.1000"}, {Name: "interval", Value: "[+0.0500, +0.1500]"}, {Name: "margin", Value: "0.0500"}, {Name: "units", Value: "90"}}
			}
			if answer == action.Inconclusive {
				c.Measures = append(c.Measures, action.Measure{Name: "units needed", Value: "500"})
			}
			t.Cases = append(t.Cases, c)
		}
		if answers[answer] > 0 && t.Answer == "" {
			t.Answer = answer
		}
	}
	if t.Answer == "" {
		t.Answer = action.Inconclusive
	}
	t.Sentence = func(format func(string) string) string { return format("new"+name) + " against " + format("old") }
	return t
}

// The first line says the verdict, and what it follows from.
func TestHeadline(t *testing.T) {
	fail := gate("f", false, map[action.Answer]int{action.Fail: 2, action.Pass: 1})
	open := gate("i", false, map[action.Answer]int{action.Inconclusive: 1, action.Pass: 1})
	pass := gate("p", false, map[action.Answer]int{action.Pass: 2})
	small := gate("s", true, map[action.Answer]int{"": 2})
	undecided := ci.Test{Test: action.Test{Action: "gate u", Reason: "blocked: score m d failed"}}
	broken := ci.Problem{Action: "score m d", Message: "score m d: out of memory\nmore"}
	for want, r := range map[string]ci.Report{
		"FAIL: `fail-0f`, `fail-1f` of `gate f`":      {Tests: []ci.Test{pass, fail, open}},
		"INCONCLUSIVE: `inconclusive-0i` of `gate i`": {Tests: []ci.Test{pass, open}},
		"INCONCLUSIVE: `gate s`":                      {Tests: []ci.Test{pass, small}},
		"FAIL: `fail-0g`, `fail-1g`, `fail-2g` and 2 more slices of `gate g`; `fail-0f`, `fail-1f` of `gate f`": {Tests: []ci.Test{gate("g", false, map[action.Answer]int{action.Fail: 5}), fail}},
		"PASS: `gate p`": {Tests: []ci.Test{pass}},
		"PASS: `gate p`, `gate p`, `gate p` and 1 more gate":                                             {Tests: []ci.Test{pass, pass, pass, pass}},
		"NO GATE: the specification has no gate, so only errors fail this run":                           {},
		"ERROR: `score m d` failed":                                                                      {Tests: []ci.Test{undecided}, Problems: []ci.Problem{broken}},
		"ERROR: `score m d` failed and 1 more error; and a gate fails: `fail-0f`, `fail-1f` of `gate f`": {Tests: []ci.Test{fail}, Problems: []ci.Problem{broken, broken}},
		"ERROR: see `x.cue:3`":          {Problems: []ci.Problem{{Message: "m", At: ci.Position{File: "x.cue", Line: 3}}}},
		"ERROR: `no git`":               {Problems: []ci.Problem{{Message: "no git\nat all"}}},
		"CANCELED: the run was stopped": {Canceled: true, Tests: []ci.Test{fail}},
	} {
		r.Experiment = "x"
		if got, _, _ := strings.Cut(r.Summary(ci.MaxSummary), "\n"); got != "## "+want {
			t.Errorf("got  %s\nwant ## %s", got, want)
		}
	}
}

// A case that fails the run is a failure, one without a clear answer is skipped, and what broke is an error. A gate that
// fails without a case that does has a case for itself.
func TestJUnit(t *testing.T) {
	r := ci.Report{Experiment: "x", Seconds: 1.5, Tests: []ci.Test{
		gate("f", false, map[action.Answer]int{action.Fail: 1, action.Inconclusive: 1, action.Pass: 1, "": 1}),
		gate("i", true, map[action.Answer]int{action.Inconclusive: 1, action.Pass: 1}),
		gate("s", true, map[action.Answer]int{"": 1}),
		{Test: action.Test{Action: "gate u", Reason: "blocked: score m d failed"}},
	}, Problems: []ci.Problem{{Action: "score m d", Message: "score m d: <broken>\nagain"}}}
	report, err := r.JUnit()
	if err != nil {
		t.Fatal(err)
	}
	cases, err := junittest.Read(report)
	if err != nil {
		t.Fatalf("%v\n%s", err, report)
	}
	var got []string
	for _, c := range cases {
		got = append(got, fmt.Sprintf("%s|%s|%s|%s", c.Suite, c.Name, c.Outcome, c.Message))
	}
	measured := "gap bpb +0.1000, interval [+0.0500, +0.1500], margin 0.0500, units 90"
	want := []string{
		"run|score m d|error|score m d: <broken>",
		"gate f|fail-0f|failure|fail-0f: " + measured,
		"gate f|inconclusive-0f|skipped|inconclusive-0f: " + measured + ", units needed 500",
		"gate f|-0f|skipped|-0f: too few documents or bytes for a test", "gate f|pass-0f||",
		"gate i|inconclusive-0i|failure|inconclusive-0i: " + measured + ", units needed 500", "gate i|pass-0i||",
		"gate s|-0s|skipped|-0s: too few documents or bytes for a test", "gate s|gate s|failure|news against old",
		"gate u|gate u|error|blocked: score m d failed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", diff, report)
	}
	c := cases[1]
	if c.File != "specs/x.cue" || c.Line != 7 || c.Properties["interval"] != "[+0.0500, +0.1500]" || c.Text != c.Message {
		t.Errorf("%+v", c)
	}
}

// annotation matches a command to GitHub Actions.
var annotation = regexp.MustCompile(`^::(error|warning) (file=([^,:]*),line=([0-9]+),)?title=([^,:]*)::(.*)$`)

// There are at most ten annotations, the errors first, each in one line with its position.
func TestAnnotations(t *testing.T) {
	r := ci.Report{Experiment: "x"}
	for i := range 4 {
		r.Tests = append(r.Tests, gate(fmt.Sprint("i", i), i == 3, map[action.Answer]int{action.Inconclusive: 1}),
			gate(fmt.Sprint("f", i), false, map[action.Answer]int{action.Fail: 12}), gate("p", false, map[action.Answer]int{action.Pass: 1}))
	}
	lines := strings.Split(strings.TrimSpace(r.Annotations()), "\n")
	var titles []string
	for _, line := range lines {
		m := annotation.FindStringSubmatch(line)
		if m == nil || m[3] != "specs/x.cue" || m[4] != "7" {
			t.Fatalf("%q: %q", line, m)
		}
		titles = append(titles, m[1]+" "+m[5])
	}
	want := []string{
		"error gate f0%3A FAIL", "error gate f1%3A FAIL", "error gate f2%3A FAIL", "error gate f3%3A FAIL", "error gate i3%3A INCONCLUSIVE",
		"warning gate i0%3A INCONCLUSIVE", "warning gate i1%3A INCONCLUSIVE", "warning gate i2%3A INCONCLUSIVE",
	}
	if diff := cmp.Diff(want, titles); diff != "" {
		t.Error(diff)
	}
	if !strings.HasSuffix(lines[0], "%0A2 more slices") || strings.Count(lines[0], "%0A") != 11 {
		t.Errorf("got %s", lines[0])
	}
	for i := range 20 {
		r.Problems = append(r.Problems, ci.Problem{Action: fmt.Sprint("score ", i), Message: "broken"})
	}
	lines = strings.Split(strings.TrimSpace(r.Annotations()), "\n")
	if len(lines) != 10 || lines[9] != "::warning title=x::19 more annotations left out; the summary has everything" {
		t.Errorf("%d: %q", len(lines), lines[len(lines)-1])
	}
	if got := (&ci.Report{}).Annotations(); got != "" {
		t.Errorf("got %q", got)
	}
}

// plannedChange returns two plans whose specs and actions have hostile text.
func hostileReport(t testing.TB, text string) *ci.Report {
	t.Helper()
	r := &ci.Report{
		Experiment: text, Run: "1 of 2 actions ran", Uncompared: text, Tests: []ci.Test{gate(text, true, map[action.Answer]int{action.Fail: 1, action.Pass: 1})},
		Changes:  &ci.Changes{Against: text, Fields: []plan.Field{{Path: text, Before: text, After: text}}, Actions: []plan.Change{{Name: text, Kind: "score", What: "changed", Fields: []plan.Field{{Path: "p", Before: text, After: text}}}}},
		Problems: []ci.Problem{{Action: text, Message: text, At: ci.Position{File: text, Line: 1}}},
	}
	return r
}

// checkSafe checks that text of a spec is only text in every output.
func checkSafe(t *testing.T, r *ci.Report) {
	t.Helper()
	plain := hostileReport(t, "x")
	for name, of := range map[string]func(*ci.Report) string{
		"summary": func(r *ci.Report) string { return r.Summary(ci.MaxSummary) },
		"comment": func(r *ci.Report) string { return r.Comment(ci.MaxComment) },
	} {
		got := of(r)
		tags := regexp.MustCompile(`<[^<>]*>`)
		shape := func(markdown string) string {
			// The line of the experiment's marker and runs of line breaks in messages differ.
			markdown = regexp.MustCompile(`(?m)^<!-- surprisal run: [^>]* -->$`).ReplaceAllString(markdown, "")
			return regexp.MustCompile(`</code>(<br>|<br />|<code>|</code>)*`).ReplaceAllString(strings.Join(tags.FindAllString(page(t, markdown), -1), ""), "</code>")
		}
		if diff := cmp.Diff(shape(of(plain)), shape(got)); diff != "" {
			t.Errorf("%s: the elements differ: %s\n%s", name, diff, got)
		}
		if command := regexp.MustCompile(`(?m)^\s*::|##[A-Za-z]*\[|[\x00-\x08\x0b-\x1f\x{202e}]`).FindString(got); command != "" || !utf8.ValidString(got) {
			t.Errorf("%s has %q:\n%s", name, command, got)
		}
	}
	for line := range strings.Lines(r.Annotations()) {
		if !annotation.MatchString(strings.TrimSuffix(line, "\n")) || strings.Contains(line, "##[") {
			t.Errorf("not one annotation: %q", line)
		}
	}
	report, err := r.JUnit()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := junittest.Read(report); err != nil {
		t.Errorf("%v\n%s", err, report)
	}
}

// Hostile text changes neither the elements of a page nor the log of a job.
func TestHostile(t *testing.T) { checkSafe(t, hostileReport(t, hostile)) }

func FuzzHostile(f *testing.F) {
	for _, text := range []string{hostile, "", "`", "|", "\\|", "<!--", "-->", "--", "\xff", "::error::x", "a\n\nb", " x ", "</summary>"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.TrimSpace(text) == "" {
			return // The spec language does not allow blank text.
		}
		checkSafe(t, hostileReport(t, text))
	})
}

// Texts stay below their limits, and say how many rows they leave out.
func TestLimits(t *testing.T) {
	r := &ci.Report{Experiment: "many", Run: "all ran", Changes: &ci.Changes{Against: "main"}}
	for i := range 3000 {
		r.Tests = append(r.Tests, gate(fmt.Sprint("-", i), false, map[action.Answer]int{action.Fail: 2, action.Pass: 5}))
		r.Changes.Fields = append(r.Changes.Fields, plan.Field{Path: fmt.Sprint("models.m", i), Before: "1", After: strings.Repeat("x", 300)})
	}
	summary, comment := r.Summary(ci.MaxSummary), r.Comment(ci.MaxComment)
	if len(summary) > 1<<20 || len(comment) > 65536 || len(comment) < 60_000 || len(summary) < 1_000_000 {
		t.Errorf("%d and %d bytes", len(summary), len(comment))
	}
	// Every table accounts for its rows.
	counted := regexp.MustCompile(`\n([0-9,]+) more left out: this text is limited to 65,536 bytes\.\n`).FindAllStringSubmatch(comment, -1)
	rows := strings.Count(comment, "\n| `gate -") + strings.Count(comment, "\n| `models.m")
	for _, m := range counted {
		n := 0
		if _, err := fmt.Sscan(strings.ReplaceAll(m[1], ",", ""), &n); err != nil {
			t.Fatal(err)
		}
		rows += n
	}
	if want := 3000 + 3000*7 + 3000; rows != want || len(counted) < 3 {
		t.Errorf("%d rows, want %d; %q", rows, want, counted)
	}
	if opened, closed := strings.Count(comment, "<details>"), strings.Count(comment, "</details>"); opened != closed {
		t.Errorf("%d details are opened, %d closed", opened, closed)
	}
	r.Tests, r.Changes.Fields = r.Tests[:5], r.Changes.Fields[:5]
	for limit := range 4000 {
		if got := r.Summary(limit); len(got) > limit || got != "" && !strings.HasPrefix(got, "## FAIL: ") {
			t.Fatalf("limit %d: %d bytes: %q", limit, len(got), got)
		}
	}
}

// A JUnit report has a bounded number of cases. Those that fail come first, and the others are counted.
func TestManyCases(t *testing.T) {
	r := &ci.Report{Experiment: "many"}
	for i := range 3 {
		r.Tests = append(r.Tests, gate(fmt.Sprint(i), false, map[action.Answer]int{action.Fail: 10, action.Pass: 5000}))
		slices.Reverse(r.Tests[i].Cases)
	}
	for i := range 4_000 {
		r.Problems = append(r.Problems, ci.Problem{Action: fmt.Sprint("score ", i), Message: strings.Repeat("<", 10_000)})
	}
	report, err := r.JUnit()
	if err != nil {
		t.Fatal(err)
	}
	cases, err := junittest.Read(report)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, c := range cases {
		n[c.Outcome]++
	}
	if n["failure"] != 30 || n["error"] != 1750 || n["skipped"] != 4 || len(cases) != 7004 || cases[1750].Name != "2,250 more cases" || len(report) > 30_000_000 {
		t.Errorf("%v, %d cases, %s, %d bytes", n, len(cases), cases[1750].Name, len(report))
	}
}

// A place is known by its variables. The base is only that of a pull request or a merge request.
func TestDetect(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		want ci.Place
	}{
		{nil, ci.Place{}},
		{map[string]string{"CI": "true", "GITHUB_BASE_REF": "main"}, ci.Place{}},
		{map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": "/w", "GITHUB_STEP_SUMMARY": "/s", "GITHUB_OUTPUT": "/o", "GITHUB_BASE_REF": ""},
			ci.Place{Root: "/w", Summary: "/s", Output: "/o", Annotates: true}},
		{map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_BASE_REF": "main"}, ci.Place{Base: "origin/main", BaseFrom: "GITHUB_BASE_REF", Annotates: true}},
		{map[string]string{"GITLAB_CI": "true", "CI_PROJECT_DIR": "/w", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"},
			ci.Place{Root: "/w", Base: "origin/main", BaseFrom: "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"}},
		{map[string]string{"GITLAB_CI": "true", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "ab12", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"},
			ci.Place{Base: "ab12", BaseFrom: "CI_MERGE_REQUEST_DIFF_BASE_SHA"}},
	} {
		if got := ci.Detect(func(name string) string { return test.env[name] }); got != test.want {
			t.Errorf("%v: %+v, want %+v", test.env, got, test.want)
		}
	}
}

// The file of a position is relative to the checkout, and not known outside of it.
func TestPosition(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "specs", "a")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[spec.Position]ci.Position{
		{}:                                {},
		{File: "x.cue"}:                   {},
		{File: "x.cue", Line: 3}:          {File: "specs/a/x.cue", Line: 3},
		{File: "../b/x.cue", Line: 3}:     {File: "specs/b/x.cue", Line: 3},
		{File: "../../../x.cue", Line: 3}: {},
		{File: filepath.Join(root, "y.cue"), Line: 4}: {File: "y.cue", Line: 4},
	} {
		for _, checkout := range []string{root, link} {
			if got := (ci.Place{Root: checkout}).Position(dir, at); got != want {
				t.Errorf("%v in %s: %v, want %v", at, checkout, got, want)
			}
		}
		if got := (ci.Place{}).Position(dir, at); got != (ci.Position{}) {
			t.Errorf("without a checkout: %v", got)
		}
	}
}

// A summary shares the limit of its file with what a step wrote before. A file is replaced as a whole, even a link.
func TestOutputs(t *testing.T) {
	dir := t.TempDir()
	summary, out := filepath.Join(dir, "summary"), filepath.Join(dir, "out")
	before := strings.Repeat("x", ci.MaxSummary-1000)
	if err := os.WriteFile(summary, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(dir, "precious")
	for _, err := range []error{os.WriteFile(precious, []byte("mine"), 0o644), os.Mkdir(out, 0o755), os.Symlink(precious, filepath.Join(out, ci.JUnitFile))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	o := ci.Outputs{Place: ci.Place{Summary: summary, Output: filepath.Join(dir, "outputs")}, Dir: out}
	r := &ci.Report{Experiment: "x", Tests: []ci.Test{gate("f", false, map[action.Answer]int{action.Fail: 100})}}
	if err := o.Prepare(); err != nil {
		t.Fatal(err)
	}
	if err := o.Write(r, 4); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(summary)
	if err != nil || len(data) > ci.MaxSummary || !strings.HasPrefix(string(data[len(before):]), "## FAIL: ") || !bytes.Contains(data, []byte(" more left out: ")) {
		t.Errorf("%v, %d bytes: %s", err, len(data), data[len(before):])
	}
	if data, err := os.ReadFile(precious); err != nil || string(data) != "mine" {
		t.Errorf("the target of a link was changed: %q, %v", data, err)
	}
	if found, err := filepath.Glob(filepath.Join(out, "*")); err != nil || len(found) != 4 {
		t.Errorf("%v, %v", found, err)
	}
	for name, want := range map[string]string{ci.VerdictFile: "SURPRISAL_VERDICT=fail\nSURPRISAL_EXIT_CODE=4\n", "../outputs": "verdict=fail\nexit-code=4\n"} {
		if data, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	// A full summary is an error, and the other files are written.
	if err := os.WriteFile(summary, append(data, bytes.Repeat([]byte("x"), 1000)...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(out, ci.CommentFile)); err != nil {
		t.Fatal(err)
	}
	if err := o.Write(r, 4); err == nil || !strings.Contains(err.Error(), "nothing fits") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(out, ci.CommentFile)); err != nil {
		t.Error(err)
	}
}

// What cannot be written is found before a run.
func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]ci.Outputs{
		"cannot write the file of GITHUB_STEP_SUMMARY: open " + dir: {Place: ci.Place{Summary: dir}},
		"unset GITHUB_OUTPUT":                {Place: ci.Place{Output: filepath.Join(dir, "none", "out")}},
		"cannot write to --output " + file:   {Dir: file},
		"is a symbolic link, which may have": {Dir: link},
	} {
		if err := o.Prepare(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// A plan for a pull request: causes, consequences, cost and the list, within the limit.
func TestPreview(t *testing.T) {
	p := &plan.Plan{Experiment: hostile, Kinds: []string{"materialize", "score", "gate"}}
	for i := range 2000 {
		p.Actions = append(p.Actions, &plan.Action{Kind: "score", Name: fmt.Sprint("score ", hostile, i), Status: plan.Status{State: plan.Pending, Key: "0123456789abcdef"},
			Cost: plan.Cost{Documents: 10, Bytes: 1000, Tokens: 300, Memory: 5000, Seconds: 2, AtMost: i == 0}})
	}
	p.Actions = append(p.Actions, &plan.Action{Kind: "materialize", Name: "materialize d", Status: plan.Status{State: plan.Cached}},
		&plan.Action{Kind: "materialize", Name: "materialize e", Status: plan.Status{State: plan.Skipped, Reason: hostile}})
	got := ci.Preview{Plan: p, Ordered: p.Actions}.Markdown(ci.MaxComment)
	if len(got) > ci.MaxComment || !strings.Contains(got, "\n2,002 actions") && !strings.Contains(got, "<summary>2,002 actions</summary>") {
		t.Errorf("%d bytes\n%s", len(got), got[:2000])
	}
	for _, want := range []string{
		"2,002 actions: 2000 to run, 1 cached, 1 skipped.", "Expected time of 2000 of 2,000 actions, one after another: 1h6m40s.",
		"\n| `score` | 2000 | - | - | ≤20000 | ≤2.0 MB | ≤600000 | 5.0 kB | ≤1h6m40s |\n", " more left out: this text is limited to 65,536 bytes.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got[:2000])
		}
	}
	rendered := page(t, got)
	if strings.Contains(rendered, "<img") || strings.Contains(rendered, "href") || strings.Count(rendered, "<details>") != 1 || strings.Count(rendered, "</details>") != 1 {
		t.Errorf("%s", rendered[:3000])
	}
	if regexp.MustCompile(`(?m)^\s*::|##[A-Za-z]*\[`).MatchString(got) {
		t.Error("it has a command")
	}
}

// A comparison with a revision that does not have the spec, one without changes, and one of files alone.
func TestChanges(t *testing.T) {
	for want, c := range map[string]*ci.Changes{
		"The specification is new: `main` does not have it.":                                      {Against: "main", New: true},
		"Nothing changes against `main`.":                                                         {Against: "main"},
		"No field of the specification changes. Files, pinned sources, baselines or programs do.": {Against: "main", Actions: []plan.Change{{Name: "x", Kind: "score", What: "added"}}},
		"| `models.m` | none | `1` |\n\n### Consequences\n\nNone: no action changes.\n":           {Against: "main", Fields: []plan.Field{{Path: "models.m", After: "1"}}},
	} {
		r := ci.Report{Experiment: "x", Changes: c}
		if got := r.Summary(ci.MaxSummary); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	c, err := ci.Compare(context.Background(), &plan.Plan{Experiment: "x"}, &plan.Plan{}, "main")
	if err != nil || !c.New {
		t.Errorf("%+v, %v", c, err)
	}
}

// The error of a full file names the variable that the file is from.
func TestFullFile(t *testing.T) {
	o := ci.Outputs{Place: ci.Place{Summary: "/dev/full", Output: "/dev/full"}}
	err := o.Write(&ci.Report{Experiment: "e"}, 0)
	for _, want := range []string{"cannot write to GITHUB_STEP_SUMMARY", "cannot write to GITHUB_OUTPUT", "no space left"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
