package scaling

import (
	"cmp"
	_ "embed"
	"slices"

	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/spec"
)

//go:embed schema.cue
var schema []byte

// Table is an entry of the section.
type Table struct {
	Name   string   `json:"name"`
	Models []string `json:"models"`
	// Datasets are names, sorted.
	Datasets []string `json:"datasets"`
	X        Axis     `json:"x"`
	// At is the position of the list of models.
	At spec.Position `json:"at"`
}

// Section implements action.Sectioner.
func (Kind) Section() spec.Section {
	return spec.Section{Kind: name, CUE: schema, Decode: func(d spec.Decoding) any { return decode(d) }}
}

func decode(d spec.Decoding) []Table {
	var tables []Table
	var names []spec.Named
	for name, n := range d.Field("scaling").Fields() {
		names = append(names, spec.Named{Name: name, At: n})
		list := n.Field("models")
		t := Table{Name: name, Datasets: d.Match(n.Field("datasets")), At: d.Position(list)}
		models := d.Models(list)
		for _, m := range models {
			t.Models = append(t.Models, m.Name)
		}
		score.CheckImported(d, list, models)
		if len(models) == 1 {
			d.Fail(list, "%q is the only model; list two or more, for example the points of a sweep of it", models[0].Name)
		}
		t.X = decodeAxis(d, n.Field("x"), models)
		score.CheckTogether(d, list, models, t.Datasets)
		tables = append(tables, t)
	}
	d.CheckNames("scaling", names)
	slices.SortFunc(tables, func(a, b Table) int { return cmp.Compare(a.Name, b.Name) })
	return tables
}
