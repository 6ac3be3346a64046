package workspace

import (
	"context"
	"encoding/json"
	"fmt"

	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// small returns warnings of materialized datasets with less text than the specification says that they need.
func (w *Workspace) small(ctx context.Context, p *plan.Plan) (warnings []string, err error) {
	e, err := w.Experiment(ctx)
	if err != nil {
		return nil, err
	}
	minimum := map[string]spec.Limits{}
	for _, d := range e.Datasets {
		if d.Minimum != nil && d.Skip == "" {
			minimum[d.Name] = *d.Minimum
		}
	}
	for _, a := range p.Actions {
		least, ok := minimum[a.Labels.Dataset]
		if !ok || len(a.Inputs) > 0 || a.Outputs == nil || a.Pinned != nil {
			continue
		}
		data, err := w.readFile(ctx, a, artifact.CountsFile)
		if err != nil {
			return nil, err
		}
		var c artifact.Counts
		if err := json.Unmarshal(data, &c); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", artifact.CountsFile, a.Name, err)
		}
		if c.Documents < least.Documents || c.ScoredBytes < least.Bytes {
			warnings = append(warnings, fmt.Sprintf("dataset %q has %d documents and %d scored bytes, less than its minimum of %d documents and %d bytes; "+
				"its results say little", a.Labels.Dataset, c.Documents, c.ScoredBytes, least.Documents, least.Bytes))
		}
	}
	return warnings, nil
}
