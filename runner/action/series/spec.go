package series

import (
	"cmp"
	_ "embed"
	"slices"

	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/spec"
)

//go:embed schema.cue
var schema []byte

// Series is an entry of the section.
type Series struct {
	Name string `json:"name"`
	// Models are in the order of their values of X.
	Models []string `json:"models"`
	// Datasets are names, sorted.
	Datasets []string     `json:"datasets"`
	X        scaling.Axis `json:"x"`
}

// Section implements action.Sectioner.
func (Kind) Section() spec.Section {
	return spec.Section{Kind: name, CUE: schema, Decode: func(d spec.Decoding) any { return decode(d) }}
}

func decode(d spec.Decoding) []Series {
	var all []Series
	var names []spec.Named
	for name, n := range d.Field("series").Fields() {
		names = append(names, spec.Named{Name: name, At: n})
		all = append(all, decodeOne(d, name, n))
	}
	d.CheckNames("series", names)
	slices.SortFunc(all, func(a, b Series) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func decodeOne(d spec.Decoding, name string, n spec.Node) Series {
	s := Series{Name: name, Datasets: d.Match(n.Field("datasets"))}
	list, x := n.Field("models"), n.Field("x")
	at := list
	var models []*spec.Model
	if list.Set() {
		models = d.Models(list)
	} else {
		at = n
		models = slices.DeleteFunc(d.AllModels(), func(m *spec.Model) bool { return m.Step == nil })
	}
	if !d.Conforms() || list.Set() && models == nil {
		return s
	}
	switch {
	case len(models) == 0:
		d.Fail(n, "no model has a step; set step in the models of the series, or list them in models with numbers in x.values")
		return s
	case len(models) == 1:
		d.Fail(at, "%q is the only model; a series needs two or more, each with its step", models[0].Name)
	}
	if x.Field("values").Set() {
		s.X = scaling.Declared(d, x, models, scaling.ScaleLinear)
	} else {
		s.X = steps(d, at, models).Styled(d, x)
	}
	s.order(d, at, models)
	score.CheckImported(d, at, models)
	score.CheckTogether(d, at, models, s.Datasets)
	return s
}

// steps returns the axis of the models' steps.
func steps(d spec.Decoding, at spec.Node, models []*spec.Model) scaling.Axis {
	values := map[string]float64{}
	for _, m := range models {
		if m.Step == nil {
			d.Fail(at, "model %q has no step; set step in the model, or set x with a number for each model", m.Name)
			continue
		}
		values[m.Name] = *m.Step
	}
	return scaling.Steps(values)
}

// order sets the names of the models in the order of their values, and reports models with the same value.
func (s *Series) order(d spec.Decoding, at spec.Node, models []*spec.Model) {
	value := func(m *spec.Model) float64 { return s.X.Values[m.Name] }
	models = slices.SortedStableFunc(slices.Values(models), func(a, b *spec.Model) int { return cmp.Compare(value(a), value(b)) })
	for i, m := range models {
		s.Models = append(s.Models, m.Name)
		if i == 0 {
			continue
		}
		x, ok := s.X.Values[m.Name]
		before, known := s.X.Values[models[i-1].Name]
		if ok && known && x == before {
			d.Fail(at, "models %q and %q are both at %s %s; correct one, or list in models only those of this series",
				models[i-1].Name, m.Name, s.X.Title(), s.X.Format(x))
		}
	}
}
