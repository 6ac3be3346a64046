package scaling

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"surprisal.dev/runner/figure"
	"surprisal.dev/runner/spec"
)

// What the horizontal axis shows.
const (
	ofParameters = "parameters"
	ofActive     = "active"
	ofFLOPs      = "flops"
	ofValues     = "values"
)

// Scales of the axis of declared values.
const (
	scaleLog    = "log"
	ScaleLinear = "linear"
)

// Axis is the horizontal axis.
type Axis struct {
	// Of is "parameters", "active", "flops" or "values". It is empty if the spec has no axis: then it is parameters, and a model
	// without a number of parameters is only a note.
	Of string `json:"of"`
	// Label names declared values.
	Label string `json:"label,omitempty"`
	// Values holds the declared value of each model. Dates are days since 1970-01-01.
	Values map[string]float64 `json:"values,omitempty"`
	Dates  bool               `json:"dates,omitempty"`
	// Scale is "log" or "linear"; empty is "log".
	Scale string `json:"scale,omitempty"`
}

// WithoutValues returns the axis without the values of models.
func (a Axis) WithoutValues() Axis {
	a.Values = nil
	return a
}

// decodeAxis decodes the axis at n. models is empty if the list of models has a mistake.
func decodeAxis(d spec.Decoding, n spec.Node, models []*spec.Model) Axis {
	a := Axis{Of: n.Field("of").Text(), Label: n.Field("label").Text(), Scale: scaleLog}
	values := n.Field("values")
	switch {
	case !d.Conforms() || !n.Set():
		return a
	case values.Set() && a.Of != "":
		d.Fail(n, "of and values are mutually exclusive; keep of for what the backend counts, or values with a label")
		return a
	case !values.Set() && a.Of == "":
		d.Fail(n, "neither of nor values is set; set of to \"parameters\", \"active\" or \"flops\", or values and label")
		return a
	case !values.Set():
		for _, field := range []string{"label", "scale"} {
			if n.Field(field).Set() {
				d.Fail(n.Field(field), "%s is for values; remove it", field)
			}
		}
		return a
	}
	a = Declared(d, n, models, scaleLog)
	for i, m := range models {
		for _, other := range models[:i] {
			if a.equal(m.Name, other.Name) && other.Family == m.Family {
				d.Fail(values.Field(m.Name), "models %q and %q have the same value; correct one, remove a model, or set different families", other.Name, m.Name)
			}
		}
	}
	return a
}

// equal reports whether two models have the same value.
func (a Axis) equal(model, other string) bool {
	x, ok := a.Values[model]
	y, known := a.Values[other]
	return ok && known && x == y
}

// Declared decodes the axis at n of a value for each model, with a label. scale is the default scale of numbers.
func Declared(d spec.Decoding, n spec.Node, models []*spec.Model, scale string) Axis {
	a := Axis{Of: ofValues, Label: n.Field("label").Text(), Scale: scale, Values: map[string]float64{}}
	if a.Label == "" {
		d.Fail(n, "values need a label that names them and their unit, such as \"training tokens\"")
	}
	values := n.Field("values")
	dates := 0
	for model, v := range values.Fields() {
		if len(models) > 0 && !slices.ContainsFunc(models, func(m *spec.Model) bool { return m.Name == model }) {
			d.Fail(v, "%q is not in models; add it there, or remove its value", model)
			continue
		}
		a.Values[model] = d.Coordinate(v)
		if text := v.Text(); text != "" {
			day, err := time.Parse(time.DateOnly, text)
			if err != nil {
				d.Fail(v, "%q is not a date of the calendar", text)
			}
			a.Values[model] = float64(day.Unix()) / (24 * 60 * 60)
			dates++
		}
	}
	a.Dates = dates > 0
	if a.Dates && dates < len(a.Values) {
		d.Fail(values, "%d of %d values are dates; use dates or numbers for all models", dates, len(a.Values))
		return a
	}
	a.decodeScale(d, n)
	a.checkValues(d, values, models)
	return a
}

func (a *Axis) decodeScale(d spec.Decoding, n spec.Node) {
	scale := n.Field("scale")
	if a.Dates {
		a.Scale = ScaleLinear
	}
	if scale.Set() {
		a.Scale = scale.Text()
	}
	if a.Dates && a.Scale == scaleLog {
		d.Fail(scale, "dates have a linear scale; remove scale")
	}
}

// checkValues checks that each model has a value that the axis can show.
func (a *Axis) checkValues(d spec.Decoding, values spec.Node, models []*spec.Model) {
	for model, v := range values.Fields() {
		if x, ok := a.Values[model]; ok && a.Scale == scaleLog && x <= 0 {
			d.Fail(v, "%v is not above 0, which a logarithmic scale needs; set scale: \"linear\", or correct the value", x)
		}
	}
	for _, m := range models {
		if _, ok := a.Values[m.Name]; !ok {
			d.Fail(values, "model %q has no value; add one, or remove the model", m.Name)
		}
	}
}

// Title is the label of the axis.
func (a Axis) Title() string {
	switch a.Of {
	case ofFLOPs:
		return "FLOPs per token"
	case ofActive:
		return "active parameters"
	case ofValues:
		return a.Label
	}
	return "parameters"
}

// Figure returns the axis of plots.
func (a Axis) Figure() figure.Axis {
	f := figure.Axis{Label: a.Title(), Scale: figure.Log, Format: figure.Count}
	switch {
	case a.Of == ofFLOPs:
		f.Format = figure.SI
	case a.Dates:
		f.Scale, f.Format = figure.Date, figure.Day
	case !a.Logarithmic():
		f.Scale = figure.Linear
	}
	return f
}

// Format formats a value of the axis for tables.
func (a Axis) Format(x float64) string {
	if a.Dates {
		return figure.Day(x)
	}
	if size := math.Abs(x); size >= 1e-4 && size < 1e15 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return figure.Plain(x)
}

// Logarithmic reports whether the axis is logarithmic, so that a power law can be fitted.
func (a Axis) Logarithmic() bool { return a.Scale != ScaleLinear && !a.Dates }

// Steps returns the axis of the steps of models.
func Steps(values map[string]float64) Axis {
	return Axis{Of: ofValues, Label: "step", Values: values, Scale: ScaleLinear}
}

// Styled returns the axis with the label and the scale at n, if they are set.
func (a Axis) Styled(d spec.Decoding, n spec.Node) Axis {
	if label := n.Field("label"); label.Set() {
		a.Label = label.Text()
	}
	a.decodeScale(d, n)
	if a.Scale != scaleLog {
		return a
	}
	for _, model := range slices.Sorted(maps.Keys(a.Values)) {
		if x := a.Values[model]; x <= 0 {
			d.Fail(n.Field("scale"), "model %q is at %v, which is not above 0, as a logarithmic scale needs; set scale: \"linear\", or correct its step", model, x)
		}
	}
	return a
}
