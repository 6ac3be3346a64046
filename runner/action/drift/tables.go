package drift

import (
	"errors"

	"surprisal.dev/runner/artifact"
)

// Rows of the tables. Names are as they are; the files are for programs.
type (
	measureRow struct {
		Model         string   `json:"model" parquet:"model,dict"`
		Measure       string   `json:"measure" parquet:"measure,dict"`
		Of            string   `json:"of" parquet:"of,dict"`
		Reference     float64  `json:"reference" parquet:"reference"`
		ReferenceLow  *float64 `json:"reference_low" parquet:"reference_low,optional"`
		ReferenceHigh *float64 `json:"reference_high" parquet:"reference_high,optional"`
		ReferenceSize int64    `json:"reference_size" parquet:"reference_size"`
		Current       float64  `json:"current" parquet:"current"`
		CurrentLow    *float64 `json:"current_low" parquet:"current_low,optional"`
		CurrentHigh   *float64 `json:"current_high" parquet:"current_high,optional"`
		CurrentSize   int64    `json:"current_size" parquet:"current_size"`
		changeRow
		Q *float64 `json:"q" parquet:"q,optional"`
	}
	partRow struct {
		Part string `json:"part" parquet:"part,dict"`
		// Given is empty unless the part is that in an order.
		Given string `json:"given" parquet:"given,dict"`
		changeRow
		Adjusted *float64 `json:"adjusted_p" parquet:"adjusted_p,optional"`
	}
	changeRow struct {
		Change     float64  `json:"change" parquet:"change"`
		Error      *float64 `json:"standard_error" parquet:"standard_error,optional"`
		Low        *float64 `json:"low" parquet:"low,optional"`
		High       *float64 `json:"high" parquet:"high,optional"`
		P          *float64 `json:"p" parquet:"p,optional"`
		Detectable *float64 `json:"detectable" parquet:"detectable,optional"`
		Verdict    string   `json:"verdict" parquet:"verdict,dict"`
		Needed     int64    `json:"needed_units" parquet:"needed_units"`
	}
)

func (c Change) row() changeRow {
	row := changeRow{Change: c.Value, Verdict: c.Verdict, Needed: c.Needed}
	if e := c.Estimate; e != nil {
		row.Error, row.Low, row.High, row.P, row.Detectable = &e.Error, &e.Low, &e.High, &e.P, &e.Detectable
	}
	return row
}

func (s *Summary) writeTables(dir string) error {
	var measures []measureRow
	for _, m := range s.Measures {
		measures = append(measures, measureRow{
			m.Model, m.Name, m.Of, m.Reference.Value, m.Reference.Low, m.Reference.High, m.ReferenceSize,
			m.Current.Value, m.Current.Low, m.Current.High, m.CurrentSize, m.row(), m.Q,
		})
	}
	var parts []partRow
	for _, list := range [][]Part{s.Parts, s.Orders} {
		for _, p := range list {
			parts = append(parts, partRow{p.Name, p.Given, p.row(), p.Adjusted})
		}
	}
	return errors.Join(artifact.WriteTable(dir, "measures", measures), artifact.WriteTable(dir, "parts", parts))
}
