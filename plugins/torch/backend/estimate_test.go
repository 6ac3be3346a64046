//go:build torch

package backend

import (
	"encoding/json"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
)

// TestByteWindows checks that windows of bytes are bounded by the model's context limit, and that the plan uses this
// bound.
func TestByteWindows(t *testing.T) {
	m := tiny(t) // a context limit of 128 tokens of one byte each
	loaded := opened(t, m)
	text := strings.Repeat("It snowed. ", 40)
	settings := protocol.Settings{Anchor: protocol.AnchorBytes, Context: 128}
	score(t, loaded, settings, text)
	settings.Context = 129
	err := loaded.Score(t.Context(), settings, always(documents(text)), func(protocol.ScoredDocument) error { return nil })
	if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), "exceeds the model's maximum of 128") {
		t.Errorf("a window of 129 tokens: %v", err)
	}
	m.Config = json.RawMessage(strings.Replace(defaults, `"batchTokens": 2048`, `"batchTokens": 1`, 1))
	plan := func(s protocol.Settings) protocol.Estimate {
		e, err := New().Plan(t.Context(), m, s)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	few, all := plan(protocol.Settings{Anchor: protocol.AnchorBytes, Context: 15}), plan(protocol.Settings{Anchor: protocol.AnchorTokens, Context: 16})
	if few.Context != 15 || all.Context != 16 {
		t.Errorf("plans have the contexts %d and %d, want 15 and 16", few.Context, all.Context)
	}
	if few.Context = all.Context; few != all {
		t.Errorf("a plan for windows of 15 bytes says %+v, for those of 16 tokens %+v", few, all)
	}
}

// TestEstimateOnDevices checks that the memory of accelerators is separate from the host's memory.
func TestEstimateOnDevices(t *testing.T) {
	for _, test := range []struct {
		device  string
		devices int64
	}{{"cuda", 2}, {"cuda:1", 1}} {
		m := tiny(t)
		m.Config = json.RawMessage(strings.NewReplacer("cpu", test.device, `"tensorParallel": 1`, `"tensorParallel": 2`,
			`"batchTokens": 2048`, `"batchTokens": 1000000`).Replace(defaults))
		e, err := New().Plan(t.Context(), m, protocol.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if e.Devices != test.devices || e.DeviceMemoryBytes < 1_000_000*128 || e.MemoryBytes > 2<<30 || e.SharesPrefixes {
			t.Errorf("device %q: estimate %+v", test.device, e)
		}
	}
}

// TestEstimate checks that a plan contains the exact size of the weights.
func TestEstimate(t *testing.T) {
	e, err := New().Plan(t.Context(), tiny(t), protocol.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Parameters == 0 || e.WeightBytes != 4*e.Parameters || e.FLOPsPerToken == 0 || e.MemoryBytes <= e.WeightBytes ||
		e.DeviceMemoryBytes != 0 || e.Devices != 0 || e.Context != 128 {
		t.Errorf("estimate %+v", e)
	}
	observed, err := New().Plan(t.Context(), tiny(t), protocol.Settings{ActivationThreshold: 6})
	if err != nil || observed.SharesPrefixes || !e.SharesPrefixes {
		t.Errorf("prefixes are shared: %v, with activations: %v, %v", e.SharesPrefixes, observed.SharesPrefixes, err)
	}
}

// TestEstimateOfExperts checks that a plan counts all experts in memory, and in operations those that a token uses.
func TestEstimateOfExperts(t *testing.T) {
	e, err := New().Plan(t.Context(), golden(t, "mixtral"), protocol.Settings{Context: 2})
	if err != nil {
		t.Fatal(err)
	}
	// The norms and the embedding are in no product, and attention adds less than a tenth for two tokens.
	if all, used := 2*float64(e.Parameters), 2*float64(e.ActiveParameters); e.ActiveParameters == 0 || used >= all || e.FLOPsPerToken > 1.1*used ||
		e.WeightBytes != 4*e.Parameters {
		t.Errorf("estimate %+v", e)
	}
}
