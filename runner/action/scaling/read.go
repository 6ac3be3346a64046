package scaling

import (
	"errors"
	"io"
	"sort"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
)

// reader reads the scored documents of a dataset, of all models in step.
type reader struct {
	dataset string
	models  []model
	tables  []*artifact.ScoredReader
	// documents holds the current document with the losses of each model. Their slices are reused.
	documents []artifact.ScoredDocument
}

func openReader(t *action.Task, models []model, dataset string) (_ *reader, err error) {
	r := &reader{dataset: dataset, models: models, documents: make([]artifact.ScoredDocument, len(models))}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	for i := range models {
		path, err := t.Input(score.Side(i) + "/" + dataset + "/" + artifact.ScoredFile)
		if err != nil {
			return nil, err
		}
		table, err := artifact.OpenScored(path)
		if err != nil {
			return nil, err
		}
		r.tables = append(r.tables, table)
	}
	return r, nil
}

// next reads the next document. The error after the last one is io.EOF.
func (r *reader) next() error {
	for i, table := range r.tables {
		if err := table.Read(&r.documents[i]); errors.Is(err, io.EOF) {
			return r.end()
		} else if err != nil {
			return err
		}
		first, d := &r.documents[0], &r.documents[i]
		if d.Shard != first.Shard || d.Row != first.Row || d.ScoreStart != first.ScoreStart || d.ScoreEnd != first.ScoreEnd || d.Text != first.Text {
			return protocol.Invalid("dataset %q: model %q has document %s:%d where model %q has %s:%d, or another text of it; exclude the dataset",
				r.dataset, r.models[0].Name, first.Shard, first.Row, r.models[i].Name, d.Shard, d.Row)
		}
	}
	return nil
}

// end checks that all tables have the same number of documents.
func (r *reader) end() error {
	for i, table := range r.tables {
		if n, first := table.Len(), r.tables[0].Len(); n != first {
			return protocol.Invalid("dataset %q: model %q has %d documents and model %q %d; exclude the dataset",
				r.dataset, r.models[0].Name, first, r.models[i].Name, n)
		}
	}
	return io.EOF
}

func (r *reader) close() error {
	var errs []error
	for _, table := range r.tables {
		errs = append(errs, table.Close())
	}
	return errors.Join(errs...)
}

// scoredBytes returns the number of bytes of [start, end) inside the scored span that have a loss.
func scoredBytes(d *artifact.ScoredDocument, start, end int) int64 {
	start, end = max(start, int(d.ScoreStart)), min(end, int(d.ScoreEnd))
	n := int64(max(end-start, 0))
	first := sort.Search(len(d.UnscoredEnds), func(i int) bool { return int(d.UnscoredEnds[i]) > start })
	for i := first; i < len(d.UnscoredStarts) && int(d.UnscoredStarts[i]) < end; i++ {
		n -= int64(max(min(end, int(d.UnscoredEnds[i]))-max(start, int(d.UnscoredStarts[i])), 0))
	}
	return n
}
