package site

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/store"
)

// sampledDocuments is how many documents of a dataset are published where text is sampled, in addition to those that a
// page names.
const sampledDocuments = 20

// scoredTable is the table of a score that pages refer to.
type scoredTable struct {
	// named are the documents that pages name.
	named map[artifact.RowID]bool
	// published is nil until the table is.
	published *action.ScoredTable
}

func (x *exporter) table(of action.ScoredFile) (*scoredTable, string, error) {
	f, err := store.FileOf(of.Action.Outputs, of.Name)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", of.Action.Name, err)
	}
	t := x.tables[f.Digest]
	if t == nil {
		t = &scoredTable{named: map[artifact.RowID]bool{}}
		x.tables[f.Digest] = t
	}
	return t, f.Digest, nil
}

// sample collects the documents that the pages of an experiment name.
func (x *exporter) sample(ctx context.Context, e *Experiment) error {
	p := &publisher{x, e}
	want := func(of action.ScoredFile, id artifact.RowID) error {
		t, _, err := x.table(of)
		if err == nil {
			t.named[id] = true
		}
		return err
	}
	for _, k := range e.Kinds {
		sampler, ok := k.(action.Sampler)
		if !ok {
			continue
		}
		for _, a := range e.Plan.Of(k.Name()) {
			if a.Outputs == nil {
				continue
			}
			if err := sampler.Sample(ctx, a, p, want); err != nil {
				return fmt.Errorf("documents on the page of %s: %w", a.Name, err)
			}
		}
	}
	return nil
}

// Scored implements action.Publisher.
func (p *publisher) Scored(ctx context.Context, of action.ScoredFile) (action.ScoredTable, bool, error) {
	if p.choice.text == action.TextNone {
		return action.ScoredTable{}, false, nil
	}
	t, digest, err := p.table(of)
	if err != nil {
		return action.ScoredTable{}, false, err
	}
	if t.published == nil {
		if t.published, err = p.publishScored(ctx, of, digest, t.named); err != nil {
			return action.ScoredTable{}, false, fmt.Errorf("%s: %w", of.Action.Name, err)
		}
	}
	return *t.published, true, nil
}

// publishScored writes the published form of a table of scores and of its confidence.
func (p *publisher) publishScored(ctx context.Context, of action.ScoredFile, digest string, named map[artifact.RowID]bool) (*action.ScoredTable, error) {
	from, err := p.e.Path(ctx, digest)
	if err != nil {
		return nil, err
	}
	t := &action.ScoredTable{Row: func(_ artifact.RowID, rank int64) (int64, bool) { return rank, true }}
	rows := chosenRows{everyRow, func(artifact.RowID) bool { return true }}
	if p.choice.text == action.TextSampled {
		ids, err := chosen(from, named)
		if err != nil {
			return nil, err
		}
		find := func(id artifact.RowID) (int, bool) { return slices.BinarySearchFunc(ids, id, compareIDs) }
		rows = chosenRows{choiceOf(ids), func(id artifact.RowID) bool { _, ok := find(id); return ok }}
		t.Row = func(id artifact.RowID, _ int64) (int64, bool) {
			i, ok := find(id)
			return int64(i), ok
		}
	}
	t.Table, err = p.made("scored "+digest, rows.choice, func() (action.PageFile, error) {
		return copyRows(ctx, p, rowsOf[artifact.ScoredDocument]{
			open: func() (*artifact.ScoredReader, error) { return artifact.OpenScored(from) },
			id:   func(d *artifact.ScoredDocument) artifact.RowID { return artifact.RowID{Shard: d.Shard, Row: d.Row} },
			sort: artifact.SortScored, create: func(w io.Writer) rowWriter[artifact.ScoredDocument] { return artifact.NewRangedScoredWriter(w) },
		}, rows.keep)
	})
	if err != nil {
		return nil, err
	}
	return t, p.publishConfidence(ctx, of, rows, t)
}

// chosenRows are the published rows of a table. choice identifies them.
type chosenRows struct {
	choice string
	keep   func(artifact.RowID) bool
}

// publishConfidence writes the published form of the confidence of a score, if it has one, and of its most probable tokens.
func (p *publisher) publishConfidence(ctx context.Context, of action.ScoredFile, rows chosenRows, t *action.ScoredTable) error {
	f, err := store.FileOf(of.Action.Outputs, path.Join(path.Dir(of.Name), artifact.ConfidenceFile))
	if err != nil {
		return nil //nolint:nilerr // The backend does not tell its confidence.
	}
	file, err := p.made("confidence "+f.Digest, rows.choice, func() (action.PageFile, error) {
		// A store in a bucket sends the file only when it is needed.
		from, err := p.e.Path(ctx, f.Digest)
		if err != nil {
			return action.PageFile{}, err
		}
		return copyRows(ctx, p, rowsOf[artifact.Confidence]{
			open: func() (*artifact.ConfidenceReader, error) { return artifact.OpenConfidence(from) },
			id:   func(c *artifact.Confidence) artifact.RowID { return artifact.RowID{Shard: c.Shard, Row: c.Row} },
			sort: artifact.SortConfidence, create: func(w io.Writer) rowWriter[artifact.Confidence] { return artifact.NewRangedConfidenceWriter(w) },
		}, rows.keep)
	})
	if err != nil {
		return err
	}
	t.Confidence = &file
	t.TopTokens, err = p.topTokens(ctx, of, topIn{f.Digest, rows})
	return err
}

func compareIDs(a, b artifact.RowID) int { return artifact.CompareRows(a.Shard, a.Row, b.Shard, b.Row) }

// chosen returns the documents of a table that are published where text is sampled, in order: those that a page names, and
// some others. Which others depends only on the names of the documents, so that two models have the same.
func chosen(path string, named map[artifact.RowID]bool) (_ []artifact.RowID, err error) {
	in, err := artifact.OpenRowIDs(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	type candidate struct {
		hash uint64
		id   artifact.RowID
	}
	var ids []artifact.RowID
	var others []candidate
	for id, err := range in.All() {
		if err != nil {
			return nil, err
		}
		if named[id] {
			ids = append(ids, id)
			continue
		}
		digest := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", id.Row, id.Shard))
		c := candidate{binary.BigEndian.Uint64(digest[:]), id}
		at, _ := slices.BinarySearchFunc(others, c, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.hash, b.hash), compareIDs(a.id, b.id)) })
		if at < sampledDocuments {
			others = slices.Insert(others, at, c)
			others = others[:min(len(others), sampledDocuments)]
		}
	}
	for _, c := range others {
		ids = append(ids, c.id)
	}
	slices.SortFunc(ids, compareIDs)
	return ids, nil
}

type rowWriter[T any] interface {
	Write(T) error
	Close() error
}

// rowsOf is how the rows of a table of a score are read, sorted and written.
type rowsOf[T any] struct {
	open   func() (*artifact.Reader[T], error)
	id     func(*T) artifact.RowID
	sort   func(ctx context.Context, rows iter.Seq2[T, error], dir string) iter.Seq2[T, error]
	create func(io.Writer) rowWriter[T]
}

// errUnsorted means that rows are not in the order of shard and row.
var errUnsorted = errors.New("the rows are not in order")

// copyRows publishes the rows of a table that are kept, in the order of shard and row.
func copyRows[T any](ctx context.Context, p *publisher, of rowsOf[T], keep func(artifact.RowID) bool) (action.PageFile, error) {
	file, err := p.File(".parquet", func(w io.Writer) error {
		return of.read(func(rows iter.Seq2[T, error]) error { return of.write(ctx, rows, keep, of.create(w)) })
	})
	if !errors.Is(err, errUnsorted) {
		return file, err
	}
	scratch, err := p.Scratch()
	if err != nil {
		return action.PageFile{}, err
	}
	return p.File(".parquet", func(w io.Writer) error {
		return of.read(func(rows iter.Seq2[T, error]) error {
			return of.write(ctx, of.sort(ctx, rows, scratch), keep, of.create(w))
		})
	})
}

func (of rowsOf[T]) read(use func(iter.Seq2[T, error]) error) (err error) {
	in, err := of.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return use(in.All())
}

func (of rowsOf[T]) write(ctx context.Context, rows iter.Seq2[T, error], keep func(artifact.RowID) bool, out rowWriter[T]) error {
	var before *artifact.RowID
	for row, err := range rows {
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		id := of.id(&row)
		if before != nil && compareIDs(*before, id) > 0 {
			return errUnsorted
		}
		before = &id
		if !keep(id) {
			continue
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	return out.Close()
}
