package outliers

import (
	"context"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// pageHeadline is what the overview of the site shows of a report.
type pageHeadline struct {
	Models []pageModel `json:"models"`
}

type pageModel struct {
	Model      string   `json:"model"`
	Family     string   `json:"family"`
	Perplexity *float64 `json:"perplexity"`
	Dimensions int64    `json:"dimensions"`
	Problem    string   `json:"problem,omitempty"`
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
	h := pageHeadline{Models: []pageModel{}}
	for _, r := range s.Rows {
		h.Models = append(h.Models, pageModel{r.Model, r.Family, r.Perplexity, r.Dimensions, r.Problem})
	}
	page.Headline = h
	if page.Files[dimensionsTable], err = action.Republish(ctx, a, dimensionsTable+".parquet", p, func(*dimensionRow) int { return 96 }); err != nil {
		return nil, err
	}
	if page.Files[sitesTable], err = action.Republish(ctx, a, sitesTable+".parquet", p, func(*siteRow) int { return 96 }); err != nil {
		return nil, err
	}
	if page.Files[sequencesTable], err = action.Republish(ctx, a, sequencesTable+".parquet", p, func(r *sequenceRow) int { return 128 + len(r.Shard) }); err != nil {
		return nil, err
	}
	if page.Files["occurrences"], err = action.Republish(ctx, a, artifact.OutliersFile, p, func(o *artifact.Outlier) int { return 96 + len(o.Shard) }); err != nil {
		return nil, err
	}
	page.Files[action.Details], err = p.JSON(struct {
		*Summary
		action.Provenance
	}{s, action.ProvenanceOf(a)})
	return page, err
}
