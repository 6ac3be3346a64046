package site

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// lossRow is a row of the table of losses of a model: a document. Unit numbers the units of the dataset, which are documents or
// clusters of documents: intervals come from sums over units.
type lossRow struct {
	Dataset     string  `parquet:"dataset,dict"`
	Shard       string  `parquet:"shard,dict"`
	Row         int64   `parquet:"row_index"`
	Unit        int64   `parquet:"unit,delta"`
	ScoredBytes int64   `parquet:"scored_bytes"`
	Bits        float64 `parquet:"bits"`
}

// documentLoss is a row before the units are numbered. Cluster is the name of the document's cluster, or "".
type documentLoss struct {
	lossRow
	Cluster string `parquet:"cluster,dict"`
}

// sameBytes identifies what was scored: documents, and which of their bytes have a loss. The order does not matter.
type sameBytes struct{ words [4]uint64 }

func newSameBytes() *sameBytes { return &sameBytes{} }

func (s *sameBytes) add(d *artifact.ScoredDocument) {
	h := sha256.New()
	// Every part says where it ends.
	fmt.Fprintf(h, "%d %d\n%s%d %d %d %d\n", len(d.Shard), len(d.Text), d.Shard, d.Row, d.ScoreStart, d.ScoreEnd, len(d.UnscoredStarts))
	for i := range d.UnscoredStarts {
		fmt.Fprintf(h, "%d %d\n", d.UnscoredStarts[i], d.UnscoredEnds[i])
	}
	io.WriteString(h, d.Text) //nolint:errcheck // A hash never fails.
	sum := h.Sum(nil)
	for i := range s.words {
		s.words[i] += binary.BigEndian.Uint64(sum[8*i:])
	}
}

func (s *sameBytes) sum() [4]uint64 { return s.words }

// sameBytes numbers what was scored, equal for equal bytes. The number says nothing of the bytes.
func (x *exporter) sameBytes(sum [4]uint64) int64 {
	n, ok := x.same[sum]
	if !ok {
		n = int64(len(x.same))
		x.same[sum] = n
	}
	return n
}

// documents yields the losses of the documents of a score, in the order of shard and row.
func (v *scoresPage) documents(ctx context.Context, s action.Score, same *sameBytes) iter.Seq2[lossRow, error] {
	return func(yield func(lossRow, error) bool) {
		scratch, err := v.p.Scratch()
		if err != nil {
			yield(lossRow{}, err)
			return
		}
		rows := func(yield func(documentLoss, error) bool) {
			if err := v.readLosses(ctx, s, same, yield); err != nil {
				yield(documentLoss{}, err)
			}
		}
		sorted := artifact.SortTable(ctx, rows, scratch, func(l *documentLoss) int { return 112 + len(l.Shard) + len(l.Dataset) + len(l.Cluster) },
			func(a, b *documentLoss) int { return artifact.CompareRows(a.Shard, a.Row, b.Shard, b.Row) })
		// Equal documents have equal units, because their order does not depend on the table.
		units := units{byShard: s.ByShard, named: map[string]int64{}}
		for row, err := range sorted {
			row.Unit = units.number(&row)
			if !yield(row.lossRow, err) || err != nil {
				return
			}
		}
	}
}

// readLosses reads the table and the ledger of a score, which have the same rows.
func (v *scoresPage) readLosses(ctx context.Context, s action.Score, same *sameBytes, yield func(documentLoss, error) bool) (err error) {
	path, err := v.p.Path(ctx, s.Scored.Action, s.Scored.Name)
	if err != nil {
		return err
	}
	ledgerPath, err := v.p.Path(ctx, s.Scored.Action, s.Ledger)
	if err != nil {
		return err
	}
	scored, err := artifact.OpenLosses(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scored.Close()) }()
	ledger, err := artifact.OpenLedger(ledgerPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	var d artifact.ScoredDocument
	var l artifact.LedgerRow
	for range scored.Len() {
		if err := errors.Join(scored.Read(&d), ledger.Read(&l), ctx.Err()); err != nil {
			return err
		}
		if d.Shard != l.Shard || d.Row != l.Row {
			return fmt.Errorf("%s: shard %q, row %d is not in the ledger at this place", path, d.Shard, d.Row)
		}
		same.add(&d)
		row := documentLoss{
			lossRow{Dataset: s.Dataset, Shard: d.Shard, Row: d.Row, ScoredBytes: int64(l.ScoredBytes), Bits: l.SpanNats / math.Ln2}, d.Cluster,
		}
		if !yield(row, nil) {
			return nil
		}
	}
	return nil
}

// units numbers the units of a dataset.
type units struct {
	byShard bool
	named   map[string]int64
	next    int64
}

func (u *units) number(d *documentLoss) int64 {
	name := d.Cluster
	if u.byShard {
		name = d.Shard
	}
	if !u.byShard && name == "" {
		u.next++
		return u.next - 1
	}
	n, ok := u.named[name]
	if !ok {
		n = u.next
		u.next++
		u.named[name] = n
	}
	return n
}
