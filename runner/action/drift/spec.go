package drift

import (
	"cmp"
	_ "embed"
	"slices"

	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/terminal"
)

//go:embed schema.cue
var schema []byte

// Drift is an entry of the section.
type Drift struct {
	Name string `json:"name"`
	Comparison
}

// Comparison is what is compared with what.
type Comparison struct {
	Reference Side `json:"reference"`
	Current   Side `json:"current"`
	// Partial means that the reference is a baseline without scores of the current texts.
	Partial bool `json:"partial,omitempty"`
	// Gate is nil if the change is not tested.
	Gate *Gate `json:"gate,omitempty"`
}

// Side is a model and its texts.
type Side struct {
	Model string `json:"model"`
	// Datasets are names, sorted.
	Datasets []string `json:"datasets"`
}

// Gate bounds the change and its parts.
type Gate struct {
	// Margin is the largest rise in bits per byte.
	Margin float64 `json:"margin"`
	// Confidence is that of one-sided intervals.
	Confidence float64 `json:"confidence"`
	// Strict makes an inconclusive answer fail the run.
	Strict bool `json:"strict"`
}

// Section implements action.Sectioner.
func (Kind) Section() spec.Section {
	return spec.Section{Kind: name, CUE: schema, Decode: func(d spec.Decoding) any { return decode(d) }}
}

func decode(d spec.Decoding) []Drift {
	var all []Drift
	var names []spec.Named
	for name, n := range d.Field("drift").Fields() {
		names = append(names, spec.Named{Name: name, At: n})
		if of, ok := decodeOne(d, n); ok {
			all = append(all, Drift{name, of})
		}
	}
	d.CheckNames("drift", names)
	slices.SortFunc(all, func(a, b Drift) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// decodeOne decodes an entry. It is false if a model or the datasets are unknown.
func decodeOne(d spec.Decoding, n spec.Node) (c Comparison, ok bool) {
	reference, current := n.Field("reference"), n.Field("current")
	now := d.Model(current.Field("model"))
	before := now
	if of := reference.Field("model"); of.Set() {
		before = d.Side(of)
	}
	if !reference.Field("datasets").Set() || !current.Field("datasets").Set() {
		return c, false // violates the schema
	}
	c.Reference.Datasets, c.Current.Datasets = d.Match(reference.Field("datasets")), d.Match(current.Field("datasets"))
	if gate := n.Field("gate"); gate.Set() {
		c.Gate = &Gate{gate.Field("maxBitsPerByte").Decimal(), gate.Field("confidence").Decimal(), gate.Field("inconclusive").Text() == "fail"}
	}
	if now == nil || before == nil || len(c.Reference.Datasets) == 0 || len(c.Current.Datasets) == 0 {
		return c, false
	}
	c.Reference.Model, c.Current.Model = before.Name, now.Name
	for _, name := range c.Current.Datasets {
		if slices.Contains(c.Reference.Datasets, name) {
			d.Fail(current.Field("datasets"), "%q is a dataset of the reference, too; name other documents on one side, or compare two models on the same ones with gaps", name)
			return c, false
		}
	}
	for _, side := range []struct {
		at    spec.Node
		model *spec.Model
	}{{reference, before}, {current, now}} {
		if side.model.Scores != nil || side.model.Baseline != nil && side.model.Baseline.Imported() {
			d.Fail(side.at, "%q has imported scores, whose tokens and documents are unknown; name a model that is scored", side.model.Name)
			return c, false
		}
	}
	return c, c.checkBaseline(d, reference, before) && c.checkProtocols(d, n, before, now)
}

// checkBaseline reports if a baseline has no scores of the reference texts, and sets Partial if it has none of the current
// ones.
func (c *Comparison) checkBaseline(d spec.Decoding, at spec.Node, before *spec.Model) bool {
	b := before.Baseline
	if b == nil {
		return true
	}
	lacks := func(datasets []string) (missing []string) {
		for _, dataset := range datasets {
			if b.Score(dataset) == nil {
				missing = append(missing, dataset)
			}
		}
		return missing
	}
	if missing := lacks(c.Reference.Datasets); len(missing) > 0 {
		d.Fail(at, "the baseline %q has no scores of %s; it has those of %s: list these in datasets, or score a model on all and run `runner baseline set %s MODEL`",
			b.Name, terminal.Few(missing), terminal.Few(b.Datasets()), b.Name)
		return false
	}
	c.Partial = len(lacks(c.Current.Datasets)) > 0
	return true
}

// checkProtocols reports scores whose scoring protocols are known to differ.
func (c *Comparison) checkProtocols(d spec.Decoding, n spec.Node, before, now *spec.Model) bool {
	if !d.Conforms() {
		return true
	}
	first := score.Place{Model: before, Dataset: d.Dataset(c.Reference.Datasets[0])}
	for _, of := range c.scores() {
		place := score.Place{Model: now, Dataset: d.Dataset(of.dataset)}
		if of.model == before.Name {
			place.Model = before
		}
		if fields := score.DeclaredBetween(first, place); len(fields) > 0 {
			d.Fail(n, "%s; score all under the same one", score.DifferOn(fields, score.Named(before.Name, first.Dataset.Name), score.Named(of.model, of.dataset)))
			return false
		}
	}
	return true
}

// scored identifies scores.
type scored struct{ model, dataset string }

// scores lists the scores that are compared: those of the reference's model first.
func (c *Comparison) scores() (all []scored) {
	for _, m := range c.models() {
		for _, side := range c.sides() {
			for _, dataset := range side.Datasets {
				if c.has(m, side) {
					all = append(all, scored{m, dataset})
				}
			}
		}
	}
	return all
}

// sides returns the reference and what is current.
func (c *Comparison) sides() []Side { return []Side{c.Reference, c.Current} }

// models returns the model of the reference and the current one, or the only one.
func (c *Comparison) models() []string {
	return slices.Compact([]string{c.Reference.Model, c.Current.Model})
}

// has reports whether there are scores of a model on the texts of a side.
func (c *Comparison) has(model string, side Side) bool {
	return !c.Partial || model == c.Current.Model || model == side.Model
}
