package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Headline is the bits per byte of every model on every dataset, and every gap.
type Headline struct {
	Datasets []string `json:"datasets"`
	Models   []string `json:"models"`
	// BPB holds bits per byte by dataset and model; null where a score is missing or has no scored bytes.
	BPB [][]*float64 `json:"bpb"`
	// Total holds bits per byte by model over all datasets: a ratio of sums. It is null where a score is missing.
	Total []*float64 `json:"total"`
	Gaps  []Gap      `json:"gaps"`
}

// Gap is the overall result of a comparison.
type Gap struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
	// ABPB and BBPB are bits per byte of both models over the same bytes, and GapBPB = ABPB - BBPB. They are null where
	// the gap has no scored bytes.
	ABPB   *float64 `json:"aBpb"`
	BBPB   *float64 `json:"bBpb"`
	GapBPB *float64 `json:"gapBpb"`
	Bytes  int64    `json:"bytes"`
}

// MaxCells bounds the table: a plan with more scores than this is summed up by its gaps alone.
const MaxCells = 4000

// New reads the summaries of a plan's finished actions.
func New(ctx context.Context, p *plan.Plan, s *store.Store) (*Headline, error) {
	h := &Headline{Datasets: []string{}, Models: []string{}, BPB: [][]*float64{}, Total: []*float64{}, Gaps: []Gap{}}
	var scores []*plan.Action
	for _, a := range p.Actions {
		if a.Kind == plan.Score {
			scores = append(scores, a)
		}
	}
	if len(scores) <= MaxCells {
		if err := h.scores(ctx, scores, s); err != nil {
			return nil, err
		}
	}
	for _, a := range p.Actions {
		if a.Kind != plan.Gap || a.Outputs == nil {
			continue
		}
		var summary struct {
			Overall struct {
				Bytes  int64    `json:"bytes"`
				ABPB   *float64 `json:"model_a_bpb"`
				BBPB   *float64 `json:"model_b_bpb"`
				GapBPB *float64 `json:"gap_bpb"`
			} `json:"overall"`
		}
		if err := readJSON(ctx, s, a, artifact.SummaryFile, &summary); err != nil {
			return nil, err
		}
		o := summary.Overall
		h.Gaps = append(h.Gaps, Gap{a.Gap.Name, a.Gap.A, a.Gap.B, o.ABPB, o.BBPB, o.GapBPB, o.Bytes})
	}
	return h, nil
}

func (h *Headline) scores(ctx context.Context, scores []*plan.Action, s *store.Store) error {
	for _, a := range scores {
		h.Datasets = append(h.Datasets, a.Dataset.Key)
		if !slices.Contains(h.Models, a.Model.Name) {
			h.Models = append(h.Models, a.Model.Name)
		}
	}
	slices.Sort(h.Datasets)
	h.Datasets = slices.Compact(h.Datasets)
	h.BPB = make([][]*float64, len(h.Datasets))
	for i := range h.BPB {
		h.BPB[i] = make([]*float64, len(h.Models))
	}
	sums := make([]artifact.ScoreSummary, len(h.Models))
	missing := make([]bool, len(h.Models))
	for _, a := range scores {
		column := slices.Index(h.Models, a.Model.Name)
		if a.Outputs == nil {
			missing[column] = true
			continue
		}
		var summary artifact.ScoreSummary
		if err := readJSON(ctx, s, a, artifact.SummaryFile, &summary); err != nil {
			return err
		}
		sums[column].ScoredBytes += summary.ScoredBytes
		sums[column].Ledger.Span += summary.Nats
		if summary.ScoredBytes > 0 {
			row, _ := slices.BinarySearch(h.Datasets, a.Dataset.Key)
			h.BPB[row][column] = &summary.BPB
		}
	}
	h.Total = make([]*float64, len(h.Models))
	for i := range sums {
		if !missing[i] && sums[i].ScoredBytes > 0 {
			bpb := artifact.BitsPerByte(sums[i].Ledger.Span, sums[i].ScoredBytes)
			h.Total[i] = &bpb
		}
	}
	return nil
}

func readJSON(ctx context.Context, s *store.Store, a *plan.Action, name string, v any) (err error) {
	i := slices.IndexFunc(a.Outputs, func(f store.File) bool { return f.Name == name })
	if i < 0 {
		return fmt.Errorf("%s has no file %s", a.Name, name)
	}
	r, err := s.Open(ctx, a.Outputs[i].Digest)
	if err != nil {
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %s: %w", a.Name, name, err)
	}
	return nil
}
