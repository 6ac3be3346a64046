package score

import (
	"errors"
	"fmt"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// Together are the scores of several models on the same documents, as inputs of one action.
type Together struct {
	// Models and Datasets are names.
	Models, Datasets []string
}

// Side is the role of the scores of model i.
func Side(i int) string { return fmt.Sprintf("%03d", i) }

// Inputs returns files of all scores as inputs: SIDE/DATASET/FILE, first those of the first model.
func (g Together) Inputs(b *plan.Builder, files []string) ([]plan.Input, error) {
	var inputs []plan.Input
	for i, of := range g.Models {
		scores, err := Inputs(b, Side(i), of, g.Datasets, files)
		if err != nil {
			return nil, err
		}
		for j := range scores {
			scores[j].Counted = i == 0
			if first := inputs[:min(len(inputs), len(g.Datasets))]; i > 0 && !SameDocuments(first[j].Upstream, scores[j].Upstream) {
				return nil, protocol.Invalid("models %q and %q read the dataset %q with different limits; remove the limits from the sweep",
					g.Models[0], of, g.Datasets[j])
			}
		}
		inputs = append(inputs, scores...)
	}
	return inputs, nil
}

// SameDocuments reports whether two scores have the same documents, as far as a plan tells: those of a baseline are
// unknown.
func SameDocuments(x, y *plan.Action) bool {
	return x.Pinned != nil || y.Pinned != nil || x.Inputs[0].Upstream == y.Inputs[0].Upstream
}

// Path returns the path of a file of the score of model i on a dataset.
func (g Together) Path(t *action.Task, i int, dataset, file string) (string, error) {
	return t.Input(Side(i) + "/" + dataset + "/" + file)
}

// Summaries reads the summaries of the scores, by model and dataset, and checks that they can be compared.
func (g Together) Summaries(t *action.Task) ([][]artifact.ScoreSummary, error) {
	all := make([][]artifact.ScoreSummary, len(g.Models))
	for i, model := range g.Models {
		all[i] = make([]artifact.ScoreSummary, len(g.Datasets))
		for j, dataset := range g.Datasets {
			path, err := g.Path(t, i, dataset, artifact.SummaryFile)
			if err != nil {
				return nil, err
			}
			if err := artifact.ReadJSON(path, &all[i][j]); err != nil {
				return nil, err
			}
			if err := comparable(dataset, g.Models[0], model, all[0][j], all[i][j]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// ComputedDifferences returns the differences in the hardware and software that computed the scores.
func (g Together) ComputedDifferences(scores [][]artifact.ScoreSummary) []string {
	computed := make([][]map[string]string, len(scores))
	for i := range scores {
		for _, of := range scores[i] {
			computed[i] = append(computed[i], of.Computed)
		}
	}
	return ComputedDifferences(g.Models, computed)
}

// ProtocolDiff returns the fields in which two scoring protocols differ.
func ProtocolDiff(x, y artifact.ScoringProtocol) ([]plan.Field, error) {
	of, errX := plan.Canonical(x)
	other, errY := plan.Canonical(y)
	fields, err := plan.Diff(of, other)
	return fields, errors.Join(errX, errY, err)
}

// comparable checks that two scores of a dataset were measured under the same scoring protocol on the same bytes.
func comparable(dataset, a, b string, x, y artifact.ScoreSummary) error {
	if x.Protocol != y.Protocol {
		fields, err := ProtocolDiff(x.Protocol, y.Protocol)
		if err != nil {
			return err
		}
		return protocol.Invalid("dataset %q: %s; score both under the same one", dataset, Differ(fields, a, b))
	}
	if x.Documents != y.Documents || x.ScoredBytes != y.ScoredBytes {
		return protocol.Invalid("dataset %q: model %q has losses for %d bytes of %d documents and model %q for %d of %d; exclude the dataset",
			dataset, a, x.ScoredBytes, x.Documents, b, y.ScoredBytes, y.Documents)
	}
	return nil
}

// CheckTogether reports, at n, a model whose scoring protocol is known to differ from that of the first model.
func CheckTogether(d spec.Decoding, n spec.Node, models []*spec.Model, datasets []string) {
	if len(models) == 0 || !d.Conforms() {
		return
	}
	var on []*spec.Dataset
	for _, name := range datasets {
		on = append(on, d.Dataset(name))
	}
	first := models[0]
	for _, m := range models[1:] {
		if m.Scores != nil || first.Scores != nil {
			continue
		}
		if where, fields := DeclaredOn(first, m, on, nil); where != nil {
			d.Fail(n, "dataset %q: %s; score all models under the same one, or remove one", where.Name, Differ(fields, first.Name, m.Name))
			return
		}
	}
}

// CheckImported reports, at n, models with imported scores.
func CheckImported(d spec.Decoding, n spec.Node, models []*spec.Model) {
	for i, m := range models {
		if m.Scores != nil {
			d.Fail(n, "model %d, %q, has imported scores; whether its documents are those of the others is unknown", i+1, m.Name)
		}
	}
}
