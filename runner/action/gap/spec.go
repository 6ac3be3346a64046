package gap

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"

	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/terminal"
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
		a, b := d.Side(n.Field("a")), d.Side(n.Field("b"))
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
			checkSides(d, n, a, b, g, func(fields []plan.Field) string {
				if permit := permission(fields, g.Allow); permit != "" {
					return ", or set " + permit + " in the gap to compare them anyway"
				}
				return ""
			})
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
	checkSides(d, n, a, b, g, func([]plan.Field) string { return "" })
	return g
}

// checkSides reports at n if a baseline has no scores of a dataset of the gap, or if the scoring protocols of its sides
// differ. anyway is how to compare sides whose scoring protocols differ in fields.
func checkSides(d spec.Decoding, n spec.Node, a, b *spec.Model, g Gap, anyway func(fields []plan.Field) string) {
	for _, side := range []*spec.Model{a, b} {
		if missing := unscored(side.Baseline, g.Datasets); len(missing) > 0 {
			d.Fail(n, "the baseline %q has no scores of %s; it has those of %s: list these in datasets, or score a model on all and run `runner baseline set %s MODEL`",
				side.Name, terminal.Few(missing), terminal.Few(side.Baseline.Datasets()), side.Name)
			return
		}
	}
	if dataset, fields := mismatch(d, a, b, g); len(fields) > 0 {
		d.Fail(n, "%s%s; %s%s", on(dataset), score.Differ(fields, a.Name, b.Name), advice(fields, a, b), anyway(fields))
	}
}

// unscored returns the datasets of which a baseline has no scores, as far as the lock file tells.
func unscored(b *spec.Baseline, datasets []string) (missing []string) {
	if b == nil || b.Imported() {
		return nil
	}
	for _, dataset := range datasets {
		if b.Score(dataset) == nil {
			missing = append(missing, dataset)
		}
	}
	return missing
}

// advice says how to give both sides the same scoring protocol.
func advice(fields []plan.Field, a, b *spec.Model) string {
	for _, side := range []*spec.Model{a, b} {
		if side.Baseline != nil {
			return fmt.Sprintf("set the scoring of the models as it was for the baseline, or score a model with the new one and run `runner baseline set %s MODEL`", side.Name)
		}
	}
	return sameProtocol(fields)
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
	imported := func(m *spec.Model) bool { return m.Scores != nil || m.Baseline != nil && m.Baseline.Imported() }
	if !n.Field("datasets").Set() && imported(a) && imported(b) {
		return nil
	}
	return d.Match(n.Field("datasets"))
}
