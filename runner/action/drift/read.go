package drift

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

// document is a document as the models of a comparison scored it, the current model last.
type document struct {
	cluster string
	scores  []losses
}

// losses are those of a model on a document.
type losses struct {
	bits, bytes float64
	*artifact.ScoredDocument
}

// reader reads the scores of a dataset by all models in step.
type reader struct {
	dataset string
	models  []string
	tables  []*artifact.ScoredReader
	ledgers []*artifact.LedgerReader
	rows    []artifact.LedgerRow
	// shards means that the shards are clusters.
	shards bool
}

func (p *parameters) open(t *action.Task, dataset string, models []string) (_ *reader, err error) {
	r := &reader{dataset: dataset, models: models, rows: make([]artifact.LedgerRow, len(models)), shards: slices.Contains(p.Clustered, dataset)}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	for _, m := range models {
		path, err := p.path(t, scored{m, dataset}, artifact.LedgerFile)
		if err != nil {
			return nil, err
		}
		ledger, err := artifact.OpenLedger(path)
		if err != nil {
			return nil, err
		}
		r.ledgers = append(r.ledgers, ledger)
		if path, err = p.path(t, scored{m, dataset}, artifact.ScoredFile); err != nil {
			return nil, err
		}
		table, err := artifact.OpenLosses(path)
		if err != nil {
			return nil, err
		}
		r.tables = append(r.tables, table)
	}
	return r, nil
}

// path returns the path of a file of a score.
func (p *parameters) path(t *action.Task, s scored, file string) (string, error) {
	return t.Input(p.role(s.model) + "/" + s.dataset + "/" + file)
}

// next reads the next document into d. The error after the last one is io.EOF.
func (r *reader) next(d *document) error {
	for i := range r.models {
		row, of := &r.rows[i], &d.scores[i]
		if r.ledgers[i].Len() != r.ledgers[0].Len() {
			return protocol.Invalid("dataset %q: model %q has %d documents and model %q %d; exclude the dataset",
				r.dataset, r.models[0], r.ledgers[0].Len(), r.models[i], r.ledgers[i].Len())
		}
		if err := r.ledgers[i].Read(row); err != nil {
			return err
		}
		if err := r.tables[i].Read(of.ScoredDocument); err != nil {
			return fmt.Errorf("dataset %q: document %s:%d: %w", r.dataset, row.Shard, row.Row, err)
		}
		first := &r.rows[0]
		if row.Shard != first.Shard || row.Row != first.Row || row.ScoredBytes != first.ScoredBytes || of.Text != d.scores[0].Text {
			return protocol.Invalid("dataset %q: model %q has document %s:%d with a loss for %d bytes where model %q has %s:%d with %d; exclude the dataset",
				r.dataset, r.models[0], first.Shard, first.Row, first.ScoredBytes, r.models[i], row.Shard, row.Row, row.ScoredBytes)
		}
		of.bits, of.bytes = row.SpanNats/math.Ln2, float64(row.ScoredBytes)
	}
	d.cluster = d.scores[0].Cluster
	if r.shards {
		d.cluster = d.scores[0].Shard
	}
	return nil
}

func (r *reader) close() error {
	var errs []error
	for _, ledger := range r.ledgers {
		errs = append(errs, ledger.Close())
	}
	for _, table := range r.tables {
		errs = append(errs, table.Close())
	}
	return errors.Join(errs...)
}

// each calls visit with the documents of a dataset, whose memory is reused.
func (p *parameters) each(ctx context.Context, t *action.Task, dataset string, models []string, visit func(*document)) (err error) {
	r, err := p.open(t, dataset, models)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	d := &document{scores: make([]losses, len(models))}
	for i := range d.scores {
		d.scores[i].ScoredDocument = &artifact.ScoredDocument{}
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.next(d); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		visit(d)
	}
}

// ratio is the numerator and the denominator of a unit: a document or a cluster of documents.
type ratio struct{ d, w float64 }

// ratios adds up several ratios of the units of a dataset.
type ratios struct {
	sums []statistics.Sums
	// clusters are in the order of their first documents.
	clusters map[string][]ratio
	order    []string
}

func newRatios(n int) *ratios {
	return &ratios{sums: make([]statistics.Sums, n), clusters: map[string][]ratio{}}
}

// add adds a document. Without the name of a cluster it is a unit by itself.
func (r *ratios) add(cluster string, of []ratio) {
	if cluster == "" {
		for i, v := range of {
			r.sums[i].Add(v.d, v.w)
		}
		return
	}
	total, ok := r.clusters[cluster]
	if !ok {
		total = make([]ratio, len(of))
		r.clusters[cluster] = total
		r.order = append(r.order, cluster)
	}
	for i, v := range of {
		total[i].d += v.d
		total[i].w += v.w
	}
}

// all returns the sums over the units.
func (r *ratios) all() []statistics.Sums {
	for _, name := range r.order {
		for i, v := range r.clusters[name] {
			r.sums[i].Add(v.d, v.w)
		}
	}
	r.order, r.clusters = nil, nil
	return r.sums
}
