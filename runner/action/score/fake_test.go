package score_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/runner/action/actiontest"
)

func TestMain(m *testing.M) {
	actiontest.Main(m, map[string]sdk.Backend{"fake": fake{}, "confident": fake{confident: true}})
}

// fake is a backend whose tokens are characters, and whose losses are 8 bits per byte. If it is confident, it says that
// all tokens are equally likely.
type fake struct{ confident bool }

type fakeModel struct {
	// Answer is "" or how the answer differs for a document that contains "odd".
	Answer string
	// Limit is the context length of the model.
	Limit int64
	// Size is the number of bytes per token, for ASCII texts only; 0 makes each character a token.
	Size int
	// Deaths is a file whose absence makes the process crash, once, at a document that contains "odd".
	Deaths string
}

func (f fake) Describe(context.Context) (protocol.BackendDescription, error) {
	if f.confident {
		return protocol.BackendDescription{
			Name: "confident", Version: "1", Schema: "#Config: {...}", Capabilities: []string{protocol.CapabilityConfidence},
		}, nil
	}
	return protocol.BackendDescription{Name: "fake", Version: "1", Schema: "#Config: {...}"}, nil
}

func (fake) Plan(context.Context, protocol.Model, protocol.Settings) (protocol.Estimate, error) {
	return protocol.Estimate{}, nil
}

func (fake) Load(_ context.Context, m protocol.Model) (sdk.Model, error) {
	var model fakeModel
	if err := json.Unmarshal(m.Config, &model); err != nil {
		return nil, err
	}
	if model.Answer == "no weights" {
		return nil, sdk.Invalid("the weights are not here; download them first")
	}
	return model, nil
}

func (m fakeModel) Describe() protocol.LoadedModel {
	return protocol.LoadedModel{ContextLimit: m.Limit, VocabularySize: 256, Device: "abacus", Dtype: "beads", Computed: map[string]string{"beads": "wood"}}
}

func (fakeModel) Close() error { return nil }

func (m fakeModel) Score(
	ctx context.Context, settings protocol.Settings, documents sdk.Documents, emit func(protocol.ScoredDocument) error,
) error {
	for d, err := range documents(ctx) {
		if err != nil {
			return err
		}
		s := answer(d, settings, m.Size)
		if strings.Contains(d.Text, "odd") {
			if err := m.spoil(&s); err != nil {
				return err
			}
			if m.Answer == "silent" {
				continue
			}
			if m.Answer == "twice" {
				if err := emit(s); err != nil {
					return err
				}
			}
		}
		if m.Answer == "noisy" && len(d.Text) > 0 {
			s.TokenNLL[0] += float64(d.Index) / 1024
			s.TotalNLL += float64(d.Index) / 1024
			if d.Text[0] == '=' {
				s.TokenNLL[1] -= float64(d.Index) / 2048
				s.TotalNLL -= float64(d.Index) / 2048
			}
		}
		if m.Answer == "fickle" && d.Index == 0 && len(d.Text) > 0 {
			s.TokenIDs[0]++
		}
		if err := emit(s); err != nil {
			return err
		}
	}
	return nil
}

// answer makes a token of each character, or of every size bytes. Its ID is the first byte. The ID of a special token
// is 255.
func answer(d protocol.Document, settings protocol.Settings, size int) protocol.ScoredDocument {
	s := protocol.ScoredDocument{Index: d.Index}
	for start, r := range d.Text {
		end := start + utf8.RuneLen(r)
		if size > 0 {
			if start%size != 0 {
				continue
			}
			end = min(start+size, len(d.Text))
		}
		nll := 8 * math.Ln2 * float64(end-start)
		if start == 0 && settings.Prefix == protocol.PrefixNone {
			nll = 0
			s.Unscored = append(s.Unscored, protocol.Unscored{Start: 0, End: int32(end), Reason: protocol.ReasonNoContext})
		}
		s.TokenIDs = append(s.TokenIDs, int32(d.Text[start]))
		s.TokenStarts, s.TokenEnds = append(s.TokenStarts, int32(start)), append(s.TokenEnds, int32(end))
		s.TokenNLL = append(s.TokenNLL, nll)
		if settings.Confidence {
			c, id := &s.Confidence, s.TokenIDs[len(s.TokenIDs)-1]
			top, rank, entropy := 8*math.Ln2, id+1, 8*math.Ln2
			if nll == 0 {
				top, rank, entropy = 0, 0, 0
			}
			c.Top, c.TopNLL = append(c.Top, 0), append(c.TopNLL, top)
			c.Ranks, c.Entropies = append(c.Ranks, rank), append(c.Entropies, entropy)
		}
		s.TotalNLL += nll
	}
	if d.ParseSpecial {
		s.TokenIDs[0] = 255
	}
	if settings.EOS {
		s.EOSNLL = 3
		s.TotalNLL += 3
	}
	return s
}

func (m fakeModel) spoil(s *protocol.ScoredDocument) error {
	switch m.Answer {
	case "negative":
		s.TokenNLL[0] = -1
	case "NaN":
		s.TokenNLL[1] = math.NaN()
	case "infinite":
		s.TokenNLL[1] = math.Inf(1)
	case "wrong sum":
		s.TotalNLL += 1e-6
	case "gap":
		s.TokenStarts[1]++
	case "short":
		s.TokenIDs, s.TokenStarts, s.TokenEnds, s.TokenNLL = s.TokenIDs[1:], s.TokenStarts[1:], s.TokenEnds[1:], s.TokenNLL[1:]
	case "unknown token":
		s.TokenIDs[0] = 256
	case "unasked":
		s.EOSNLL = 1
		s.TotalNLL++
	case "unscored loss":
		s.Unscored = []protocol.Unscored{{Start: 0, End: 1, Reason: "on a whim"}}
	case "no reason":
		s.Unscored = []protocol.Unscored{{Start: 0, End: 1}}
	case "failing":
		return errors.New("index out of range [7]")
	}
	if m.Deaths == "" {
		return nil
	}
	if _, err := os.Stat(m.Deaths); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(m.Deaths, nil, 0o644); err != nil {
		return err
	}
	os.Exit(9)
	return nil
}
