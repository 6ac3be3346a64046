package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
)

// Case is a task for the plugin: a source to read, or a model to score with.
type Case struct {
	Name string
	// Source and Fields are a provider's source of at least 3 rows. It must not change while the suite runs.
	Source protocol.Source
	Fields []string
	// Large is a provider's source with a row of at least LargeBytes bytes. Without it the suite does not check that
	// such rows are read.
	Large *protocol.Source
	// TooLarge is a provider's source with a value of more than protocol.MaxTextBytes bytes. Without it the suite does
	// not check that such rows are reported as problems.
	TooLarge *protocol.Source
	// Model is a backend's model. If the backend trains its models and Model has no files, the suite trains one.
	Model protocol.Model
	// Neutral is the configuration of Model with different values for settings that the backend declares neutral.
	// Without it the suite does not check that they do not change results.
	Neutral json.RawMessage
	// Tolerance is the maximum difference between the losses of a document in different batches, in nats per token; 0
	// means DefaultTolerance.
	Tolerance float64
	// LargeBytes is the size of a large row or document; 0 means DefaultLargeBytes.
	LargeBytes int
}

// Defaults of a Case.
const (
	DefaultTolerance  = 1e-5
	DefaultLargeBytes = 64 << 20
)

// Outcome is the result of a check.
type Outcome string

// Outcomes of a check.
const (
	Passed Outcome = "passed"
	Failed Outcome = "failed"
	// NotRun marks a check that the cases or an earlier failure made impossible; Detail gives the reason.
	NotRun Outcome = "not run"
)

// Check is the record of one check.
type Check struct {
	// Case is the case's name, or "" for a check of the plugin as a whole.
	Case, Name string
	Outcome    Outcome
	Detail     string
}

// Report lists the results of all checks of a plugin.
type Report struct {
	Info   host.Info
	Checks []Check
}

// Passed reports whether no check failed.
func (r Report) Passed() bool {
	for _, c := range r.Checks {
		if c.Outcome == Failed {
			return false
		}
	}
	return true
}

// WriteTo writes the report as text, one line per check.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	var text strings.Builder
	if r.Info.Name != "" {
		fmt.Fprintf(&text, "%s %s %s\n", r.Info.Kind, r.Info.Name, r.Info.Version)
	}
	for _, c := range r.Checks {
		fmt.Fprintf(&text, "%-8s", c.Outcome)
		if c.Case != "" {
			fmt.Fprintf(&text, "%s: ", c.Case)
		}
		text.WriteString(c.Name)
		if c.Detail != "" {
			fmt.Fprintf(&text, ": %s", strings.ReplaceAll(c.Detail, "\n", "\n        "))
		}
		text.WriteByte('\n')
	}
	n, err := io.WriteString(w, text.String())
	return int64(n), err
}

// Run starts the plugin that command runs, checks the requirements for every plugin of its kind, and then checks each
// case. Its error is about the suite, not the plugin: faults of the plugin are in the report.
func Run(ctx context.Context, command []string, kind protocol.Kind, cases ...Case) (_ Report, err error) {
	h, err := host.New(host.Options{})
	if err != nil {
		return Report{}, err
	}
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return Report{}, errors.Join(err, h.Close())
	}
	defer func() { err = errors.Join(err, h.Close(), os.RemoveAll(dir)) }()
	s := &suite{ctx: ctx, dir: dir}
	switch kind {
	case protocol.KindProvider:
		var p *host.Provider
		if s.check("handshake and description", func() (err error) { p, err = h.OpenProvider(ctx, command); return err }) {
			s.plugin(p.Info())
			s.provider(p, cases)
		}
	case protocol.KindBackend:
		var b *host.Backend
		if s.check("handshake and description", func() (err error) { b, err = h.OpenBackend(ctx, command); return err }) {
			s.plugin(b.Info())
			s.backend(b, cases)
		}
	default:
		return Report{}, &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(
			"kind %q; a plugin is a %s or a %s", kind, protocol.KindProvider, protocol.KindBackend)}
	}
	return s.report, ctx.Err()
}

type suite struct {
	ctx    context.Context
	dir    string // for models that the suite trains
	report Report
	inCase string
}

// check runs f and records the result.
func (s *suite) check(name string, f func() error) bool {
	c := Check{Case: s.inCase, Name: name, Outcome: Passed}
	if err := cmp.Or(s.ctx.Err(), f()); err != nil {
		c.Outcome, c.Detail = Failed, err.Error()
	}
	s.report.Checks = append(s.report.Checks, c)
	return c.Outcome == Passed
}

func (s *suite) notRun(name, why string) {
	s.report.Checks = append(s.report.Checks, Check{Case: s.inCase, Name: name, Outcome: NotRun, Detail: why})
}

// cases runs f for each case.
func (s *suite) cases(cases []Case, f func(Case)) {
	if len(cases) == 0 {
		s.notRun("cases", "none were given")
	}
	for i, c := range cases {
		s.inCase = cmp.Or(c.Name, fmt.Sprintf("case %d", i+1))
		c.Tolerance = cmp.Or(c.Tolerance, DefaultTolerance)
		c.LargeBytes = cmp.Or(c.LargeBytes, DefaultLargeBytes)
		f(c)
	}
	s.inCase = ""
}

func (s *suite) plugin(info host.Info) {
	s.report.Info = info
	var config cue.Value
	if !s.check("the schema is CUE and defines #Config", func() error {
		schema := cuecontext.New().CompileString(info.Schema)
		if err := schema.Err(); err != nil {
			return err
		}
		config = schema.LookupPath(cue.ParsePath("#Config"))
		if err := config.Err(); err != nil {
			return err
		}
		if config.IncompleteKind() != cue.StructKind {
			return fmt.Errorf("#Config is a %s, not a struct", config.IncompleteKind())
		}
		return nil
	}) || len(info.NeutralSettings) == 0 {
		return
	}
	s.check("neutral settings are fields of #Config", func() error {
		for _, name := range info.NeutralSettings {
			if err := hasField(config, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// hasField reports whether a struct may have the field that a dotted path names.
func hasField(config cue.Value, path string) error {
	at := config
	for name := range strings.SplitSeq(path, ".") {
		field := at.LookupPath(cue.MakePath(cue.Str(name).Optional()))
		if !field.Exists() {
			return fmt.Errorf("#Config has no field %q", path)
		}
		at = field
	}
	return nil
}

// wantInvalid checks that err is the kind of error that a user should get for bad input.
func wantInvalid(err error) error {
	switch {
	case err == nil:
		return errors.New("it was accepted")
	case protocol.KindOf(err) != protocol.InvalidInput:
		return fmt.Errorf("the error has the kind %q, not %q: %w", protocol.KindOf(err), protocol.InvalidInput, err)
	}
	return nil
}

// endedWith returns an error for an unexpected err, which may be nil.
func endedWith(err error) error {
	if err == nil {
		return errors.New("it ended without an error")
	}
	return fmt.Errorf("it ended with an error of kind %q: %w", protocol.KindOf(err), err)
}
