package outliers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/activations"
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
	passes, err := readSummaries(t, p)
	if err != nil {
		return action.Result{}, err
	}
	s := &Summary{Datasets: p.Datasets, Definition: p.Definition, Rows: []Row{}, Fits: []Fit{}, Notes: []string{}}
	if err := s.readAll(ctx, t, p, passes); err != nil {
		return action.Result{}, err
	}
	s.note(passes)
	s.fit()
	figures, err := s.draw(t.Dir, p.Figure)
	if err != nil {
		return action.Result{}, err
	}
	err = errors.Join(
		s.writeModels(t.Dir),
		artifact.WriteJSON(t.Path(artifact.SummaryFile), s),
		os.WriteFile(t.Path(reportFile), []byte(s.markdown(figures)), 0o644),
	)
	files := append([]string{reportFile, artifact.SummaryFile, artifact.OutliersFile, perplexityFile, analysisFile}, figures...)
	for _, table := range []string{dimensionsTable, modelsTable, sequencesTable, sitesTable} {
		files = append(files, table+".csv", table+".parquet")
	}
	slices.Sort(files)
	var documents, bytes int64
	for _, of := range passes[0] {
		documents, bytes = documents+of.Documents, bytes+of.Bytes
	}
	return action.Result{
		Files: files, Measured: map[string]float64{plan.MeasuredDocuments: float64(documents), plan.MeasuredBytes: float64(bytes)},
	}, err
}

// readSummaries reads the summaries of the passes, by model and dataset, and checks that models can be compared.
func readSummaries(t *action.Task, p parameters) ([][]activations.Summary, error) {
	all := make([][]activations.Summary, len(p.Models))
	for i, m := range p.Models {
		all[i] = make([]activations.Summary, len(p.Datasets))
		for j, dataset := range p.Datasets {
			path, err := t.Input(side(i) + "/" + dataset + "/" + artifact.SummaryFile)
			if err != nil {
				return nil, err
			}
			of, first := &all[i][j], &all[0][j]
			if err := artifact.ReadJSON(path, of); err != nil {
				return nil, err
			}
			if !slices.Equal(of.Sites, all[i][0].Sites) || of.HiddenSize != all[i][0].HiddenSize {
				return nil, fmt.Errorf("model %q has other sites on dataset %q than on %q; run again", m.Name, dataset, p.Datasets[0])
			}
			if of.Documents != first.Documents || of.Bytes != first.Bytes {
				return nil, protocol.Invalid("dataset %q: model %q read %d documents of %d bytes and model %q %d of %d; exclude the dataset",
					dataset, p.Models[0].Name, first.Documents, first.Bytes, m.Name, of.Documents, of.Bytes)
			}
			if of.Protocol.Prefix != first.Protocol.Prefix || of.Protocol.Truncation != first.Protocol.Truncation {
				return nil, protocol.Invalid("dataset %q: model %q read the prefix %q and documents of at most %d bytes (0: any), and model %q %q and %d; use the same",
					dataset, p.Models[0].Name, first.Protocol.Prefix, first.Protocol.Truncation, m.Name, of.Protocol.Prefix, of.Protocol.Truncation)
			}
		}
	}
	return all, nil
}

// readAll reads the activations of all models, and writes the tables of what they contain.
func (s *Summary) readAll(ctx context.Context, t *action.Task, p parameters, passes [][]activations.Summary) error {
	out, err := createTables(t)
	if err != nil {
		return err
	}
	defer out.abandon()
	computed := make([][]map[string]string, len(p.Models))
	var names []string
	for i, m := range p.Models {
		sum := newTally(p.Definition, passes[i][0].Sites)
		for j, dataset := range p.Datasets {
			if err := readDataset(ctx, t, side(i)+"/"+dataset, m.Name, dataset, &passes[i][j], sum, out); err != nil {
				return fmt.Errorf("model %q, dataset %q: %w", m.Name, dataset, err)
			}
			computed[i] = append(computed[i], passes[i][j].Computed)
		}
		dimensions := sum.finished()
		if err := out.writeModel(m.Name, sum, dimensions); err != nil {
			return err
		}
		s.Rows = append(s.Rows, newRow(m, passes[i][0], sum, dimensions))
		names = append(names, m.Name)
	}
	s.ComputedDifferences = score.ComputedDifferences(names, computed)
	return out.close()
}

// readDataset reads the activations of a model on one dataset.
func readDataset(ctx context.Context, t *action.Task, role, model, dataset string, of *activations.Summary, sum *tally, out *tables) (err error) {
	sequences, errSequences := t.Input(role + "/" + artifact.SequencesFile)
	dimensions, errDimensions := t.Input(role + "/" + artifact.DimensionsFile)
	if err := errors.Join(errSequences, errDimensions); err != nil {
		return err
	}
	r, err := activations.Open(sequences, dimensions, of)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		n, err := sum.add(r, func(o artifact.Outlier) error {
			o.Model, o.Dataset = model, dataset
			return out.occurrences.Write(o)
		})
		if err != nil {
			return err
		}
		if err := out.writeSequence(model, dataset, &r.Sequence, n); err != nil {
			return err
		}
	}
}

// newRow returns the row of a model.
func newRow(m model, of activations.Summary, sum *tally, dimensions []DimensionRow) Row {
	r := Row{
		Model: m.Name, Family: m.Family, HiddenSize: of.HiddenSize, Sites: len(of.Sites), Sequences: sum.n, Sums: sum.sums,
		BPB: artifact.BitsPerByte(sum.sums.Nats, sum.sums.ScoredBytes), Perplexity: perplexity(sum.sums.Nats, sum.sums.Predicted),
		Occurrences: sum.layer.n, Dimensions: int64(len(dimensions)), MeanLayer: sum.layer.mean(), MedianLayer: sum.layer.median(),
		MeanSequence: sum.seq.mean(), MedianSequence: sum.seq.median(), Protocol: of.Protocol,
		Top: dimensions[:min(len(dimensions), topDimensions)],
	}
	if n := of.Model.Parameters; n > 0 {
		r.Parameters = &n
	}
	if r.Sites == 0 {
		r.Problem = "the model has no norms in front of its layers' parts, so that nothing could be observed"
	} else if sum.n > 0 {
		r.Largest = &sum.largest
	}
	return r
}

// perplexity returns exp(nats / tokens), or nil if there is none or it is too large for a float64.
func perplexity(nats float64, tokens int64) *float64 {
	p := math.Exp(nats / float64(tokens))
	if tokens == 0 || math.IsInf(p, 0) {
		return nil
	}
	return &p
}
