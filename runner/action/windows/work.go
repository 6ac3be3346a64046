package windows

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"slices"
	"time"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Summary is summary.json of a part.
type Summary struct {
	// Windows counts the windows with a row, Skipped the cursors at which there are too few tokens.
	Windows int64 `json:"windows"`
	Skipped int64 `json:"skipped"`
	// AtEnd counts those of Skipped whose slice ends with the text: a longer slice has no more tokens.
	AtEnd int64 `json:"skippedAtEnd"`
	// Prefix is "bos": a token of the beginning of text precedes the prompt, or the suffix without it.
	Prefix string `json:"prefix"`
	// Dtype and Arithmetic are those of the loaded model. They are empty if the part has no windows.
	Dtype      string            `json:"dtype"`
	Arithmetic string            `json:"arithmetic,omitempty"`
	Computed   map[string]string `json:"computed,omitempty"`
}

// Work implements action.Kind.
func (Kind) Work(ctx context.Context, t *action.Task) (result action.Result, err error) {
	s := &scorer{task: t, summary: Summary{Prefix: protocol.PrefixBOS}}
	if err := t.Parameters(&s.parameters); err != nil {
		return result, err
	}
	started := time.Now()
	if err := s.write(ctx); err != nil {
		if protocol.KindOf(err) == protocol.OutOfMemory {
			err = fmt.Errorf("a single window does not fit (lower chunkTokens, or use a device with more memory): %w", err)
		}
		return result, err
	}
	if err := artifact.WriteJSON(t.Path(artifact.SummaryFile), s.summary); err != nil {
		return result, err
	}
	seconds := max(time.Since(started).Seconds(), math.SmallestNonzeroFloat64)
	return action.Result{
		Files: slices.Clone(partFiles),
		Measured: map[string]float64{
			plan.MeasuredDocuments: float64(s.summary.Windows + s.summary.Skipped), plan.MeasuredBytes: float64(s.bytes),
			plan.MeasuredTokens: float64(s.tokens), "windowsPerSecond": float64(s.summary.Windows) / seconds,
		},
		Computed: s.summary.Computed,
	}, nil
}

// scorer scores the windows of a part.
type scorer struct {
	parameters
	task    *action.Task
	summary Summary
	// model is nil before the first window.
	model  action.Model
	loaded protocol.LoadedModel
	out    *artifact.WindowWriter
	block  []window
	// held is the size of the documents of the block in bytes, which its texts keep in memory.
	held int
	// bytes and tokens are those that the model has read in both passes.
	bytes, tokens int64
}

// window is a window before and after it is scored.
type window struct {
	artifact.Window
	shard    string
	shardRow int64
	text     string
	// atEnd means that the text of the slice ends with that of the document.
	atEnd     bool
	dataset   string
	completed bool
}

// write writes the table of windows.
func (s *scorer) write(ctx context.Context) (err error) {
	f, err := os.Create(s.task.Path(artifact.WindowsFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s.out = artifact.NewWindowWriter(f)
	release := func() error { return nil }
	defer func() { err = errors.Join(err, release()) }()
	load := func() error {
		if s.model != nil {
			return nil
		}
		model, done, err := score.Load(ctx, s.task, s.ModelParameters)
		if err != nil {
			return err
		}
		s.model, s.loaded, release = model, model.Describe(), done
		return s.describe()
	}
	if err := s.read(ctx, load); err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	return s.out.Close()
}

// describe checks the limit of the loaded model and records how it computes.
func (s *scorer) describe() error {
	if limit := s.loaded.ContextLimit; limit > 0 && s.Slicing.ChunkTokens > limit {
		return protocol.Invalid("chunkTokens %d exceeds the model's maximum of %d tokens; lower it", s.Slicing.ChunkTokens, limit)
	}
	s.summary.Dtype, s.summary.Arithmetic = s.loaded.Dtype, s.loaded.Arithmetic
	s.summary.Computed = score.Computed(s.loaded)
	return nil
}

// read collects the windows of the part in blocks, and scores each block. It calls load before it needs the model.
func (s *scorer) read(ctx context.Context, load func() error) error {
	documents, err := s.task.Input("documents/" + artifact.DocumentsFile)
	if err != nil {
		return err
	}
	var gaps map[int64][]int64
	if s.Refine != nil {
		if gaps, err = bright(s.task, *s.Refine, s.Slicing); err != nil || len(gaps) == 0 {
			return err
		}
	}
	base := int64(0)
	for d, err := range artifact.ReadDocuments([]string{documents}, func(protocol.Document) {}) {
		if err != nil || s.Part.endsBy(base) {
			return err
		}
		characters := int64(utf8.RuneCountInString(d.Text))
		from := base
		if base += characters; base <= s.Part.From || s.Refine != nil && len(gaps[d.Index]) == 0 {
			continue
		}
		d.Dataset = s.task.Labels.Dataset // for messages only
		if err := load(); err != nil {
			return err
		}
		if err := s.readDocument(ctx, d, from, gaps[d.Index]); err != nil {
			return err
		}
	}
	return nil
}

// readDocument adds the windows of a document that begins at the character base of the dataset.
func (s *scorer) readDocument(ctx context.Context, d protocol.Document, base int64, gaps []int64) error {
	l := line{text: d.Text, tokens: s.Slicing.CursorUnit == UnitTokens}
	if l.tokens {
		var err error
		if l.starts, err = s.tokenStarts(ctx, d); err != nil {
			return err
		}
	}
	cursors := every(s.Slicing.CursorInc)
	if s.Refine != nil {
		cursors = between(l.within(s.Part, base, gaps), s.Slicing.CursorInc, s.Refine.Stride)
	}
	for p, text := range texts(d.Text, s.Slicing.SliceLength, l.positions(cursors)) {
		if s.Refine == nil && !s.Part.has(base+p.character) {
			if s.Part.endsBy(base + p.character) {
				return nil
			}
			continue
		}
		s.block = append(s.block, window{
			Window: artifact.Window{Document: d.Index, Cursor: p.cursor, Start: p.character},
			text:   text, atEnd: p.byte+int64(len(text)) == int64(len(d.Text)), shard: d.Shard, shardRow: d.Row, dataset: d.Dataset,
		})
		if len(s.block) >= s.blockWindows() {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
	if s.held += len(d.Text); s.held >= mostHeld {
		return s.flush(ctx)
	}
	return nil
}

// tokenStarts returns the first byte of each token of a document.
func (s *scorer) tokenStarts(ctx context.Context, d protocol.Document) (starts []int32, err error) {
	d.Index, d.ScoreStart, d.ScoreEnd = 0, 0, int32(len(d.Text))
	settings, err := tokenizing().Resolve(s.loaded.ContextLimit)
	if err != nil {
		return nil, err
	}
	one := func(yield func(protocol.Document, error) bool) { yield(d, nil) }
	err = s.model.Score(ctx, settings, one, func(_ protocol.Document, answer protocol.ScoredDocument) error {
		starts = answer.TokenStarts
		return nil
	})
	return starts, err
}

// Limits of a block.
const (
	mostWindows = 1024
	mostTokens  = 1 << 18
	// mostHeld bounds the documents of a block in bytes, except for the last.
	mostHeld = 8 << 20
)

// blockWindows is the number of windows of a block. Its rows are in memory.
func (s *scorer) blockWindows() int {
	return int(max(min(mostWindows, mostTokens/s.Slicing.ChunkTokens), 1))
}

// flush scores the windows of the block and writes their rows.
func (s *scorer) flush(ctx context.Context) error {
	if len(s.block) == 0 {
		return nil
	}
	for _, pass := range []pass{
		{s.Slicing.withPrompt(), s.scoreWithPrompt}, {s.Slicing.withoutPrompt(), s.scoreWithoutPrompt},
	} {
		if len(s.block) == 0 {
			break // all are skipped
		}
		settings, err := pass.settings.Resolve(s.loaded.ContextLimit)
		if err != nil {
			return err
		}
		err = s.model.Score(ctx, settings, s.documents(), func(d protocol.Document, answer protocol.ScoredDocument) error {
			if err := pass.take(&s.block[d.Index], answer); err != nil {
				return fmt.Errorf("%v, window at character %d: %w", d, s.block[d.Index].Start, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.block = slices.DeleteFunc(s.block, func(w window) bool { return !w.completed })
	}
	for i := range s.block {
		if err := s.out.Write(s.block[i].Window); err != nil {
			return err
		}
	}
	s.summary.Windows += int64(len(s.block))
	clear(s.block)
	s.block, s.held = s.block[:0], 0
	return nil
}

// pass is a pass over the windows of a block.
type pass struct {
	settings protocol.Settings
	take     func(*window, protocol.ScoredDocument) error
}

// documents yields the texts of the block. The index of each is that in the block.
func (s *scorer) documents() iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		for i, w := range s.block {
			d := protocol.Document{Index: int64(i), Dataset: w.dataset, Shard: w.shard, Row: w.shardRow, Text: w.text, ScoreEnd: int32(len(w.text))}
			if !yield(d, nil) {
				return
			}
		}
	}
}
