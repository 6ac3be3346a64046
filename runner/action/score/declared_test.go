package score

import (
	"encoding/json"
	"slices"
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// TestDeclared checks in which fields the scoring protocols of two models differ before anything runs.
func TestDeclared(t *testing.T) {
	model := func(edit func(*spec.Model)) *spec.Model {
		m := &spec.Model{
			Backend: &spec.Backend{Name: "torch", Config: json.RawMessage(`{"dtype":"float32","threads":1}`)},
			Scoring: spec.Scoring{Prefix: protocol.PrefixBOS, Anchor: protocol.AnchorTokens, Context: 64, Stride: 32},
		}
		edit(m)
		return m
	}
	for name, test := range map[string]struct {
		edit func(*spec.Model)
		want []plan.Field
	}{
		"equal":   {func(*spec.Model) {}, nil},
		"threads": {func(m *spec.Model) { m.Backend.Config = json.RawMessage(`{"dtype":"float32","threads":2}`) }, nil},
		"dtype":   {func(m *spec.Model) { m.Backend.Config = json.RawMessage(`{"dtype":"bfloat16"}`) }, []plan.Field{{Path: "dtype", Before: `"float32"`, After: `"bfloat16"`}}},
		"dtype, two backends": {func(m *spec.Model) {
			m.Backend = &spec.Backend{Name: "ngram", Config: json.RawMessage(`{"dtype":"float64"}`)}
		}, nil},
		"no dtype":        {func(m *spec.Model) { m.Backend.Config = json.RawMessage(`{}`) }, nil},
		"default context": {func(m *spec.Model) { m.Scoring.Context = 0 }, nil},
		"default stride":  {func(m *spec.Model) { m.Scoring.Stride = 0 }, nil},
		"context and prefix": {func(m *spec.Model) { m.Scoring.Context, m.Scoring.Prefix = 128, protocol.PrefixNone }, []plan.Field{
			{Path: "context", Before: "64", After: "128"}, {Path: "prefix", Before: `"bos"`, After: `"none"`},
		}},
		"limit":    {func(m *spec.Model) { m.Limits = &spec.Limits{Bytes: 10, Documents: -1} }, []plan.Field{{Path: "truncation", Before: "100", After: "10"}}},
		"imported": {func(m *spec.Model) { m.Scores = &spec.Scores{Protocol: "other"} }, []plan.Field{{Path: "imported", After: `"other"`}}},
	} {
		a := model(func(*spec.Model) {})
		if got := Declared(a, model(test.edit), &spec.Dataset{Limits: spec.Limits{Bytes: 100}}); !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
