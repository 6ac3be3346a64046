package artifact

import (
	"fmt"
	"io"
	"math"

	"surprisal.dev/plugins/protocol"
)

// Confidence is a row of confidence.parquet, which has the same rows as scored_documents.parquet in the same order. The
// lists are parallel to the tokens there. protocol.Confidence defines their values: TopNLL and Entropies are in nats, and
// all four are 0 at a token without a loss.
type Confidence struct {
	Shard     string    `parquet:"shard_name,dict"`
	Row       int64     `parquet:"row_index"`
	TopIDs    []int32   `parquet:"top_ids,list"`
	TopNLL    []float64 `parquet:"top_nll,list" parquet-element:",split"`
	Ranks     []int32   `parquet:"ranks,list"`
	Entropies []float64 `parquet:"entropies,list" parquet-element:",split"`
}

func (c *Confidence) check() error {
	n := len(c.TopIDs)
	if len(c.TopNLL) != n || len(c.Ranks) != n || len(c.Entropies) != n {
		return c.fault("%d top tokens, %d losses of them, %d ranks and %d entropies; their numbers must be equal",
			n, len(c.TopNLL), len(c.Ranks), len(c.Entropies))
	}
	for i, rank := range c.Ranks {
		if rank < 0 {
			return c.fault("token %d has rank %d; it must be at least 1, or 0 without a loss", i, rank)
		}
		if x := c.TopNLL[i] + c.Entropies[i]; math.IsNaN(x) || math.IsInf(x, 0) {
			return c.fault("token %d has a top token with a loss of %v nats and an entropy of %v; they must be finite", i, c.TopNLL[i], c.Entropies[i])
		}
	}
	return nil
}

func (c *Confidence) fault(format string, args ...any) error {
	return invalid("shard %q, row %d: %s", c.Shard, c.Row, fmt.Sprintf(format, args...))
}

// Of returns the confidence as a part of an answer.
func (c *Confidence) Of() protocol.Confidence {
	return protocol.Confidence{Top: c.TopIDs, TopNLL: c.TopNLL, Ranks: c.Ranks, Entropies: c.Entropies}
}

// ConfidenceWriter writes confidence.parquet. It rejects lists of unequal length and numbers that are not finite.
type ConfidenceWriter = Writer[Confidence]

// NewConfidenceWriter returns a writer of confidence.parquet.
func NewConfidenceWriter(w io.Writer) *ConfidenceWriter {
	return checkedConfidence(NewWriter(w, confidenceSize))
}

// NewRangedConfidenceWriter is NewConfidenceWriter in the layout of NewRangedWriter.
func NewRangedConfidenceWriter(w io.Writer) *ConfidenceWriter {
	return checkedConfidence(NewRangedWriter(w, confidenceSize))
}

func checkedConfidence(w *ConfidenceWriter) *ConfidenceWriter {
	w.check = (*Confidence).check
	return w
}

func confidenceSize(c *Confidence) int { return len(c.Shard) + 8 + 24*len(c.TopIDs) }

// ConfidenceReader reads confidence.parquet.
type ConfidenceReader = Reader[Confidence]

// OpenConfidence opens confidence.parquet.
func OpenConfidence(path string) (*ConfidenceReader, error) {
	columns := []column{
		{"shard_name", "string"}, {"row_index", "int64"}, {"top_ids", "list<int32>"}, {"top_nll", "list<double>"},
		{"ranks", "list<int32>"}, {"entropies", "list<double>"},
	}
	return open(path, columns, func(c []*cursor, r *Confidence) error {
		if err := decode(
			c[0].string(&r.Shard), c[1].int64(&r.Row), c[2].int32s(&r.TopIDs), c[3].doubles(&r.TopNLL), c[4].int32s(&r.Ranks),
			c[5].doubles(&r.Entropies),
		); err != nil {
			return err
		}
		return r.check()
	})
}

// OpenTopTokens opens confidence.parquet to read only the identity of each row, the top tokens and the ranks.
func OpenTopTokens(path string) (*ConfidenceReader, error) {
	columns := []column{{"shard_name", "string"}, {"row_index", "int64"}, {"top_ids", "list<int32>"}, {"ranks", "list<int32>"}}
	return open(path, columns, func(c []*cursor, r *Confidence) error {
		if err := decode(c[0].string(&r.Shard), c[1].int64(&r.Row), c[2].int32s(&r.TopIDs), c[3].int32s(&r.Ranks)); err != nil {
			return err
		}
		if len(r.Ranks) != len(r.TopIDs) {
			return r.fault("%d top tokens and %d ranks; their numbers must be equal", len(r.TopIDs), len(r.Ranks))
		}
		return nil
	})
}
