package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cuelang.org/go/cue"
)

// axis is one swept setting.
type axis struct {
	node
	// setting is the path of the setting in a model: backend, NAME, FIELD ...; scoring, FIELD; or limits, FIELD.
	setting []string
	values  []node
}

// value is one value of an axis.
type value struct {
	axis axis
	node
}

// sweep adds a model for each point of the sweep at n.
func (d *decoder) sweep(n node) {
	var axes []axis
	for path, list := range n.field("over").fields() {
		a := axis{node: list, setting: strings.Split(path, ".")}
		if !d.intact(list) || len(a.setting) < 2 || a.setting[0] == "backend" && len(a.setting) < 3 {
			return
		}
		for _, x := range list.elements() {
			a.values = append(a.values, x)
		}
		axes = append(axes, a)
	}
	if len(axes) == 0 {
		d.fail(n, "no setting to sweep; set the values by dotted path, such as over: \"scoring.context\": [512, 1024]")
		return
	}
	slices.SortFunc(axes, func(a, b axis) int { return slices.Compare(a.setting, b.setting) })
	for _, at := range n.field("models").elements() {
		name := at.text()
		base, ok := d.nodes[name]
		if !ok {
			d.unknown(at, "model", name, slices.Collect(maps.Keys(d.nodes)))
			continue
		}
		if base.field("scores").set() {
			d.fail(at, "model %q has precomputed scores, which no setting changes", name)
			continue
		}
		if !d.intact(base) || d.models[name].Backend == nil || d.models[name].Backend.Config == nil {
			continue
		}
		for point := range points(axes) {
			d.point(at, name, base, point)
		}
	}
}

// points yields the Cartesian product of the values of axes. The last axis varies fastest. The slice is reused.
func points(axes []axis) func(func([]value) bool) {
	return func(yield func([]value) bool) {
		point := make([]value, len(axes))
		var fill func(i int) bool
		fill = func(i int) bool {
			if i == len(axes) {
				return yield(point)
			}
			for _, x := range axes[i].values {
				point[i] = value{axis: axes[i], node: x}
				if !fill(i + 1) {
					return false
				}
			}
			return true
		}
		fill(0)
	}
}

// point adds the model for a point of the sweep of base. at is the reference to base in the sweep.
func (d *decoder) point(at node, name string, base node, point []value) {
	m := *d.models[name]
	config := base.field("backend").field(m.Backend.Name)
	written, err := d.written(config.v)
	if err != nil {
		d.fail(at, "%v", err)
		return
	}
	settings, ok := written.(map[string]any)
	if !ok {
		d.fail(at, "the settings of model %q are not a struct, so there is no field to sweep", name)
		return
	}
	scoring, limits := map[string]any{}, map[string]any{}
	labels, ok := d.setPoint(name, m.Backend.Name, point, settings, scoring, limits)
	if !ok {
		return
	}
	settled, ok1 := d.check(settings, cue.MakePath(cue.Def("#Backend"), cue.Str(m.Backend.Name).Optional()), point, "backend", m.Backend.Name)
	window, ok2 := d.check(scoring, cue.MakePath(cue.Def("#Scoring")), point, "scoring")
	bounds, ok3 := d.check(limits, cue.MakePath(cue.Def("#Limits")), point, "limits")
	if !ok1 || !ok2 || !ok3 {
		return
	}

	m.Base, m.Point = name, strings.Join(labels, ",")
	m.Name = m.Base + "@" + m.Point
	m.Pos = d.writtenAt(at)
	if _, taken := d.models[m.Name]; taken {
		d.fail(at, "duplicate model %q: a sweep repeats a value, or two sweeps have the same point", m.Name)
		return
	}
	backend := Backend{Name: m.Backend.Name, Pos: m.Backend.Pos}
	d.fillBackend(&backend, at, settled)
	d.training[m.Name] = d.training[name]
	for _, x := range point {
		if x.axis.setting[0] == "backend" && x.axis.setting[2] == "train" {
			d.training[m.Name] = x.node
		}
	}
	m.Backend = &backend
	for name := range scoring {
		m.Scoring.set(name, node{v: window}.field(name))
	}
	d.checkScoring(at, m.Scoring)
	if len(limits) > 0 {
		m.Limits = &Limits{-1, -1}
		if x := (node{v: bounds}).field("documents"); x.set() {
			m.Limits.Documents = x.number()
		}
		if x := (node{v: bounds}).field("bytes"); x.set() {
			m.Limits.Bytes = x.number()
		}
	}
	d.models[m.Name] = &m
}

// setPoint sets the values of a point in the settings of a model, and returns the labels of the values. It returns
// false after an error.
func (d *decoder) setPoint(model, backend string, point []value, settings, scoring, limits map[string]any) (labels []string, ok bool) {
	for _, v := range point {
		x, err := plain(v.v)
		if err != nil {
			d.fail(v.node, "%v", err)
			return nil, false
		}
		label, err := valueText(x)
		if err != nil {
			d.fail(v.node, "%v", err)
			return nil, false
		}
		labels = append(labels, v.axis.setting[len(v.axis.setting)-1]+"="+label)
		switch v.axis.setting[0] {
		case "scoring":
			err = setPath(scoring, v.axis.setting[1:], x)
		case "limits":
			err = setPath(limits, v.axis.setting[1:], x)
		default:
			if v.axis.setting[1] != backend {
				d.fail(v.axis.node, "model %q has the backend %s, not %s", model, backend, v.axis.setting[1])
				return nil, false
			}
			err = setPath(settings, v.axis.setting[2:], x)
		}
		if err != nil {
			d.fail(v.axis.node, "%v", err)
			return nil, false
		}
	}
	return labels, true
}

// set sets the field with the given name in the language.
func (s *Scoring) set(name string, x node) {
	switch name {
	case "prefix":
		s.Prefix = x.text()
	case "context":
		s.Context = x.number()
	case "stride":
		s.Stride = x.number()
	case "anchor":
		s.Anchor = x.text()
	case "eos":
		s.EOS = x.truth()
	}
}

// check unifies settings with a definition, and reports violations at the values of the point below prefix.
func (d *decoder) check(settings map[string]any, definition cue.Path, point []value, prefix ...string) (cue.Value, bool) {
	text, err := canonical(settings)
	if err != nil {
		d.fail(point[0].node, "%v", err)
		return cue.Value{}, false
	}
	schema := d.language.LookupPath(definition)
	v := d.context.CompileBytes(text, cue.Filename("sweep")).Unify(schema)
	violations := d.violations(node{v: v}, schema)
	for _, r := range violations {
		invalid := append(slices.Clone(prefix), labels(r.path)...)
		at := point[0]
		for _, x := range point {
			if n := min(len(invalid), len(x.axis.setting)); slices.Equal(x.axis.setting[:n], invalid[:n]) {
				at = x
			}
		}
		switch {
		case r.unknownField:
			d.fail(at.axis.node, "%s", r.message)
		case len(invalid) < len(at.axis.setting):
			d.fail(at.axis.node, "%s has no fields", strings.Join(invalid, "."))
		default:
			d.fail(at.node, "%s", r.message)
		}
	}
	return v, len(violations) == 0
}

// written returns the fields of a plugin's configuration that the spec sets, without defaults of the schema, so that
// defaults that depend on a swept setting follow it.
func (d *decoder) written(v cue.Value) (any, error) {
	if v.Kind() != cue.StructKind {
		return plain(v)
	}
	m := map[string]any{}
	for name, n := range (node{v: v}).fields() {
		if _, ok := d.of(n.v); ok {
			x, err := d.written(n.v)
			if err != nil {
				return nil, err
			}
			m[name] = x
		}
	}
	return m, nil
}

// setPath sets a nested field, and creates the structs around it.
func setPath(m map[string]any, path []string, x any) error {
	for _, name := range path[:len(path)-1] {
		next, ok := m[name].(map[string]any)
		if m[name] != nil && !ok {
			return fmt.Errorf("%s is not a struct, so it has no field %s", name, path[len(path)-1])
		}
		if next == nil {
			next = map[string]any{}
			m[name] = next
		}
		m = next
	}
	m[path[len(path)-1]] = x
	return nil
}

// valueText formats a swept value for the name of a model.
func valueText(x any) (string, error) {
	switch x := x.(type) {
	case string:
		return x, nil
	case json.Number:
		return x.String(), nil
	}
	text, err := canonical(x)
	return string(text), err
}

func labels(path []cue.Selector) []string {
	var all []string
	for _, s := range path {
		if s.LabelType() == cue.StringLabel {
			all = append(all, s.Unquoted())
		} else {
			all = append(all, s.String())
		}
	}
	return all
}
