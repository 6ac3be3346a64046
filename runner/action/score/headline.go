package score

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/terminal"
)

// Headline is the bits per byte of every model on every dataset.
type Headline struct {
	Datasets []string `json:"datasets"`
	Models   []string `json:"models"`
	// BPB holds bits per byte by dataset and model. It is null if a score is missing or has no scored bytes.
	BPB [][]*float64 `json:"bpb"`
	// Intervals are those of BPB, null for fewer than two documents.
	Intervals [][]*artifact.Interval `json:"intervals"`
	// Bytes holds the number of scored bytes by dataset and model. Only numbers over the same bytes can be compared.
	Bytes [][]int64 `json:"bytes"`
	// Total holds bits per byte by model over all datasets, a ratio of sums. It is null if a score is missing.
	Total          []*float64           `json:"total"`
	TotalIntervals []*artifact.Interval `json:"totalIntervals"`
	// Confidence holds by dataset and model how the top tokens fared. It is null where a backend does not tell.
	Confidence [][]*Confidence `json:"confidence"`
}

// Confidence says how often a model's top token was the token, and how well its probability predicted that.
type Confidence struct {
	Correct float64 `json:"correct"`
	// Error is the expected calibration error, Interval its 95% interval or null.
	Error    float64     `json:"error"`
	Interval *[2]float64 `json:"interval"`
}

// maxCells bounds the table: a plan with more scores gets no table.
const maxCells = 4000

// Report implements action.Reporter.
func (Kind) Report(ctx context.Context, actions []*plan.Action, read action.ReadFile) (action.Report, error) {
	if len(actions) == 0 || len(actions) > maxCells {
		return nil, nil
	}
	h := &Headline{}
	for _, a := range actions {
		h.Datasets = append(h.Datasets, a.Labels.Dataset)
		if !slices.Contains(h.Models, a.Labels.Model) {
			h.Models = append(h.Models, a.Labels.Model)
		}
	}
	slices.SortFunc(h.Datasets, terminal.Compare)
	slices.SortFunc(h.Models, terminal.Compare)
	h.Datasets = slices.Compact(h.Datasets)
	h.BPB, h.Bytes = make([][]*float64, len(h.Datasets)), make([][]int64, len(h.Datasets))
	h.Confidence, h.Intervals = make([][]*Confidence, len(h.Datasets)), make([][]*artifact.Interval, len(h.Datasets))
	for i := range h.BPB {
		h.Intervals[i] = make([]*artifact.Interval, len(h.Models))
		h.Confidence[i] = make([]*Confidence, len(h.Models))
		h.BPB[i], h.Bytes[i] = make([]*float64, len(h.Models)), make([]int64, len(h.Models))
	}
	sums := make([]artifact.ScoreSummary, len(h.Models))
	missing := make([]bool, len(h.Models))
	for _, a := range actions {
		column := slices.Index(h.Models, a.Labels.Model)
		if a.Outputs == nil {
			missing[column] = true
			continue
		}
		var summary artifact.ScoreSummary
		if err := read.JSON(ctx, a, artifact.SummaryFile, &summary); err != nil {
			return nil, err
		}
		sums[column].ScoredBytes += summary.ScoredBytes
		sums[column].Nats += summary.Nats
		if a.Labels.Cluster == spec.ClusterShard {
			summary.Units, summary.Interval = summary.Shards, artifact.IntervalOf(summary.Shards)
		}
		sums[column].Units.Merge(summary.Units)
		row, _ := slices.BinarySearchFunc(h.Datasets, a.Labels.Dataset, terminal.Compare)
		if c := summary.Confidence; c != nil {
			h.Confidence[row][column] = &Confidence{Correct: c.Ranks.First, Error: c.Top.Error, Interval: c.Top.Of(a.Labels.Cluster == spec.ClusterShard).Interval}
		}
		if summary.ScoredBytes > 0 {
			h.BPB[row][column], h.Bytes[row][column] = &summary.BPB, summary.ScoredBytes
			h.Intervals[row][column] = summary.Interval
		}
	}
	h.Total, h.TotalIntervals = make([]*float64, len(h.Models)), make([]*artifact.Interval, len(h.Models))
	for i, sum := range sums {
		if !missing[i] && sum.ScoredBytes > 0 {
			bpb := artifact.BitsPerByte(sum.Nats, sum.ScoredBytes)
			h.Total[i], h.TotalIntervals[i] = &bpb, artifact.IntervalOf(sum.Units)
		}
	}
	return h, nil
}

// maxRows and maxModels bound the table on a terminal. The artifacts contain all values.
const (
	maxRows   = 40
	maxModels = 12
)

// Print implements action.Report.
func (h *Headline) Print(w io.Writer) {
	models := h.Models[:min(len(h.Models), maxModels)]
	rows := [][]string{append([]string{"bits per byte"}, models...)}
	for i, dataset := range h.Datasets[:min(len(h.Datasets), maxRows)] {
		rows = append(rows, append([]string{dataset}, cells(h.BPB[i][:len(models)], h.Intervals[i])...))
	}
	if len(h.Datasets) > 1 {
		rows = append(rows, append([]string{"all datasets"}, cells(h.Total[:len(models)], h.TotalIntervals)...))
	}
	terminal.Columns(w, rows)
	h.printConfidence(w)
	if mixed := h.mixed(); len(mixed) > 0 {
		more := ""
		if n := len(mixed) - 3; n > 0 {
			mixed, more = mixed[:3], fmt.Sprintf(" and %d more", n)
		}
		fmt.Fprintf(w, "these rows are over different bytes for different models, and their numbers cannot be compared: %s%s\n", strings.Join(mixed, ", "), more)
	}
	if len(h.Datasets) > maxRows || len(h.Models) > maxModels {
		fmt.Fprintf(w, "... %s and %s in total; run `runner show --json` for all of them\n",
			terminal.Count(len(h.Datasets), "dataset"), terminal.Count(len(h.Models), "model"))
	}
}

// maxConfidences bounds the lines about confidence, one for each score.
const maxConfidences = 8

// printConfidence prints a line for each score, unless there are too many.
func (h *Headline) printConfidence(w io.Writer) {
	rows := [][]string{{"top token", "correct", "calibration error"}}
	for i, of := range h.Confidence {
		for j, c := range of {
			if c == nil {
				continue
			}
			name := h.Models[j]
			if len(h.Datasets) > 1 {
				name += " on " + h.Datasets[i]
			}
			calibration := fmt.Sprintf("%.4f", c.Error)
			if c.Interval != nil {
				calibration += fmt.Sprintf(" [%.4f, %.4f]", c.Interval[0], c.Interval[1])
			}
			rows = append(rows, []string{name, fmt.Sprintf("%.1f%%", 100*c.Correct), calibration})
		}
	}
	if len(rows) > 1 && len(rows) <= 1+maxConfidences {
		terminal.Columns(w, rows)
	}
}

// mixed lists the datasets on which the models were scored on different numbers of bytes, with these numbers.
func (h *Headline) mixed() (datasets []string) {
	for i, row := range h.Bytes {
		counts := slices.DeleteFunc(slices.Clone(row), func(n int64) bool { return n == 0 })
		slices.Sort(counts)
		if counts = slices.Compact(counts); len(counts) > 1 {
			datasets = append(datasets, fmt.Sprintf("%s (%s to %s)", h.Datasets[i], terminal.Size(counts[0]), terminal.Size(counts[len(counts)-1])))
		}
	}
	return datasets
}

// cells formats values with half the width of their intervals.
func cells(values []*float64, intervals []*artifact.Interval) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = "-"
		if v != nil {
			all[i] = intervals[i].Around(*v)
		}
	}
	return all
}
