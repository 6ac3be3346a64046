package cli_test

import (
	"context"
	"encoding/json"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// observant is a backend that observes activations. Its tokens are bytes. It reads at most observantLimit of them, and
// needs more memory while it observes.
type observant struct{ fakeBackend }

const observantLimit = 16

// observantModel has two norms of Hidden dimensions, all of which have the magnitude Scale at each position.
type observantModel struct {
	Hidden int     `json:"hidden"`
	Scale  float32 `json:"scale"`
	Loss   float64 `json:"loss"`
}

func (b observant) Describe(context.Context) (protocol.BackendDescription, error) {
	return protocol.BackendDescription{
		Name: b.name, Version: "1", Schema: "#Config: {hidden!: int, scale!: number, loss!: number}",
		Capabilities: []string{protocol.CapabilityActivations, protocol.CapabilityTokenRange},
	}, nil
}

// capable is observant with the capabilities that sliding windows need, for plans only.
type capable struct{ observant }

func (b capable) Describe(ctx context.Context) (protocol.BackendDescription, error) {
	d, err := b.observant.Describe(ctx)
	d.Capabilities = append(d.Capabilities, protocol.CapabilityConfidence, protocol.CapabilityTopK)
	return d, err
}

func (observant) Plan(_ context.Context, _ protocol.Model, s protocol.Settings) (protocol.Estimate, error) {
	e := protocol.Estimate{BytesPerToken: 1, MemoryBytes: 1e9}
	if s.ActivationThreshold > 0 {
		e.MemoryBytes = 3e9
	}
	_, err := s.Resolve(observantLimit)
	return e, err
}

func (observant) Load(_ context.Context, m protocol.Model) (sdk.Model, error) {
	var model observantModel
	return model, json.Unmarshal(m.Config, &model)
}

func (m observantModel) Describe() protocol.LoadedModel {
	return protocol.LoadedModel{
		ContextLimit: observantLimit, VocabularySize: 256, Device: "cpu", Dtype: "float64", Sites: []string{"first", "second"}, HiddenSize: int64(m.Hidden),
	}
}

func (observantModel) Close() error { return nil }

func (m observantModel) Score(
	ctx context.Context, s protocol.Settings, documents sdk.Documents, emit func(protocol.ScoredDocument) error,
) error {
	for d, err := range documents(ctx) {
		if err != nil {
			return err
		}
		a := uniform(d)
		read := len(d.Text)
		if s.Range.To > 0 {
			read = min(read, int(s.Range.To))
		}
		a.TotalNLL = 0
		for i := range a.TokenNLL {
			if a.TokenNLL[i] = m.Loss; i >= read {
				a.TokenNLL[i] = 0
			}
			a.TotalNLL += a.TokenNLL[i]
		}
		if read < len(d.Text) {
			a.Unscored = []protocol.Unscored{{Start: int32(read), End: int32(len(d.Text)), Reason: protocol.ReasonNotRequested}}
		}
		if s.ActivationThreshold > 0 {
			a.Activations = m.observe(int64(read), s.ActivationThreshold)
		}
		if err := emit(a); err != nil {
			return err
		}
	}
	return nil
}

func (m observantModel) observe(positions int64, threshold float64) protocol.Activations {
	a := protocol.Activations{Positions: positions, Sites: []protocol.SiteActivations{{Largest: m.Scale, Median: 1}, {Largest: m.Scale, Median: 1}}}
	for i := 0; i < m.Hidden && float64(m.Scale) >= threshold; i++ {
		a.Dimensions = append(a.Dimensions, protocol.DimensionActivations{Dimension: int32(i), Sites: []byte{3}, Positions: positions, Largest: m.Scale})
	}
	return a
}
