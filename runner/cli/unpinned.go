package cli

import (
	"fmt"
	"slices"
	"strings"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/workspace"
)

// typicalBytesPerToken is that of English text and large vocabularies.
const typicalBytesPerToken = 4

// printUnpinned lists what a plan let pass although it is not pinned, and what models need by their stated sizes.
func printUnpinned(out *output, p *plan.Plan, all []workspace.Unpinned) {
	if len(all) == 0 {
		return
	}
	sources, models := [][]string{{"not pinned", "provider", "configuration"}}, [][]string{{"model", "parameters", "weights in 16 bits", "text", "about"}}
	for _, u := range all {
		sources = append(sources, []string{u.Path, u.Provider, string(u.Config)})
		if u.Weights != nil && u.Weights.Parameters > 0 {
			models = append(models, needs(p, u))
		}
	}
	writef(out, "\n")
	columns(out, sources)
	if len(models) > 1 {
		writef(out, "\n")
		columns(out, models)
	}
	writef(out, "\n%s not pinned. Run `runner pin` where they can be reached, and commit the lock file.\n", areNot(len(all)))
}

func areNot(n int) string {
	if n == 1 {
		return "1 source is"
	}
	return fmt.Sprintf("%d sources are", n)
}

// needs estimates what the scores of a model need: two operations for each parameter that a token uses.
func needs(p *plan.Plan, u workspace.Unpinned) []string {
	text, known, bound := int64(0), true, "≤"
	for _, a := range p.Actions {
		// Reports read results of the model, not text with it.
		if a.Labels.Model != u.Model || a.Model == nil || a.State == plan.Skipped {
			continue
		}
		text += a.Cost.Bytes
		known = known && a.Cost.Bytes > 0
		counted := slices.ContainsFunc(a.Inputs, func(in plan.Input) bool { return in.Counted })
		if !a.Cost.AtMost && !counted {
			bound = "" // an estimate
		}
	}
	parameters := quantity(u.Weights.Parameters)
	if u.Weights.Active < u.Weights.Parameters {
		parameters += ", " + quantity(u.Weights.Active) + " active"
	}
	row := []string{u.Model, parameters, size(u.Weights.Bytes()), "-", "-"}
	if text > 0 && known {
		row[3] = bound + size(text)
		row[4] = bound + quantity(2*u.Weights.Active*float64(text)/typicalBytesPerToken) + " operations"
	}
	return row
}

// quantity formats a number with three digits: 7.24 billion, 1.2e18.
func quantity(x float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "trillion"}, {1e9, "billion"}, {1e6, "million"}} {
		if x >= unit.size && x < 1e15 {
			return strings.TrimSpace(fmt.Sprintf("%.3g %s", x/unit.size, unit.name))
		}
	}
	return fmt.Sprintf("%.3g", x)
}
