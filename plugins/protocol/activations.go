package protocol

import "slices"

// Activations describes the outputs of norms while a model read a document: at each position, a vector of
// LoadedModel.HiddenSize dimensions at each of LoadedModel.Sites. A magnitude is the absolute value of an element of such
// a vector. A position that several windows read is observed in each.
type Activations struct {
	// Positions counts the observed positions: those of the prefix and of all tokens that are read.
	Positions int64
	// Sites has an entry for each site, in the order of LoadedModel.Sites.
	Sites []SiteActivations
	// Dimensions lists the dimensions with a magnitude of at least the threshold, ascending.
	Dimensions []DimensionActivations
}

// Add adds the activations of other windows of the same document, at the same sites.
func (a *Activations) Add(b Activations) {
	a.Positions += b.Positions
	for i, s := range b.Sites {
		a.Sites[i].Largest = max(a.Sites[i].Largest, s.Largest)
		a.Sites[i].Median = max(a.Sites[i].Median, s.Median)
	}
	merged := make([]DimensionActivations, 0, max(len(a.Dimensions), len(b.Dimensions)))
	for x, y := a.Dimensions, b.Dimensions; len(x)+len(y) > 0; {
		switch {
		case len(y) == 0 || len(x) > 0 && x[0].Dimension < y[0].Dimension:
			merged, x = append(merged, x[0]), x[1:]
		case len(x) == 0 || y[0].Dimension < x[0].Dimension:
			merged, y = append(merged, y[0]), y[1:]
		default:
			both := x[0]
			both.Sites = slices.Clone(both.Sites)
			for i, bits := range y[0].Sites {
				both.Sites[i] |= bits
			}
			both.Positions, both.Largest = both.Positions+y[0].Positions, max(both.Largest, y[0].Largest)
			merged, x, y = append(merged, both), x[1:], y[1:]
		}
	}
	a.Dimensions = merged
}

// SiteActivations describes a site.
type SiteActivations struct {
	// Largest is the largest magnitude.
	Largest float32
	// Median is the lower median of the magnitudes of all dimensions at every MedianStride-th position of each window, from
	// its first on. If a document has several windows, it is the largest of their medians.
	Median float32
}

// MedianStride is the distance between positions that contribute to SiteActivations.Median. The median of all positions
// would take longer than everything else that is observed.
const MedianStride = 16

// DimensionActivations describes a dimension that reaches the threshold.
type DimensionActivations struct {
	Dimension int32
	// Sites has bit i%8 of byte i/8 set if the dimension reaches the threshold at some position of site i.
	Sites []byte
	// Positions counts the positions at which the dimension reaches the threshold at some site.
	Positions int64
	// Largest is the largest magnitude.
	Largest float32
}
