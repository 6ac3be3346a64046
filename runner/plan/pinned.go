package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// Pinned is a result that the lock file pins. An action with a pinned result is never executed: its result is in the store,
// or the plan cannot be carried out.
type Pinned struct {
	Baseline *spec.UsedBaseline
	Score    *spec.BaselineScore
}

// pinnedParameters stand for the descriptor of a pinned result in comparisons of plans.
type pinnedParameters struct {
	Baseline string `json:"baseline"`
	Key      string `json:"key"`
}

// Pin adds an action whose result a baseline pins.
func (b *Builder) Pin(kind string, name string, labels Labels, p Pinned) (*Action, error) {
	if known := b.kinds[kind].Schema(); p.Score.Kind != kind || p.Score.Schema != known {
		return nil, p.problem("its scores (%s, schema %d) were made by another version of this program, and may differ from scores of this one (%s, schema %d); "+
			"score the model with this version, then run `runner baseline set %s MODEL`", p.Score.Kind, p.Score.Schema, kind, known, p.Baseline.Name)
	}
	return b.Add(kind, Parts{Name: name, Labels: labels, Parameters: pinnedParameters{p.Baseline.Name, p.Score.Key}, Pinned: &p})
}

// problem is a mistake at the place of the spec that refers to the baseline.
func (p *Pinned) problem(format string, args ...any) spec.Errors {
	return spec.Errors{{Pos: p.Baseline.Pos, Path: p.Baseline.Path, Message: fmt.Sprintf("baseline %q: ", p.Baseline.Name) + fmt.Sprintf(format, args...)}}
}

// Differs returns the name of an output that is not the one that a baseline pins, or "".
func Differs(s *spec.BaselineScore, outputs []store.File) string {
	missing := maps.Clone(s.Files)
	for _, f := range outputs {
		if s.Files[f.Name] != f.Digest {
			return f.Name
		}
		delete(missing, f.Name)
	}
	if names := slices.Sorted(maps.Keys(missing)); len(names) > 0 {
		return names[0]
	}
	return ""
}

// expectation is an output that an action must have, because a baseline was scored on it.
type expectation struct {
	file string
	Pinned
}

// Expect requires that the output of a, which makes the documents of a dataset in a file, is that of a baseline's score.
func (b *Builder) Expect(a *Action, file string, p Pinned) {
	for _, e := range a.expected {
		if e.Baseline.Name == p.Baseline.Name {
			return
		}
	}
	a.expected = append(a.expected, expectation{file, p})
}

// Unexpected returns an error of kind InvalidInput if the action made other documents than those of a baseline that the
// plan compares with.
func (a *Action) Unexpected() error {
	if problems := a.unexpected(nil); len(problems) > 0 {
		return protocol.Invalid("%s", problems[0].Message)
	}
	return nil
}

// Descriptors returns the descriptor under a key, or nil if it is not known.
type Descriptors func(key string) json.RawMessage

func (a *Action) unexpected(known Descriptors) (problems spec.Errors) {
	for _, e := range a.expected {
		// Without outputs, the action has not run yet.
		f, err := store.FileOf(a.Outputs, e.file)
		if err != nil || f.Digest == e.Score.Documents.Digest {
			continue
		}
		problems = append(problems, e.problem("it was scored on other documents of the dataset %q than the specification has now: %s; "+
			"restore the source, rows, sample and limits of the dataset, compare on other datasets with `datasets`, "+
			"or score a model on the new documents and run `runner baseline set %s MODEL`",
			e.Score.Dataset, a.change(e.Score.Documents, known), e.Baseline.Name)...)
	}
	return problems
}

// change describes how the documents of a baseline differ from those of the action.
func (a *Action) change(of *spec.BaselineDocuments, known Descriptors) string {
	counts := fmt.Sprintf("%s documents with %s bytes, not %s with %s",
		humanize.Comma(of.Documents), humanize.Comma(of.Bytes), humanize.Comma(a.Cost.Documents), humanize.Comma(a.Cost.Bytes))
	if a.Cost.Documents == of.Documents && a.Cost.Bytes == of.Bytes {
		counts = fmt.Sprintf("also %s documents with %s bytes, but other ones", humanize.Comma(of.Documents), humanize.Comma(of.Bytes))
	}
	if known == nil || known(of.Key) == nil {
		return counts
	}
	before, err := ReadDescriptor(known(of.Key))
	if err != nil {
		return counts
	}
	fields, err := Diff(before.Parameters, a.Parameters)
	if err != nil || len(fields) == 0 {
		return counts
	}
	const most = 3
	var changes []string
	for _, f := range fields[:min(len(fields), most)] {
		changes = append(changes, f.String())
	}
	if n := len(fields) - most; n > 0 {
		changes = append(changes, fmt.Sprintf("and %d more", n))
	}
	return counts + " (" + strings.Join(changes, ", ") + ")"
}

// Unavailable returns the mistakes because of which a resolved plan cannot compare with its baselines: scores that are not in
// the store of that name, or differ from the pinned ones there, and other documents.
func (p *Plan) Unavailable(place string, known Descriptors) (problems spec.Errors) {
	missing := map[string][]*Action{}
	for _, a := range p.Actions {
		problems = append(problems, a.unexpected(known)...)
		switch {
		case a.Pinned == nil || a.State == Cached || a.State == Done:
		case a.Reason != "":
			problems = append(problems, a.Pinned.problem("%s", a.Reason)...)
		default:
			name := a.Pinned.Baseline.Name
			missing[name] = append(missing[name], a)
		}
	}
	for name, of := range missing {
		more := ""
		if len(of) > 1 {
			more = fmt.Sprintf(" and %d more", len(of)-1)
		}
		problems = append(problems, of[0].Pinned.problem("the store %s does not have %s (key %s)%s; pass the store that has it with --store, "+
			"or name a model of the specification instead, run `runner run` and then `runner baseline set %s MODEL`, and name the baseline again",
			place, of[0].Name, of[0].Key[:12], more, name)...)
	}
	return problems.Merge()
}
