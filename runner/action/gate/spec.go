package gate

import (
	"cmp"
	_ "embed"
	"slices"
	"strings"

	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/terminal"
)

//go:embed schema.cue
var schema []byte

// Gate is an entry of the section.
type Gate struct {
	Name string `json:"name"`
	// Gap compares the candidate, a, with the other model, b.
	Gap gap.Gap `json:"gap"`
	// Confirm is nil if one test is enough.
	Confirm *Confirm `json:"confirm,omitempty"`
	Test
}

// Test is what is tested of a gap.
type Test struct {
	// Lists are lists of the gap's report, sorted.
	Lists []string `json:"lists"`
	// Margin is the largest difference in bits per byte, Margins those of single slices.
	Margin  float64            `json:"margin"`
	Margins map[string]float64 `json:"margins,omitempty"`
	// Confidence is that of one-sided intervals.
	Confidence float64 `json:"confidence"`
	// Strict makes an inconclusive answer fail the run.
	Strict bool `json:"strict"`
	Also   Also `json:"also,omitzero"`
}

// Section implements action.Sectioner.
func (Kind) Section() spec.Section {
	return spec.Section{Kind: name, CUE: schema, Decode: func(d spec.Decoding) any { return decode(d) }}
}

func decode(d spec.Decoding) []Gate {
	var gates []Gate
	var names []spec.Named
	for name, n := range d.Field("gates").Fields() {
		names = append(names, spec.Named{Name: name, At: n})
		a, b := d.Model(n.Field("candidate")), d.Side(n.Field("against"))
		switch {
		case a == nil || b == nil:
			continue
		case a == b:
			d.Fail(n.Field("against"), "candidate and against are the same model, %q", a.Name)
			continue
		}
		g := Gate{Name: name, Gap: gap.Between(d, n, a, b), Test: Test{
			Lists: n.Field("slices").Texts(), Margin: n.Field("maxBitsPerByte").Decimal(), Confidence: n.Field("confidence").Decimal(),
			Strict: n.Field("inconclusive").Text() == "fail",
		}}
		g.Gap.Name = name
		g.Also = decodeAlso(d, n.Field("also"), a, b)
		g.Confirm = decodeConfirm(d, n, g.Gap, a, b)
		slices.Sort(g.Lists)
		g.Lists = slices.Compact(g.Lists)
		g.decodeMargins(d, n.Field("margins"))
		gates = append(gates, g)
	}
	d.CheckNames("gate", names)
	slices.SortFunc(gates, func(a, b Gate) int { return cmp.Compare(a.Name, b.Name) })
	return gates
}

// decodeMargins decodes the margins of single slices. It reports slices that the gap cannot have.
func (g *Gate) decodeMargins(d spec.Decoding, margins spec.Node) {
	known := g.slices(d)
	for slice, n := range margins.Fields() {
		if g.Margins == nil {
			g.Margins = map[string]float64{}
		}
		g.Margins[slice] = n.Decimal()
		if known != nil && !slices.Contains(known, slice) {
			d.Fail(n, "%q is not a slice of the gate, which has those of %s: %s; set slices to the list that has it, or remove the margin",
				slice, strings.Join(g.Lists, " and "), terminal.Few(known))
		}
	}
}

// slices returns the names of the slices that a gate can have. It returns nil if they are unknown, because the datasets are
// those of imported tables.
func (g *Gate) slices(d spec.Decoding) []string {
	if len(g.Gap.Datasets) == 0 {
		return nil
	}
	var tags [][]string
	for _, name := range g.Gap.Datasets {
		tags = append(tags, d.Dataset(name).Tags)
	}
	var all []string
	for _, list := range g.Lists {
		switch list {
		case "overall":
			all = append(all, "overall")
		case "datasets":
			all = append(all, g.Gap.Datasets...)
		case "groups":
			for _, of := range gap.Groups(g.Gap.Datasets, tags) {
				all = append(all, of.Name)
			}
		case "buckets":
			all = append(all, gap.BucketNames()...)
		}
	}
	return all
}
