//go:build torch

package backend

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
)

// TestActivations checks that the activations of a document's windows are added, those of each from documents that are
// only these windows, and that losses do not depend on them.
func TestActivations(t *testing.T) {
	m := opened(t, tiny(t))
	if d := m.Describe(); len(d.Sites) != 4 || d.Sites[1] != "model.layers.0.post_attention_layernorm" || d.HiddenSize != 48 {
		t.Fatalf("sites %v of %d dimensions", d.Sites, d.HiddenSize)
	}
	text := strings.Repeat("Sphinx of black quartz, judge my vow. ", 3)[:100]
	s := protocol.Settings{Context: 40, Stride: 30, ActivationThreshold: 2.5}
	got := score(t, m, s, text, "", "x", text)
	plain := score(t, m, protocol.Settings{Context: 40, Stride: 30}, text, "", "x", text)
	var want protocol.Activations
	for i, part := range score(t, m, s, text[:40], text[30:70], text[60:]) {
		if i == 0 {
			want.Sites = make([]protocol.SiteActivations, len(part.Activations.Sites))
		}
		want.Add(part.Activations)
	}
	if want.Positions != 120 || len(want.Dimensions) == 0 || len(want.Dimensions) == 48 {
		t.Errorf("%d of 48 dimensions at %d positions", len(want.Dimensions), want.Positions)
	}
	for i, a := range got {
		if err := s.CheckRequest(a, m.Describe()); err != nil {
			t.Errorf("document %d: %v", i, err)
		}
		if !slices.Equal(a.TokenNLL, plain[i].TokenNLL) {
			t.Errorf("document %d has other losses with activations", i)
		}
	}
	for _, i := range []int{0, 3} {
		if diff := cmp.Diff(want, got[i].Activations); diff != "" {
			t.Errorf("document %d (-want +got):\n%s", i, diff)
		}
	}
	if a := got[1].Activations; a.Positions != 0 || len(a.Sites) != 4 {
		t.Errorf("an empty document has %+v", a)
	}
}

// TestActivationsOfRange checks that all positions that are read are observed, those of the prompt too, and that the mass
// of the top tokens is given for the others only.
func TestActivationsOfRange(t *testing.T) {
	m := opened(t, tiny(t))
	text := strings.Repeat("Sphinx of black quartz, judge my vow. ", 3)
	s := protocol.Settings{Range: protocol.TokenRange{From: 5, Score: 40, To: 60}, ActivationThreshold: 2.5, Confidence: true, TopK: 5}
	got := score(t, m, s, text, text[:30])
	whole := score(t, m, protocol.Settings{Context: 55, Stride: 55, ActivationThreshold: 2.5, Confidence: true, TopK: 5}, text[5:60])[0]
	if diff := cmp.Diff(whole.Activations, got[0].Activations); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, a := range got {
		if err := s.CheckRequest(a, m.Describe()); err != nil {
			t.Errorf("document %d: %v", i, err)
		}
	}
	if a := got[1].Activations; a.Positions != 0 || len(a.Dimensions) > 0 {
		t.Errorf("a document without requested tokens has the activations %+v", a)
	}
	if mass := got[0].Confidence.TopKMass; !slices.Equal(mass[40:], whole.Confidence.TopKMass[35:]) || slices.Max(mass[:40]) != 0 || slices.Min(mass[:40]) != 0 {
		t.Errorf("the masses are %v, want %v", mass[40:], whole.Confidence.TopKMass[35:])
	}
}
