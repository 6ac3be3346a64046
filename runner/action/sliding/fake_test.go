package sliding_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/runner/action/actiontest"
)

func TestMain(m *testing.M) {
	backends := map[string]sdk.Backend{"fake": fake{}, "plain": fake{plain: true}}
	addBackends(backends)
	actiontest.Main(m, backends)
}

// fake is a backend with the model of testdata/sliding.py. If it is plain, it has no capabilities.
type fake struct{ plain bool }

// fakeModel has tokens of three bytes.
type fakeModel struct {
	// Limit is the context length of the model.
	Limit int64
	// Answer is "" or how answers differ from good ones.
	Answer string
	// Marker is a file whose absence makes the model fail at a window that contains "stop".
	Marker string
}

func (f fake) Describe(context.Context) (protocol.BackendDescription, error) {
	d := protocol.BackendDescription{Name: "fake", Version: "1", Schema: "#Config: {...}"}
	if f.plain {
		d.Name = "plain"
		return d, nil
	}
	d.Capabilities = []string{protocol.CapabilityConfidence, protocol.CapabilityTokenRange, protocol.CapabilityTopK}
	return d, nil
}

func (fake) Plan(context.Context, protocol.Model, protocol.Settings) (protocol.Estimate, error) {
	return protocol.Estimate{}, nil
}

func (fake) Load(_ context.Context, m protocol.Model) (sdk.Model, error) {
	var model fakeModel
	return model, json.Unmarshal(m.Config, &model)
}

func (m fakeModel) Describe() protocol.LoadedModel {
	return protocol.LoadedModel{ContextLimit: m.Limit, VocabularySize: 256, Device: "abacus", Dtype: "beads", Computed: map[string]string{"beads": "wood"}}
}

func (fakeModel) Close() error { return nil }

func (m fakeModel) Score(ctx context.Context, s protocol.Settings, documents sdk.Documents, emit func(protocol.ScoredDocument) error) error {
	for d, err := range documents(ctx) {
		if err != nil {
			return err
		}
		if m.Marker != "" && strings.Contains(d.Text, "stop") {
			if _, err := os.Stat(m.Marker); errors.Is(err, fs.ErrNotExist) {
				return errors.New("out of beads")
			}
		}
		answer := m.answer(d, s)
		if m.Answer == "no mass" {
			answer.Confidence.TopKMass = nil
		}
		if m.Answer == "silent" && d.Index == 1 {
			continue
		}
		if err := emit(answer); err != nil {
			return err
		}
	}
	return nil
}

// answer answers under a range.
func (m fakeModel) answer(d protocol.Document, s protocol.Settings) protocol.ScoredDocument {
	a := protocol.ScoredDocument{Index: d.Index}
	var ends []int32
	size := 3
	if m.Answer == "other tokens" && s.Range.From > 0 {
		size = 50
	}
	for start := 0; start < len(d.Text); start += size {
		end := min(start+size, len(d.Text))
		a.TokenIDs = append(a.TokenIDs, int32(d.Text[start]))
		a.TokenStarts, ends = append(a.TokenStarts, int32(start)), append(ends, int32(end))
	}
	n := s.Range.Cut(len(a.TokenIDs))
	a.TokenIDs, a.TokenStarts, a.TokenEnds = a.TokenIDs[:n], a.TokenStarts[:n], ends[:n]
	for i := range n {
		scored := s.Range == protocol.TokenRange{} || int64(i) >= s.Range.Score
		history := i - int(s.Range.From)
		if !scored {
			a.TokenNLL = append(a.TokenNLL, 0)
			confide(&a, s, 0, 0, 0, 0, 0)
			continue
		}
		last := byte(0)
		if history > 0 {
			last = d.Text[a.TokenEnds[i-1]-1]
		}
		loss, rank, share := prediction(last, history, d.Text[a.TokenStarts[i]:a.TokenEnds[i]])
		a.TokenNLL = append(a.TokenNLL, loss)
		a.TotalNLL += loss
		top, topNLL := a.TokenIDs[i], loss
		if rank > 1 {
			top, topNLL = (top+1)%256, loss/2
		}
		confide(&a, s, top, topNLL, rank, 1, -share*loss)
	}
	a.Unscored = s.Range.Unscored(a.TokenStarts, a.TokenEnds, int32(len(d.Text)), nil)
	return a
}

// prediction returns the loss and the rank of a token after a history of that many tokens and a last byte, and the loss
// of the top tokens as a share of its loss.
func prediction(last byte, history int, token string) (loss float64, rank int32, share float64) {
	sum, digits, letters := 0, true, true
	for i := range len(token) {
		sum += int(token[i])
		digits = digits && token[i] >= '0' && token[i] <= '9'
		letters = letters && token[i] >= 'a' && token[i] <= 'z'
	}
	m := (int(last)*31 + sum*17) % 23
	switch {
	case digits:
		loss = 0.0005 * float64(m+1)
	case letters:
		loss = 0.002 * float64(m+1)
		if history < 4 {
			loss += 3
		}
	default:
		loss = 0.5 + 0.3*float64(m)
	}
	rank = 1
	if m%5 == 4 {
		rank = int32(2 + m)
	}
	return loss, rank, 0.15 * float64(m%3)
}

// confide adds the confidence of a token, if it is requested.
func confide(a *protocol.ScoredDocument, s protocol.Settings, top int32, topNLL float64, rank int32, entropy, mass float64) {
	if !s.Confidence {
		return
	}
	c := &a.Confidence
	c.Top, c.TopNLL, c.Ranks, c.Entropies = append(c.Top, top), append(c.TopNLL, topNLL), append(c.Ranks, rank), append(c.Entropies, entropy)
	if s.TopK > 0 {
		c.TopKMass = append(c.TopKMass, mass)
	}
}
