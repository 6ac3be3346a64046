package gap

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// mismatch returns the fields in which the scoring protocols of a gap's sides are known to differ before anything runs
// and which the gap does not allow, and the dataset on which they do.
func mismatch(d spec.Decoding, a, b *spec.Model, g Gap) (dataset string, fields []plan.Field) {
	if !d.Conforms() {
		return "", nil
	}
	on := []*spec.Dataset{{}} // for imported scores, the datasets are unknown
	if len(g.Datasets) > 0 {
		on = on[:0]
		for _, name := range g.Datasets {
			on = append(on, d.Dataset(name))
		}
	}
	first, fields := score.DeclaredOn(a, b, on, g.Allow)
	if first == nil {
		return "", nil
	}
	return first.Name, fields
}

// sameProtocol is the advice to score both sides under the same scoring protocol.
func sameProtocol(fields []plan.Field) string {
	if slices.ContainsFunc(fields, func(f plan.Field) bool { return f.Path == "truncation" }) {
		return "score both under the same one, with the same limits.bytes"
	}
	return "score both under the same one"
}

// permission returns the value of allow with which a gap compares two sides that differ in fields, or "" if there is
// none. Documents that were truncated at different limits have different texts, which no gap compares.
func permission(fields []plan.Field, allow []string) string {
	all := slices.Clone(allow)
	for _, f := range fields {
		if !slices.Contains(allowable, f.Path) {
			return ""
		}
		all = append(all, f.Path)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for i, field := range all {
		all[i] = fmt.Sprintf("%q", field)
	}
	return "allow: [" + strings.Join(all, ", ") + "]"
}

// allowable are the fields that it helps to allow.
var allowable = []string{"prefix", "context", "stride", "anchor", "eos", "dtype", "arithmetic", "imported"}

// checkProtocols checks that the scoring protocols of the two sides differ only in allowed fields, for every dataset.
// It reports whether anything differs.
func checkProtocols(protocols [2]map[string]json.RawMessage, sides [2]Side, allow []string) (bool, error) {
	forced := false
	var all, first []plan.Field
	dataset := ""
	for _, name := range slices.Sorted(maps.Keys(protocols[0])) {
		other, ok := protocols[1][name]
		if !ok {
			continue
		}
		fields, err := differing(protocols[0][name], other)
		if err != nil {
			return false, fmt.Errorf("dataset %s: %w", name, err)
		}
		forced = forced || len(fields) > 0
		fields = score.Without(fields, allow)
		if all = append(all, fields...); len(first) == 0 && len(fields) > 0 {
			first, dataset = fields, name
		}
	}
	if len(all) == 0 {
		return forced, nil
	}
	anyway := ""
	if permit := permission(all, allow); permit != "" {
		anyway = ", or compare them anyway in an entry of gaps with " + permit
	}
	return false, protocol.Invalid("dataset %q: %s; %s%s", dataset, score.Differ(first, sides[0].Name, sides[1].Name), sameProtocol(all), anyway)
}

func differing(a, b json.RawMessage) ([]plan.Field, error) {
	if len(a) == 0 || len(b) == 0 {
		return nil, protocol.Invalid("a score has no recorded scoring protocol")
	}
	fields, err := plan.Diff(a, b)
	if i := slices.IndexFunc(fields, func(f plan.Field) bool { return f.Path == "imported" }); i >= 0 {
		// Only the name of the scoring protocol is known for an imported table.
		return fields[i : i+1], err
	}
	if slices.ContainsFunc(fields, func(f plan.Field) bool { return f.Path == "dtype" }) {
		// An arithmetic belongs to a dtype: who compares different dtypes compares different arithmetic.
		fields = score.Without(fields, []string{"arithmetic"})
	}
	return fields, err
}
