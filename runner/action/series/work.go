package series

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/fit"
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
	scores, err := p.together().Summaries(t)
	if err != nil {
		return action.Result{}, err
	}
	s, err := summarize(ctx, t, p, scores)
	if err != nil {
		return action.Result{}, err
	}
	figures, err := s.draw(t.Dir)
	if err != nil {
		return action.Result{}, err
	}
	err = errors.Join(
		s.writeTables(t.Dir), artifact.WriteJSON(t.Path(artifact.SummaryFile), s),
		os.WriteFile(t.Path(reportFile), []byte(s.markdown(figures)), 0o644),
	)
	files := append([]string{reportFile, artifact.SummaryFile}, figures...)
	for _, table := range []string{"changes", "points", "slopes"} {
		files = append(files, table+".csv", table+".parquet")
	}
	slices.Sort(files)
	return action.Result{
		Files:    files,
		Measured: map[string]float64{plan.MeasuredDocuments: float64(s.Documents), plan.MeasuredBytes: float64(s.ScoredBytes)},
	}, err
}

func summarize(ctx context.Context, t *action.Task, p parameters, scores [][]artifact.ScoreSummary) (*Summary, error) {
	s := &Summary{
		X: p.X, Models: p.Models, Datasets: p.Datasets, Slices: []Slice{}, Notes: []string{},
		ComputedDifferences: p.together().ComputedDifferences(scores),
	}
	for i := range scores {
		for _, of := range scores[i] {
			s.NoiseBPB = max(s.NoiseBPB, 2*of.Rescoring.MaxBitsPerByte)
			if i == 0 {
				s.Documents, s.ScoredBytes, s.Protocol = s.Documents+of.Documents, s.ScoredBytes+of.ScoredBytes, of.Protocol
			}
		}
	}
	x := s.places()
	all := parts(p, scores)
	sum := newTally(x, all, len(p.Datasets))
	for j, dataset := range p.Datasets {
		if err := readUnits(ctx, t, p, dataset, func(u unit) { sum.add(j, u) }); err != nil {
			return nil, err
		}
	}
	for _, of := range all {
		s.Slices = append(s.Slices, s.slice(of, sum.over(of), x))
	}
	s.findChanges(x)
	s.note(scores)
	return s, nil
}

// note adds what the numbers do not tell.
func (s *Summary) note(scores [][]artifact.ScoreSummary) {
	for j, dataset := range s.Datasets {
		if scores[0][j].ScoredBytes == 0 {
			s.Notes = append(s.Notes, fmt.Sprintf("dataset %q has no scored bytes", dataset))
		}
	}
	if n := len(s.Models); n < fit.FewestForShift {
		s.Notes = append(s.Notes, fmt.Sprintf("changes of level are not tested: %d models are fewer than %d", n, fit.FewestForShift))
	}
	small := 0
	for _, slice := range s.Slices {
		if slice.TooSmall {
			small++
		}
	}
	if small > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("%d of %d slices have fewer than 20 documents or 2,000 bytes, which is too few to tell; score more documents", small, len(s.Slices)))
	}
}
