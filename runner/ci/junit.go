package ci

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/terminal"
)

// The elements of a JUnit report.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		junitCounts
		Suites []*junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		junitCounts
		Cases []junitCase `xml:"testcase"`
	}
	junitCounts struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"`
	}
	junitCase struct {
		Name       string           `xml:"name,attr"`
		Class      string           `xml:"classname,attr"`
		Time       string           `xml:"time,attr"`
		File       string           `xml:"file,attr,omitempty"`
		Line       int              `xml:"line,attr,omitempty"`
		Properties *junitProperties `xml:"properties"`
		Skipped    *junitOutcome    `xml:"skipped"`
		Error      *junitOutcome    `xml:"error"`
		Failure    *junitOutcome    `xml:"failure"`
	}
	junitProperties struct {
		Properties []junitProperty `xml:"property"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitOutcome struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// JUnit returns the report in JUnit's format: a suite with the errors of the run, and a suite for each gate with a test case
// for each slice. A case whose answer fails the run is a failure. Other cases that do not pass are skipped.
func (r *Report) JUnit() ([]byte, error) {
	all := junitSuites{junitCounts: junitCounts{Name: plain(r.Experiment), Time: fmt.Sprintf("%.3f", r.Seconds)}}
	all.Suites = append(all.Suites, r.junitRun())
	for _, t := range r.Tests {
		all.Suites = append(all.Suites, t.junit())
	}
	for _, s := range all.Suites {
		s.limit(max(1, maxCases/len(all.Suites)))
		s.count()
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Skipped += s.Skipped
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	return append([]byte(xml.Header), append(protocol.XMLWithoutCommands(text), '\n')...), err
}

// maxCases bounds the cases of a report, so that it has less than the 30 MB that GitLab reads: a case takes about 1 kB,
// and up to 4 kB if its message is long.
const maxCases = 7_000

// limit leaves out the last cases of a suite of more than most, and counts them.
func (s *junitSuite) limit(most int) {
	n := len(s.Cases) - most
	if n <= 0 {
		return
	}
	rest := newCase(s.Name, terminal.Count(n, "more case"), Position{})
	rest.Skipped = newOutcome("", "left out, because a report has at most "+humanize.Comma(maxCases)+" cases")
	s.Cases = append(s.Cases[:most:most], rest)
}

// count counts the cases of a suite by their outcomes.
func (s *junitSuite) count() {
	for _, c := range s.Cases {
		s.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
}

// junitRun returns a suite with a case for each problem of the run, or one that passes.
func (r *Report) junitRun() *junitSuite {
	const run = "run"
	s := &junitSuite{junitCounts: junitCounts{Name: run, Time: "0"}}
	for i, p := range r.Problems {
		name := p.Action
		if name == "" {
			name = fmt.Sprintf("error %d", i+1)
		}
		c := newCase(run, name, p.At)
		c.Error = newOutcome("error", p.Message)
		s.Cases = append(s.Cases, c)
	}
	if r.Canceled {
		c := newCase(run, "canceled", Position{})
		c.Error = newOutcome("canceled", "the run was stopped")
		s.Cases = append(s.Cases, c)
	}
	if len(s.Cases) == 0 {
		s.Cases = append(s.Cases, newCase(run, "all actions", Position{}))
	}
	return s
}

// junit returns a suite with a case for each case of the test. If none shows why the test fails, or there are none, it
// has one for the whole test.
func (t Test) junit() *junitSuite {
	s := &junitSuite{junitCounts: junitCounts{Name: plain(t.Action), Time: "0"}}
	shown := false
	for _, c := range t.sorted() {
		x := newCase(t.Action+": "+c.Group, c.Name, t.At)
		for _, m := range c.Measures {
			if x.Properties == nil {
				x.Properties = &junitProperties{}
			}
			x.Properties.Properties = append(x.Properties.Properties, junitProperty{m.Name, m.Value})
		}
		t.outcome(&x, c.Answer, caseText(c))
		shown = shown || c.Answer == t.Answer
		s.Cases = append(s.Cases, x)
	}
	if !shown {
		x := newCase(t.Action, t.Action, t.At)
		t.outcome(&x, t.Answer, t.finding(plain))
		if t.Answer == "" {
			x.Skipped, x.Error = nil, newOutcome("undecided", t.finding(plain))
		}
		s.Cases = append(s.Cases, x)
	}
	return s
}

// sorted returns the cases by answer, those that fail first.
func (t Test) sorted() []action.Case {
	order := []action.Answer{action.Fail, action.Inconclusive, "", action.Pass}
	return slices.SortedStableFunc(slices.Values(t.Cases), func(a, b action.Case) int {
		return slices.Index(order, a.Answer) - slices.Index(order, b.Answer)
	})
}

// outcome sets the outcome of a case with an answer.
func (t Test) outcome(x *junitCase, answer action.Answer, message string) {
	switch {
	case answer == action.Pass:
	case answer == action.Fail, answer == action.Inconclusive && t.Strict:
		x.Failure = newOutcome(string(answer), message)
	default:
		x.Skipped = newOutcome("", message)
	}
}

func newCase(class, name string, at Position) junitCase {
	return junitCase{Name: plain(name), Class: plain(class), Time: "0", File: plain(at.File), Line: at.Line}
}

func newOutcome(kind, message string) *junitOutcome {
	first, rest, _ := strings.Cut(strings.TrimSpace(message), "\n")
	if strings.HasSuffix(first, ":") {
		second, _, _ := strings.Cut(rest, "\n")
		first += " " + strings.TrimSpace(second)
	}
	return &junitOutcome{Message: plain(shortened(first, 500)), Type: kind, Text: visibleLines(message)}
}
