package gap

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"

	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/spec"
)

//go:embed schema.cue
var schema []byte

// Gap compares model A with model B on datasets.
type Gap struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
	// Datasets are the names of the compared datasets, sorted. Empty for two imported tables means all their common
	// datasets.
	Datasets []string `json:"datasets"`
	// Allow lists the fields of the scoring protocol in which the two sides may differ, sorted.
	Allow []string `json:"allow"`
}

// Section implements action.Sectioner.
func (Kind) Section() spec.Section {
	return spec.Section{Kind: name, CUE: schema, Decode: func(d spec.Decoding) any { return decode(d) }}
}

// decode returns the gaps and those of the matrices, by name.
func decode(d spec.Decoding) []Gap {
	gaps := map[string]Gap{}
	var names []spec.Named
	for name, n := range d.Field("gaps").Fields() {
		a, b := d.Model(n.Field("a")), d.Model(n.Field("b"))
		switch {
		case a == nil || b == nil:
		case a == b:
			d.Fail(n, "a and b are the same model, %q", a.Name)
		default:
			allow := n.Field("allow").Texts()
			slices.Sort(allow)
			names = append(names, spec.Named{Name: name, At: n})
			g := Gap{Name: name, A: a.Name, B: b.Name, Datasets: compared(d, n, a, b), Allow: slices.Compact(allow)}
			gaps[name] = g
			if dataset, fields := mismatch(d, a, b, g); len(fields) > 0 {
				anyway := ""
				if permit := permission(fields, g.Allow); permit != "" {
					anyway = ", or set " + permit + " in the gap to compare them anyway"
				}
				d.Fail(n, "%s%s; %s%s", on(dataset), score.Differ(fields, a.Name, b.Name), sameProtocol(fields), anyway)
			}
		}
	}
	for name, n := range d.Field("matrix").Fields() {
		names = append(names, matrix(d, name, n, gaps)...)
	}
	d.CheckNames("gap", names)
	var sorted []Gap
	for _, name := range slices.Sorted(maps.Keys(gaps)) {
		sorted = append(sorted, gaps[name])
	}
	return sorted
}

// Between returns the gap of two models on the datasets of the list at n, and reports if their scoring protocols differ.
func Between(d spec.Decoding, n spec.Node, a, b *spec.Model) Gap {
	g := Gap{A: a.Name, B: b.Name, Datasets: compared(d, n, a, b)}
	if dataset, fields := mismatch(d, a, b, g); len(fields) > 0 {
		d.Fail(n, "%s%s; %s", on(dataset), score.Differ(fields, a.Name, b.Name), sameProtocol(fields))
	}
	return g
}

// matrix adds the gaps of the matrix at n, and returns their names. Of the pairs with different scoring protocols, it
// reports the first.
func matrix(d spec.Decoding, name string, n spec.Node, gaps map[string]Gap) (names []spec.Named) {
	var problem, advice string
	others := 0
	models := d.Models(n.Field("models"))
	for i, a := range models {
		for _, b := range models[i+1:] {
			g := Gap{Name: name + "/" + a.Name + "-vs-" + b.Name, A: a.Name, B: b.Name, Datasets: compared(d, n, a, b)}
			if _, taken := gaps[g.Name]; taken {
				d.Fail(n, "the gap %q of the matrix already exists; rename one of the two", g.Name)
				continue
			}
			names = append(names, spec.Named{Name: g.Name, At: n})
			gaps[g.Name] = g
			dataset, fields := mismatch(d, a, b, g)
			switch {
			case len(fields) == 0:
			case problem != "":
				others++
			default:
				problem, advice = on(dataset)+score.Differ(fields, a.Name, b.Name), sameProtocol(fields)
				if permit := permission(fields, nil); permit != "" {
					advice += ", or remove one from the matrix, which has no allow, and compare the pair in an entry of gaps with " + permit
				}
			}
		}
	}
	if problem != "" {
		more := ""
		if others > 0 {
			more = fmt.Sprintf(" (other such pairs in the matrix: %d)", others)
		}
		d.Fail(n, "%s%s; %s", problem, more, advice)
	}
	return names
}

// on is the beginning of a message about a dataset, or "" if there is none.
func on(dataset string) string {
	if dataset == "" {
		return ""
	}
	return fmt.Sprintf("dataset %q: ", dataset)
}

// compared returns the names of the datasets on which a gap or matrix at n compares models a and b.
func compared(d spec.Decoding, n spec.Node, a, b *spec.Model) []string {
	if !n.Field("datasets").Set() && a.Scores != nil && b.Scores != nil {
		return nil
	}
	return d.Match(n.Field("datasets"))
}
