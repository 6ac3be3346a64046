package scores

import (
	"context"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Export implements action.Exporter. Each dataset's table gets the columns that it was imported with.
func (Kind) Export(ctx context.Context, files action.Files, _ plan.Labels, dir string) ([]string, error) {
	at, err := files.Path(ctx, artifact.ImportFile)
	if err != nil {
		return nil, err
	}
	var found artifact.Import
	if err := artifact.ReadJSON(at, &found); err != nil {
		return nil, err
	}
	tags := map[string][]string{}
	for _, d := range found.Datasets {
		tags[d.Name] = d.Tags
	}
	return score.ExportTables(ctx, files, dir, func(dataset string) artifact.Labels {
		return artifact.Labels{Dataset: dataset, Tags: tags[dataset]}
	})
}
