package series

import (
	"errors"

	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/fit"
)

// Rows of the tables. Names are as they are; the files are for programs.
type (
	pointRow struct {
		List             string   `json:"list" parquet:"list,dict"`
		Slice            string   `json:"slice" parquet:"slice,dict"`
		Model            string   `json:"model" parquet:"model,dict"`
		X                float64  `json:"x" parquet:"x"`
		Units            int64    `json:"units" parquet:"units"`
		Bytes            int64    `json:"scored_bytes" parquet:"scored_bytes"`
		BPB              float64  `json:"bpb" parquet:"bpb"`
		Low              *float64 `json:"bpb_low" parquet:"bpb_low,optional"`
		High             *float64 `json:"bpb_high" parquet:"bpb_high,optional"`
		Previous         *string  `json:"previous_model" parquet:"previous_model,optional"`
		PreviousGap      *float64 `json:"previous_gap_bpb" parquet:"previous_gap_bpb,optional"`
		PreviousLow      *float64 `json:"previous_gap_low" parquet:"previous_gap_low,optional"`
		PreviousHigh     *float64 `json:"previous_gap_high" parquet:"previous_gap_high,optional"`
		PreviousAdjusted *float64 `json:"previous_adjusted_p" parquet:"previous_adjusted_p,optional"`
		PreviousVerdict  *string  `json:"previous_verdict" parquet:"previous_verdict,optional"`
		// PreviousPerX is the gap for a change of x by 1.
		PreviousPerX *float64 `json:"previous_gap_per_x" parquet:"previous_gap_per_x,optional"`
		Best         *string  `json:"best_model" parquet:"best_model,optional"`
		BestGap      *float64 `json:"best_gap_bpb" parquet:"best_gap_bpb,optional"`
		BestLow      *float64 `json:"best_gap_low" parquet:"best_gap_low,optional"`
		BestHigh     *float64 `json:"best_gap_high" parquet:"best_gap_high,optional"`
		BestAdjusted *float64 `json:"best_adjusted_p" parquet:"best_adjusted_p,optional"`
		BestVerdict  *string  `json:"best_verdict" parquet:"best_verdict,optional"`
	}
	slopeRow struct {
		List          string   `json:"list" parquet:"list,dict"`
		Slice         string   `json:"slice" parquet:"slice,dict"`
		Slope         float64  `json:"slope_bpb_per_x" parquet:"slope_bpb_per_x"`
		StepsLow      *float64 `json:"steps_low" parquet:"steps_low,optional"`
		StepsHigh     *float64 `json:"steps_high" parquet:"steps_high,optional"`
		DocumentsLow  *float64 `json:"documents_low" parquet:"documents_low,optional"`
		DocumentsHigh *float64 `json:"documents_high" parquet:"documents_high,optional"`
	}
	changeRow struct {
		List     string  `json:"list" parquet:"list,dict"`
		Slice    string  `json:"slice" parquet:"slice,dict"`
		Model    string  `json:"model" parquet:"model,dict"`
		X        float64 `json:"x" parquet:"x"`
		By       float64 `json:"by_bpb" parquet:"by_bpb"`
		Low      float64 `json:"by_low" parquet:"by_low"`
		High     float64 `json:"by_high" parquet:"by_high"`
		P        float64 `json:"p" parquet:"p"`
		Adjusted float64 `json:"adjusted_p" parquet:"adjusted_p"`
	}
)

func (s *Summary) writeTables(dir string) error {
	var points []pointRow
	var slopes []slopeRow
	var changes []changeRow
	for _, slice := range s.Slices {
		for i := range slice.Points {
			points = append(points, slice.pointRow(i))
		}
		row := slopeRow{List: slice.List, Slice: slice.Name, Slope: slice.Slope.Value}
		row.StepsLow, row.StepsHigh = ends(slice.Slope.Steps)
		row.DocumentsLow, row.DocumentsHigh = ends(slice.Slope.Documents)
		slopes = append(slopes, row)
		for _, c := range slice.Changes {
			changes = append(changes, changeRow{slice.List, slice.Name, c.Model, c.X, c.By.Value, c.By.Low, c.By.High, c.P, c.Adjusted})
		}
	}
	return errors.Join(
		artifact.WriteTable(dir, "points", points), artifact.WriteTable(dir, "slopes", slopes), artifact.WriteTable(dir, "changes", changes),
	)
}

func ends(i *fit.Interval) (low, high *float64) {
	if i == nil {
		return nil, nil
	}
	return &i.Low, &i.High
}

func (s *Slice) pointRow(i int) pointRow {
	p := s.Points[i]
	row := pointRow{
		List: s.List, Slice: s.Name, Model: p.Model, X: p.X, Units: s.Units, Bytes: s.Bytes, BPB: p.BPB, Low: p.Low, High: p.High,
	}
	if d := p.Previous; d != nil {
		perX := d.Gap / (p.X - s.Points[i-1].X)
		row.Previous, row.PreviousGap, row.PreviousVerdict, row.PreviousPerX = &d.Model, &d.Gap, &d.Verdict, &perX
		row.PreviousLow, row.PreviousHigh = d.ends()
		row.PreviousAdjusted = d.Adjusted
	}
	if d := p.Best; d != nil {
		row.Best, row.BestGap, row.BestVerdict, row.BestAdjusted = &d.Model, &d.Gap, &d.Verdict, d.Adjusted
		row.BestLow, row.BestHigh = d.ends()
	}
	return row
}

// ends returns the ends of the interval of a difference.
func (d *Difference) ends() (low, high *float64) {
	if d.Estimate == nil {
		return nil, nil
	}
	return &d.Low, &d.High
}
