package outliers

import (
	"cmp"
	_ "embed"
	"slices"

	"surprisal.dev/runner/action/activations"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/figure"
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
	Definition
	Figure Size `json:"figure"`
	// At is the position of the list of models.
	At spec.Position `json:"at"`
}

// Definition defines which dimensions are systematic in which sequences.
type Definition struct {
	Sequences      int64   `json:"sequences"`
	SequenceLength int64   `json:"sequenceLength"`
	Threshold      float64 `json:"threshold"`
	// LayerShare and SequenceShare are shares from 0 to 1.
	LayerShare    float64 `json:"layerShare"`
	SequenceShare float64 `json:"sequenceShare"`
}

// observed returns what the actions of the kind activations observe.
func (d Definition) observed() activations.Settings {
	return activations.Settings{Sequences: d.Sequences, SequenceLength: d.SequenceLength, Threshold: d.Threshold}
}

// Size is the size of figures in inches.
type Size struct {
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
	DPI    int64   `json:"dpi"`
}

// maxPixels bounds the pixels of a figure.
const maxPixels = 25_000_000

// pixels returns the number of pixels of a PNG file.
func (s Size) pixels() int64 { return int64(s.Width * s.Height * float64(s.DPI*s.DPI)) }

// figure returns the size for package figure.
func (s Size) figure() figure.Size {
	return figure.Size{Width: s.Width, Height: s.Height, DPI: int(s.DPI)}
}

// Section implements action.Sectioner.
func (Kind) Section() spec.Section {
	return spec.Section{Kind: name, CUE: schema, Decode: func(d spec.Decoding) any { return decode(d) }}
}

func decode(d spec.Decoding) []Table {
	var tables []Table
	var names []spec.Named
	for name, n := range d.Field(name).Fields() {
		names = append(names, spec.Named{Name: name, At: n})
		list, of := n.Field("models"), n.Field("figure")
		t := Table{
			Name: name, Datasets: d.Match(n.Field("datasets")), At: d.Position(list),
			Definition: Definition{
				Sequences: n.Field("sequences").Number(), SequenceLength: n.Field("sequenceLength").Number(),
				Threshold: n.Field("threshold").Decimal(), LayerShare: n.Field("layerShare").Decimal(),
				SequenceShare: n.Field("sequenceShare").Decimal(),
			},
			Figure: Size{of.Field("width").Decimal(), of.Field("height").Decimal(), of.Field("dpi").Number()},
		}
		if p := t.Figure.pixels(); p > maxPixels {
			d.Fail(of, "%v by %v inches at %d dpi are %d million pixels, more than %d million; lower dpi or the size",
				t.Figure.Width, t.Figure.Height, t.Figure.DPI, p/1e6, int64(maxPixels/1e6))
		}
		for i, m := range d.Models(list) {
			t.Models = append(t.Models, m.Name)
			if m.Scores != nil {
				d.Fail(list, "model %d, %q, has imported scores, which have no activations; remove it", i+1, m.Name)
			}
		}
		checkProtocols(d, list, t.Datasets)
		tables = append(tables, t)
	}
	d.CheckNames(name, names)
	slices.SortFunc(tables, func(a, b Table) int { return cmp.Compare(a.Name, b.Name) })
	return tables
}

// unused are the fields of a scoring protocol that do not apply to a sequence, or that models of a report may differ in.
// Activations of another dtype are those of the same model, rounded.
var unused = []string{"anchor", "context", "dtype", "eos", "stride"}

// checkProtocols reports a model whose sequences are known to differ from those of the first model.
func checkProtocols(d spec.Decoding, list spec.Node, datasets []string) {
	models := d.Models(list)
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
		if where, fields := score.DeclaredOn(first, m, on, unused); where != nil {
			d.Fail(list, "dataset %q: %s; use the same for all models, or remove one", where.Name, score.Differ(fields, first.Name, m.Name))
			return
		}
	}
}
