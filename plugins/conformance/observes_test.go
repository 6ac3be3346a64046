package conformance

import (
	"context"
	"strings"

	"surprisal.dev/plugins/protocol"
)

// observed invents activations of two dimensions at one site.
func (m *faultyModel) observed(s protocol.ScoredDocument, threshold float64) protocol.Activations {
	a := protocol.Activations{Positions: int64(len(s.TokenIDs)), Sites: []protocol.SiteActivations{{}}}
	if a.Positions == 0 {
		return a
	}
	largest := []float32{4, 8}
	switch {
	case m.fault == "observes the order":
		largest[1] += float32(s.Index)
	case m.fault == "observes the threshold" && threshold > 1:
		largest[1]++
	}
	a.Sites[0] = protocol.SiteActivations{Largest: largest[1], Median: 1}
	for i, x := range largest {
		if float64(x) >= threshold && (m.fault != "observes too little" || threshold < 1 || i == 0) {
			a.Dimensions = append(a.Dimensions, protocol.DimensionActivations{Dimension: int32(i), Sites: []byte{1}, Positions: 1, Largest: x})
		}
	}
	return a
}

// Describe adds a site to a model that is observed.
func (m *faultyModel) Describe() protocol.LoadedModel {
	d := m.Model.Describe()
	if strings.HasPrefix(m.fault, "observes") {
		d.Sites, d.HiddenSize = []string{"norm"}, 2
	}
	return d
}

// Describe adds the capability of a backend that observes.
func (b faultyBackend) Describe(ctx context.Context) (protocol.BackendDescription, error) {
	d, err := b.Trainer.Describe(ctx)
	if strings.HasPrefix(b.fault, "observes") {
		d.Capabilities = append(d.Capabilities, protocol.CapabilityActivations)
	}
	return d, err
}
