package wire

import (
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
)

// Estimates of sizes on the wire, with which a message stays near ChunkBytes.
const (
	// elementBytes is for an element's numbers and field tags.
	elementBytes = 80
	// tokenBytes is for a token: two offsets and an id of up to 5 bytes each, and a loss of 8.
	tokenBytes = 23
	// confidenceBytes is for the confidence of a token: an id and a rank of up to 5 bytes each, and three numbers of 8.
	confidenceBytes = 34
)

// chunk collects elements and sends them whenever they reach ChunkBytes.
type chunk[T any] struct {
	elements []T
	bytes    int
	send     func([]T) error
}

func (c *chunk[T]) add(element T, bytes int) error {
	c.elements = append(c.elements, element)
	c.bytes += bytes
	if c.bytes < ChunkBytes {
		return nil
	}
	return c.Flush()
}

// room is how many more bytes an element of that many bytes may contain before the chunk is full. It is at least 1, so
// that the caller makes progress.
func (c *chunk[T]) room(bytes int) int { return max(ChunkBytes-c.bytes-bytes, 1) }

// Bytes is the approximate size of the data that waits for Flush.
func (c *chunk[T]) Bytes() int { return c.bytes }

// Flush sends the collected elements, if any.
func (c *chunk[T]) Flush() error {
	if len(c.elements) == 0 {
		return nil
	}
	elements := c.elements
	c.elements, c.bytes = nil, 0
	return c.send(elements)
}

// RowWriter splits rows into messages.
type RowWriter struct{ chunk[*pluginpb.Row] }

// NewRowWriter returns a writer that calls send with the rows of each message.
func NewRowWriter(send func([]*pluginpb.Row) error) *RowWriter {
	return &RowWriter{chunk[*pluginpb.Row]{send: send}}
}

// Write adds a row, copying its values.
func (w *RowWriter) Write(r protocol.Row) error {
	part := &pluginpb.Row{Ordinal: r.Ordinal, Shard: r.Shard, Number: r.Number, Problem: r.Problem}
	size := elementBytes + len(r.Shard) + len(r.Problem)
	for _, value := range r.Values {
		for {
			n := min(len(value), w.room(size))
			part.Values = append(part.Values, append([]byte{}, value[:n]...))
			size += n + 5
			value = value[n:]
			if len(value) == 0 {
				break
			}
			part.Continued = true
			if err := w.add(part, size); err != nil {
				return err
			}
			part, size = &pluginpb.Row{}, elementBytes
		}
	}
	return w.add(part, size)
}

// DocumentWriter splits documents into messages.
type DocumentWriter struct{ chunk[*pluginpb.Document] }

// NewDocumentWriter returns a writer that calls send with the documents of each message.
func NewDocumentWriter(send func([]*pluginpb.Document) error) *DocumentWriter {
	return &DocumentWriter{chunk[*pluginpb.Document]{send: send}}
}

// Write adds a document.
func (w *DocumentWriter) Write(d protocol.Document) error {
	part := &pluginpb.Document{
		Index: d.Index, Dataset: d.Dataset, Shard: d.Shard, Row: d.Row,
		ScoreStart: d.ScoreStart, ScoreEnd: d.ScoreEnd, ParseSpecial: d.ParseSpecial,
	}
	size := elementBytes + len(d.Dataset) + len(d.Shard)
	for text := d.Text; ; {
		n := min(len(text), w.room(size))
		part.Text = []byte(text[:n])
		text = text[n:]
		part.Continued = len(text) > 0
		if err := w.add(part, size+n); err != nil || len(text) == 0 {
			return err
		}
		part, size = &pluginpb.Document{}, elementBytes
	}
}

// AnswerWriter splits scored documents into messages.
type AnswerWriter struct {
	chunk[*pluginpb.ScoredDocument]
}

// NewAnswerWriter returns a writer that calls send with the scored documents of each message.
func NewAnswerWriter(send func([]*pluginpb.ScoredDocument) error) *AnswerWriter {
	return &AnswerWriter{chunk[*pluginpb.ScoredDocument]{send: send}}
}

// Write adds a scored document. It keeps the slices of s until the message is sent. Slices of unequal length are passed
// on unchanged: the receiver rejects them.
func (w *AnswerWriter) Write(s protocol.ScoredDocument) error {
	part := &pluginpb.ScoredDocument{
		Index: s.Index, EosNll: s.EOSNLL, TotalNll: s.TotalNLL, Activations: fromActivations(s.Activations),
		SharedTokens: s.SharedTokens,
	}
	perToken, c := tokenBytes, &s.Confidence
	if c.Len() > 0 {
		perToken += confidenceBytes
	}
	for size := elementBytes + activationBytes(s.Activations); ; size = elementBytes {
		n := max(w.room(size)/perToken, 1)
		part.TokenIds = cut(&s.TokenIDs, n)
		part.TokenStarts = cut(&s.TokenStarts, n)
		part.TokenEnds = cut(&s.TokenEnds, n)
		part.TokenNll = cut(&s.TokenNLL, n)
		part.TopIds, part.TopNll = cut(&c.Top, n), cut(&c.TopNLL, n)
		part.Ranks, part.Entropies = cut(&c.Ranks, n), cut(&c.Entropies, n)
		part.TopKMass = cut(&c.TopKMass, n)
		size += perToken * max(len(part.TokenIds), len(part.TokenStarts), len(part.TokenEnds), len(part.TokenNll),
			len(part.TopIds), len(part.TopNll), len(part.Ranks), len(part.Entropies), len(part.TopKMass))
		for len(s.Unscored) > 0 && w.room(size) > elementBytes {
			u := s.Unscored[0]
			part.Unscored = append(part.Unscored, &pluginpb.Unscored{Start: u.Start, End: u.End, Reason: u.Reason})
			size += 16 + len(u.Reason)
			s.Unscored = s.Unscored[1:]
		}
		part.Continued = len(s.TokenIDs)+len(s.TokenStarts)+len(s.TokenEnds)+len(s.TokenNLL)+c.Len()+len(s.Unscored) > 0
		more := part.Continued
		if err := w.add(part, size); err != nil || !more {
			return err
		}
		part = &pluginpb.ScoredDocument{}
	}
}

// cut removes the first n elements, or all, from *s and returns them.
func cut[T any](s *[]T, n int) []T {
	n = min(n, len(*s))
	head := (*s)[:n:n]
	*s = (*s)[n:]
	return head
}
