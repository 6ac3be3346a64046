package artifact

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
)

// Document is a row of documents.parquet: a text and the span [ScoreStart, ScoreEnd) of its bytes to score.
type Document struct {
	ID         string `parquet:"id"`
	Shard      string `parquet:"shard,dict"`
	Row        int64  `parquet:"row"`
	Text       string `parquet:"text,plain"`
	ScoreStart int32  `parquet:"score_start"`
	ScoreEnd   int32  `parquet:"score_end"`
	// Cluster is the name of the document's cluster, if a field of the rows names it.
	Cluster string `parquet:"cluster,dict"`
	Meta    string `parquet:"meta,plain"`
}

// TokenCount is a row of token_counts.parquet, how often the documents contain a token, or of top_tokens.parquet, how
// often it was the most probable one.
type TokenCount struct {
	ID    int32  `parquet:"token_id"`
	Count int64  `parquet:"count"`
	Text  string `parquet:"token_text,plain"`
}

// LedgerRow is a row of ledger.parquet, which has the same rows as scored_documents.parquet in the same order.
// TokenNats = SpanNats + OutsideNats + EOSNats + NoBytesNats, all in nats. The ranges [UnscoredStarts[i],
// UnscoredEnds[i]) are bytes of the text without a loss, in order and disjoint, each with its reason. If the last range is
// empty, the end-of-text token was requested and has no loss. ScoredBytes counts the bytes of the scored span that are
// outside all these ranges.
type LedgerRow struct {
	Shard           string   `parquet:"shard_name,dict"`
	Row             int64    `parquet:"row_index"`
	TokenNats       float64  `parquet:"token_nats"`
	SpanNats        float64  `parquet:"span_nats"`
	OutsideNats     float64  `parquet:"outside_nats"`
	EOSNats         float64  `parquet:"eos_nats"`
	NoBytesNats     float64  `parquet:"no_bytes_nats"`
	ScoredBytes     int32    `parquet:"scored_bytes"`
	UnscoredStarts  []int32  `parquet:"unscored_starts,list"`
	UnscoredEnds    []int32  `parquet:"unscored_ends,list"`
	UnscoredReasons []string `parquet:"unscored_reasons,list"`
}

// UnscoredText returns the unscored ranges of the text, without that of the end-of-text token.
func (r *LedgerRow) UnscoredText() (starts, ends []int32) {
	n := len(r.UnscoredStarts)
	if n > 0 && n == len(r.UnscoredEnds) && r.UnscoredStarts[n-1] == r.UnscoredEnds[n-1] {
		n--
	}
	return r.UnscoredStarts[:n], r.UnscoredEnds[:min(n, len(r.UnscoredEnds))]
}

// CompareRows orders rows of one dataset by shard name, bytewise, then by row number.
func CompareRows(shardA string, rowA int64, shardB string, rowB int64) int {
	return cmp.Or(cmp.Compare(shardA, shardB), cmp.Compare(rowA, rowB))
}

func invalid(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}

// checkSpan checks that a text is UTF-8 and that a span is inside it.
func checkSpan(text string, start, end int32) error {
	if !utf8.ValidString(text) {
		return invalid("text: invalid UTF-8 at byte %d", invalidAt(text))
	}
	if start < 0 || end < start || int(end) > len(text) {
		return invalid("scored span [%d, %d) is out of range: require 0 <= start <= end <= %d, the text's size in bytes", start, end, len(text))
	}
	return nil
}

func invalidAt(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(s)
}

func (d *Document) check() error {
	if err := checkSpan(d.Text, d.ScoreStart, d.ScoreEnd); err != nil {
		return invalid("shard %q, row %d: %v", d.Shard, d.Row, err)
	}
	return nil
}

func (r *LedgerRow) check() error {
	if len(r.UnscoredStarts) != len(r.UnscoredEnds) || len(r.UnscoredStarts) != len(r.UnscoredReasons) {
		return invalid("shard %q, row %d: expected as many unscored starts as ends and reasons, got %d, %d and %d",
			r.Shard, r.Row, len(r.UnscoredStarts), len(r.UnscoredEnds), len(r.UnscoredReasons))
	}
	starts, ends := r.UnscoredText()
	if err := checkRanges(starts, ends, math.MaxInt32); err != nil {
		return invalid("shard %q, row %d: %v", r.Shard, r.Row, err)
	}
	for _, nats := range []float64{r.TokenNats, r.SpanNats, r.OutsideNats, r.EOSNats, r.NoBytesNats} {
		if math.IsNaN(nats) || math.IsInf(nats, 0) {
			return invalid("shard %q, row %d: a sum of losses is %v nats; it must be finite", r.Shard, r.Row, nats)
		}
	}
	return nil
}

// DocumentWriter writes documents.parquet. It rejects a row whose text is not UTF-8 or whose span is outside the text.
type DocumentWriter = Writer[Document]

// NewDocumentWriter returns a writer of documents.parquet.
func NewDocumentWriter(w io.Writer) *DocumentWriter {
	out := NewWriter(w, func(d *Document) int {
		return len(d.ID) + len(d.Shard) + len(d.Text) + len(d.Cluster) + len(d.Meta) + 16
	})
	out.check = (*Document).check
	return out
}

// TokenCountWriter writes token_counts.parquet.
type TokenCountWriter = Writer[TokenCount]

// NewTokenCountWriter returns a writer of token_counts.parquet.
func NewTokenCountWriter(w io.Writer) *TokenCountWriter {
	return NewWriter(w, func(c *TokenCount) int { return len(c.Text) + 12 })
}

// LedgerWriter writes ledger.parquet. It rejects unscored ranges out of order and sums that are not finite.
type LedgerWriter = Writer[LedgerRow]

// NewLedgerWriter returns a writer of ledger.parquet.
func NewLedgerWriter(w io.Writer) *LedgerWriter {
	out := NewWriter(w, ledgerSize)
	out.check = (*LedgerRow).check
	return out
}

func ledgerSize(r *LedgerRow) int { return len(r.Shard) + 52 + 24*len(r.UnscoredStarts) }

// DocumentReader reads documents.parquet.
type DocumentReader = Reader[Document]

// OpenDocuments opens documents.parquet.
func OpenDocuments(path string) (*DocumentReader, error) {
	columns := []column{
		{"id", "string"}, {"shard", "string"}, {"row", "int64"}, {"text", "string"},
		{"score_start", "int32"}, {"score_end", "int32"}, {"cluster", "string"}, {"meta", "string"},
	}
	return open(path, columns, func(c []*cursor, d *Document) error {
		if err := decode(
			c[0].string(&d.ID), c[1].string(&d.Shard), c[2].int64(&d.Row), c[3].string(&d.Text),
			c[4].int32(&d.ScoreStart), c[5].int32(&d.ScoreEnd), c[6].string(&d.Cluster), c[7].string(&d.Meta),
		); err != nil {
			return err
		}
		return d.check()
	})
}

// RowID identifies a document of a dataset.
type RowID struct {
	Shard string
	Row   int64
}

// OpenRowIDs opens scored_documents.parquet or ledger.parquet to read only the shard and number of each row.
func OpenRowIDs(path string) (*Reader[RowID], error) {
	return open(path, []column{{"shard_name", "string"}, {"row_index", "int64"}}, func(c []*cursor, k *RowID) error {
		return decode(c[0].string(&k.Shard), c[1].int64(&k.Row))
	})
}

// RowCluster is the identity of a scored document and the name of its cluster.
type RowCluster struct {
	RowID
	Cluster string
}

// OpenRowClusters opens scored_documents.parquet to read only the shard, number and cluster of each row.
func OpenRowClusters(path string) (*Reader[RowCluster], error) {
	columns := []column{{"shard_name", "string"}, {"row_index", "int64"}, {"cluster", "string"}}
	return open(path, columns, func(c []*cursor, k *RowCluster) error {
		return decode(c[0].string(&k.Shard), c[1].int64(&k.Row), c[2].string(&k.Cluster))
	})
}

// TokenCountReader reads token_counts.parquet.
type TokenCountReader = Reader[TokenCount]

// OpenTokenCounts opens token_counts.parquet.
func OpenTokenCounts(path string) (*TokenCountReader, error) {
	columns := []column{{"token_id", "int32"}, {"count", "int64"}, {"token_text", "string"}}
	return open(path, columns, func(c []*cursor, t *TokenCount) error {
		return decode(c[0].int32(&t.ID), c[1].int64(&t.Count), c[2].string(&t.Text))
	})
}

// LedgerReader reads ledger.parquet.
type LedgerReader = Reader[LedgerRow]

// OpenLedger opens ledger.parquet.
func OpenLedger(path string) (*LedgerReader, error) {
	columns := []column{
		{"shard_name", "string"}, {"row_index", "int64"}, {"token_nats", "double"}, {"span_nats", "double"},
		{"outside_nats", "double"}, {"eos_nats", "double"}, {"no_bytes_nats", "double"}, {"scored_bytes", "int32"},
		{"unscored_starts", "list<int32>"}, {"unscored_ends", "list<int32>"}, {"unscored_reasons", "list<string>"},
	}
	return open(path, columns, func(c []*cursor, r *LedgerRow) error {
		if err := decode(
			c[0].string(&r.Shard), c[1].int64(&r.Row), c[2].double(&r.TokenNats), c[3].double(&r.SpanNats),
			c[4].double(&r.OutsideNats), c[5].double(&r.EOSNats), c[6].double(&r.NoBytesNats), c[7].int32(&r.ScoredBytes),
			c[8].int32s(&r.UnscoredStarts), c[9].int32s(&r.UnscoredEnds), c[10].strings(&r.UnscoredReasons),
		); err != nil {
			return err
		}
		return r.check()
	})
}

func decode(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
