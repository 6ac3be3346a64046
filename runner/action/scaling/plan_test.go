package scaling

import (
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// A plan refuses models of different contexts, where it knows them, before anything is scored.
func TestPlanRefusesContexts(t *testing.T) {
	b := &plan.Builder{Catalog: plan.Catalog{Estimates: map[string]protocol.Estimate{
		"short": {Context: 256}, "shorter": {Context: 128}, "long": {Context: 4096}, "unknown": {},
	}}}
	for name, test := range map[string]struct {
		models  []string
		problem string
	}{
		"equal":         {[]string{"short", "short"}, ""},
		"unknown":       {[]string{"short", "unknown"}, ""},
		"first unknown": {[]string{"baseline", "short", "long"}, ""},
		"different": {
			[]string{"short", "unknown", "long", "shorter"},
			`x.cue:3:4: scaling.t.models: models "short" and "long" have different scoring protocols: context: "short" has 256, "long" has 4096; set scoring: context: 128 for all models`,
		},
	} {
		err := checkContexts(b, Table{Name: "t", Models: test.models, At: spec.Position{File: "x.cue", Line: 3, Column: 4}})
		if test.problem == "" && err != nil || test.problem != "" && (err == nil || err.Error() != test.problem) {
			t.Errorf("%s: got %v, want %s", name, err, test.problem)
		}
	}
}

// A plan refuses an axis of what backends count if a model of weights has no count, or one as large as another of its
// family. The size of a model that is yet to be trained is unknown, and without an axis nothing is refused.
func TestPlanRefusesSizes(t *testing.T) {
	b := &plan.Builder{Catalog: plan.Catalog{
		Estimates: map[string]protocol.Estimate{"a": {Parameters: 1000, FLOPsPerToken: 5}, "b": {Parameters: 1000, FLOPsPerToken: 6}, "c": {Parameters: 1}},
		Weights:   map[string][]protocol.ModelFile{"a": {{Path: "w"}}, "b": {{Path: "w"}}, "c": {{Path: "w"}}},
	}}
	for name, test := range map[string]struct {
		of      string
		models  []model
		problem string
	}{
		"equal":           {ofParameters, []model{{"a", "f"}, {"b", "f"}}, `x.cue:3:4: scaling.t.models: models "a" and "b" have the same number of parameters, 1000; set x.values, remove one, or set different families`},
		"other families":  {ofParameters, []model{{"a", "f"}, {"b", "g"}}, ""},
		"no FLOPs":        {ofFLOPs, []model{{"a", ""}, {"c", ""}}, `x.cue:3:4: scaling.t.models: the backend of model "c" does not report FLOPs per token; remove the model, or set x.values`},
		"different":       {ofFLOPs, []model{{"a", ""}, {"b", ""}}, ""},
		"yet to train":    {ofParameters, []model{{"a", ""}, {"trained", ""}, {"too", ""}}, ""},
		"no axis":         {"", []model{{"a", ""}, {"b", ""}}, ""},
		"declared values": {ofValues, []model{{"a", ""}, {"b", ""}}, ""},
	} {
		err := checkCounted(b, Table{Name: "t", X: Axis{Of: test.of}, At: spec.Position{File: "x.cue", Line: 3, Column: 4}}, test.models)
		if test.problem == "" && err != nil || test.problem != "" && (err == nil || err.Error() != test.problem) {
			t.Errorf("%s: got %v, want %s", name, err, test.problem)
		}
	}
}
