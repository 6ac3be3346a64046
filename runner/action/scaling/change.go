package scaling

import (
	"math"

	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

// change sums the differences of the first and the last model of the largest family over documents or their clusters.
type change struct {
	// gain holds the rows of that family; there are none without two models.
	gain []int
	sums statistics.Sums
	// units are those of the current dataset, whose shards are clusters if shards is true.
	units  statistics.Clusters
	shards bool
	// unequal means that the models have losses for different numbers of bytes of a document.
	unequal bool
}

// begin begins a dataset.
func (c *change) begin(shards bool) {
	c.sums.Merge(c.units.Sums())
	c.units, c.shards = statistics.Clusters{}, shards
}

// add adds a document.
func (c *change) add(d *artifact.ScoredDocument, losses []loss) {
	if len(c.gain) == 0 {
		return
	}
	first, last := losses[c.gain[0]], losses[c.gain[len(c.gain)-1]]
	c.unequal = c.unequal || first.bytes != last.bytes
	cluster := d.Cluster
	if c.shards {
		cluster = d.Shard
	}
	c.units.Add(cluster, (last.nats-first.nats)/math.Ln2, float64(first.bytes))
}

// changed returns the change over all documents, or nil without two models of a family.
func (s *Summary) changed(c *change) *Change {
	first, last, ok := s.ends()
	if !ok {
		return nil
	}
	of := &Change{BPB: s.Rows[last].BPB - s.Rows[first].BPB}
	if c.begin(false); !c.unequal {
		of.Interval = artifact.IntervalOf(c.sums)
	}
	return of
}
