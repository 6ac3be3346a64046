package activations

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"time"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Work implements action.Kind.
func (Kind) Work(ctx context.Context, t *action.Task) (result action.Result, err error) {
	var p parameters
	var counts artifact.Counts
	countsPath, errCounts := t.Input("documents/" + artifact.CountsFile)
	documents, errDocuments := t.Input("documents/" + artifact.DocumentsFile)
	if err := errors.Join(errCounts, errDocuments, t.Parameters(&p)); err != nil {
		return result, err
	}
	if err := artifact.ReadJSON(countsPath, &counts); err != nil {
		return result, err
	}
	model, release, err := score.Load(ctx, t, p.ModelParameters)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, release()) }()
	loaded := model.Describe()
	length := p.Settings.Range.To
	if limit := loaded.ContextLimit; limit > 0 && length > limit {
		return result, protocol.Invalid("sequences have %d tokens, and the model reads at most %d; set sequenceLength to %d or less", length, limit, limit)
	}
	settings, err := p.Settings.Resolve(loaded.ContextLimit)
	if err != nil {
		return result, err
	}
	if len(loaded.Sites) == 0 {
		settings.ActivationThreshold = 0
	}
	size, err := score.SizeOf(ctx, t, p.ModelParameters, p.Settings)
	if err != nil {
		return result, err
	}
	o := &observer{task: t, model: model, loaded: loaded, settings: settings, documents: documents, parseSpecial: p.ParseSpecial}
	o.summary = Summary{
		SequenceLength: length, Threshold: p.Settings.ActivationThreshold, Sites: append([]string{}, loaded.Sites...),
		HiddenSize: loaded.HiddenSize, Model: size, Parameters: t.Descriptor.Parameters, Computed: score.Computed(loaded),
		Protocol: artifact.ScoringProtocol{
			Prefix: settings.Prefix, Context: length, Stride: length, Anchor: settings.Anchor, Dtype: loaded.Dtype,
			Arithmetic: loaded.Arithmetic, Truncation: p.Truncation, Span: artifact.SpanEven,
		},
	}
	started := time.Now()
	if err := o.run(ctx); err != nil {
		return result, err
	}
	s := &o.summary
	if s.Documents != counts.Documents {
		return result, fmt.Errorf("the backend returned results for %d of %d documents", s.Documents, counts.Documents)
	}
	s.finish()
	seconds := max(time.Since(started).Seconds(), math.SmallestNonzeroFloat64)
	return action.Result{
		Files: Files(),
		Measured: map[string]float64{
			plan.MeasuredDocuments: float64(s.Documents), plan.MeasuredBytes: float64(s.Bytes), plan.MeasuredTokens: float64(s.Tokens),
			"tokensPerSecond": float64(s.Tokens) / seconds,
		},
		Computed: s.Computed,
	}, artifact.WriteJSON(t.Path(artifact.SummaryFile), s)
}

// finish computes the ratios.
func (s *Summary) finish() {
	s.BPB = artifact.BitsPerByte(s.Nats, s.ScoredBytes)
	if p := math.Exp(s.Nats / float64(s.Predicted)); s.Predicted > 0 && !math.IsInf(p, 0) {
		s.Perplexity = &p
	}
}

// observer observes a model.
type observer struct {
	task         *action.Task
	model        action.Model
	loaded       protocol.LoadedModel
	settings     protocol.Settings
	documents    string
	parseSpecial bool
	summary      Summary
	sequences    *artifact.Writer[artifact.ActivationSequence]
	dimensions   *artifact.Writer[artifact.ActivationDimension]
}

// run writes the tables.
func (o *observer) run(ctx context.Context) (err error) {
	var files []*os.File
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	for _, name := range []string{artifact.SequencesFile, artifact.DimensionsFile} {
		f, err := os.Create(o.task.Path(name))
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	o.sequences, o.dimensions = artifact.NewActivationSequenceWriter(files[0]), artifact.NewActivationDimensionWriter(files[1])
	if err := o.model.Score(ctx, o.settings, o.read(), o.add); err != nil {
		if protocol.KindOf(err) == protocol.OutOfMemory {
			err = fmt.Errorf("a single sequence does not fit (lower sequenceLength, or use a device with more memory): %w", err)
		}
		return err
	}
	return errors.Join(o.sequences.Close(), o.dimensions.Close())
}

// read yields the documents. The whole of a document is scored, whatever its scored span.
func (o *observer) read() iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		for d, err := range artifact.ReadDocuments([]string{o.documents}, func(protocol.Document) {}) {
			d.ScoreStart, d.ScoreEnd, d.ParseSpecial = 0, int32(len(d.Text)), o.parseSpecial
			// For messages only: no table contains it.
			d.Dataset = o.task.Labels.Dataset
			if !yield(d, err) {
				return
			}
		}
	}
}

// add writes what was observed of a document.
func (o *observer) add(d protocol.Document, answer protocol.ScoredDocument) error {
	ledger, err := protocol.Account(d, answer, o.loaded)
	if err != nil {
		return err
	}
	a, s := answer.Activations, &o.summary
	row := artifact.ActivationSequence{
		Shard: d.Shard, Row: d.Row, Tokens: min(int64(len(answer.TokenIDs)), o.settings.Range.To), Predicted: score.CountScored(d, answer),
		Nats: ledger.Tokens, ScoredBytes: ledger.ScoredBytes, Positions: a.Positions,
		SiteLargest: make([]float64, len(a.Sites)), SiteMedian: make([]float64, len(a.Sites)),
	}
	for i, site := range a.Sites {
		row.SiteLargest[i], row.SiteMedian[i] = float64(site.Largest), float64(site.Median)
	}
	if err := o.sequences.Write(row); err != nil {
		return err
	}
	for _, of := range a.Dimensions {
		if err := o.dimensions.Write(artifact.ActivationDimension{
			Sequence: s.Documents, Dimension: of.Dimension, Sites: of.Sites, Positions: of.Positions, Largest: float64(of.Largest),
		}); err != nil {
			return err
		}
	}
	s.Add(&row)
	s.Documents++
	s.Bytes += int64(len(d.Text))
	s.Hits += int64(len(a.Dimensions))
	if s.UnscoredBytes == nil && len(ledger.UnscoredBytes) > 0 {
		s.UnscoredBytes = map[string]int64{}
	}
	for reason, n := range ledger.UnscoredBytes {
		s.UnscoredBytes[reason] += n
	}
	o.task.Advance(action.Progress{
		Documents: 1, Bytes: int64(len(d.Text)), Tokens: row.Tokens, Nats: row.Nats, ScoredBytes: row.ScoredBytes,
	})
	return nil
}
