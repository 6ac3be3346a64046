package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/terminal"
)

// SpecFields returns the fields of the spec whose values differ from those of a base plan, in natural order of their
// paths. A struct that only one side has is one field, and so is a list. A plan without values has no fields.
func (p *Plan) SpecFields(base *Plan) ([]Field, error) {
	before, err := object(base.Values)
	if err != nil {
		return nil, err
	}
	after, err := object(p.Values)
	if err != nil {
		return nil, err
	}
	var fields []Field
	compareObjects(nil, before, after, &fields)
	return fields, nil
}

// BaselineFields returns the scores of baselines that the plan compares with and whose pins differ between the lock files of
// two plans. A pin is shown by the beginning of its key.
func (p *Plan) BaselineFields(base *Plan) []Field {
	before, after := base.pins(), p.pins()
	var fields []Field
	for _, name := range slices.SortedFunc(maps.Keys(union(before, after)), terminal.Compare) {
		if before[name] != after[name] {
			fields = append(fields, Field{Path: name, Before: before[name], After: after[name]})
		}
	}
	return fields
}

// pins returns what a lock file pins of each score of a baseline that the plan uses.
func (p *Plan) pins() map[string]string {
	all := map[string]string{}
	for _, a := range p.Actions {
		if a.Pinned != nil {
			b, s := a.Pinned.Baseline, a.Pinned.Score
			name := spec.LockFile + ": baseline " + b.Name
			if s.Dataset != "" {
				name += " on " + s.Dataset
			}
			all[name] = fmt.Sprintf("scores of %s, key %s", b.Model, s.Key[:min(len(s.Key), 12)])
		}
	}
	return all
}

func union(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// object decodes a JSON object; no text is an empty object.
func object(document json.RawMessage) (m map[string]any, err error) {
	if len(document) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("the values of the spec: %w", err)
	}
	return m, nil
}

func compareObjects(path []string, before, after map[string]any, into *[]Field) {
	names := maps.Clone(after)
	if names == nil {
		names = map[string]any{}
	}
	maps.Copy(names, before)
	for _, name := range slices.SortedFunc(maps.Keys(names), terminal.Compare) {
		x, y := before[name], after[name]
		if reflect.DeepEqual(x, y) {
			continue
		}
		at := slices.Concat(path, []string{name})
		m, ok := x.(map[string]any)
		n, both := y.(map[string]any)
		if ok && both {
			compareObjects(at, m, n, into)
			continue
		}
		_, old := before[name]
		_, now := after[name]
		*into = append(*into, Field{Path: spec.FieldPath(at...), Before: valueText(x, old), After: valueText(y, now)})
	}
}

// valueText returns a value as JSON, or "" if there is none.
func valueText(v any, exists bool) string {
	if !exists {
		return ""
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v) // A decoded value can be encoded.
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
