package scaling

import (
	"context"
	"strings"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// pageHeadline is what the overview of the site shows of a table.
type pageHeadline struct {
	X        Axis           `json:"x"`
	Models   []pageModel    `json:"models"`
	Fits     []pageExponent `json:"fits"`
	Datasets int            `json:"datasets"`
}

type pageModel struct {
	Model  string   `json:"model"`
	Family string   `json:"family"`
	X      *float64 `json:"x"`
	BPB    float64  `json:"bpb"`
}

type pageExponent struct {
	Family string `json:"family"`
	Of     string `json:"of"`
	Law    Law    `json:"law"`
}

// Page implements action.Pager.
func (Kind) Page(ctx context.Context, a *plan.Action, p action.Publisher) (*action.Page, error) {
	page, err := action.WholePage(ctx, a, p)
	if page == nil || err != nil {
		return nil, err
	}
	s, err := action.ReadPage[Summary](ctx, a, artifact.SummaryFile, p)
	if err != nil {
		return nil, err
	}
	page.Headline = s.pageHeadline()
	if page.Files["documents"], err = action.Republish(ctx, a, "documents.parquet", p, func(r *documentRow) int { return 64 + len(r.Shard) }); err != nil {
		return nil, err
	}
	if page.Files["datasets"], err = action.Republish(ctx, a, "datasets.parquet", p, func(*datasetRow) int { return 128 }); err != nil {
		return nil, err
	}
	if p.Text() == action.TextAll {
		// A token is a piece of any document, also of one that is not in the sample.
		page.Files["tokens"], err = action.Republish(ctx, a, "tokens.parquet", p, func(*tokenRow) int { return 64 })
	} else {
		s.Tokens = []Token{}
	}
	if err != nil {
		return nil, err
	}
	if p.Text() == action.TextNone {
		for _, list := range s.Ranked.lists() {
			for i := range list {
				list[i].Text = ""
			}
		}
	}
	for i := range s.Rows {
		// These are in the table of datasets.
		s.Rows[i].ByDataset, s.Rows[i].PerplexityByDataset = []float64{}, []*float64{}
		s.Rows[i].IntervalByDataset, s.Rows[i].UnitsByDataset = []*artifact.Interval{}, []int64{}
	}
	datasets := len(s.Datasets)
	page.Files[action.Details], err = p.JSON(struct {
		*Summary
		Datasets int `json:"datasets"`
		action.Provenance
	}{s, datasets, action.ProvenanceOf(a)})
	return page, err
}

// Sample implements action.Sampler.
func (Kind) Sample(ctx context.Context, a *plan.Action, p action.Publisher, want func(action.ScoredFile, artifact.RowID) error) error {
	page, err := action.WholePage(ctx, a, p)
	if page == nil || err != nil {
		return err
	}
	s, err := action.ReadPage[Summary](ctx, a, artifact.SummaryFile, p)
	if err != nil {
		return err
	}
	for _, list := range s.Ranked.lists() {
		for _, d := range list {
			for _, in := range a.Inputs {
				if _, dataset, _ := strings.Cut(in.Role, "/"); dataset != d.Dataset {
					continue
				}
				if err := want(action.ScoredFile{Action: in.Upstream, Name: artifact.ScoredFile}, artifact.RowID{Shard: d.Shard, Row: d.Row}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// lists returns the lists of documents.
func (d *Documents) lists() [][]Document {
	return [][]Document{d.Hardest, d.Easiest, d.MostGain, d.LeastGain}
}

func (s *Summary) pageHeadline() pageHeadline {
	h := pageHeadline{X: s.X.WithoutValues(), Datasets: len(s.Datasets), Models: []pageModel{}, Fits: []pageExponent{}}
	for _, r := range s.Rows {
		h.Models = append(h.Models, pageModel{r.Model, r.Family, r.X, r.BPB})
	}
	for _, f := range s.Fits {
		h.Fits = append(h.Fits, pageExponent{f.Family, f.Of, f.Law})
	}
	return h
}
