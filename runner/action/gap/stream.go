package gap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// Bounds of a batch of documents, which is what passes between the goroutine that decodes a side and the one that
// compares: one more document, of any size, is always taken.
const (
	batchBytes = 256 << 10
	batchRows  = 512
	// batchesInFlight lets a side decode ahead of the comparison.
	batchesInFlight = 2
)

// record is a scored document and its row of the ledger.
type record struct {
	artifact.ScoredDocument
	ledger artifact.LedgerRow
}

// batch holds documents of one dataset. The losses of most lie in one array, to be reused as a whole.
type batch struct {
	dataset int
	records []record
	losses  []float64
}

// stream decodes the tables of one side, in the order of the datasets, in a goroutine of its own.
type stream struct {
	side   string
	filled chan *batch
	spare  chan *batch
	err    error // set before filled is closed
	last   *batch
	next   int
}

func newStream(ctx context.Context, side Side) *stream {
	s := &stream{side: side.Name, filled: make(chan *batch, batchesInFlight), spare: make(chan *batch, batchesInFlight+2)}
	for range cap(s.spare) {
		s.spare <- &batch{losses: make([]float64, 0, batchBytes+batchBytes/4)}
	}
	go func() {
		defer close(s.filled)
		for i, dataset := range side.Datasets {
			if s.err = s.read(ctx, i, dataset); s.err != nil {
				return
			}
		}
	}()
	return s
}

// read sends the documents of one table.
func (s *stream) read(ctx context.Context, index int, dataset Table) (err error) {
	documents, err := artifact.OpenLosses(dataset.ScoredPath)
	if err != nil {
		return err
	}
	defer documents.Close()
	var ledger *artifact.LedgerReader
	if dataset.LedgerPath != "" {
		if ledger, err = artifact.OpenLedger(dataset.LedgerPath); err != nil {
			return err
		}
		defer ledger.Close()
		if documents.Len() != ledger.Len() {
			return protocol.Invalid("%s: found %d documents, the ledger %s has %d; both must come from one score", dataset.ScoredPath,
				documents.Len(), dataset.LedgerPath, ledger.Len())
		}
	}
	for left := documents.Len(); left > 0; {
		var b *batch
		select {
		case b = <-s.spare:
		case <-ctx.Done():
			return ctx.Err()
		}
		b.dataset, b.losses, b.records = index, b.losses[:0], b.records[:cap(b.records)]
		bytes, n := 0, 0
		for ; left > 0 && n < batchRows && bytes < batchBytes; left-- {
			if n == len(b.records) {
				b.records = append(b.records, record{})
			}
			r := &b.records[n]
			r.PerByteLoss = b.losses[len(b.losses):]
			if err := documents.Read(&r.ScoredDocument); err != nil {
				return err
			}
			if used := len(b.losses) + len(r.PerByteLoss); used <= cap(b.losses) {
				b.losses = b.losses[:used]
			}
			if r.Dataset != dataset.Key {
				return protocol.Invalid("%s: dataset %q, shard %q, row %d: found a document of another dataset, wanted %q", dataset.ScoredPath,
					r.Dataset, r.Shard, r.Row, dataset.Key)
			}
			if ledger == nil {
				r.ledger.UnscoredStarts, r.ledger.UnscoredEnds = r.ledger.UnscoredStarts[:0], r.ledger.UnscoredEnds[:0]
			} else {
				if err := readLedger(ledger, r, dataset); err != nil {
					return err
				}
			}
			bytes += len(r.Text)
			n++
		}
		b.records = b.records[:n]
		select {
		case s.filled <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// readLedger reads a record's ledger row and checks that it is this record's.
func readLedger(ledger *artifact.LedgerReader, r *record, dataset Table) error {
	if err := ledger.Read(&r.ledger); err != nil {
		return err
	}
	if r.ledger.Shard != r.Shard || r.ledger.Row != r.Row {
		return protocol.Invalid("%s: dataset %q: found shard %q, row %d, wanted shard %q, row %d as in %s", dataset.LedgerPath, r.Dataset,
			r.ledger.Shard, r.ledger.Row, r.Shard, r.Row, dataset.ScoredPath)
	}
	scored := r.ScoreEnd - r.ScoreStart
	for i, start := range r.ledger.UnscoredStarts {
		end := r.ledger.UnscoredEnds[i]
		if int(end) > len(r.Text) {
			return protocol.Invalid("%s: dataset %q, shard %q, row %d: found unscored bytes [%d, %d), wanted them within the text's %d",
				dataset.LedgerPath, r.Dataset, r.Shard, r.Row, start, end, len(r.Text))
		}
		scored -= max(0, min(end, r.ScoreEnd)-max(start, r.ScoreStart))
	}
	if r.ledger.ScoredBytes != scored {
		return protocol.Invalid("%s: dataset %q, shard %q, row %d: found %d scored bytes, wanted %d: the span less its unscored bytes",
			dataset.LedgerPath, r.Dataset, r.Shard, r.Row, r.ledger.ScoredBytes, scored)
	}
	return nil
}

// peek returns the side's current document and its dataset's position, or nil at the end. It stays valid until the next
// peek after an advance.
func (s *stream) peek() (*record, int, error) {
	if s.last == nil || s.next == len(s.last.records) {
		if s.last != nil {
			s.spare <- s.last
		}
		s.last, s.next = <-s.filled, 0
		if s.last == nil {
			return nil, 0, s.err
		}
	}
	return &s.last.records[s.next], s.last.dataset, nil
}

func (s *stream) advance() { s.next++ }

// stop waits for the goroutine, whose context is done, to close its files.
func (s *stream) stop() {
	for range s.filled {
	}
}

// sorted returns the side with every table in the order of its keys: tables out of order are sorted into dir.
func sorted(ctx context.Context, side Side, dir string) (Side, error) {
	tables := append([]Table(nil), side.Datasets...)
	for i, t := range tables {
		ok, err := inOrder(ctx, t.ScoredPath)
		if err != nil {
			return side, err
		}
		if ok {
			continue
		}
		into, err := os.MkdirTemp(dir, "sorted-*")
		if err != nil {
			return side, err
		}
		tables[i].ScoredPath = filepath.Join(into, "scored_documents.parquet")
		if err := sortFile(t.ScoredPath, tables[i].ScoredPath, artifact.OpenScored, artifact.NewScoredWriter,
			func(r *artifact.ScoredReader) rows[artifact.ScoredDocument] {
				return artifact.SortScored(ctx, r.All(), into)
			}); err != nil {
			return side, fmt.Errorf("sorting %s: %w", t.ScoredPath, err)
		}
		if t.LedgerPath == "" {
			continue
		}
		tables[i].LedgerPath = filepath.Join(into, "ledger.parquet")
		if err := sortFile(t.LedgerPath, tables[i].LedgerPath, artifact.OpenLedger, artifact.NewLedgerWriter,
			func(r *artifact.LedgerReader) rows[artifact.LedgerRow] {
				return artifact.SortLedger(ctx, r.All(), into)
			}); err != nil {
			return side, fmt.Errorf("sorting %s: %w", t.LedgerPath, err)
		}
	}
	side.Datasets = tables
	return side, nil
}

type rows[T any] = func(yield func(T, error) bool)

func inOrder(ctx context.Context, path string) (bool, error) {
	keys, err := artifact.OpenKeys(path)
	if err != nil {
		return false, err
	}
	defer keys.Close()
	var before, key artifact.Key
	for first := true; ; first = false {
		switch err := keys.Read(&key); {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, err
		}
		if !first && artifact.CompareKeys(before.Shard, before.Row, key.Shard, key.Row) > 0 {
			return false, nil
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		before = key
	}
}

func sortFile[T any, W interface {
	Write(T) error
	Close() error
}](from, to string, open func(string) (*artifact.Reader[T], error), create func(io.Writer) W, order func(*artifact.Reader[T]) rows[T]) error {
	in, err := open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	w := create(out)
	for row, err := range order(in) {
		if err != nil {
			return err
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Close()
}
