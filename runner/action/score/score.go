package score

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/statistics"
)

// Work implements action.Kind.
func (Kind) Work(ctx context.Context, t *action.Task) (result action.Result, err error) {
	var p parameters
	var counts artifact.Counts
	countsPath, err := t.Input("documents/" + artifact.CountsFile)
	if err != nil {
		return result, err
	}
	documents, err := t.Input("documents/" + artifact.DocumentsFile)
	if err != nil {
		return result, err
	}
	if err := errors.Join(t.Parameters(&p), artifact.ReadJSON(countsPath, &counts)); err != nil {
		return result, err
	}
	model, release, err := Load(ctx, t, p.ModelParameters)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, release()) }()
	loaded := model.Describe()
	settings, err := p.Settings.Resolve(loaded.ContextLimit)
	if err != nil {
		return result, err
	}
	size, err := SizeOf(ctx, t, p.ModelParameters, p.Settings)
	if err != nil {
		return result, err
	}
	s := &scorer{
		task: t, model: model, loaded: loaded, settings: settings, documents: documents, parseSpecial: p.ParseSpecial,
		tokens: map[int32]*tokenCount{}, top: map[int32]int64{}, tally: newTally(settings), summary: newSummary(t, loaded, settings, size),
	}
	s.summary.Words, s.summary.Protocol.Truncation = counts.Words, p.Truncation
	started := time.Now()
	if err := s.run(ctx); err != nil {
		if protocol.KindOf(err) == protocol.OutOfMemory {
			err = fmt.Errorf("a single document does not fit (lower limits.bytes or scoring.context, or use a device with more memory): %w", err)
		}
		return result, err
	}
	if s.summary.Documents != counts.Documents {
		return result, fmt.Errorf("the backend returned results for %d of %d documents", s.summary.Documents, counts.Documents)
	}
	seconds := max(time.Since(started).Seconds(), math.SmallestNonzeroFloat64)
	return action.Result{
		Files: s.files(),
		Measured: map[string]float64{
			plan.MeasuredDocuments: float64(s.summary.Documents), plan.MeasuredBytes: float64(s.summary.Bytes),
			plan.MeasuredTokens: float64(s.summary.Tokens), plan.MeasuredShared: float64(s.shared),
			"tokensPerSecond": float64(s.summary.Tokens) / seconds, "bytesPerSecond": float64(s.summary.Bytes) / seconds,
		},
		Computed: s.summary.Computed,
	}, nil
}

// files are the names of the files of the score.
func (s *scorer) files() []string {
	files := []string{
		artifact.LedgerFile, artifact.ScoredFile, artifact.SummaryFile, artifact.TokenCountsFile, artifact.TokenCountsSummaryFile,
	}
	if s.settings.Confidence {
		files = append([]string{artifact.ConfidenceFile}, files...)
	}
	if s.named {
		files = append(files, artifact.TopTokensFile)
	}
	return files
}

// newSummary returns a summary with what is known before scoring, except what depends on the documents.
func newSummary(t *action.Task, loaded protocol.LoadedModel, settings protocol.Settings, size artifact.ModelSize) artifact.ScoreSummary {
	return artifact.ScoreSummary{
		Parameters: t.Descriptor.Parameters, Computed: Computed(loaded),
		Model: size,
		Protocol: artifact.ScoringProtocol{
			Prefix: settings.Prefix, Context: settings.Context, Stride: settings.Stride, Anchor: settings.Anchor,
			EOS: settings.EOS, Dtype: loaded.Dtype, Arithmetic: loaded.Arithmetic, Span: artifact.SpanEven,
		},
	}
}

// Computed describes the hardware and software of a loaded model, at least its device.
func Computed(m protocol.LoadedModel) map[string]string {
	computed := map[string]string{"device": m.Device}
	maps.Copy(computed, m.Computed)
	return computed
}

// scorer scores one dataset.
type scorer struct {
	task         *action.Task
	model        action.Model
	loaded       protocol.LoadedModel
	settings     protocol.Settings
	documents    string
	parseSpecial bool
	summary      artifact.ScoreSummary
	tokens       map[int32]*tokenCount
	// top counts how often a token was the most probable one. named means that the backend told their texts.
	top    map[int32]int64
	named  bool
	tally  *tally
	sample []sampled
	units  statistics.Clusters
	shards statistics.Runs[string]
	// shared counts the tokens that were computed for an earlier document.
	shared int64
}

type tokenCount struct {
	count int64
	text  string
}

type sampled struct {
	document protocol.Document
	scored   protocol.ScoredDocument
}

// tables are the tables of a score that have a row per document. confidence is nil if the backend does not tell it.
type tables struct {
	scored     *artifact.ScoredWriter
	ledger     *artifact.LedgerWriter
	confidence *artifact.ConfidenceWriter
	files      []*os.File
}

func (s *scorer) createTables() (*tables, error) {
	t := &tables{}
	create := func(name string) (io.Writer, error) {
		f, err := os.Create(s.task.Path(name))
		if err != nil {
			return nil, errors.Join(err, t.close())
		}
		t.files = append(t.files, f)
		return f, nil
	}
	w, err := create(artifact.ScoredFile)
	if err != nil {
		return nil, err
	}
	t.scored = artifact.NewScoredWriter(w)
	if w, err = create(artifact.LedgerFile); err != nil {
		return nil, err
	}
	t.ledger = artifact.NewLedgerWriter(w)
	if !s.settings.Confidence {
		return t, nil
	}
	if w, err = create(artifact.ConfidenceFile); err != nil {
		return nil, err
	}
	t.confidence = artifact.NewConfidenceWriter(w)
	return t, nil
}

func (t *tables) write(d protocol.Document, answer protocol.ScoredDocument, ledger protocol.Ledger) error {
	if err := t.scored.Write(scoredRow(d, answer)); err != nil {
		return err
	}
	if err := t.ledger.Write(ledgerRow(d, answer, ledger)); err != nil || t.confidence == nil {
		return err
	}
	c := answer.Confidence
	return t.confidence.Write(artifact.Confidence{
		Shard: d.Shard, Row: d.Row, TopIDs: c.Top, TopNLL: c.TopNLL, Ranks: c.Ranks, Entropies: c.Entropies,
	})
}

// finish writes the footers.
func (t *tables) finish() error {
	err := errors.Join(t.scored.Close(), t.ledger.Close())
	if t.confidence != nil {
		err = errors.Join(err, t.confidence.Close())
	}
	return err
}

func (t *tables) close() (err error) {
	for _, f := range t.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

func (s *scorer) run(ctx context.Context) (err error) {
	t, err := s.createTables()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	err = s.model.Score(ctx, s.settings, s.read(), func(d protocol.Document, answer protocol.ScoredDocument) error {
		ledger, err := protocol.Account(d, answer, s.loaded)
		if err != nil {
			return err
		}
		s.count(d, answer, ledger)
		return t.write(d, answer, ledger)
	})
	if err != nil {
		return err
	}
	if err := t.finish(); err != nil {
		return err
	}
	if err := s.rescore(ctx); err != nil {
		return err
	}
	s.summary.Units, s.summary.Shards = s.units.Sums(), s.shards.Sums()
	s.summary.Finish()
	s.summary.TokenLosses, s.summary.Confidence = s.tally.losses(), s.tally.confidence()
	if err := errors.Join(s.writeTokens(), s.writeTopTokens(ctx)); err != nil {
		return err
	}
	return artifact.WriteJSON(s.task.Path(artifact.SummaryFile), s.summary)
}

func (s *scorer) read() iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		for d, err := range artifact.ReadDocuments([]string{s.documents}, func(protocol.Document) {}) {
			d.ParseSpecial = s.parseSpecial
			// For messages only: no table contains it.
			d.Dataset = s.task.Labels.Dataset
			if !yield(d, err) {
				return
			}
		}
	}
}

func (s *scorer) count(d protocol.Document, answer protocol.ScoredDocument, l protocol.Ledger) {
	t := &s.summary
	t.Documents++
	t.Bytes += int64(len(d.Text))
	t.ScoredBytes += l.ScoredBytes
	t.Tokens += int64(len(answer.TokenIDs))
	s.shared += answer.SharedTokens
	t.Ledger.Add(l)
	s.units.Add(d.Cluster, l.Span/math.Ln2, float64(l.ScoredBytes))
	s.shards.Add(d.Shard, l.Span/math.Ln2, float64(l.ScoredBytes))
	for i, id := range answer.TokenIDs {
		c := s.tokens[id]
		if c == nil {
			// A substring would keep the whole text in memory.
			c = &tokenCount{text: strings.Clone(visible(d.Text[answer.TokenStarts[i]:answer.TokenEnds[i]]))}
			s.tokens[id] = c
		}
		c.count++
	}
	for i, id := range answer.Confidence.Top {
		if answer.Confidence.Ranks[i] > 0 {
			s.top[id]++
		}
	}
	t.ScoredTokens += s.tally.add(d, answer)
	if len(s.sample) < rescoredDocuments && len(d.Text) <= rescoredBytes {
		s.sample = append(s.sample, sampled{d, answer})
	}
	s.task.Advance(action.Progress{
		Documents: 1, Bytes: int64(len(d.Text)), Tokens: int64(len(answer.TokenIDs)), Nats: l.Span, ScoredBytes: l.ScoredBytes,
	})
}

func scoredRow(d protocol.Document, answer protocol.ScoredDocument) artifact.ScoredDocument {
	tokens := answer.Tokens()
	return artifact.ScoredDocument{
		Shard: d.Shard, Row: d.Row, Cluster: d.Cluster, Text: d.Text, ScoreStart: d.ScoreStart, ScoreEnd: d.ScoreEnd, TokenIDs: answer.TokenIDs,
		TokenStarts: tokens.Starts, TokenEnds: tokens.Ends, TokenNLL: tokens.NLL,
		UnscoredStarts: tokens.UnscoredStarts, UnscoredEnds: tokens.UnscoredEnds,
	}
}

func ledgerRow(d protocol.Document, answer protocol.ScoredDocument, l protocol.Ledger) artifact.LedgerRow {
	r := artifact.LedgerRow{
		Shard: d.Shard, Row: d.Row, TokenNats: l.Tokens, SpanNats: l.Span, OutsideNats: l.Outside, EOSNats: l.EOS,
		NoBytesNats: l.NoBytes, ScoredBytes: int32(l.ScoredBytes),
	}
	for _, u := range answer.Unscored {
		r.UnscoredStarts = append(r.UnscoredStarts, u.Start)
		r.UnscoredEnds = append(r.UnscoredEnds, u.End)
		r.UnscoredReasons = append(r.UnscoredReasons, u.Reason)
	}
	return r
}

// The sample for the rescoring difference: a few short documents are enough to detect batch-dependent losses. All but
// the shortest are limited to 1/rescoredShare of the text, so that rescoring costs little.
const (
	rescoredDocuments = 4
	rescoredBytes     = 64 << 10
	rescoredShare     = 128
)

// rescore scores the sample again, alone and the longest first, to measure the rescoring difference. A document that
// was scored alone cannot be rescored in a different batch.
func (s *scorer) rescore(ctx context.Context) error {
	if s.summary.Documents < 2 {
		return nil
	}
	slices.SortStableFunc(s.sample, func(a, b sampled) int { return cmp.Compare(len(a.document.Text), len(b.document.Text)) })
	size := int64(0)
	for i, d := range s.sample {
		if size += int64(len(d.document.Text)); i > 0 && size > s.summary.Bytes/rescoredShare {
			s.sample = s.sample[:i]
			break
		}
	}
	slices.Reverse(s.sample)
	again := func(yield func(protocol.Document, error) bool) {
		for i, d := range s.sample {
			d.document.Index = int64(i)
			if !yield(d.document, nil) {
				return
			}
		}
	}
	difference := &s.summary.Rescoring
	err := s.model.Score(ctx, s.settings, again, func(d protocol.Document, answer protocol.ScoredDocument) error {
		first := s.sample[d.Index].scored
		if !slices.Equal(first.TokenIDs, answer.TokenIDs) {
			return fmt.Errorf("%v: the backend tokenized it differently when it was scored again", d)
		}
		var nats float64
		for i, nll := range answer.TokenNLL {
			delta := nll - first.TokenNLL[i]
			nats += delta
			difference.MaxNatsPerToken = max(difference.MaxNatsPerToken, math.Abs(delta))
		}
		if len(d.Text) > 0 {
			difference.MaxBitsPerByte = max(difference.MaxBitsPerByte, math.Abs(nats)/math.Ln2/float64(len(d.Text)))
		}
		difference.Documents++
		return nil
	})
	if err != nil {
		return fmt.Errorf("measure the rescoring difference: %w", err)
	}
	return nil
}
