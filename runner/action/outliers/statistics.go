package outliers

import (
	"maps"
	"math"
	"slices"

	"surprisal.dev/runner/action/activations"
	"surprisal.dev/runner/artifact"
)

// counts are how often values occur. There are few different ones: percentages of the sites, or of the positions of
// sequences of at most the same length.
type counts struct {
	of  map[float64]int64
	sum float64
	n   int64
}

func (c *counts) add(v float64) {
	if c.of == nil {
		c.of = map[float64]int64{}
	}
	c.of[v]++
	c.sum += v
	c.n++
}

// mean returns the mean, or nil without values.
func (c *counts) mean() *float64 {
	if c.n == 0 {
		return nil
	}
	m := c.sum / float64(c.n)
	return &m
}

// median returns the median, the mean of the two in the middle of an even number, or nil without values.
func (c *counts) median() *float64 {
	if c.n == 0 {
		return nil
	}
	sorted := slices.Sorted(maps.Keys(c.of))
	at := func(rank int64) float64 {
		for _, v := range sorted {
			if rank -= c.of[v]; rank < 0 {
				return v
			}
		}
		return math.NaN()
	}
	m := (at((c.n-1)/2) + at(c.n/2)) / 2
	return &m
}

// dimension is what is known of a dimension of a model over its occurrences.
type dimension struct {
	occurrences int64
	layers, seq float64 // sums of percentages
	largest     float64
	sites       []byte
}

// tally adds up what was observed of a model.
type tally struct {
	Definition
	sites      []string
	layer, seq counts
	dimensions map[int32]*dimension
	// atSites has an entry for each site.
	atSites []atSite
	sums    activations.Sums
	n       int64 // sequences
	largest Largest
}

// atSite is what is known of a site. medians is the sum of the sequences' medians.
type atSite struct {
	largest, medians float64
	occurrences      int64
}

// Largest is the largest magnitude of a model.
type Largest struct {
	Magnitude float64 `json:"magnitude"`
	// Site is where it is. Ratio is the ratio to the median magnitude of the same site in the same sequence, and null if
	// that is 0.
	Site  string   `json:"site"`
	Ratio *float64 `json:"ratioToMedian"`
	// Dimension is its dimension, and null if the magnitude is below the threshold.
	Dimension *int32 `json:"dimension"`
}

func newTally(d Definition, sites []string) *tally {
	return &tally{Definition: d, sites: sites, dimensions: map[int32]*dimension{}, atSites: make([]atSite, len(sites))}
}

// add adds a sequence, and calls visit with each systematic dimension.
func (t *tally) add(r *activations.Reader, visit func(artifact.Outlier) error) (occurrences int64, err error) {
	s := &r.Sequence
	t.n++
	t.sums.Add(s)
	t.sums.Hits += int64(len(r.Dimensions))
	for i, largest := range s.SiteLargest {
		of := &t.atSites[i]
		of.largest = max(of.largest, largest)
		of.medians += s.SiteMedian[i]
		if largest > t.largest.Magnitude || t.largest.Site == "" {
			t.largest = Largest{Magnitude: largest, Site: t.sites[i], Ratio: ratio(largest, s.SiteMedian[i]), Dimension: at(r.Dimensions, i, largest)}
		}
	}
	for i := range r.Dimensions {
		d := &r.Dimensions[i]
		layers := activations.SiteCount(d.Sites)
		inLayers, inSequence := float64(layers)/float64(len(t.sites)), float64(d.Positions)/float64(s.Positions)
		if inLayers < t.LayerShare || inSequence < t.SequenceShare {
			continue
		}
		occurrences++
		o := artifact.Outlier{
			Shard: s.Shard, Row: s.Row, Dimension: d.Dimension, Layers: int64(layers), LayerPercentage: 100 * inLayers,
			SequencePercentage: 100 * inSequence, Largest: d.Largest,
		}
		t.systematic(o, d.Sites)
		if err := visit(o); err != nil {
			return occurrences, err
		}
	}
	return occurrences, nil
}

// systematic adds an occurrence at some sites.
func (t *tally) systematic(o artifact.Outlier, sites []byte) {
	t.layer.add(o.LayerPercentage)
	t.seq.add(o.SequencePercentage)
	d := t.dimensions[o.Dimension]
	if d == nil {
		d = &dimension{sites: make([]byte, len(sites))}
		t.dimensions[o.Dimension] = d
	}
	d.occurrences++
	d.layers += o.LayerPercentage
	d.seq += o.SequencePercentage
	d.largest = max(d.largest, o.Largest)
	for i, b := range sites {
		d.sites[i] |= b
	}
	for i := range t.atSites {
		if activations.HasSite(sites, i) {
			t.atSites[i].occurrences++
		}
	}
}

// ratio returns a ratio to a median, or nil if that is 0.
func ratio(largest, median float64) *float64 {
	if median == 0 {
		return nil
	}
	r := largest / median
	return &r
}

// at returns the dimension with a magnitude at a site, or nil.
func at(dimensions []artifact.ActivationDimension, site int, magnitude float64) *int32 {
	for i := range dimensions {
		if d := &dimensions[i]; d.Largest == magnitude && activations.HasSite(d.Sites, site) {
			id := d.Dimension
			return &id
		}
	}
	return nil
}

// finished returns the dimensions by the number of their occurrences, the most frequent first, and then by their index.
func (t *tally) finished() []DimensionRow {
	rows := make([]DimensionRow, 0, len(t.dimensions))
	for _, id := range slices.Sorted(maps.Keys(t.dimensions)) {
		d := t.dimensions[id]
		n := float64(d.occurrences)
		rows = append(rows, DimensionRow{
			Dimension: id, Occurrences: d.occurrences, MeanLayer: d.layers / n, MeanSequence: d.seq / n, Largest: d.largest,
			Layers: int64(activations.SiteCount(d.sites)),
		})
	}
	slices.SortStableFunc(rows, func(a, b DimensionRow) int { return int(b.Occurrences - a.Occurrences) })
	return rows
}
