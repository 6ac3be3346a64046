//go:build torch

package decoder

import (
	"math"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/tensor"
)

// preNorm is a norm before a sublayer, and its site.
type preNorm struct {
	affine
	site int
}

// normalizeInput returns x normalized for a sublayer, and observes the result. It is the same on all ranks.
func (r *rank) normalizeInput(s *tensor.Scope, x tensor.Tensor, n preNorm, in prepared) tensor.Tensor {
	y := r.normalize(s, x, n.affine)
	if in.observed != nil {
		s.Observe(in.observed, n.site, y)
	}
	return y
}

// observation returns what the rank observes of a batch, or nil for nothing. The first rank observes for all.
func (r *rank) observation(s *tensor.Scope, b *batch, q tensor.Sequences) *tensor.Observation {
	sites := len(r.architecture.Sites())
	if r.Index > 0 || sites == 0 || b.wanted.ActivationThreshold == 0 {
		return nil
	}
	return s.NewObservation(q, r.device, tensor.ObservationOptions{
		Sites: sites, Width: r.architecture.Hidden, Stride: protocol.MedianStride, Threshold: b.threshold(),
	})
}

// threshold returns the smallest float32 that is not less than the wanted threshold.
func (b *batch) threshold() float32 {
	t := float32(b.wanted.ActivationThreshold)
	if float64(t) < b.wanted.ActivationThreshold {
		t = math.Nextafter32(t, float32(math.Inf(1)))
	}
	return t
}

// unobserved returns activations of sequences in which nothing is observed yet.
func (d *Decoder) unobserved(sequences []Sequence) []protocol.Activations {
	all := make([]protocol.Activations, len(sequences))
	for i, q := range sequences {
		all[i] = protocol.Activations{
			Positions: int64(max(q.Read(), 0)), Sites: make([]protocol.SiteActivations, len(d.architecture.Sites())),
		}
	}
	return all
}

// activationsOf sets the sites and dimensions of a to those of m.
func activationsOf(m tensor.Magnitudes, threshold float32, a *protocol.Activations) {
	for i := range a.Sites {
		a.Sites[i] = protocol.SiteActivations{Largest: m.SiteLargest[i], Median: m.SiteMedians[i]}
	}
	for j, largest := range m.Largest {
		if largest < threshold {
			continue
		}
		sites := make([]byte, (len(a.Sites)+7)/8)
		for i := range sites {
			sites[i] = byte(m.Sites[j][i/4] >> (i % 4 * 8))
		}
		a.Dimensions = append(a.Dimensions, protocol.DimensionActivations{Dimension: int32(j), Sites: sites, Positions: m.Rows[j], Largest: largest})
	}
}
