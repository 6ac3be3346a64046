package series

import (
	"context"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// pageHeadline is what the overview of the site shows of a series.
type pageHeadline struct {
	Models   []string     `json:"models"`
	X        scaling.Axis `json:"x"`
	Values   []float64    `json:"values"`
	BPB      []float64    `json:"bpb"`
	Datasets int          `json:"datasets"`
	Best     string       `json:"best"`
	// Last is the verdict on the last model against the one before.
	Last string `json:"last"`
}

// pageSlice is a row of the table of slices.
type pageSlice struct {
	List      string   `parquet:"list,dict"`
	Slice     string   `parquet:"slice"`
	Units     int64    `parquet:"units"`
	Bytes     int64    `parquet:"scored_bytes"`
	TooSmall  bool     `parquet:"too_small"`
	Best      string   `parquet:"best_model,dict"`
	Changes   int64    `parquet:"changes"`
	Slope     float64  `parquet:"slope_bpb_per_x"`
	StepsLow  *float64 `parquet:"steps_low,optional"`
	StepsHigh *float64 `parquet:"steps_high,optional"`
	// The points of the slice in the table of points.
	FirstPoint int64 `parquet:"first_point_row"`
	Points     int64 `parquet:"point_rows"`
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
	var slices []pageSlice
	var points []pointRow
	for _, of := range s.Slices {
		row := pageSlice{
			List: of.List, Slice: of.Name, Units: of.Units, Bytes: of.Bytes, TooSmall: of.TooSmall, Best: of.Best, Changes: int64(len(of.Changes)),
			Slope: of.Slope.Value, FirstPoint: int64(len(points)), Points: int64(len(of.Points)),
		}
		row.StepsLow, row.StepsHigh = ends(of.Slope.Steps)
		slices = append(slices, row)
		for i := range of.Points {
			points = append(points, of.pointRow(i))
		}
	}
	if page.Files["slices"], err = action.PublishTable(p, action.Rows(slices), func(*pageSlice) int { return 128 }); err != nil {
		return nil, err
	}
	if page.Files["points"], err = action.PublishTable(p, action.Rows(points), func(*pointRow) int { return 256 }); err != nil {
		return nil, err
	}
	if page.Files["changes"], err = action.Republish[changeRow](ctx, a, "changes.parquet", p, func(*changeRow) int { return 128 }); err != nil {
		return nil, err
	}
	page.Headline = s.pageHeadline()
	datasets := len(s.Datasets)
	// The others are in the tables.
	s.Slices = s.Slices[:min(len(s.Slices), 1)]
	page.Files[action.Details], err = p.JSON(struct {
		*Summary
		Datasets int `json:"datasets"`
		action.Provenance
	}{s, datasets, action.ProvenanceOf(a)})
	return page, err
}

func (s *Summary) pageHeadline() pageHeadline {
	h := pageHeadline{Models: s.Models, X: s.X.WithoutValues(), Datasets: len(s.Datasets), Values: []float64{}, BPB: []float64{}}
	if len(s.Slices) == 0 {
		return h
	}
	all := s.Slices[0]
	h.Best = all.Best
	for _, point := range all.Points {
		h.Values, h.BPB = append(h.Values, point.X), append(h.BPB, point.BPB)
		if point.Previous != nil {
			h.Last = point.Previous.Verdict
		}
	}
	return h
}
