package graph_test

import (
	"testing"

	"surprisal.dev/plugins/torch/graph"
)

// TestDivides checks which models cannot compute the parts of a sequence separately.
func TestDivides(t *testing.T) {
	for _, test := range []struct {
		what  string
		mixer graph.Mixer
		want  bool
	}{
		{"learned positions", graph.Attention{}, true},
		{"rotations", graph.Attention{Window: 8, Sinks: true, Rope: &graph.Rope{}}, true},
		{"other rotations for long sequences", graph.Attention{Rope: &graph.Rope{Long: &graph.LongRope{From: 5}}}, false},
		{"chunks", graph.Attention{Chunk: 8}, false},
		{"a state", graph.GatedDelta{}, false},
	} {
		a := graph.Architecture{Layers: []graph.Layer{{Mixer: graph.Attention{}}, {Mixer: test.mixer}}}
		if got := a.Divides(); got != test.want {
			t.Errorf("%s: %v", test.what, got)
		}
	}
}
