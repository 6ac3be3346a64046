package score

import (
	"context"
	"encoding/json"
	"fmt"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// importName is the name of the kind that imports scores.
const importName = "import"

// pinned returns the action that stands for the scores of a baseline on a dataset, or "" for an imported table, and adds it
// if it is not in the plan yet.
func pinned(b *plan.Builder, of *spec.UsedBaseline, dataset string) (*plan.Action, error) {
	s := of.Score(dataset)
	if s == nil {
		return nil, protocol.Invalid("the baseline %q has no scores of dataset %q; score a model on it and run `runner baseline set %s MODEL`", of.Name, dataset, of.Name)
	}
	kind, called, labels := name, name+" "+of.Name+" "+dataset, plan.Labels{Dataset: dataset, Model: of.Name}
	if d := b.Dataset(dataset); d != nil {
		labels.Tags = d.Tags
	}
	if dataset == "" {
		kind, called = importName, importName+" "+of.Name
	}
	a, err := b.Pin(kind, called, labels, plan.Pinned{Baseline: of, Score: s})
	if err != nil {
		return nil, err
	}
	if dataset == "" {
		ShareImported(b, of.Name, a)
	} else {
		b.Share(scored{of.Name, dataset}, a)
	}
	return a, nil
}

// Expect requires that the inputs of model's scores on the datasets of a baseline are the documents that the baseline was
// scored on. Whether other scores have the same documents is known only once they are compared.
func Expect(b *plan.Builder, model, baseline string, datasets []string) {
	of := b.Experiment.Baseline(baseline)
	if of == nil {
		return
	}
	for _, dataset := range datasets {
		a, s := b.Shared(scored{model, dataset}), of.Score(dataset)
		if a == nil || s == nil || s.Documents == nil {
			continue
		}
		for _, in := range a.Inputs {
			if in.Role == documentsRole {
				b.Expect(in.Upstream, artifact.DocumentsFile, plan.Pinned{Baseline: of, Score: s})
			}
		}
	}
}

// Pin implements action.Pinner.
func (Kind) Pin(ctx context.Context, a *plan.Action, read action.ReadFile) (spec.BaselineScore, error) {
	pin := Pin(a)
	pin.Dataset = a.Labels.Dataset
	var summary struct {
		Documents int64           `json:"documents"`
		Bytes     int64           `json:"bytes"`
		Protocol  json.RawMessage `json:"scoringProtocol"`
	}
	if err := read.JSON(ctx, a, artifact.SummaryFile, &summary); err != nil {
		return pin, err
	}
	pin.Protocol = summary.Protocol
	for _, in := range a.Inputs {
		if in.Role != documentsRole {
			continue
		}
		f, err := store.FileOf(in.Upstream.Outputs, artifact.DocumentsFile)
		if err != nil {
			return pin, fmt.Errorf("%s: %w", in.Upstream.Name, err)
		}
		pin.Documents = &spec.BaselineDocuments{Digest: f.Digest, Key: in.Upstream.Key, Documents: summary.Documents, Bytes: summary.Bytes}
	}
	return pin, nil
}

// Pin returns what a baseline records of any action.
func Pin(a *plan.Action) spec.BaselineScore {
	pin := spec.BaselineScore{Kind: a.Kind, Schema: a.Schema, Key: a.Key, Files: map[string]string{}}
	for _, f := range a.Outputs {
		pin.Files[f.Name] = f.Digest
	}
	return pin
}
