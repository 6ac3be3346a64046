package spec

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"

	"surprisal.dev/internal/glob"
)

// Section is the part of the spec language that a kind of action defines.
type Section struct {
	// Kind is the name of the kind. It is the key of the decoded section in Experiment.Sections.
	Kind string
	// CUE is the source of a file of package experiment, which adds fields to #Experiment.
	CUE []byte
	// Decode decodes these fields as a value that encodes as JSON. It reports every mistake to d.
	Decode func(d Decoding) any
}

// Decoding is a spec during decoding, when datasets and models are known and their references are checked.
type Decoding struct{ d *decoder }

// Node is a value of a spec during decoding. A value that does not exist or violates the schema reads as the zero
// value.
type Node struct{ n node }

// Field returns a field of the spec.
func (s Decoding) Field(name string) Node { return Node{node{v: s.d.root}.field(name)} }

// Field returns a field of a struct.
func (n Node) Field(name string) Node { return Node{n.n.field(name)} }

// Set reports whether the field exists.
func (n Node) Set() bool { return n.n.set() }

// Fields yields the fields of a struct that are set.
func (n Node) Fields() iter.Seq2[string, Node] {
	return func(yield func(string, Node) bool) {
		for name, field := range n.n.fields() {
			if !yield(name, Node{field}) {
				return
			}
		}
	}
}

// Elements yields the elements of a list.
func (n Node) Elements() iter.Seq2[int, Node] {
	return func(yield func(int, Node) bool) {
		for i, element := range n.n.elements() {
			if !yield(i, Node{element}) {
				return
			}
		}
	}
}

// Text returns a string.
func (n Node) Text() string { return n.n.text() }

// Texts returns a list of strings.
func (n Node) Texts() []string { return n.n.texts() }

// Number returns an integer.
func (n Node) Number() int64 { return n.n.number() }

// Decimal returns a number.
func (n Node) Decimal() float64 { return n.n.decimal() }

// Coordinate returns a number for the axis of a report, and reports one that is too large or too small for that.
func (s Decoding) Coordinate(n Node) float64 { return s.d.coordinate(n.n) }

// Fail reports a mistake at n.
func (s Decoding) Fail(n Node, format string, args ...any) { s.d.fail(n.n, format, args...) }

// Position returns the position of n.
func (s Decoding) Position(n Node) Position { return s.d.writtenAt(n.n) }

// Model returns the model that n names. If there is no such model, it reports that and returns nil.
func (s Decoding) Model(n Node) *Model {
	name := n.Text()
	if !n.Set() || !s.d.intact(n.n) {
		return nil
	}
	m, ok := s.d.models[name]
	if !ok {
		s.d.unknown(n.n, "model", name, slices.Collect(maps.Keys(s.d.models)))
		return nil
	}
	return m
}

// Models returns the models that a list names. It reports unknown models and duplicates, and then returns nil.
func (s Decoding) Models(list Node) []*Model {
	var models []*Model
	good := true
	for _, n := range list.Elements() {
		m := s.Model(n)
		if m != nil && slices.Contains(models, m) {
			s.Fail(n, "duplicate model %q", m.Name)
			m = nil
		}
		good = good && m != nil
		models = append(models, m)
	}
	if !good {
		return nil
	}
	return models
}

// AllModels returns all models, by name.
func (s Decoding) AllModels() []*Model {
	var models []*Model
	for _, name := range slices.Sorted(maps.Keys(s.d.models)) {
		models = append(models, s.d.models[name])
	}
	return models
}

// Conforms reports whether the spec conforms to the schema. If not, values may read as zero.
func (s Decoding) Conforms() bool { return len(s.d.invalid) == 0 }

// Dataset returns the dataset called name, or nil.
func (s Decoding) Dataset(name string) *Dataset { return s.d.datasets[name] }

// Scored returns the names of the datasets that models are scored on, sorted.
func (s Decoding) Scored() []string { return s.d.scored() }

// Match returns the sorted names of the scored datasets that match a list of names and globs, or all if the list is not
// set.
func (s Decoding) Match(list Node) []string {
	if !list.Set() {
		return s.Scored()
	}
	matched := map[string]bool{}
	for _, n := range list.Elements() {
		pattern := n.Text()
		matching, err := glob.Parse(pattern)
		if err != nil {
			s.Fail(n, "%q %v; * matches anything but /, ** matches anything, {a,b} matches a or b", abbreviate(pattern, 200), err)
			continue
		}
		found := false
		for name := range s.d.datasets {
			if matching.Match(name) {
				matched[name], found = true, true
			}
		}
		if !found {
			s.d.unknown(n.n, "dataset", pattern, slices.Collect(maps.Keys(s.d.datasets)))
		}
	}
	names := slices.DeleteFunc(s.Scored(), func(name string) bool { return !matched[name] })
	if len(names) == 0 && len(matched) > 0 {
		s.Fail(list, "no dataset remains: each match is skipped or has use \"train\"")
	}
	return names
}

// sections decodes the sections of the kinds.
func (d *decoder) sections() map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for _, s := range d.options.Sections {
		x, err := json.Marshal(s.Decode(Decoding{d}))
		if err != nil {
			d.fail(node{v: d.root}, "%v", fmt.Errorf("section of kind %s: %w", s.Kind, err))
			continue
		}
		if string(x) != "null" {
			all[s.Kind] = x
		}
	}
	return all
}
