package actiontest

import (
	"context"
	"encoding/json"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// Observing is a backend that gives activations. Its tokens are bytes.
type Observing struct{}

// observingModel is a model with a loss of Loss nats per token, as its configuration says. Its norms have the magnitude
// Scale at even dimensions of every other position, and 1 elsewhere.
type observingModel struct {
	Sites, Hidden int
	Limit         int64
	Loss          float64
	Scale         float32
}

// Describe implements sdk.Backend.
func (Observing) Describe(context.Context) (protocol.BackendDescription, error) {
	return protocol.BackendDescription{
		Name: "observing", Version: "1", Schema: "#Config: {...}",
		Capabilities: []string{protocol.CapabilityActivations, protocol.CapabilityTokenRange},
	}, nil
}

// Plan implements sdk.Backend.
func (Observing) Plan(context.Context, protocol.Model, protocol.Settings) (protocol.Estimate, error) {
	return protocol.Estimate{Parameters: 1000}, nil
}

// Load implements sdk.Backend.
func (Observing) Load(_ context.Context, m protocol.Model) (sdk.Model, error) {
	var model observingModel
	return model, json.Unmarshal(m.Config, &model)
}

func (m observingModel) Describe() protocol.LoadedModel {
	names := []string{}
	for i := range m.Sites {
		names = append(names, "norm."+string(rune('0'+i)))
	}
	return protocol.LoadedModel{ContextLimit: m.Limit, VocabularySize: 256, Device: "abacus", Dtype: "beads", Sites: names, HiddenSize: int64(m.Hidden)}
}

func (observingModel) Close() error { return nil }

func (m observingModel) Score(ctx context.Context, s protocol.Settings, documents sdk.Documents, emit func(protocol.ScoredDocument) error) error {
	for d, err := range documents(ctx) {
		if err != nil {
			return err
		}
		if err := emit(m.answer(d, s)); err != nil {
			return err
		}
	}
	return nil
}

func (m observingModel) answer(d protocol.Document, s protocol.Settings) protocol.ScoredDocument {
	out := protocol.ScoredDocument{Index: d.Index}
	read := len(d.Text)
	if s.Range.To > 0 && int(s.Range.To) < read {
		read = int(s.Range.To)
		out.Unscored = []protocol.Unscored{{Start: int32(read), End: int32(len(d.Text)), Reason: protocol.ReasonNotRequested}}
	}
	for i := range len(d.Text) {
		out.TokenIDs = append(out.TokenIDs, int32(d.Text[i]))
		out.TokenStarts, out.TokenEnds = append(out.TokenStarts, int32(i)), append(out.TokenEnds, int32(i+1))
		loss := m.Loss
		if i >= read {
			loss = 0
		}
		out.TokenNLL = append(out.TokenNLL, loss)
		out.TotalNLL += loss
	}
	if s.ActivationThreshold > 0 {
		a := &out.Activations
		a.Positions = int64(read)
		for range m.Sites {
			a.Sites = append(a.Sites, protocol.SiteActivations{Largest: max(m.Scale, 1), Median: 1})
		}
		for i := 0; i < m.Hidden && float64(m.Scale) >= s.ActivationThreshold; i += 2 {
			a.Dimensions = append(a.Dimensions, protocol.DimensionActivations{
				Dimension: int32(i), Sites: []byte{1<<m.Sites - 1}, Positions: int64(read+1) / 2, Largest: m.Scale,
			})
		}
	}
	return out
}
