package artifact

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"slices"
)

// sortBytes bounds the rows that a sort holds in memory; the rest is written to sorted runs.
const sortBytes = 64 << 20

// mergeRuns is the maximum number of runs that are merged at once: each has a page of every column in memory.
const mergeRuns = 16

// SortScored yields rows in the order of shard (bytewise) and row number. Rows that do not fit in a bounded buffer are
// written to files in dir, which are removed when the loop ends. Rows of equal shard and number are adjacent.
func SortScored(ctx context.Context, rows iter.Seq2[ScoredDocument, error], dir string) iter.Seq2[ScoredDocument, error] {
	return sortScored(func(a, b *ScoredDocument) int { return CompareRows(a.Shard, a.Row, b.Shard, b.Row) }).sort(ctx, rows, dir)
}

// SortClusters yields rows in the order of cluster, shard and row number, like SortScored.
func SortClusters(ctx context.Context, rows iter.Seq2[ScoredDocument, error], dir string) iter.Seq2[ScoredDocument, error] {
	return sortScored(func(a, b *ScoredDocument) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), CompareRows(a.Shard, a.Row, b.Shard, b.Row))
	}).sort(ctx, rows, dir)
}

func sortScored(compare func(a, b *ScoredDocument) int) sorter[ScoredDocument] {
	return sorter[ScoredDocument]{
		limit: sortBytes, size: scoredSize, open: opened(OpenScored), compare: compare,
		create: func(w io.Writer) rowWriter[ScoredDocument] { return NewScoredWriter(w) },
	}
}

// SortExported yields rows in the order of dataset, shard (bytewise) and row number, like SortScored.
func SortExported(ctx context.Context, rows iter.Seq2[ExportedDocument, error], dir string) iter.Seq2[ExportedDocument, error] {
	return sortExported(ctx, rows, dir, sortBytes)
}

func sortExported(ctx context.Context, rows iter.Seq2[ExportedDocument, error], dir string, limit int) iter.Seq2[ExportedDocument, error] {
	s := sorter[ExportedDocument]{
		limit: limit, size: exportedSize, open: opened(OpenExported),
		create: func(w io.Writer) rowWriter[ExportedDocument] { return NewExportedWriter(w) },
		compare: func(a, b *ExportedDocument) int {
			return cmp.Or(cmp.Compare(a.Dataset, b.Dataset), CompareRows(a.Shard, a.Row, b.Shard, b.Row))
		},
	}
	return s.sort(ctx, rows, dir)
}

// SortLedger yields rows in the order of shard (bytewise) and row number, like SortScored.
func SortLedger(ctx context.Context, rows iter.Seq2[LedgerRow, error], dir string) iter.Seq2[LedgerRow, error] {
	s := sorter[LedgerRow]{
		limit: sortBytes, size: ledgerSize, open: opened(OpenLedger),
		create:  func(w io.Writer) rowWriter[LedgerRow] { return NewLedgerWriter(w) },
		compare: func(a, b *LedgerRow) int { return CompareRows(a.Shard, a.Row, b.Shard, b.Row) },
	}
	return s.sort(ctx, rows, dir)
}

// SortConfidence yields rows in the order of shard (bytewise) and row number, like SortScored.
func SortConfidence(ctx context.Context, rows iter.Seq2[Confidence, error], dir string) iter.Seq2[Confidence, error] {
	s := sorter[Confidence]{
		limit: sortBytes, size: confidenceSize, open: opened(OpenConfidence),
		create:  func(w io.Writer) rowWriter[Confidence] { return NewConfidenceWriter(w) },
		compare: func(a, b *Confidence) int { return CompareRows(a.Shard, a.Row, b.Shard, b.Row) },
	}
	return s.sort(ctx, rows, dir)
}

type rowWriter[T any] interface {
	Write(T) error
	Close() error
}

type rowReader[T any] interface {
	Read(*T) error
	Close() error
}

type sorter[T any] struct {
	limit   int
	size    func(*T) int
	compare func(a, b *T) int
	create  func(io.Writer) rowWriter[T]
	open    func(string) (rowReader[T], error)
}

// opened returns a function that opens a table, for a sorter.
func opened[T any](open func(string) (*Reader[T], error)) func(string) (rowReader[T], error) {
	return func(path string) (rowReader[T], error) { return open(path) }
}

func (s sorter[T]) sort(ctx context.Context, rows iter.Seq2[T, error], dir string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		stopped := false
		err := s.work(ctx, rows, dir, func(row T) bool {
			stopped = !yield(row, nil)
			return !stopped
		})
		if err != nil && !stopped {
			var none T
			yield(none, err)
		}
	}
}

func (s sorter[T]) work(ctx context.Context, rows iter.Seq2[T, error], dir string, emit func(T) bool) (err error) {
	var runs []string
	defer func() {
		for _, run := range runs {
			err = errors.Join(err, os.Remove(run))
		}
	}()
	var held []T
	size := 0
	order := func() {
		slices.SortFunc(held, func(a, b T) int { return s.compare(&a, &b) })
	}
	for row, err := range rows {
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		held = append(held, row)
		if size += s.size(&row); size < s.limit {
			continue
		}
		order()
		run, err := s.spill(dir, slices.Values(held))
		if err != nil {
			return err
		}
		runs = append(runs, run)
		clear(held)
		held, size = held[:0], 0
	}
	order()
	if len(runs) == 0 {
		for _, row := range held {
			if !emit(row) {
				return nil
			}
		}
		return nil
	}
	if len(held) > 0 {
		run, err := s.spill(dir, slices.Values(held))
		if err != nil {
			return err
		}
		runs = append(runs, run)
		held = nil
	}
	for len(runs) > mergeRuns {
		if runs, err = s.shorten(ctx, dir, runs); err != nil {
			return err
		}
	}
	return s.merge(ctx, runs, emit)
}

// shorten merges the first mergeRuns runs into one, which it appends. It returns the existing files, also after an
// error.
func (s sorter[T]) shorten(ctx context.Context, dir string, runs []string) ([]string, error) {
	var failed error
	run, err := s.spill(dir, func(yield func(T) bool) { failed = s.merge(ctx, runs[:mergeRuns], yield) })
	if err != nil {
		return runs, errors.Join(err, failed)
	}
	if failed != nil {
		return append(runs, run), failed
	}
	old := slices.Clone(runs[:mergeRuns])
	runs = append(runs[mergeRuns:], run)
	for i, path := range old {
		if err := os.Remove(path); err != nil {
			return append(runs, old[i:]...), err
		}
	}
	return runs, nil
}

// spill writes rows to a file in dir.
func (s sorter[T]) spill(dir string, rows iter.Seq[T]) (path string, err error) {
	f, err := os.CreateTemp(dir, "run-*.parquet")
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	w := s.create(f)
	for row := range rows {
		if err := w.Write(row); err != nil {
			return "", err
		}
	}
	return f.Name(), w.Close()
}

func (s sorter[T]) merge(ctx context.Context, runs []string, emit func(T) bool) (err error) {
	type head struct {
		reader rowReader[T]
		row    T
	}
	var heads []*head
	defer func() {
		for _, h := range heads {
			err = errors.Join(err, h.reader.Close())
		}
	}()
	// step reads the next row of heads[i], or removes the run if it has no more rows.
	step := func(i int) error {
		var row T
		switch err := heads[i].reader.Read(&row); {
		case errors.Is(err, io.EOF):
			err := heads[i].reader.Close()
			heads = slices.Delete(heads, i, i+1)
			return err
		case err != nil:
			return err
		}
		heads[i].row = row
		return nil
	}
	for _, run := range runs {
		reader, err := s.open(run)
		if err != nil {
			return err
		}
		heads = append(heads, &head{reader: reader})
		if err := step(len(heads) - 1); err != nil {
			return err
		}
	}
	for len(heads) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		least := 0
		for i := range heads {
			if s.compare(&heads[i].row, &heads[least].row) < 0 {
				least = i
			}
		}
		if !emit(heads[least].row) {
			return nil
		}
		if err := step(least); err != nil {
			return err
		}
	}
	return nil
}
