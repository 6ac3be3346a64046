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
		for i, m := range models {
			t.Models = append(t.Models, m.Name)
			if m.Scores != nil {
				d.Fail(list, "model %d, %q, has imported scores; whether its documents are those of the others is unknown", i+1, m.Name)
			}
		}
		if len(models) == 1 {
			d.Fail(list, "%q is the only model; list two or more, for example the points of a sweep of it", models[0].Name)
		}
		t.X = decodeAxis(d, n.Field("x"), models)
		checkProtocols(d, n, t.Datasets)
		tables = append(tables, t)
	}
	d.CheckNames("scaling", names)
	slices.SortFunc(tables, func(a, b Table) int { return cmp.Compare(a.Name, b.Name) })
	return tables
}

// checkProtocols reports a model whose scoring protocol is known to differ from that of the first model.
func checkProtocols(d spec.Decoding, n spec.Node, datasets []string) {
	models := d.Models(n.Field("models"))
	if len(models) == 0 || !d.Conforms() {
		return
	}
	var on []*spec.Dataset
	for _, name := range datasets {
		on = append(on, d.Dataset(name))
	}
	first := models[0]
	for _, m := range models[1:] {
		if m.Scores != nil || first.Scores != nil {
			continue
		}
		if where, fields := score.DeclaredOn(first, m, on, nil); where != nil {
			d.Fail(n.Field("models"), "dataset %q: %s; score all models under the same one, or remove one", where.Name, score.Differ(fields, first.Name, m.Name))
			return
		}
	}
}
