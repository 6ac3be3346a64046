package action

import (
	"context"
	"encoding/json"
	"io"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// Kind is a kind of action. The interfaces below are optional capabilities of a kind.
type Kind interface {
	plan.Kind
	// Work does the work that t's descriptor describes. An error caused by the input has the kind InvalidInput.
	Work(ctx context.Context, t *Task) (Result, error)
}

// Sectioner is a kind with its own section in the spec language.
type Sectioner interface {
	Section() spec.Section
}

// MainFiler is a kind whose artifacts have a main file for people.
type MainFiler interface {
	// MainFile names that file.
	MainFile() string
}

// Verifier is a kind whose artifacts can be checked without doing the work again.
type Verifier interface {
	// Verify checks the content of an artifact whose files are intact. It returns the number of ledgers that it
	// replayed.
	Verify(ctx context.Context, files Files) (ledgers int, err error)
}

// Exporter is a kind whose artifacts have a different form for other tools than in the store.
type Exporter interface {
	// Export writes the files of an artifact to an empty directory, and returns their names.
	Export(ctx context.Context, files Files, labels plan.Labels, dir string) ([]string, error)
}

// Reporter is a kind that summarizes the results of its actions.
type Reporter interface {
	// Report summarizes the actions of the kind, some of which may have no outputs. It returns nil if there are no
	// results.
	Report(ctx context.Context, actions []*plan.Action, read ReadFile) (Report, error)
}

// Pinner is a kind whose artifacts are scores of a model, which a baseline pins.
type Pinner interface {
	// Pin returns what a baseline records of a finished action.
	Pin(ctx context.Context, a *plan.Action, read ReadFile) (spec.BaselineScore, error)
}

// Report is a summary. It can be encoded as JSON for programs.
type Report interface {
	// Print writes the summary for a terminal.
	Print(w io.Writer)
}

// ReadFile returns the content of a file in an action's artifact.
type ReadFile func(ctx context.Context, a *plan.Action, name string) ([]byte, error)

// JSON decodes a JSON file in an action's artifact.
func (read ReadFile) JSON(ctx context.Context, a *plan.Action, name string, v any) error {
	data, err := read(ctx, a, name)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// Results returns the content of a JSON file in the artifact of each finished action. complete adds what the action tells.
func Results[T any](ctx context.Context, actions []*plan.Action, read ReadFile, name string, complete func(*plan.Action, *T)) (all []T, err error) {
	for _, a := range actions {
		if a.Outputs == nil {
			continue
		}
		var v T
		if err := read.JSON(ctx, a, name, &v); err != nil {
			return nil, err
		}
		complete(a, &v)
		all = append(all, v)
	}
	return all, nil
}

// ReportOf returns a report of the results of finished actions, as Results returns them, or nil if there are none.
func ReportOf[R interface {
	~[]T
	Report
}, T any](ctx context.Context, actions []*plan.Action, read ReadFile, name string, complete func(*plan.Action, *T)) (Report, error) {
	all, err := Results(ctx, actions, read, name, complete)
	if len(all) == 0 {
		return nil, err
	}
	return R(all), nil
}

// Adviser is a kind that warns of a plan whose answers will be of little use.
type Adviser interface {
	// Advise returns warnings about the actions of a plan, from the results that are there.
	Advise(ctx context.Context, actions []*plan.Action, read ReadFile) ([]string, error)
}

// Files are the files of an artifact on this machine.
type Files struct {
	outputs []store.File
	fetch   func(ctx context.Context, digest string) (string, error)
}

// NewFiles returns the files of an artifact; fetch returns the path of a blob.
func NewFiles(outputs []store.File, fetch func(ctx context.Context, digest string) (string, error)) Files {
	return Files{outputs, fetch}
}

// Names returns the names of the files.
func (f Files) Names() []string {
	names := make([]string, len(f.outputs))
	for i, o := range f.outputs {
		names[i] = o.Name
	}
	return names
}

// Path returns the path of a file.
func (f Files) Path(ctx context.Context, name string) (string, error) {
	o, err := store.FileOf(f.outputs, name)
	if err != nil {
		return "", err
	}
	return f.fetch(ctx, o.Digest)
}

// Sections returns the sections of the kinds that have one.
func Sections(kinds []Kind) []spec.Section {
	var sections []spec.Section
	for _, k := range kinds {
		if s, ok := k.(Sectioner); ok {
			sections = append(sections, s.Section())
		}
	}
	return sections
}

// Answer is the answer of a test.
type Answer string

// Answers.
const (
	Pass         Answer = "pass"
	Fail         Answer = "fail"
	Inconclusive Answer = "inconclusive"
)

// Judge is a report with tests, whose answer is the exit code of a run.
type Judge interface {
	Answer() Answer
}

// Tester is a kind whose actions are tests, which continuous integration lists.
type Tester interface {
	// Tests returns the tests of the finished actions of the kind.
	Tests(ctx context.Context, actions []*plan.Action, read ReadFile) ([]Test, error)
}

// Test is a test of a spec and its cases.
type Test struct {
	// Action is the name of the action: "gate night".
	Action string
	// Answer is "" if there is none, because an action failed. Reason then says why.
	Answer Answer
	Reason string
	// Strict means that an inconclusive answer fails the run.
	Strict bool
	// Sentence says in one line what the test found. name formats a name of the spec.
	Sentence func(name func(string) string) string
	Cases    []Case
}

// Case is a part of a test with an answer, such as a slice of the data.
type Case struct {
	// Name is unique within Group, such as a list of slices.
	Group, Name string
	Answer      Answer
	// Reason says why there is no answer, or explains it. Neither it nor Measures contain text of a spec.
	Reason string
	// Measures are what the answer follows from.
	Measures []Measure
}

// Measure is a number for people, with its name.
type Measure struct{ Name, Value string }
