package score

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// Declared returns the fields in which the scoring protocols of two models on a dataset are known to differ before
// anything runs, as far as the spec declares them. Other fields, such as a default context, depend on the loaded model.
func Declared(a, b *spec.Model, d *spec.Dataset) []plan.Field {
	return DeclaredBetween(Place{a, d}, Place{b, d})
}

// Place is where losses are measured: a model on a dataset.
type Place struct {
	Model   *spec.Model
	Dataset *spec.Dataset
}

// DeclaredBetween is Declared for two places.
func DeclaredBetween(p, q Place) []plan.Field {
	a, b := p.Model, q.Model
	x, y := declared(a, p.Dataset), declared(b, q.Dataset)
	if x["imported"] != "" || y["imported"] != "" {
		// Only the name of the scoring protocol is known for an imported table.
		if x["imported"] == y["imported"] {
			return nil
		}
		return []plan.Field{{Path: "imported", Before: x["imported"], After: y["imported"]}}
	}
	if backend(a) != backend(b) {
		// Backends may have different names for a dtype.
		delete(x, "dtype")
	}
	var fields []plan.Field
	for name, before := range x {
		if after, known := y[name]; known && before != after {
			fields = append(fields, plan.Field{Path: name, Before: before, After: after})
		}
	}
	slices.SortFunc(fields, func(f, g plan.Field) int { return cmp.Compare(f.Path, g.Path) })
	return fields
}

// DeclaredOn returns the first dataset on which the scoring protocols of two models are known to differ in fields that are
// not in allow, and these fields. It returns nil if there is none.
func DeclaredOn(a, b *spec.Model, datasets []*spec.Dataset, allow []string) (*spec.Dataset, []plan.Field) {
	for i, d := range datasets {
		// On the other datasets, only the limits can differ.
		if i > 0 && a.Baseline == nil && b.Baseline == nil && a.LimitsOn(*d).Bytes == b.LimitsOn(*d).Bytes {
			continue
		}
		if fields := Without(Declared(a, b, d), allow); len(fields) > 0 {
			return d, fields
		}
	}
	return nil, nil
}

// Without returns the fields that are not in allow. It changes fields.
func Without(fields []plan.Field, allow []string) []plan.Field {
	return slices.DeleteFunc(fields, func(f plan.Field) bool { return slices.Contains(allow, f.Path) })
}

// declared returns the fields of the scoring protocol that the spec declares, as JSON.
func declared(m *spec.Model, d *spec.Dataset) map[string]string {
	if m.Scores != nil {
		return map[string]string{"imported": strconv.Quote(m.Scores.Protocol)}
	}
	if m.Baseline != nil {
		return recorded(m.Baseline, d.Name)
	}
	s := m.Scoring
	fields := map[string]string{
		"prefix": strconv.Quote(s.Prefix), "anchor": strconv.Quote(s.Anchor), "eos": strconv.FormatBool(s.EOS),
		"truncation": strconv.FormatInt(m.LimitsOn(*d).Bytes, 10),
	}
	if s.Stride == 0 && s.Context > 0 {
		s.Stride = max(s.Context/2, 1)
	}
	for name, n := range map[string]int64{"context": s.Context, "stride": s.Stride} {
		if n > 0 {
			fields[name] = strconv.FormatInt(n, 10)
		}
	}
	var config struct {
		Dtype string `json:"dtype"`
	}
	// A setting of another type is not a dtype.
	if m.Backend != nil && json.Unmarshal(m.Backend.Config, &config) == nil && config.Dtype != "" {
		fields["dtype"] = strconv.Quote(config.Dtype)
	}
	return fields
}

// recorded returns the fields of a baseline's scoring protocol on a dataset, as JSON.
func recorded(b *spec.Baseline, dataset string) map[string]string {
	if b.Imported() {
		dataset = ""
	}
	fields := map[string]string{}
	s := b.Score(dataset)
	if s == nil {
		return fields
	}
	var values map[string]json.RawMessage
	// Whoever reads the lock file checks that it is an object.
	_ = json.Unmarshal(s.Protocol, &values)
	for name, value := range values {
		fields[name] = string(value)
	}
	return fields
}

// backend returns the name of the backend of a model, or "" if it has none.
func backend(m *spec.Model) string {
	switch {
	case m.Backend != nil:
		return m.Backend.Name
	case m.Baseline != nil:
		return m.Baseline.Backend
	}
	return ""
}

// Differ states that the scoring protocols of models a and b differ in fields.
func Differ(fields []plan.Field, a, b string) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = describe(f, a, b)
	}
	return fmt.Sprintf("models %q and %q have different scoring protocols: %s", a, b, strings.Join(all, "; "))
}

// DifferOn states that the scoring protocols of two places, as text such as that of Named, differ in fields.
func DifferOn(fields []plan.Field, a, b string) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = fmt.Sprintf("%s is %s and %s", f.Path, cmp.Or(f.Before, "none"), cmp.Or(f.After, "none"))
	}
	return fmt.Sprintf("the scoring protocols of %s and %s differ: %s", a, b, strings.Join(all, "; "))
}

// Named names a model on a dataset.
func Named(model, dataset string) string {
	return fmt.Sprintf("model %q on dataset %q", model, dataset)
}

// describe states the values of models a and b in a field of their scoring protocols.
func describe(f plan.Field, a, b string) string {
	switch {
	case f.Path == "imported" && f.After == "":
		return fmt.Sprintf("%q is imported with the protocol %s, %q is not imported", a, f.Before, b)
	case f.Path == "imported" && f.Before == "":
		return fmt.Sprintf("%q is not imported, %q is imported with the protocol %s", a, b, f.After)
	}
	return fmt.Sprintf("%s: %q has %s, %q has %s", f.Path, a, cmp.Or(f.Before, "none"), b, cmp.Or(f.After, "none"))
}
