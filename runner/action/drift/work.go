package drift

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// reportFile is the report for people.
const reportFile = "report.md"

// Work implements action.Kind.
func (Kind) Work(ctx context.Context, t *action.Task) (action.Result, error) {
	var p parameters
	if err := t.Parameters(&p); err != nil {
		return action.Result{}, err
	}
	s, err := p.summarize(ctx, t)
	if err != nil {
		return action.Result{}, err
	}
	err = errors.Join(
		s.writeTables(t.Dir), artifact.WriteJSON(t.Path(artifact.SummaryFile), s),
		os.WriteFile(t.Path(reportFile), []byte(s.markdown()), 0o644),
	)
	files := []string{reportFile, artifact.SummaryFile}
	for _, table := range []string{"measures", "parts"} {
		files = append(files, table+".csv", table+".parquet")
	}
	slices.Sort(files)
	return action.Result{
		Files: files,
		Measured: map[string]float64{
			plan.MeasuredDocuments: float64(s.Reference.Documents + s.Current.Documents),
			plan.MeasuredBytes:     float64(s.Reference.ScoredBytes + s.Current.ScoredBytes),
		},
	}, err
}

func (p *parameters) summarize(ctx context.Context, t *action.Task) (*Summary, error) {
	scores, err := p.summaries(t)
	if err != nil {
		return nil, err
	}
	if err := p.checkDocuments(t); err != nil {
		return nil, err
	}
	noise := 0.0
	for _, of := range scores {
		noise = max(noise, 2*of.Rescoring.MaxBitsPerByte)
	}
	s, err := p.compare(noise, func(dataset string, models []string, visit func(*document)) error {
		return p.each(ctx, t, dataset, models, visit)
	})
	if err != nil {
		return nil, err
	}
	s.Protocol, s.ComputedDifferences = scores[0].Protocol, p.computedDifferences(scores)
	return s, s.note(p, t)
}

// compare compares the documents of both sides.
func (p *parameters) compare(noise float64, read source) (*Summary, error) {
	reference, err := p.half(p.Reference, read)
	if err != nil {
		return nil, err
	}
	current, err := p.half(p.Current, read)
	if err != nil {
		return nil, err
	}
	s := &Summary{
		Reference: reference.text(p.Reference.Model, &reference.cells[0]), Current: current.text(p.Current.Model, current.now()), Notes: []string{},
		NoiseBPB: noise, Measures: measures(p.Current.Model, reference.now(), current.now()),
	}
	if len(p.models()) > 1 && !p.Partial {
		s.Measures = append(s.Measures, measures(p.Reference.Model, &reference.cells[0], &current.cells[0])...)
	}
	s.judge()
	s.attribute(reference, current)
	if p.Gate != nil {
		s.test(*p.Gate)
	}
	return s, nil
}

// text describes a side, with the bits per byte of one of its models.
func (h *half) text(model string, by *cell) Text {
	return Text{
		Model: model, Documents: h.documents, Units: by.bits.Units, ScoredBytes: h.bytes, BPB: valueOf(by.bits), Datasets: h.datasets,
	}
}

// computedDifferences returns the differences in the hardware and software that computed the scores.
func (p *parameters) computedDifferences(scores []artifact.ScoreSummary) []string {
	models := p.models()
	computed := make([][]map[string]string, len(models))
	for i, s := range p.scores() {
		at := slices.Index(models, s.model)
		computed[at] = append(computed[at], scores[i].Computed)
	}
	return score.ComputedDifferences(models, computed)
}

// sameProtocol checks that two scores have the same scoring protocol.
func sameProtocol(a, b scored, x, y artifact.ScoreSummary) error {
	if x.Protocol == y.Protocol {
		return nil
	}
	fields, err := score.ProtocolDiff(x.Protocol, y.Protocol)
	if err != nil {
		return err
	}
	return protocol.Invalid("%s; score both under the same one", score.DifferOn(fields, score.Named(a.model, a.dataset), score.Named(b.model, b.dataset)))
}

// checkDocuments checks that no dataset of one side has the scores of a dataset of the other. Equal documents have equal
// scores.
func (p *parameters) checkDocuments(t *action.Task) error {
	digest := func(dataset string) string {
		return t.Descriptor.Inputs[nowRole+"/"+dataset+"/"+artifact.ScoredFile]
	}
	for _, before := range p.Reference.Datasets {
		for _, after := range p.Current.Datasets {
			if digest(before) != "" && digest(before) == digest(after) {
				return sameDocuments(before, after)
			}
		}
	}
	return nil
}

// note adds what the numbers do not tell.
func (s *Summary) note(p *parameters, t *action.Task) error {
	for _, side := range []Text{s.Reference, s.Current} {
		for _, d := range side.Datasets {
			if d.ScoredBytes == 0 {
				s.Notes = append(s.Notes, fmt.Sprintf("dataset %q has no scored bytes", d.Name))
			}
		}
	}
	if p.Partial {
		s.Notes = append(s.Notes, fmt.Sprintf("the baseline %q has no scores of the current texts: the model's part is that on the reference texts, "+
			"the text's part that by the current model, and their interaction is unknown; score a model on both to know it", p.Reference.Model))
	}
	if len(p.models()) == 1 {
		return nil
	}
	same, err := p.sameTokens(t)
	if err != nil {
		return err
	}
	if s.Tokenizers = "same"; !same {
		s.Tokenizers = "different"
		s.Notes = append(s.Notes, "the tokenizers of the two models differ: their tokens are not compared with each other, and the model's part is in bits per byte only")
	}
	return nil
}

// sameTokens reports whether both models have the same tokens on the reference texts: the same texts under the same
// numbers, as often.
func (p *parameters) sameTokens(t *action.Task) (bool, error) {
	for _, dataset := range p.Reference.Datasets {
		var digests [2]string
		var sizes [2]int64
		for i, m := range p.models() {
			of := scored{m, dataset}
			digests[i] = t.Descriptor.Inputs[p.role(m)+"/"+dataset+"/"+artifact.TokenCountsFile]
			path, err := p.path(t, of, artifact.TokenCountsSummaryFile)
			if err != nil {
				return false, err
			}
			var counts artifact.TokenCountsSummary
			if err := artifact.ReadJSON(path, &counts); err != nil {
				return false, err
			}
			sizes[i] = counts.VocabularySize
		}
		if digests[0] != digests[1] || sizes[0] != sizes[1] {
			return false, nil
		}
	}
	return true, nil
}
