package artifact

import (
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
)

// ScoredDocument is a row of scored_documents.parquet: a document, its tokens and the losses of one model. Shard and
// Row identify it. Cluster is the name of its cluster, if a field of the rows names it.
//
// [TokenStarts[i], TokenEnds[i]) are the bytes of token i. TokenStarts is empty if each token starts where the previous
// one ends, and the first at byte 0. TokenNLL is in nats. The ranges [UnscoredStarts[i], UnscoredEnds[i]) have no loss;
// their reasons are in the ledger.
//
// An imported table may have losses that do not follow from its tokens. TokenNLL is then empty, PerByteLoss has a loss
// in nats per byte of Text, and a token without bytes may have start and end -1. Otherwise PerByteLoss is empty.
type ScoredDocument struct {
	Shard          string    `parquet:"shard_name,dict"`
	Row            int64     `parquet:"row_index"`
	Cluster        string    `parquet:"cluster,dict"`
	Text           string    `parquet:"text,plain"`
	ScoreStart     int32     `parquet:"score_byte_start"`
	ScoreEnd       int32     `parquet:"score_byte_end"`
	TokenIDs       []int32   `parquet:"token_ids,list"`
	TokenStarts    []int32   `parquet:"token_byte_starts,list" parquet-element:",delta"`
	TokenEnds      []int32   `parquet:"token_byte_ends,list" parquet-element:",delta"`
	TokenNLL       []float64 `parquet:"token_nll,list" parquet-element:",split"`
	UnscoredStarts []int32   `parquet:"unscored_byte_starts,list"`
	UnscoredEnds   []int32   `parquet:"unscored_byte_ends,list"`
	PerByteLoss    []float64 `parquet:"per_byte_loss,list"`
}

// Tokens returns the document's tokens, which share its slices. The losses follow from them unless PerByteLoss is set.
func (d *ScoredDocument) Tokens() protocol.Tokens {
	return protocol.Tokens{
		Starts: d.TokenStarts, Ends: d.TokenEnds, NLL: d.TokenNLL, UnscoredStarts: d.UnscoredStarts, UnscoredEnds: d.UnscoredEnds,
	}
}

// Spread calls give with ranges of bytes [start, end), in order, and the loss in nats per byte. Bytes outside these
// ranges have no loss. It returns the loss of tokens without bytes that was not added to a later token.
func (d *ScoredDocument) Spread(give func(start, end int32, share float64)) (noBytes float64) {
	if len(d.PerByteLoss) == 0 {
		return d.Tokens().Spread(give)
	}
	start := 0
	for i, loss := range d.PerByteLoss {
		if loss != d.PerByteLoss[start] {
			give(int32(start), int32(i), d.PerByteLoss[start])
			start = i
		}
	}
	give(int32(start), int32(len(d.PerByteLoss)), d.PerByteLoss[start])
	return 0
}

// Losses returns the loss in nats of each byte of the text, or 0 for bytes without one. It reuses the memory of into.
func (d *ScoredDocument) Losses(into []float64) []float64 {
	into = slices.Grow(into[:0], len(d.Text))[:len(d.Text)]
	clear(into)
	d.Spread(func(start, end int32, share float64) {
		for i := start; i < end; i++ {
			into[i] = share
		}
	})
	return into
}

// EachScored calls visit with the tokens that have a loss and overlap the scored span, including tokens without
// bytes. These are the scored tokens of a score's summary.
func (d *ScoredDocument) EachScored(visit func(i int, start, end int32)) {
	last, unscored := int32(0), 0
	for i, end := range d.TokenEnds {
		start := last
		if len(d.TokenStarts) > 0 {
			start = d.TokenStarts[i]
		}
		last = end
		reach := max(end, start+1)
		if reach <= d.ScoreStart || start >= d.ScoreEnd {
			continue
		}
		for unscored < len(d.UnscoredEnds) && d.UnscoredEnds[unscored] <= start {
			unscored++
		}
		if unscored == len(d.UnscoredStarts) || d.UnscoredStarts[unscored] >= reach {
			visit(i, start, end)
		}
	}
}

// Starts returns the start of each token. It reuses the memory of into.
func (d *ScoredDocument) Starts(into []int32) []int32 {
	if len(d.TokenStarts) > 0 || len(d.TokenEnds) == 0 {
		return append(into[:0], d.TokenStarts...)
	}
	return append(append(into[:0], 0), d.TokenEnds[:len(d.TokenEnds)-1]...)
}

// tile reports whether tokens are contiguous from byte 0.
func tile(starts, ends []int32) bool {
	last := int32(0)
	for i, start := range starts {
		if start != last {
			return false
		}
		last = ends[i]
	}
	return true
}

func (d *ScoredDocument) check() error {
	if !utf8.ValidString(d.Shard) {
		return d.fault("name %q is not valid UTF-8", d.Shard)
	}
	if err := checkSpan(d.Text, d.ScoreStart, d.ScoreEnd); err != nil {
		return d.fault("%v", err)
	}
	if n := len(d.TokenEnds); len(d.TokenStarts) != 0 && len(d.TokenStarts) != n {
		return d.fault("tokens: expected as many starts as ends, or no starts, got %d and %d", len(d.TokenStarts), n)
	}
	if err := checkRanges(d.UnscoredStarts, d.UnscoredEnds, len(d.Text)); err != nil {
		return d.fault("%v", err)
	}
	if len(d.PerByteLoss) > 0 || len(d.Text) == 0 && len(d.TokenNLL) == 0 {
		return d.checkPerByte()
	}
	if len(d.TokenNLL) != len(d.TokenEnds) {
		return d.fault("token_nll: expected %d losses, one per token, got %d", len(d.TokenEnds), len(d.TokenNLL))
	}
	if i := badLoss(d.TokenNLL); i >= 0 {
		return d.fault("token_nll: the loss of token %d is %v; it must be finite and at least %v", i, d.TokenNLL[i], protocol.LossFloor)
	}
	last := int32(0)
	for i, end := range d.TokenEnds {
		start := last
		if len(d.TokenStarts) > 0 {
			start = d.TokenStarts[i]
		}
		if start < last || end < start || int(end) > len(d.Text) {
			return d.fault("token %d: span [%d, %d) must start at byte %d or later and end within the text's %d bytes", i, start, end, last, len(d.Text))
		}
		last = end
	}
	return nil
}

// checkPerByte checks a document with a loss per byte, whose losses do not follow from its tokens.
func (d *ScoredDocument) checkPerByte() error {
	switch {
	case len(d.TokenNLL) > 0:
		return d.fault("token_nll: expected no losses, because there is a loss per byte, got %d", len(d.TokenNLL))
	case len(d.PerByteLoss) != len(d.Text):
		return d.fault("per_byte_loss: expected %d losses, one per byte of the text, or none, got %d", len(d.Text), len(d.PerByteLoss))
	}
	if i := badLoss(d.PerByteLoss); i >= 0 {
		return d.fault("per_byte_loss: the loss at byte %d is %v; it must be finite and at least %v", i, d.PerByteLoss[i], protocol.LossFloor)
	}
	last := int32(0)
	for i, end := range d.TokenEnds {
		start := last
		if len(d.TokenStarts) > 0 {
			start = d.TokenStarts[i]
		}
		if err := checkToken(i, start, end, len(d.Text)); err != nil {
			return d.fault("%v", err)
		}
		last = end
	}
	return nil
}

// checkToken checks that a token's span is inside the text, or is [-1, -1).
func checkToken(i int, start, end int32, text int) error {
	if start < -1 || end < start || int(end) > text || start == -1 && end != -1 {
		return invalid("token %d: span [%d, %d) must be within the text's %d bytes or [-1, -1)", i, start, end, text)
	}
	return nil
}

// checkRanges checks that ranges are not empty, in order and inside the text.
func checkRanges(starts, ends []int32, text int) error {
	if len(starts) != len(ends) {
		return invalid("expected as many unscored starts as ends, got %d and %d", len(starts), len(ends))
	}
	last := int32(0)
	for i, start := range starts {
		if end := ends[i]; start < last || end <= start || int(end) > text {
			return invalid("unscored range [%d, %d) after byte %d of %d: ranges must be in order and not empty", start, end, last, text)
		}
		last = ends[i]
	}
	return nil
}

// badLoss returns the position of the first invalid loss, or -1.
func badLoss(losses []float64) int {
	for i, loss := range losses {
		if !(loss >= protocol.LossFloor && loss <= math.MaxFloat64) {
			return i
		}
	}
	return -1
}

func (d *ScoredDocument) fault(format string, args ...any) error {
	return invalid("shard %q, row %d: %s", d.Shard, d.Row, fmt.Sprintf(format, args...))
}

func scoredSize(d *ScoredDocument) int {
	return len(d.Shard) + len(d.Cluster) + len(d.Text) + 8*len(d.PerByteLoss) + 8*len(d.TokenNLL) + 4*len(d.TokenIDs) + 4*len(d.TokenStarts) + 4*len(d.TokenEnds) + 32
}

// ScoredWriter writes scored_documents.parquet. It rejects the same rows as its reader.
type ScoredWriter struct{ rows *Writer[ScoredDocument] }

// NewScoredWriter returns a writer of scored_documents.parquet.
func NewScoredWriter(w io.Writer) *ScoredWriter { return &ScoredWriter{NewWriter(w, scoredSize)} }

// NewRangedScoredWriter is NewScoredWriter in the layout of NewRangedWriter.
func NewRangedScoredWriter(w io.Writer) *ScoredWriter {
	return &ScoredWriter{NewRangedWriter(w, scoredSize)}
}

// Write appends a row. It keeps no reference to the row's slices. TokenStarts may be set even if they follow from the
// ends.
func (w *ScoredWriter) Write(d ScoredDocument) error {
	if len(d.TokenIDs) != len(d.TokenEnds) {
		return d.fault("tokens: expected as many IDs as ends, got %d and %d", len(d.TokenIDs), len(d.TokenEnds))
	}
	if err := d.check(); err != nil {
		return err
	}
	if tile(d.TokenStarts, d.TokenEnds) {
		d.TokenStarts = nil
	}
	return w.rows.Write(d)
}

// Close writes the footer; it does not close the underlying writer.
func (w *ScoredWriter) Close() error { return w.rows.Close() }

// ScoredReader reads scored_documents.parquet.
type ScoredReader = Reader[ScoredDocument]

// OpenScored opens scored_documents.parquet.
func OpenScored(path string) (*ScoredReader, error) { return openScored(path, true) }

// OpenLosses opens scored_documents.parquet without reading the token IDs: TokenIDs stays empty.
func OpenLosses(path string) (*ScoredReader, error) { return openScored(path, false) }

// OpenTokens opens scored_documents.parquet to read only the identity of each row, the texts and the spans of the
// tokens.
func OpenTokens(path string) (*ScoredReader, error) {
	columns := []column{
		{"shard_name", "string"}, {"row_index", "int64"}, {"text", "string"}, {"token_byte_starts", "list<int32>"},
		{"token_byte_ends", "list<int32>"},
	}
	return open(path, columns, func(c []*cursor, d *ScoredDocument) error {
		return decode(
			c[0].string(&d.Shard), c[1].int64(&d.Row), c[2].string(&d.Text), c[3].int32s(&d.TokenStarts), c[4].int32s(&d.TokenEnds),
		)
	})
}

func openScored(path string, ids bool) (*ScoredReader, error) {
	columns := []column{
		{"shard_name", "string"}, {"row_index", "int64"}, {"text", "string"}, {"score_byte_start", "int32"},
		{"score_byte_end", "int32"}, {"token_byte_starts", "list<int32>"}, {"token_byte_ends", "list<int32>"},
		{"token_nll", "list<double>"}, {"unscored_byte_starts", "list<int32>"}, {"unscored_byte_ends", "list<int32>"},
		{"per_byte_loss", "list<double>"}, {"cluster", "string"},
	}
	if ids {
		columns = append(columns, column{"token_ids", "list<int32>"})
	}
	return open(path, columns, func(c []*cursor, d *ScoredDocument) error {
		// The losses first: decoding their page needs the most memory, and the row is still empty.
		if err := decode(
			c[10].doubles(&d.PerByteLoss), c[7].doubles(&d.TokenNLL), c[0].string(&d.Shard), c[1].int64(&d.Row), c[2].string(&d.Text),
			c[3].int32(&d.ScoreStart), c[4].int32(&d.ScoreEnd), c[5].int32s(&d.TokenStarts), c[6].int32s(&d.TokenEnds),
			c[8].int32s(&d.UnscoredStarts), c[9].int32s(&d.UnscoredEnds), c[11].string(&d.Cluster),
		); err != nil {
			return err
		}
		if !ids {
			return d.check()
		}
		if err := c[12].int32s(&d.TokenIDs); err != nil {
			return err
		}
		if len(d.TokenIDs) != len(d.TokenEnds) {
			return d.fault("tokens: expected as many IDs as ends, got %d and %d", len(d.TokenIDs), len(d.TokenEnds))
		}
		return d.check()
	})
}
