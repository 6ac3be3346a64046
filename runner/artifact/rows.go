package artifact

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
)

// Document is a row of documents.parquet: a text with the span of bytes [ScoreStart, ScoreEnd) to score.
type Document struct {
	ID         string `parquet:"id"`
	Shard      string `parquet:"shard,dict"`
	Row        int64  `parquet:"row"`
	Text       string `parquet:"text,plain"`
	ScoreStart int32  `parquet:"score_start"`
	ScoreEnd   int32  `parquet:"score_end"`
	Meta       string `parquet:"meta,plain"`
}

// ScoredDocument is a row of scored_documents.parquet: a document and what one model's losses on it were. Dataset, Shard
// and Row are its key. TokenIDs, TokenStarts and TokenEnds have equal length; a token without bytes has start and end -1
// or an empty span. PerByteLoss has one loss in nats for each byte of Text.
type ScoredDocument struct {
	Dataset     string    `parquet:"dataset_name,dict"`
	Tags        []string  `parquet:"tags,list"`
	Shard       string    `parquet:"shard_name,dict"`
	Row         int64     `parquet:"row_index"`
	Text        string    `parquet:"text,plain"`
	ScoreStart  int32     `parquet:"score_byte_start"`
	ScoreEnd    int32     `parquet:"score_byte_end"`
	TokenIDs    []int32   `parquet:"token_ids,list"`
	PerByteLoss []float64 `parquet:"per_byte_loss,list"`
	TokenStarts []int32   `parquet:"token_byte_starts,list"`
	TokenEnds   []int32   `parquet:"token_byte_ends,list"`
}

// TokenCount is a row of token_counts.parquet: how often a dataset's documents contain a token.
type TokenCount struct {
	Dataset string `parquet:"dataset_name,dict"`
	ID      int32  `parquet:"token_id"`
	Count   int64  `parquet:"count"`
	Text    string `parquet:"token_text,plain"`
}

// LedgerRow is a row of ledger.parquet, the companion of scored_documents.parquet with the same rows in the same order.
// TokenNats = SpanNats + OutsideNats + EOSNats + NoBytesNats, all in nats. The ranges [UnscoredStarts[i],
// UnscoredEnds[i]) are bytes of the text without a loss, in order and disjoint, each with its reason. ScoredBytes counts
// the bytes of the scored span that are in no such range.
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

// CompareKeys orders rows of one dataset by shard name, byte by byte, then by row number.
func CompareKeys(shardA string, rowA int64, shardB string, rowB int64) int {
	return cmp.Or(cmp.Compare(shardA, shardB), cmp.Compare(rowA, rowB))
}

func invalid(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}

// checkSpan refuses a text that is not UTF-8 and a span outside it.
func checkSpan(text string, start, end int32) error {
	if !utf8.ValidString(text) {
		return invalid("text: found invalid UTF-8 at byte %d, wanted UTF-8", invalidAt(text))
	}
	if start < 0 || end < start || int(end) > len(text) {
		return invalid("scored span: found [%d, %d), wanted 0 <= start <= end <= %d, the text's bytes", start, end, len(text))
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

// checkText refuses a document whose text, names or span cannot be right.
func (d *ScoredDocument) checkText() error {
	if d.Dataset == "" {
		return d.fault("dataset_name: found an empty name, wanted the dataset's key")
	}
	for _, name := range append([]string{d.Dataset, d.Shard}, d.Tags...) {
		if !utf8.ValidString(name) {
			return d.fault("names: found %q, wanted UTF-8", name)
		}
	}
	if err := checkSpan(d.Text, d.ScoreStart, d.ScoreEnd); err != nil {
		return d.fault("%v", err)
	}
	return nil
}

func (d *ScoredDocument) checkLosses() error {
	if len(d.PerByteLoss) != len(d.Text) {
		return d.fault("per_byte_loss: found %d losses, wanted %d, one for each byte of the text", len(d.PerByteLoss), len(d.Text))
	}
	for i, loss := range d.PerByteLoss {
		if !(loss >= protocol.LossFloor && loss <= math.MaxFloat64) {
			return d.fault("per_byte_loss: found %v at byte %d, wanted a finite loss of %v or more", loss, i, protocol.LossFloor)
		}
	}
	return nil
}

func (d *ScoredDocument) checkTokens() error {
	if len(d.TokenStarts) != len(d.TokenEnds) {
		return d.fault("tokens: found %d starts and %d ends, wanted as many", len(d.TokenStarts), len(d.TokenEnds))
	}
	for i, start := range d.TokenStarts {
		if end := d.TokenEnds[i]; start < -1 || end < start || int(end) > len(d.Text) || start == -1 && end != -1 {
			return d.fault("token %d: found bytes [%d, %d), wanted a span within the text's %d bytes or [-1, -1)", i, start, end, len(d.Text))
		}
	}
	return nil
}

func (d *ScoredDocument) fault(format string, args ...any) error {
	return invalid("dataset %q, shard %q, row %d: %s", d.Dataset, d.Shard, d.Row, fmt.Sprintf(format, args...))
}

func (r *LedgerRow) check() error {
	if len(r.UnscoredStarts) != len(r.UnscoredEnds) || len(r.UnscoredStarts) != len(r.UnscoredReasons) {
		return invalid("shard %q, row %d: found %d unscored starts, %d ends and %d reasons, wanted as many of each",
			r.Shard, r.Row, len(r.UnscoredStarts), len(r.UnscoredEnds), len(r.UnscoredReasons))
	}
	last := int32(0)
	for i, start := range r.UnscoredStarts {
		end := r.UnscoredEnds[i]
		if start < last || end <= start {
			return invalid("shard %q, row %d: found unscored range [%d, %d) after byte %d, wanted ranges in order that are not empty",
				r.Shard, r.Row, start, end, last)
		}
		last = end
	}
	for _, nats := range []float64{r.TokenNats, r.SpanNats, r.OutsideNats, r.EOSNats, r.NoBytesNats} {
		if math.IsNaN(nats) || math.IsInf(nats, 0) {
			return invalid("shard %q, row %d: found %v nats, wanted a finite sum", r.Shard, r.Row, nats)
		}
	}
	return nil
}

// DocumentWriter writes documents.parquet. It refuses a row whose text is not UTF-8 or whose span is outside the text.
type DocumentWriter = Writer[Document]

// NewDocumentWriter returns a writer of documents.parquet.
func NewDocumentWriter(w io.Writer) *DocumentWriter {
	out := NewWriter(w, func(d *Document) int { return len(d.ID) + len(d.Shard) + len(d.Text) + len(d.Meta) + 16 })
	out.check = (*Document).check
	return out
}

// TokenCountWriter writes token_counts.parquet.
type TokenCountWriter = Writer[TokenCount]

// NewTokenCountWriter returns a writer of token_counts.parquet.
func NewTokenCountWriter(w io.Writer) *TokenCountWriter {
	return NewWriter(w, func(c *TokenCount) int { return len(c.Dataset) + len(c.Text) + 12 })
}

// LedgerWriter writes ledger.parquet. It refuses unscored ranges out of order and sums that are not finite.
type LedgerWriter = Writer[LedgerRow]

// NewLedgerWriter returns a writer of ledger.parquet.
func NewLedgerWriter(w io.Writer) *LedgerWriter {
	out := NewWriter(w, ledgerSize)
	out.check = (*LedgerRow).check
	return out
}

func ledgerSize(r *LedgerRow) int { return len(r.Shard) + 52 + 24*len(r.UnscoredStarts) }

// scoredRow adds the column that follows from the others.
type scoredRow struct {
	ScoredDocument
	NumBytes int32 `parquet:"num_bytes"`
}

func scoredSize(d *ScoredDocument) int {
	return len(d.Dataset) + len(d.Shard) + len(d.Text) + 8*len(d.PerByteLoss) + 12*len(d.TokenStarts) + 32
}

// ScoredWriter writes scored_documents.parquet. It refuses what its reader would.
type ScoredWriter struct{ rows *Writer[scoredRow] }

// NewScoredWriter returns a writer of scored_documents.parquet.
func NewScoredWriter(w io.Writer) *ScoredWriter {
	return &ScoredWriter{NewWriter(w, func(r *scoredRow) int { return scoredSize(&r.ScoredDocument) })}
}

// Write appends a row. It keeps no reference to the row's slices.
func (w *ScoredWriter) Write(d ScoredDocument) error {
	if len(d.TokenIDs) != len(d.TokenStarts) {
		return d.fault("tokens: found %d ids and %d starts, wanted as many", len(d.TokenIDs), len(d.TokenStarts))
	}
	for _, check := range []func(*ScoredDocument) error{(*ScoredDocument).checkText, (*ScoredDocument).checkLosses, (*ScoredDocument).checkTokens} {
		if err := check(&d); err != nil {
			return err
		}
	}
	return w.rows.Write(scoredRow{d, int32(len(d.Text))})
}

// Close writes the footer; it does not close the underlying writer.
func (w *ScoredWriter) Close() error { return w.rows.Close() }

// DocumentReader reads documents.parquet.
type DocumentReader = Reader[Document]

// OpenDocuments opens documents.parquet.
func OpenDocuments(path string) (*DocumentReader, error) {
	columns := []column{
		{"id", "string"}, {"shard", "string"}, {"row", "int64"}, {"text", "string"},
		{"score_start", "int32"}, {"score_end", "int32"}, {"meta", "string"},
	}
	return open(path, columns, func(c []*cursor, d *Document) error {
		if err := decode(
			c[0].string(&d.ID), c[1].string(&d.Shard), c[2].int64(&d.Row), c[3].string(&d.Text),
			c[4].int32(&d.ScoreStart), c[5].int32(&d.ScoreEnd), c[6].string(&d.Meta),
		); err != nil {
			return err
		}
		return d.check()
	})
}

// ScoredReader reads scored_documents.parquet.
type ScoredReader = Reader[ScoredDocument]

var keyColumns = []column{
	{"dataset_name", "string"}, {"tags", "list<string>"}, {"shard_name", "string"}, {"row_index", "int64"},
	{"text", "string"}, {"score_byte_start", "int32"}, {"score_byte_end", "int32"}, {"num_bytes", "int32"},
}

// OpenScored opens scored_documents.parquet, ours or one that Marin wrote.
func OpenScored(path string) (*ScoredReader, error) { return openScored(path, true, true) }

// OpenLosses opens scored_documents.parquet without reading its tokens: TokenIDs, TokenStarts and TokenEnds stay empty.
func OpenLosses(path string) (*ScoredReader, error) { return openScored(path, true, false) }

// OpenTokens opens scored_documents.parquet without reading its losses: PerByteLoss stays empty.
func OpenTokens(path string) (*ScoredReader, error) { return openScored(path, false, true) }

// Key names a document of a dataset.
type Key struct {
	Shard string
	Row   int64
}

// OpenKeys opens scored_documents.parquet to read only its keys.
func OpenKeys(path string) (*Reader[Key], error) {
	return open(path, []column{{"shard_name", "string"}, {"row_index", "int64"}}, func(c []*cursor, k *Key) error {
		return decode(c[0].string(&k.Shard), c[1].int64(&k.Row))
	})
}

func openScored(path string, losses, tokens bool) (*ScoredReader, error) {
	columns := append([]column(nil), keyColumns...)
	if losses {
		columns = append(columns, column{"per_byte_loss", "list<double>"})
	}
	if tokens {
		columns = append(columns, column{"token_ids", "list<int32>"}, column{"token_byte_starts", "list<int32>"},
			column{"token_byte_ends", "list<int32>"})
	}
	return open(path, columns, func(c []*cursor, d *ScoredDocument) error {
		var numBytes int32
		if err := decode(
			c[0].string(&d.Dataset), c[1].strings(&d.Tags), c[2].string(&d.Shard), c[3].int64(&d.Row), c[4].string(&d.Text),
			c[5].int32(&d.ScoreStart), c[6].int32(&d.ScoreEnd), c[7].int32(&numBytes),
		); err != nil {
			return err
		}
		if int(numBytes) != len(d.Text) {
			return d.fault("num_bytes: found %d, wanted %d, the text's bytes", numBytes, len(d.Text))
		}
		if err := d.checkText(); err != nil {
			return err
		}
		c = c[len(keyColumns):]
		if losses {
			if err := c[0].doubles(&d.PerByteLoss); err != nil {
				return err
			}
			if err := d.checkLosses(); err != nil {
				return err
			}
			c = c[1:]
		}
		if !tokens {
			return nil
		}
		if err := decode(c[0].int32s(&d.TokenIDs), c[1].int32s(&d.TokenStarts), c[2].int32s(&d.TokenEnds)); err != nil {
			return err
		}
		if len(d.TokenIDs) != len(d.TokenStarts) {
			return d.fault("tokens: found %d ids and %d starts, wanted as many", len(d.TokenIDs), len(d.TokenStarts))
		}
		return d.checkTokens()
	})
}

// TokenCountReader reads token_counts.parquet.
type TokenCountReader = Reader[TokenCount]

// OpenTokenCounts opens token_counts.parquet.
func OpenTokenCounts(path string) (*TokenCountReader, error) {
	columns := []column{{"dataset_name", "string"}, {"token_id", "int32"}, {"count", "int64"}, {"token_text", "string"}}
	return open(path, columns, func(c []*cursor, t *TokenCount) error {
		return decode(c[0].string(&t.Dataset), c[1].int32(&t.ID), c[2].int64(&t.Count), c[3].string(&t.Text))
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
