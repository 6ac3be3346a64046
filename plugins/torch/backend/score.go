//go:build torch

package backend

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/decoder"
	"surprisal.dev/plugins/torch/tensor"
	"surprisal.dev/plugins/torch/tokenizer"
)

// groupBytes is about how much text is tokenised at a time.
const groupBytes = 1 << 18

// model is a loaded model.
type model struct {
	config       config
	architecture checkpoint.Architecture
	tokenizer    *tokenizer.Tokenizer
	heap         *tensor.Heap
	weights      int64 // the tensors that exist when nothing is computed
	prefix, end  special

	computing *sync.Mutex // guards the decoder and budget
	decoder   *decoder.Decoder
	budget    int // tokens a batch
}

func (m *model) Describe() protocol.LoadedModel {
	return protocol.LoadedModel{
		ContextLimit: int64(m.architecture.Context), VocabularySize: int64(m.architecture.Vocabulary),
		Device: m.config.Device, Dtype: m.config.Dtype,
	}
}

func (m *model) Close() error {
	m.computing.Lock()
	defer m.computing.Unlock()
	m.tokenizer.Close()
	return m.decoder.Close()
}

// group is some documents, tokenised.
type group struct {
	documents []protocol.Document
	answers   []protocol.ScoredDocument
	windows   []window
	err       error
}

// window is a part of a document that the model sees at once.
type window struct {
	document int
	sequence decoder.Sequence
	// score is the document's token whose loss comes first.
	score int
}

// Score scores groups of documents, in order. The next group is tokenised while the model computes.
func (m *model) Score(ctx context.Context, s protocol.Settings, documents iter.Seq2[protocol.Document, error],
	emit func(protocol.ScoredDocument) error) error {
	s, err := s.Resolve(int64(m.architecture.Context))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	groups := make(chan group)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(groups)
		m.read(ctx, s, documents, groups)
	})
	defer reader.Wait()
	defer cancel()
	for g := range groups {
		if g.err != nil {
			return g.err
		}
		if err := m.scoreGroup(ctx, s, g); err != nil {
			return err
		}
		for _, answer := range g.answers {
			if err := emit(answer); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// read sends the documents in groups, and an error as the last one.
func (m *model) read(ctx context.Context, s protocol.Settings, documents iter.Seq2[protocol.Document, error], to chan<- group) {
	send := func(g group) bool {
		select {
		case to <- g:
			return g.err == nil
		case <-ctx.Done():
			return false
		}
	}
	var waiting []protocol.Document
	bytes := 0
	for d, err := range documents {
		if err != nil {
			send(group{err: err})
			return
		}
		waiting = append(waiting, d)
		if bytes += len(d.Text); bytes < groupBytes {
			continue
		}
		if !send(m.tokenise(s, waiting)) {
			return
		}
		waiting, bytes = nil, 0
	}
	if len(waiting) > 0 {
		send(m.tokenise(s, waiting))
	}
}

// tokenise cuts documents into tokens and these into windows.
func (m *model) tokenise(s protocol.Settings, documents []protocol.Document) group {
	g := group{documents: documents, answers: make([]protocol.ScoredDocument, len(documents))}
	for _, special := range []bool{false, true} {
		var texts [][]byte
		var places []int
		for i, d := range documents {
			if d.ParseSpecial == special {
				texts, places = append(texts, []byte(d.Text)), append(places, i)
			}
		}
		if len(texts) == 0 {
			continue
		}
		encodings, err := m.tokenizer.Encode(texts, special)
		if err != nil {
			return group{err: err}
		}
		for j, e := range encodings {
			if err := m.cut(&g, s, places[j], e); err != nil {
				return group{err: err}
			}
		}
	}
	return g
}

func (m *model) cut(g *group, s protocol.Settings, i int, e tokenizer.Encoding) error {
	d := g.documents[i]
	answer := protocol.ScoredDocument{
		Index: d.Index, TokenIDs: e.IDs, TokenStarts: e.Starts, TokenEnds: e.Ends, TokenNLL: make([]float64, len(e.IDs)),
	}
	for _, u := range e.Unscored {
		answer.Unscored = append(answer.Unscored, protocol.Unscored{Start: u.Start, End: u.End, Reason: protocol.ReasonNoToken})
	}
	ids, starts := e.IDs, e.Starts
	if s.EOS {
		end, err := m.end.need("end-of-text", "turn scoring.eos off")
		if err != nil {
			return err
		}
		ids, starts = append(slices.Clone(ids), end), append(slices.Clone(starts), int32(len(d.Text)))
	}
	for w := range s.Windows(starts) {
		x := window{document: i, score: w.Score}
		if s.Prefix == protocol.PrefixBOS || s.Prefix == protocol.PrefixFirst && w.Start == 0 {
			prefix, err := m.prefix.need("beginning-of-text or end-of-text", `use scoring.prefix: "none"`)
			if err != nil {
				return err
			}
			x.sequence.Tokens = append(x.sequence.Tokens, prefix)
		}
		x.sequence.From = len(x.sequence.Tokens) + w.Score - w.Start
		x.sequence.Tokens = append(x.sequence.Tokens, ids[w.Start:w.End]...)
		if x.sequence.From == 0 {
			// The document's first token follows nothing.
			x.sequence.From, x.score = 1, 1
			if len(e.IDs) > 0 && e.Ends[0] > e.Starts[0] {
				answer.Unscored = append(answer.Unscored, protocol.Unscored{Start: e.Starts[0], End: e.Ends[0], Reason: protocol.ReasonNoContext})
				slices.SortFunc(answer.Unscored, func(a, b protocol.Unscored) int { return int(a.Start) - int(b.Start) })
			}
		}
		g.windows = append(g.windows, x)
	}
	g.answers[i] = answer
	return nil
}

// scoreGroup fills the answers. Windows of about the same length share a batch, the longest first: what does not fit shows
// at once.
func (m *model) scoreGroup(ctx context.Context, s protocol.Settings, g group) error {
	slices.SortStableFunc(g.windows, func(a, b window) int { return b.sequence.Read() - a.sequence.Read() })
	for rest := g.windows; len(rest) > 0; {
		n, losses, err := m.batch(ctx, rest)
		if err != nil {
			return err
		}
		for _, w := range rest[:n] {
			if losses, err = g.take(w, losses, s); err != nil {
				return err
			}
		}
		rest = rest[n:]
	}
	for i := range g.answers {
		a := &g.answers[i]
		for _, nll := range a.TokenNLL {
			a.TotalNLL += nll
		}
		a.TotalNLL += a.EOSNLL
	}
	return nil
}

// batch computes as many of the windows as fit the budget, at least one.
func (m *model) batch(ctx context.Context, windows []window) (int, []float64, error) {
	m.computing.Lock()
	defer m.computing.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		var sequences []decoder.Sequence
		tokens := 0
		for _, w := range windows {
			if tokens += w.sequence.Read(); tokens > m.budget && len(sequences) > 0 {
				break
			}
			sequences = append(sequences, w.sequence)
		}
		losses, err := m.decoder.Losses(ctx, sequences)
		if !errors.Is(err, tensor.ErrMemory) {
			return len(sequences), losses, err
		}
		if len(sequences) == 1 {
			return 0, nil, sdk.OutOfMemory("a window of %d tokens does not fit: %v", len(sequences[0].Tokens), err)
		}
		m.budget /= 2
		hclog.FromContext(ctx).Warn("out of memory; computing fewer tokens at a time", "tokens", m.budget, "error", err)
	}
}

// take moves a window's losses to its document and returns the others.
func (g *group) take(w window, losses []float64, s protocol.Settings) ([]float64, error) {
	answer, d := &g.answers[w.document], g.documents[w.document]
	n := len(w.sequence.Tokens) - w.sequence.From
	for i, loss := range losses[:n] {
		token := w.score + i
		at := int32(len(d.Text))
		if token < len(answer.TokenNLL) {
			at = answer.TokenStarts[token]
		}
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return nil, sdk.Invalid("%s has the loss %v, which is not finite; the weights or the tokenizer may not match the model",
				position(d, token, at), loss)
		}
		// A difference of nearly equal sums may fall below 0 by rounding.
		loss = max(loss, 0)
		if token < len(answer.TokenNLL) {
			answer.TokenNLL[token] = loss
		} else if s.EOS {
			answer.EOSNLL = loss
		}
	}
	return losses[n:], nil
}
