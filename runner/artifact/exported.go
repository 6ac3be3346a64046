package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
)

// ExportedDocument is a row of an exported table, which has Marin's columns: a scored document with the labels of its
// dataset. Dataset, Shard and Row identify it. TokenIDs, TokenStarts and TokenEnds have equal length. A token without
// bytes has start and end -1 or an empty span. PerByteLoss has one loss in nats per byte of Text.
type ExportedDocument struct {
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

// checkText checks the text, the names and the span of a document.
func (d *ExportedDocument) checkText() error {
	if d.Dataset == "" {
		return d.fault("dataset_name is empty; it must be the name of the dataset")
	}
	for _, name := range append([]string{d.Dataset, d.Shard}, d.Tags...) {
		if !utf8.ValidString(name) {
			return d.fault("name %q is not valid UTF-8", name)
		}
	}
	if err := checkSpan(d.Text, d.ScoreStart, d.ScoreEnd); err != nil {
		return d.fault("%v", err)
	}
	return nil
}

func (d *ExportedDocument) checkLosses() error {
	if len(d.PerByteLoss) != len(d.Text) {
		return d.fault("per_byte_loss: expected %d losses, one per byte of the text, got %d", len(d.Text), len(d.PerByteLoss))
	}
	if i := badLoss(d.PerByteLoss); i >= 0 {
		return d.fault("per_byte_loss: the loss at byte %d is %v; it must be finite and at least %v", i, d.PerByteLoss[i], protocol.LossFloor)
	}
	return nil
}

func (d *ExportedDocument) checkTokens() error {
	if len(d.TokenIDs) != len(d.TokenStarts) {
		return d.fault("tokens: expected as many IDs as starts, got %d and %d", len(d.TokenIDs), len(d.TokenStarts))
	}
	if len(d.TokenStarts) != len(d.TokenEnds) {
		return d.fault("tokens: expected as many starts as ends, got %d and %d", len(d.TokenStarts), len(d.TokenEnds))
	}
	for i, start := range d.TokenStarts {
		if err := checkToken(i, start, d.TokenEnds[i], len(d.Text)); err != nil {
			return d.fault("%v", err)
		}
	}
	return nil
}

func (d *ExportedDocument) fault(format string, args ...any) error {
	return invalid("dataset %q, shard %q, row %d: %s", d.Dataset, d.Shard, d.Row, fmt.Sprintf(format, args...))
}

// exportedRow adds the column that is derived from the others.
type exportedRow struct {
	ExportedDocument
	NumBytes int32 `parquet:"num_bytes"`
}

func exportedSize(d *ExportedDocument) int {
	return len(d.Dataset) + len(d.Shard) + len(d.Text) + 8*len(d.PerByteLoss) + 12*len(d.TokenStarts) + 32
}

// ExportedWriter writes an exported table. It rejects the same rows as its reader.
type ExportedWriter struct{ rows *Writer[exportedRow] }

// NewExportedWriter returns a writer of an exported table.
func NewExportedWriter(w io.Writer) *ExportedWriter {
	return &ExportedWriter{NewWriter(w, func(r *exportedRow) int { return exportedSize(&r.ExportedDocument) })}
}

// Write appends a row. It keeps no reference to the row's slices.
func (w *ExportedWriter) Write(d ExportedDocument) error {
	for _, check := range []func(*ExportedDocument) error{(*ExportedDocument).checkText, (*ExportedDocument).checkLosses, (*ExportedDocument).checkTokens} {
		if err := check(&d); err != nil {
			return err
		}
	}
	return w.rows.Write(exportedRow{d, int32(len(d.Text))})
}

// Close writes the footer; it does not close the underlying writer.
func (w *ExportedWriter) Close() error { return w.rows.Close() }

// ExportedReader reads an exported table.
type ExportedReader = Reader[ExportedDocument]

// OpenExported opens an exported table, written by this package or by Marin.
func OpenExported(path string) (*ExportedReader, error) {
	columns := []column{
		{"dataset_name", "string"}, {"tags", "list<string>"}, {"shard_name", "string"}, {"row_index", "int64"},
		{"text", "string"}, {"score_byte_start", "int32"}, {"score_byte_end", "int32"}, {"num_bytes", "int32"},
		{"per_byte_loss", "list<double>"}, {"token_ids", "list<int32>"}, {"token_byte_starts", "list<int32>"},
		{"token_byte_ends", "list<int32>"},
	}
	return open(path, columns, func(c []*cursor, d *ExportedDocument) error {
		var numBytes int32
		if err := decode(
			c[0].string(&d.Dataset), c[1].strings(&d.Tags), c[2].string(&d.Shard), c[3].int64(&d.Row), c[4].string(&d.Text),
			c[5].int32(&d.ScoreStart), c[6].int32(&d.ScoreEnd), c[7].int32(&numBytes),
		); err != nil {
			return err
		}
		if int(numBytes) != len(d.Text) {
			return d.fault("num_bytes: expected %d, the text's size in bytes, got %d", len(d.Text), numBytes)
		}
		if err := d.checkText(); err != nil {
			return err
		}
		if err := decode(
			c[8].doubles(&d.PerByteLoss), c[9].int32s(&d.TokenIDs), c[10].int32s(&d.TokenStarts), c[11].int32s(&d.TokenEnds),
		); err != nil {
			return err
		}
		if err := d.checkLosses(); err != nil {
			return err
		}
		return d.checkTokens()
	})
}

// Labels are the names of a score's documents for people. They are not part of the score.
type Labels struct {
	Dataset string
	Tags    []string
}

// ExportScored writes the scored documents of the file src, with labels, to dst as an exported table.
func ExportScored(ctx context.Context, src string, dst io.Writer, labels Labels) (err error) {
	in, err := OpenScored(src)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out := NewExportedWriter(dst)
	var d ScoredDocument
	var e ExportedDocument
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch err := in.Read(&d); {
		case errors.Is(err, io.EOF):
			return out.Close()
		case err != nil:
			return err
		}
		e = ExportedDocument{
			Dataset: labels.Dataset, Tags: labels.Tags, Shard: d.Shard, Row: d.Row, Text: d.Text, ScoreStart: d.ScoreStart,
			ScoreEnd: d.ScoreEnd, TokenIDs: d.TokenIDs, TokenStarts: d.Starts(e.TokenStarts), TokenEnds: d.TokenEnds,
			PerByteLoss: d.Losses(e.PerByteLoss),
		}
		if err := out.Write(e); err != nil {
			return err
		}
	}
}
