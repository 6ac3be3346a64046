package series

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// unit is a document or a cluster of documents: the bits of each model and the scored bytes.
type unit struct {
	bits  []float64
	bytes float64
}

// reader reads the ledgers of a dataset, of all models in step.
type reader struct {
	dataset string
	models  []string
	ledgers []*artifact.LedgerReader
	// clusters reads the names of the documents' clusters; nil if no field of the rows names them.
	clusters *artifact.Reader[artifact.RowCluster]
	cluster  artifact.RowCluster
	// rows holds the current document of each model.
	rows []artifact.LedgerRow
}

func openReader(t *action.Task, p parameters, dataset string) (_ *reader, err error) {
	r := &reader{dataset: dataset, models: p.Models, rows: make([]artifact.LedgerRow, len(p.Models))}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	for i := range p.Models {
		path, err := p.together().Path(t, i, dataset, artifact.LedgerFile)
		if err != nil {
			return nil, err
		}
		ledger, err := artifact.OpenLedger(path)
		if err != nil {
			return nil, err
		}
		r.ledgers = append(r.ledgers, ledger)
	}
	if slices.Contains(p.Named, dataset) {
		path, err := p.together().Path(t, 0, dataset, artifact.ScoredFile)
		if err != nil {
			return nil, err
		}
		if r.clusters, err = artifact.OpenRowClusters(path); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// next reads the next document. The error after the last one is io.EOF.
func (r *reader) next() error {
	for i, ledger := range r.ledgers {
		if ledger.Len() != r.ledgers[0].Len() {
			return protocol.Invalid("dataset %q: model %q has %d documents and model %q %d; exclude the dataset",
				r.dataset, r.models[0], r.ledgers[0].Len(), r.models[i], ledger.Len())
		}
		if err := ledger.Read(&r.rows[i]); err != nil {
			return err
		}
		first, d := &r.rows[0], &r.rows[i]
		if d.Shard != first.Shard || d.Row != first.Row || d.ScoredBytes != first.ScoredBytes {
			return protocol.Invalid("dataset %q: model %q has document %s:%d with a loss for %d bytes where model %q has %s:%d with %d; exclude the dataset",
				r.dataset, r.models[0], first.Shard, first.Row, first.ScoredBytes, r.models[i], d.Shard, d.Row, d.ScoredBytes)
		}
	}
	if r.clusters == nil {
		return nil
	}
	return r.clusters.Read(&r.cluster)
}

// unit returns the name of the cluster of the current document.
func (r *reader) unit() string {
	if r.clusters != nil {
		return r.cluster.Cluster
	}
	return r.rows[0].Shard
}

func (r *reader) close() error {
	var errs []error
	for _, ledger := range r.ledgers {
		errs = append(errs, ledger.Close())
	}
	if r.clusters != nil {
		errs = append(errs, r.clusters.Close())
	}
	return errors.Join(errs...)
}

// readUnits calls add with each document of a dataset, or with each cluster. The unit is reused.
func readUnits(ctx context.Context, t *action.Task, p parameters, dataset string, add func(unit)) (err error) {
	r, err := openReader(t, p, dataset)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	of := newClusters(len(p.Models), slices.Contains(p.Clustered, dataset) || slices.Contains(p.Named, dataset))
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		u := of.unit(r.unit())
		for i, row := range r.rows {
			u.bits[i] += row.SpanNats / math.Ln2
		}
		u.bytes += float64(r.rows[0].ScoredBytes)
		if !of.clustered {
			add(*u)
		}
	}
	if of.clustered {
		for _, name := range of.order {
			add(*of.units[name])
		}
	}
	return nil
}

// clusters holds the current document, or all clusters of documents in the order of their first ones.
type clusters struct {
	clustered bool
	current   unit
	units     map[string]*unit
	order     []string
}

func newClusters(models int, clustered bool) *clusters {
	return &clusters{clustered: clustered, current: unit{bits: make([]float64, models)}, units: map[string]*unit{}}
}

// unit returns the unit of the next document, which is in a cluster of that name.
func (c *clusters) unit(name string) *unit {
	if !c.clustered {
		clear(c.current.bits)
		c.current.bytes = 0
		return &c.current
	}
	u := c.units[name]
	if u == nil {
		u = &unit{bits: make([]float64, len(c.current.bits))}
		c.units[name] = u
		c.order = append(c.order, name)
	}
	return u
}
