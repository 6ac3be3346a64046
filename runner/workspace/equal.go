package workspace

import (
	"context"
	"fmt"
	"slices"

	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// fewEqual is the number of documents for each one that is equal to another from which intervals are hardly narrower.
const fewEqual = 20

// equal returns warnings of scored datasets with many equal documents that intervals take as independent.
func (w *Workspace) equal(ctx context.Context, p *plan.Plan) (warnings []string, err error) {
	e, err := w.Experiment(ctx)
	if err != nil {
		return nil, err
	}
	independent := map[string]bool{}
	for _, d := range e.Datasets {
		independent[d.Name] = !d.TrainOnly && d.Cluster == spec.ClusterDocument
	}
	for _, a := range p.Actions {
		n, all := a.Measured[artifact.MeasuredEqual], a.Measured[plan.MeasuredDocuments]
		if !independent[a.Labels.Dataset] || n == 0 || n*fewEqual < all {
			continue
		}
		about := ""
		if all > artifact.MostDistinct {
			about = "about "
		}
		warning := fmt.Sprintf("dataset %q: %s%.0f of %.0f documents are equal to another; intervals take them as independent and are too narrow; "+
			"set cluster to a field that equal documents share, or drop the duplicates from the source", a.Labels.Dataset, about, n, all)
		if !slices.Contains(warnings, warning) {
			warnings = append(warnings, warning)
		}
	}
	return warnings, nil
}
