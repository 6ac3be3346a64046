package workspace

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// fewFramed is the number of documents for each one framed as a conversation from which a dataset counts as plain text:
// text about models quotes their templates.
const fewFramed = 20

// framed returns warnings of datasets in the template of a conversation that models are scored on which are not tuned for
// conversations. What the records of the datasets measured says where to look, so that few files are read.
func (w *Workspace) framed(ctx context.Context, p *plan.Plan) (warnings []string, err error) {
	e, err := w.Experiment(ctx)
	if err != nil {
		return nil, err
	}
	base := map[string]bool{}
	for _, m := range e.Models {
		base[m.Name] = m.Weights != nil && !m.Chat
	}
	models := map[*plan.Action][]string{}
	var datasets []*plan.Action
	for _, a := range p.Actions {
		for _, in := range a.Inputs {
			of := in.Upstream
			documents := of.Measured[artifact.MeasuredChatFramed]
			if !base[a.Labels.Model] || documents == 0 || documents*fewFramed < of.Measured[plan.MeasuredDocuments] || of.Outputs == nil {
				continue
			}
			if models[of] == nil {
				datasets = append(datasets, of)
			}
			if !slices.Contains(models[of], a.Labels.Model) {
				models[of] = append(models[of], a.Labels.Model)
			}
		}
	}
	for _, a := range datasets {
		warning, err := w.framedWarning(ctx, a, models[a])
		if err != nil {
			return nil, err
		}
		warnings = append(warnings, warning)
	}
	return warnings, nil
}

func (w *Workspace) framedWarning(ctx context.Context, a *plan.Action, models []string) (string, error) {
	data, err := w.readFile(ctx, a, artifact.MetadataFile)
	if err != nil {
		return "", err
	}
	var m artifact.Metadata
	if err := json.Unmarshal(data, &m); err != nil {
		return "", fmt.Errorf("%s of %s: %w", artifact.MetadataFile, a.Name, err)
	}
	if m.ChatFramed == nil {
		return "", fmt.Errorf("%s: its record has documents that are framed as a conversation, but %s has none", a.Name, artifact.MetadataFile)
	}
	f := m.ChatFramed
	more := ""
	if n := len(models) - 3; n > 0 {
		models, more = models[:3], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("dataset %q: %d of %d documents are framed as a conversation (template %s, with %s, first in %s), which %s%s may not be tuned for; "+
		"set chat: true on models that are, and score others on plain text", a.Labels.Dataset, f.Documents, m.Counts.Documents, f.Template, f.Mark,
		protocol.Visible(f.Example), strings.Join(models, ", "), more), nil
}
