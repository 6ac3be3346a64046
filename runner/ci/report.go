package ci

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/markdown"
	"surprisal.dev/runner/terminal"
)

// Report is what continuous integration shows of a run.
type Report struct {
	// Experiment is the name of the experiment, or of its directory if the spec cannot be read.
	Experiment string
	// Changes is nil if the plan was not compared with a revision. Uncompared then says why, if a revision is known.
	Changes    *Changes
	Uncompared string
	// Run says in one line how many actions ran. It is "" if the run did not start.
	Run     string
	Seconds float64
	// Problems are the reasons why a run did not start or did not end, and the actions that failed.
	Problems []Problem
	// Canceled means that the run was stopped.
	Canceled bool
	Tests    []Test
}

// Test is a test and where the spec defines it.
type Test struct {
	action.Test
	At Position
}

// Problem is an error of the spec, of a run or of an action.
type Problem struct {
	// Action is the action that failed, or "".
	Action  string
	Message string
	At      Position
}

// Position is a line in a file of the repository. File is a path relative to its top, or "" if it is not known.
type Position struct {
	File string
	Line int
}

// Verdict is the result of a run in one word.
type Verdict string

// Verdicts. Undecided gates are Broken if an action failed.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive"
	Ungated      Verdict = "ungated"
	Broken       Verdict = "error"
	Canceled     Verdict = "canceled"
)

// Verdict returns the verdict: that of the worst test, unless the run broke.
func (r *Report) Verdict() Verdict {
	switch {
	case r.Canceled:
		return Canceled
	case len(r.Problems) > 0:
		return Broken
	case len(r.having(action.Fail)) > 0:
		return Fail
	case len(r.having(action.Inconclusive)) > 0:
		return Inconclusive
	case len(r.Tests) == 0:
		return Ungated
	}
	return Pass
}

// having returns the tests with an answer.
func (r *Report) having(answer action.Answer) (tests []Test) {
	for _, t := range r.Tests {
		if t.Answer == answer {
			tests = append(tests, t)
		}
	}
	return tests
}

// Headline returns the verdict and its main reason in one line. name formats names and messages.
func (r *Report) Headline(name func(string) string) string {
	verdict := r.Verdict()
	text := strings.ToUpper(string(verdict)) + ": "
	failed := r.decisive(action.Fail, name)
	switch verdict {
	case Canceled:
		text += "the run was stopped"
	case Broken:
		text += r.broken(name)
		if failed != "" {
			text += "; and a gate fails: " + failed
		}
	case Fail:
		text += failed
	case Inconclusive:
		text += r.decisive(action.Inconclusive, name)
	case Ungated:
		return "NO GATE: the specification has no gate, so only errors fail this run"
	case Pass:
		text += listed(r.Tests, ", ", "gate", func(t Test) string { return name(t.Action) })
	}
	return text
}

// broken says what broke a run.
func (r *Report) broken(name func(string) string) string {
	p := r.Problems[0]
	more := ""
	if n := len(r.Problems) - 1; n > 0 {
		more = " and " + terminal.Count(n, "more error")
	}
	if p.Action != "" {
		return name(p.Action) + " failed" + more
	}
	if p.At.File != "" {
		// Not all of these are mistakes of the spec: scores that it refers to may be missing.
		return "see " + name(fmt.Sprintf("%s:%d", p.At.File, p.At.Line)) + more
	}
	first, _, _ := strings.Cut(p.Message, "\n")
	first, _, _ = strings.Cut(first, "; ") // The remedy is in the message below.
	return name(shortened(first, 200)) + more
}

// decisive names the cases that give tests their answer, or the tests without such cases. It is "" if there are none.
func (r *Report) decisive(answer action.Answer, name func(string) string) string {
	return listed(r.having(answer), "; ", "gate", func(t Test) string {
		var cases []string
		for _, c := range t.Cases {
			if c.Answer == answer {
				cases = append(cases, c.Name)
			}
		}
		if len(cases) == 0 {
			return name(t.Action)
		}
		return listed(cases, ", ", "slice", name) + " of " + name(t.Action)
	})
}

// listed joins the first few of many texts, and counts the others.
func listed[T any](all []T, between, noun string, text func(T) string) string {
	const most = 3
	var few []string
	for _, x := range all[:min(len(all), most)] {
		few = append(few, text(x))
	}
	joined := strings.Join(few, between)
	if n := len(all) - most; n > 0 {
		joined += " and " + terminal.Count(n, "more "+noun)
	}
	return joined
}

// Summary returns the report as Markdown of at most limit bytes, or "" if that is too few. Its first line is the
// headline.
func (r *Report) Summary(limit int) string { return render(r.sections(), limit) }

// Comment returns the report as Markdown for a comment. Its first line is a hidden marker; see Marker.
func (r *Report) Comment(limit int) string {
	marker := section{head: Marker("run", r.Experiment) + "\n"}
	return render(append([]section{marker}, r.sections()...), limit)
}

func (r *Report) sections() []section {
	intro := fmt.Sprintf("## %s\n\nExperiment %s", r.Headline(value), value(r.Experiment))
	if r.Changes != nil {
		intro += " against " + value(r.Changes.Against)
	}
	intro += "."
	if r.Run != "" {
		intro += " " + strings.ToUpper(r.Run[:1]) + r.Run[1:] + "."
	}
	intro += "\n\n"
	if r.Uncompared != "" {
		intro += "Not compared with the base revision: " + lines(r.Uncompared) + "\n\n"
	}
	all := []section{{head: intro}}
	all = append(all, table("### Errors\n\n", []string{"where", "message"}, r.problems(), "")...)
	all = append(all, table("### Gates\n\n", []string{"gate", "answer", "finding"}, r.tests(), "")...)
	heads, rows := r.cases(action.Fail, action.Inconclusive)
	all = append(all, table("### Slices that do not pass\n\n", heads, rows, "")...)
	if r.Changes != nil {
		all = append(all, r.Changes.sections()...)
	}
	heads, rows = r.cases(action.Pass, "")
	return append(all, folded("Slices that pass or are not tested: "+humanize.Comma(int64(len(rows))), heads, rows)...)
}

// lines returns a message as code spans, one per line.
func lines(message string) string {
	const most = 20
	var all []string
	split := strings.Split(strings.TrimSpace(message), "\n")
	for _, line := range split[:min(len(split), most)] {
		all = append(all, markdown.Code(shortened(strings.TrimSpace(line), 500)))
	}
	if n := len(split) - most; n > 0 {
		all = append(all, "and "+terminal.Count(n, "more line"))
	}
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "<br>")
}

// problems returns a row for each problem.
func (r *Report) problems() (rows []string) {
	for _, p := range r.Problems {
		var where []string
		if p.Action != "" {
			where = append(where, value(p.Action))
		}
		if p.At.File != "" {
			where = append(where, value(fmt.Sprintf("%s:%d", p.At.File, p.At.Line)))
		}
		rows = append(rows, markdown.Row([]string{strings.Join(where, "<br>"), lines(p.Message)}))
	}
	return rows
}

// tests returns a row for each test, those that fail first.
func (r *Report) tests() (rows []string) {
	for _, answer := range []action.Answer{action.Fail, "", action.Inconclusive, action.Pass} {
		for _, t := range r.having(answer) {
			rows = append(rows, markdown.Row([]string{value(t.Action), answerText(t.Answer), t.finding(value)}))
		}
	}
	return rows
}

// finding says what a test found. name formats names.
func (t Test) finding(name func(string) string) string {
	switch {
	case t.Answer == "":
		return name(t.Reason)
	case t.Answer == action.Inconclusive && !t.Strict:
		return t.Sentence(name) + "; this does not fail the run"
	}
	return t.Sentence(name)
}

// answerText is a cell with an answer.
func answerText(a action.Answer) string {
	if a == "" {
		return "none"
	}
	return strings.ToUpper(string(a))
}

// cases returns a table of the cases of all tests with the given answers, in the order of these.
func (r *Report) cases(answers ...action.Answer) (heads, rows []string) {
	t := caseTable{heads: []string{"gate", "slice", "answer"}}
	for _, answer := range answers {
		for _, test := range r.Tests {
			for _, c := range test.Cases {
				if c.Answer == answer {
					t.add(test.Action, c)
				}
			}
		}
	}
	for _, row := range t.cells {
		rows = append(rows, markdown.Row(append(row, make([]string, len(t.heads)-len(row))...)))
	}
	return t.heads, rows
}

// caseTable is a table with a column for each measure.
type caseTable struct {
	heads []string
	cells [][]string
}

func (t *caseTable) add(test string, c action.Case) {
	row := []string{value(test), value(c.Name), answerText(c.Answer)}
	switch {
	case c.Answer == "":
		row[2] = c.Reason
	case c.Reason != "":
		row[2] += ": " + c.Reason
	}
	row = append(row, make([]string, len(t.heads)-len(row))...)
	for _, m := range c.Measures {
		at := slices.Index(t.heads, m.Name)
		if at < 0 {
			at = len(t.heads)
			t.heads, row = append(t.heads, m.Name), append(row, "")
		}
		row[at] = m.Value
	}
	t.cells = append(t.cells, row)
}

// plain shows a text in one line outside of Markdown.
func plain(s string) string { return protocol.Visible(s) }
