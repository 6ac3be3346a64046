package plan_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/runner/plan"
)

// A field that differs is named by its path in the spec. A struct that only one side has is one field.
func TestSpecFields(t *testing.T) {
	before := &plan.Plan{Values: json.RawMessage(`{"name":"x","models":{"m":{"backend":{"ngram":{"order":2}}},"old":{"a":1}},
		"datasets":{"a/b":{"tags":["x"]},"d2":{"rows":{"to":1}},"d10":{"rows":{"to":1}}},"gates":{"g":{"margins":null,"on":true}}}`)}
	after := &plan.Plan{Values: json.RawMessage(`{"name":"x","models":{"m":{"backend":{"ngram":{"order":3}}}},
		"datasets":{"a/b":{"tags":["x","<b>"]},"d2":{"rows":{"to":2}},"d10":{"rows":5}},"gates":{"g":{"margins":{"s":0.10}}}}`)}
	got, err := after.SpecFields(before)
	if err != nil {
		t.Fatal(err)
	}
	want := []plan.Field{
		{Path: `datasets."a/b".tags`, Before: `["x"]`, After: `["x","<b>"]`},
		{Path: "datasets.d2.rows.to", Before: "1", After: "2"},
		{Path: "datasets.d10.rows", Before: `{"to":1}`, After: "5"},
		{Path: "gates.g.margins", Before: "null", After: `{"s":0.10}`},
		{Path: "gates.g.on", Before: "true"},
		{Path: "models.m.backend.ngram.order", Before: "2", After: "3"},
		{Path: "models.old", Before: `{"a":1}`},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, same := range [][2]*plan.Plan{{before, before}, {{}, {}}} {
		if got, err := same[0].SpecFields(same[1]); err != nil || len(got) > 0 {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if got, err := after.SpecFields(&plan.Plan{}); err != nil || len(got) != 4 || got[0].Path != "datasets" {
		t.Errorf("of a new spec: %v, %v", got, err)
	}
	if _, err := after.SpecFields(&plan.Plan{Values: json.RawMessage("{")}); err == nil {
		t.Error("no error for damaged values")
	}
}
