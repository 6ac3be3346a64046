package plan

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Change is the difference between two plans for one action.
type Change struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// What is "added", "dropped" or "changed".
	What string `json:"what"`
	// Fields are the parts of the descriptor that differ, for a changed action.
	Fields []Field `json:"fields,omitempty"`
}

// Field is a part of a descriptor that differs. Before or After is empty if the part is missing on that side.
type Field struct {
	Path   string `json:"path"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

func (f Field) String() string {
	switch {
	case f.Before == "":
		return fmt.Sprintf("%s: now %s", f.Path, f.After)
	case f.After == "":
		return fmt.Sprintf("%s: no longer %s", f.Path, f.Before)
	}
	return fmt.Sprintf("%s: %s -> %s", f.Path, f.Before, f.After)
}

// Against returns the actions that the plan adds, drops and changes relative to a base plan, in plan order. It compares
// the definitions of actions, not their outputs, so it needs no store. An input counts as changed if its upstream
// action changed.
func (p *Plan) Against(ctx context.Context, base *Plan) ([]Change, error) {
	now, before := identities{}, identities{}
	var changes []Change
	for i, a := range p.Actions {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		old := base.byName[a.Name]
		switch {
		case old == nil:
			changes = append(changes, Change{Name: a.Name, Kind: a.Kind, What: "added"})
			continue
		case a.State == Skipped && old.State == Skipped:
			continue
		case a.State == Skipped:
			changes = append(changes, Change{a.Name, a.Kind, "changed", []Field{{Path: "skip", After: a.Reason}}})
			continue
		case old.State == Skipped:
			changes = append(changes, Change{a.Name, a.Kind, "changed", []Field{{Path: "skip", Before: old.Reason}}})
			continue
		}
		x, err := before.of(old)
		if err != nil {
			return nil, err
		}
		y, err := now.of(a)
		if err != nil {
			return nil, err
		}
		if x.key == y.key {
			continue
		}
		fields, err := Diff(x.descriptor, y.descriptor)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		earlier, upstream := old.upstreams(), a.upstreams()
		for i, f := range fields {
			switch name, before := upstream[f.Path], earlier[f.Path]; {
			case name == "" || before == "":
			case name == before:
				fields[i] = Field{Path: f.Path, Before: "base value", After: "changed " + name}
			default:
				fields[i] = Field{Path: f.Path, Before: before, After: name}
			}
		}
		changes = append(changes, Change{a.Name, a.Kind, "changed", fields})
	}
	for _, old := range base.Actions {
		if p.byName[old.Name] == nil {
			changes = append(changes, Change{Name: old.Name, Kind: old.Kind, What: "dropped"})
		}
	}
	return changes, nil
}

// upstreams returns the names of the action's upstream actions, by the path of the input in its descriptor.
func (a *Action) upstreams() map[string]string {
	names := make(map[string]string, len(a.Inputs))
	for _, in := range a.Inputs {
		names["inputs."+in.Role] = in.Upstream.Name
	}
	return names
}

// identities are keys that are derived from the definitions of upstream actions instead of from their outputs.
type identities map[*Action]identity

type identity struct {
	key        string
	descriptor []byte
}

func (ids identities) of(a *Action) (identity, error) {
	if id, ok := ids[a]; ok {
		return id, nil
	}
	inputs := make(map[string]string, len(a.Inputs))
	for _, in := range a.Inputs {
		up, err := ids.of(in.Upstream)
		if err != nil {
			return identity{}, err
		}
		inputs[in.Role] = up.key
	}
	d := a.describe(inputs)
	key, descriptor, err := d.Key()
	if err != nil {
		return identity{}, fmt.Errorf("%s: %w", a.Name, err)
	}
	ids[a] = identity{key, descriptor}
	return ids[a], nil
}

// Diff lists the leaves in which two JSON documents differ, by path.
func Diff(before, after []byte) ([]Field, error) {
	x, err := leaves(before)
	if err != nil {
		return nil, err
	}
	y, err := leaves(after)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(x)
	maps.Copy(all, y)
	var fields []Field
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if x[path] != y[path] {
			fields = append(fields, Field{path, x[path], y[path]})
		}
	}
	return fields, nil
}

func leaves(document []byte) (map[string]string, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	m := map[string]string{}
	flatten("", v, m)
	return m, nil
}

func flatten(path string, v any, into map[string]string) {
	join := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			into[path] = "{}"
		}
		for name, w := range v {
			flatten(join(name), w, into)
		}
	case []any:
		if len(v) == 0 {
			into[path] = "[]"
		}
		for i, w := range v {
			flatten(join(strconv.Itoa(i)), w, into)
		}
	default:
		into[path] = fmt.Sprintf("%#v", v)
		if n, ok := v.(json.Number); ok {
			into[path] = n.String()
		}
		if v == nil {
			into[path] = "null"
		}
	}
}
