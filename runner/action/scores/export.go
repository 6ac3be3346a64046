package scores

import (
	"context"
	"strings"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Export implements action.Exporter. The labels are those that the imported table had.
func (Kind) Export(ctx context.Context, files action.Files, _ plan.Labels, dir string) ([]string, error) {
	path, err := files.Path(ctx, artifact.ImportFile)
	if err != nil {
		return nil, err
	}
	var found artifact.Import
	if err := artifact.ReadJSON(path, &found); err != nil {
		return nil, err
	}
	tags := map[string][]string{}
	for _, d := range found.Datasets {
		tags[d.Key] = d.Tags
	}
	return score.ExportTables(ctx, files, dir, func(prefix string) artifact.Labels {
		key := strings.TrimSuffix(prefix, "/")
		return artifact.Labels{Dataset: key, Tags: tags[key]}
	})
}
