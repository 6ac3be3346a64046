package spec

import (
	"maps"
	"slices"

	"github.com/bmatcuk/doublestar/v4"
)

// gaps returns the gaps and those that the matrices make, by name.
func (d *decoder) gaps(root node) map[string]Gap {
	gaps := map[string]Gap{}
	for name, n := range root.field("gaps").fields() {
		g := Gap{Name: name, A: n.field("a").text(), B: n.field("b").text(), Pos: d.writtenAt(n), Allow: n.field("allow").texts()}
		known := d.knownModel(n.field("a"), g.A)
		known = d.knownModel(n.field("b"), g.B) && known
		if !known {
			continue
		}
		if g.A == g.B {
			d.fail(n, "a and b are the same model, %q", g.A)
			continue
		}
		g.Datasets = d.compared(n, g.A, g.B)
		slices.Sort(g.Allow)
		g.Allow = slices.Compact(g.Allow)
		gaps[name] = g
	}
	for name, n := range root.field("matrix").fields() {
		d.matrix(gaps, name, n)
	}
	return gaps
}

func (d *decoder) matrix(gaps map[string]Gap, name string, n node) {
	models := n.field("models").texts()
	known := true
	for i, at := range n.field("models").elements() {
		known = d.knownModel(at, models[i]) && known
		if slices.Index(models, models[i]) < i {
			d.fail(at, "the model %q is there twice", models[i])
			known = false
		}
	}
	if !known {
		return
	}
	for i, a := range models {
		for _, b := range models[i+1:] {
			g := Gap{Name: name + "/" + a + "-vs-" + b, A: a, B: b, Pos: d.writtenAt(n), Datasets: d.compared(n, a, b)}
			if _, taken := gaps[g.Name]; taken {
				d.fail(n, "the gap %q that the matrix makes is already there; rename one", g.Name)
				continue
			}
			gaps[g.Name] = g
		}
	}
}

func (d *decoder) knownModel(at node, name string) bool {
	if !at.set() || !d.intact(at) {
		return false
	}
	if _, ok := d.models[name]; !ok {
		d.unknown(at, "model", name, slices.Collect(maps.Keys(d.models)))
		return false
	}
	return true
}

// compared returns the keys of the datasets that a gap or matrix at n compares models a and b on.
func (d *decoder) compared(n node, a, b string) []string {
	list := n.field("datasets")
	if !list.set() {
		if d.models[a].Scores != nil && d.models[b].Scores != nil {
			return nil
		}
		return d.scored()
	}
	matched := map[string]bool{}
	for _, at := range list.elements() {
		pattern := at.text()
		if !doublestar.ValidatePattern(pattern) {
			d.fail(at, "%q is not a glob; * stands for anything but /, ** for anything, {a,b} for either", pattern)
			continue
		}
		found := false
		for key := range d.datasets {
			if doublestar.MatchUnvalidated(pattern, key) {
				matched[key], found = true, true
			}
		}
		if !found {
			d.unknown(at, "dataset", pattern, slices.Collect(maps.Keys(d.datasets)))
		}
	}
	keys := slices.DeleteFunc(d.scored(), func(key string) bool { return !matched[key] })
	if len(keys) == 0 && len(matched) > 0 {
		d.fail(list, "no dataset is left: each of those named is skipped or has use \"train\"")
	}
	return keys
}
