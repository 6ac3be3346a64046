//go:build torch

package backend

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/decoder"
	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
	"surprisal.dev/plugins/torch/tokenizer"
)

// groupBytes is the approximate amount of text that is tokenized at a time.
const groupBytes = 1 << 15

// model is a loaded model.
type model struct {
	config       config
	architecture graph.Architecture
	tokenizer    *tokenizer.Tokenizer
	heap         *tensor.Heap
	weights      int64 // the number of tensors that exist between computations
	prefix, end  special
	sites        []string

	decoder   predictor
	processor *decoder.Processor
	batches   atomic.Int64 // computed at a time by a call
	budget    atomic.Int64 // tokens per batch
	halvings  atomic.Int64 // protocol.Model.Halvings until the first batch
}

func (m *model) Describe() protocol.LoadedModel {
	arithmetic := ""
	if m.config.Dtype != "float32" {
		// Activations and sums over ranks are rounded to 8 bits: another kernel or another order changes losses by as much
		// as the type itself.
		kind, _, _ := strings.Cut(m.config.Device, ":")
		arithmetic = fmt.Sprintf("%s, ranks: %d", kind, m.config.TensorParallel)
	}
	hidden := m.architecture.Hidden
	if len(m.sites) == 0 {
		hidden = 0
	}
	return protocol.LoadedModel{
		Sites: m.sites, HiddenSize: int64(hidden),
		ContextLimit: int64(m.architecture.Context), VocabularySize: int64(m.architecture.Vocabulary),
		Device: m.config.Device, Dtype: m.config.Dtype,
		Computed: map[string]string{
			"device": m.config.Device, "ranks": strconv.Itoa(m.config.TensorParallel), "architecture": runtime.GOARCH,
			"instructions": tensor.Capability(), "libtorch": tensor.Version(),
		},
		Arithmetic: arithmetic,
	}
}

// TokenTexts implements sdk.TokenNamer.
func (m *model) TokenTexts(_ context.Context, ids []int32) ([][]byte, error) {
	texts := make([][]byte, len(ids))
	for i, id := range ids {
		texts[i] = m.tokenizer.Text(id)
	}
	return texts, nil
}

func (m *model) Close() error {
	m.tokenizer.Close()
	return m.decoder.Close()
}

// predictor is a *decoder.Decoder.
type predictor interface {
	Predict(ctx context.Context, sequences []decoder.Sequence, request decoder.Request) (decoder.Predictions, error)
	Shares(request decoder.Request) bool
	Close() error
}

// documentBatch is a batch of tokenized documents.
type documentBatch struct {
	documents []*pendingDocument
	err       error
}

// pendingDocument is a document that has no complete answer yet.
type pendingDocument struct {
	document protocol.Document
	answer   protocol.ScoredDocument
	// tokens are the document's tokens, plus the end-of-text token if it is scored. prefix is the prefix token, if any
	// window has one.
	tokens  []int32
	prefix  int32
	windows []window
	// left is the number of windows without losses.
	left int
}

// window is a part of a document that the model sees at once: the tokens [start, end). With a small stride a document
// has as many windows as tokens.
type window struct {
	of         *pendingDocument
	start, end int
	// score is the first token whose loss is computed.
	score int
	// prefixed is true if the prefix token precedes the window's tokens.
	prefixed bool
}

// read returns how many tokens the model reads.
func (w window) read() int {
	if w.prefixed {
		return w.end - w.start
	}
	return w.end - w.start - 1
}

func (w window) sequence() decoder.Sequence {
	tokens := w.of.tokens[w.start:w.end]
	if !w.prefixed {
		return decoder.Sequence{Tokens: tokens, From: w.score - w.start}
	}
	return decoder.Sequence{Tokens: append([]int32{w.of.prefix}, tokens...), From: w.score - w.start + 1}
}

// Score answers documents in order, each as soon as its last window is computed. If this process ends, the caller can
// therefore resume after the last answer. The next documents are tokenized while the model computes.
func (m *model) Score(ctx context.Context, s protocol.Settings, documents sdk.Documents,
	emit func(protocol.ScoredDocument) error) error {
	s, err := s.Resolve(int64(m.architecture.Context))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	groups := make(chan documentBatch)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(groups)
		m.read(ctx, s, documents, groups)
	})
	defer reader.Wait()
	c := m.newComputation(s, emit)
	defer c.running.Wait()
	defer cancel()
	return c.all(ctx, groups)
}

// queue holds the documents that were read and not answered yet.
type queue struct {
	emit      func(protocol.ScoredDocument) error
	documents []*pendingDocument
	windows   []window
}

func (q *queue) add(documents []*pendingDocument) {
	for _, t := range documents {
		t.left = len(t.windows)
		q.windows = append(q.windows, t.windows...)
	}
	q.documents = append(q.documents, documents...)
}

// next removes the first windows.
func (q *queue) next(n int) []window {
	windows := slices.Clone(q.windows[:n])
	clear(q.windows[:n])
	q.windows = q.windows[n:]
	return windows
}

// take moves the predictions of a batch to the documents of its windows.
func (q *queue) take(c computed) error {
	if c.err != nil {
		return c.err
	}
	windows := c.windows
	for _, p := range c.parts {
		from := 0
		for i, w := range windows[:p.windows] {
			if err := w.take(p.Predictions, from); err != nil {
				return err
			}
			if len(p.Activations) > 0 {
				w.of.answer.Activations.Add(p.Activations[i])
			}
			w.of.answer.SharedTokens += int64(p.shared[i])
			from += w.end - w.score
			w.of.left--
		}
		windows = windows[p.windows:]
	}
	return nil
}

// flush answers the documents that are complete.
func (q *queue) flush() error {
	for len(q.documents) > 0 && q.documents[0].left == 0 {
		a := q.documents[0].answer
		for _, nll := range a.TokenNLL {
			a.TotalNLL += nll
		}
		a.TotalNLL += a.EOSNLL
		if err := q.emit(a); err != nil {
			return err
		}
		q.documents[0] = nil
		q.documents = q.documents[1:]
	}
	return nil
}

// read sends the documents in batches. It sends an error last.
func (m *model) read(ctx context.Context, s protocol.Settings, documents sdk.Documents, to chan<- documentBatch) {
	send := func(g documentBatch) bool {
		select {
		case to <- g:
			return g.err == nil
		case <-ctx.Done():
			return false
		}
	}
	var waiting []protocol.Document
	bytes := 0
	for d, err := range documents(ctx) {
		if err != nil {
			send(documentBatch{err: err})
			return
		}
		waiting = append(waiting, d)
		if bytes += len(d.Text); bytes < groupBytes {
			continue
		}
		if !send(m.tokenize(s, waiting)) {
			return
		}
		waiting, bytes = nil, 0
	}
	if len(waiting) > 0 {
		send(m.tokenize(s, waiting))
	}
}

// tokenize splits documents into tokens and the tokens into windows.
func (m *model) tokenize(s protocol.Settings, documents []protocol.Document) documentBatch {
	g := documentBatch{documents: make([]*pendingDocument, len(documents))}
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
			return documentBatch{err: err}
		}
		for j, e := range encodings {
			if g.documents[places[j]], err = m.split(documents[places[j]], s, e); err != nil {
				return documentBatch{err: err}
			}
		}
	}
	return g
}

func (m *model) split(d protocol.Document, s protocol.Settings, e tokenizer.Encoding) (*pendingDocument, error) {
	n := s.Range.Cut(len(e.IDs))
	e.IDs, e.Starts, e.Ends = e.IDs[:n], e.Starts[:n], e.Ends[:n]
	t := &pendingDocument{document: d, answer: protocol.ScoredDocument{
		Index: d.Index, TokenIDs: e.IDs, TokenStarts: e.Starts, TokenEnds: e.Ends, TokenNLL: make([]float64, len(e.IDs)),
	}}
	if s.Confidence {
		t.answer.Confidence = protocol.Confidence{
			Top: make([]int32, n), TopNLL: make([]float64, n), Ranks: make([]int32, n), Entropies: make([]float64, n),
		}
	}
	if s.TopK > 0 {
		t.answer.Confidence.TopKMass = make([]float64, n)
	}
	if s.ActivationThreshold > 0 {
		t.answer.Activations.Sites = make([]protocol.SiteActivations, len(m.sites))
	}
	unscored := &t.answer.Unscored
	for _, u := range e.Unscored {
		*unscored = append(*unscored, protocol.Unscored{Start: u.Start, End: u.End, Reason: protocol.ReasonNoToken})
	}
	*unscored = s.Range.Unscored(e.Starts, e.Ends, int32(len(d.Text)), *unscored)
	ids, starts := e.IDs, e.Starts
	if s.EOS {
		end, err := m.end.need("end-of-text", "set scoring.eos: false")
		if err != nil {
			return nil, err
		}
		ids, starts = append(slices.Clone(ids), end), append(slices.Clone(starts), int32(len(d.Text)))
	}
	t.tokens = ids
	if err := m.known(ids); err != nil {
		return nil, sdk.Invalid("%v: %v", d, err)
	}
	for w := range s.Windows(starts) {
		x := window{of: t, start: w.Start, end: w.End, score: w.Score}
		if s.Prefix == protocol.PrefixBOS || s.Prefix == protocol.PrefixFirst && w.Start == int(s.Range.From) {
			prefix, err := m.prefix.need("beginning-of-text or end-of-text", `use scoring.prefix: "none"`)
			if err != nil {
				return nil, err
			}
			t.prefix, x.prefixed = prefix, true
		}
		if n := x.read(); n > m.architecture.Context {
			return nil, sdk.Invalid("%s: a window of %d bytes has %d tokens, which exceeds the model's maximum of %d; lower scoring.context",
				position(d, w.Start, starts[w.Start]), s.Context, n, m.architecture.Context)
		}
		if !x.prefixed && x.score == x.start {
			// No token precedes the first token that is read.
			x.score++
			t.answer.Unscored = withoutContext(e, w.Start, int32(len(d.Text)), t.answer.Unscored)
		}
		t.windows = append(t.windows, x)
	}
	return t, nil
}

// known returns an error if the model has no weights for one of the tokens.
func (m *model) known(ids []int32) error {
	for _, id := range ids {
		if n := m.architecture.Vocabulary; id < 0 || int(id) >= n {
			return fmt.Errorf("the tokenizer has token %d, but the model has tokens 0 to %d; use the tokenizer of this model", id, n-1)
		}
	}
	return nil
}

// withoutContext adds a token of a text of length bytes to the unscored ranges. After the last it is the end-of-text
// token.
func withoutContext(e tokenizer.Encoding, token int, length int32, unscored []protocol.Unscored) []protocol.Unscored {
	first := protocol.Unscored{Start: length, End: length, Reason: protocol.ReasonNoContext}
	if token < len(e.IDs) {
		first.Start, first.End = e.Starts[token], e.Ends[token]
		if first.Start == first.End {
			return unscored
		}
	}
	unscored = append(unscored, first)
	slices.SortFunc(unscored, func(a, b protocol.Unscored) int { return int(a.Start) - int(b.Start) })
	return unscored
}
