package statistics

import (
	"maps"
	"slices"
)

// part is the numerator and the weight of a unit, or of a part of one.
type part struct{ d, w float64 }

// Clusters adds documents to the clusters that they name. A document without a name is a unit by itself. The memory is
// that of the clusters.
type Clusters struct {
	alone    Sums
	clusters map[string]part
}

// Add adds a document.
func (c *Clusters) Add(cluster string, d, w float64) {
	if cluster == "" {
		c.alone.Add(d, w)
		return
	}
	if c.clusters == nil {
		c.clusters = map[string]part{}
	}
	of := c.clusters[cluster]
	c.clusters[cluster] = part{of.d + d, of.w + w}
}

// Sums returns the sums over the clusters. Equal documents in equal order give equal bits.
func (c *Clusters) Sums() Sums {
	s := c.alone
	for _, name := range slices.Sorted(maps.Keys(c.clusters)) {
		s.Add(c.clusters[name].d, c.clusters[name].w)
	}
	return s
}

// Runs adds documents to clusters that follow each other, such as the shards of a dataset. K identifies a cluster.
type Runs[K comparable] struct {
	sums    Sums
	current K
	part    part
}

// Add adds a document.
func (r *Runs[K]) Add(cluster K, d, w float64) {
	if cluster != r.current {
		r.sums.Add(r.part.d, r.part.w)
		r.current, r.part = cluster, part{}
	}
	r.part.d += d
	r.part.w += w
}

// Sums returns the sums over the clusters.
func (r *Runs[K]) Sums() Sums {
	s := r.sums
	s.Add(r.part.d, r.part.w)
	return s
}
