package scaling

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Files of a table.
const (
	reportFile = "report.md"
	csvFile    = "scaling.csv"
)

// Summary is summary.json of a table.
type Summary struct {
	Datasets []string `json:"datasets"`
	Rows     []Row    `json:"models"`
	// Documents and ScoredBytes are the same for every model.
	Documents   int64 `json:"documents"`
	ScoredBytes int64 `json:"scoredBytes"`
	// Protocol is the scoring protocol.
	Protocol artifact.ScoringProtocol `json:"scoringProtocol"`
	// ComputedDifferences lists the differences in the hardware and software that computed the scores.
	ComputedDifferences []string `json:"computedDifferences"`
}

// Row is a model of a table. BPB and Perplexity are ratios of sums over all datasets.
type Row struct {
	Model string `json:"model"`
	// Parameters is null if the backend does not report it.
	Parameters *int64  `json:"parameters"`
	Tokens     int64   `json:"scoredTokens"`
	Nats       float64 `json:"nats"`
	BPB        float64 `json:"bpb"`
	// Perplexity is exp(nats / n), where n is the number of scored tokens, words or bytes.
	Perplexity artifact.Perplexity `json:"perplexity"`
	// ByDataset holds bits per byte in the order of Summary.Datasets.
	ByDataset []float64 `json:"bpbByDataset"`
}

// Work implements action.Kind.
func (Kind) Work(_ context.Context, t *action.Task) (action.Result, error) {
	var p parameters
	if err := t.Parameters(&p); err != nil {
		return action.Result{}, err
	}
	s := Summary{Datasets: p.Datasets}
	var first []artifact.ScoreSummary
	var names []string
	computed := make([][]map[string]string, len(p.Models))
	for i, m := range p.Models {
		names = append(names, m.Name)
		scores := make([]artifact.ScoreSummary, len(p.Datasets))
		for j, dataset := range p.Datasets {
			path, err := t.Input(side(i) + "/" + dataset + "/" + artifact.SummaryFile)
			if err != nil {
				return action.Result{}, err
			}
			if err := artifact.ReadJSON(path, &scores[j]); err != nil {
				return action.Result{}, err
			}
			computed[i] = append(computed[i], scores[j].Computed)
			if i == 0 {
				first = append(first, scores[j])
			}
			if err := comparable(dataset, p.Models[0].Name, m.Name, first[j], scores[j]); err != nil {
				return action.Result{}, err
			}
		}
		s.add(m, scores)
	}
	if len(first) > 0 {
		s.Protocol = first[0].Protocol
	}
	s.ComputedDifferences = score.ComputedDifferences(names, computed)
	err := errors.Join(
		artifact.WriteJSON(t.Path(artifact.SummaryFile), s),
		os.WriteFile(t.Path(reportFile), []byte(s.markdown()), 0o644),
		s.writeCSV(t.Path(csvFile)),
	)
	return action.Result{
		Files:    []string{reportFile, csvFile, artifact.SummaryFile},
		Measured: map[string]float64{plan.MeasuredDocuments: float64(s.Documents), plan.MeasuredBytes: float64(s.ScoredBytes)},
	}, err
}

// comparable checks that two scores of a dataset were measured under the same scoring protocol on the same bytes.
func comparable(dataset, a, b string, x, y artifact.ScoreSummary) error {
	if x.Protocol != y.Protocol {
		of, errX := plan.Canonical(x.Protocol)
		other, errY := plan.Canonical(y.Protocol)
		fields, err := plan.Diff(of, other)
		if err := errors.Join(errX, errY, err); err != nil {
			return err
		}
		return protocol.Invalid("dataset %q: %s; score both under the same one", dataset, score.Differ(fields, a, b))
	}
	if x.Documents != y.Documents || x.ScoredBytes != y.ScoredBytes {
		return protocol.Invalid("dataset %q: model %q has losses for %d bytes of %d documents and model %q for %d of %d; exclude the dataset",
			dataset, a, x.ScoredBytes, x.Documents, b, y.ScoredBytes, y.Documents)
	}
	return nil
}

func (s *Summary) add(m model, scores []artifact.ScoreSummary) {
	row := Row{Model: m.Name, ByDataset: []float64{}}
	if m.Parameters > 0 {
		row.Parameters = &m.Parameters
	}
	var sum artifact.ScoreSummary
	for _, score := range scores {
		sum.Documents += score.Documents
		sum.ScoredBytes += score.ScoredBytes
		sum.ScoredTokens += score.ScoredTokens
		sum.Words += score.Words
		sum.Ledger.Span += score.Nats
		row.ByDataset = append(row.ByDataset, score.BPB)
	}
	sum.Finish()
	row.Tokens, row.Nats, row.BPB, row.Perplexity = sum.ScoredTokens, sum.Nats, sum.BPB, sum.Perplexity
	s.Rows = append(s.Rows, row)
	s.Documents, s.ScoredBytes = sum.Documents, sum.ScoredBytes
}

var heads = []string{"model", "parameters", "bits per byte", "perplexity per token", "perplexity per word", "perplexity per byte"}

// cells returns the cells of a row, for the report and the terminal.
func (r Row) cells() []string {
	cells := []string{r.Model, "-", fmt.Sprintf("%.4f", r.BPB)}
	if r.Parameters != nil {
		cells[1] = strconv.FormatInt(*r.Parameters, 10)
	}
	for _, p := range []*float64{r.Perplexity.PerToken, r.Perplexity.PerWord, r.Perplexity.PerByte} {
		cell := "-"
		if p != nil {
			cell = fmt.Sprintf("%.4g", *p)
		}
		cells = append(cells, cell)
	}
	return cells
}

func (s *Summary) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Scaling\n\nOver %d scored bytes of %d documents in %d datasets; every model was scored on the same bytes under the same scoring protocol. "+
		"Bits per byte and perplexities are ratios of sums.\n\n", s.ScoredBytes, s.Documents, len(s.Datasets))
	for _, d := range s.ComputedDifferences {
		fmt.Fprintf(&b, "- Computed by different hardware or software: %s\n", protocol.Visible(d))
	}
	if len(s.ComputedDifferences) > 0 {
		b.WriteString("\n")
	}
	row := func(cells []string) {
		for i, cell := range cells {
			cells[i] = strings.ReplaceAll(protocol.Visible(cell), "|", `\|`)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	row(slices.Clone(heads))
	b.WriteString(strings.Repeat("| --- ", len(heads)) + "|\n")
	for _, r := range s.Rows {
		row(r.cells())
	}
	if len(s.Datasets) > 1 {
		b.WriteString("\n## Bits per byte by dataset\n\n")
		models := []string{"dataset"}
		for _, r := range s.Rows {
			models = append(models, r.Model)
		}
		row(models)
		b.WriteString(strings.Repeat("| --- ", len(models)) + "|\n")
		for i, dataset := range s.Datasets {
			cells := []string{dataset}
			for _, r := range s.Rows {
				cells = append(cells, fmt.Sprintf("%.4f", r.ByDataset[i]))
			}
			row(cells)
		}
	}
	return protocol.TextWithoutCommands(b.String())
}

func (s *Summary) writeCSV(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := csv.NewWriter(f)
	records := [][]string{{"model", "parameters", "scored_tokens", "nats", "bpb", "perplexity_per_token", "perplexity_per_word", "perplexity_per_byte"}}
	for _, r := range s.Rows {
		parameters := ""
		if r.Parameters != nil {
			parameters = strconv.FormatInt(*r.Parameters, 10)
		}
		records = append(records, []string{
			r.Model, parameters, strconv.FormatInt(r.Tokens, 10), float(&r.Nats), float(&r.BPB),
			float(r.Perplexity.PerToken), float(r.Perplexity.PerWord), float(r.Perplexity.PerByte),
		})
	}
	return w.WriteAll(records)
}

func float(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'g', -1, 64)
}
