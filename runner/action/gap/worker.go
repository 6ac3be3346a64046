package gap

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Work implements action.Kind: it compares the scores of the two sides.
func (Kind) Work(ctx context.Context, t *action.Task) (action.Result, error) {
	var p parameters
	if err := t.Parameters(&p); err != nil {
		return action.Result{}, err
	}
	var sides [2]Side
	var protocols [2]map[string]json.RawMessage
	var err error
	for i, side := range []struct{ role, model string }{{"a", p.A}, {"b", p.B}} {
		if sides[i], protocols[i], err = readSide(t, side.role, side.model, p); err != nil {
			return action.Result{}, err
		}
	}
	a, b, err := common(sides[0].Datasets, sides[1].Datasets, p.A, p.B)
	if err != nil {
		return action.Result{}, err
	}
	if len(p.Datasets) == 0 {
		sides[0].Datasets, sides[1].Datasets = a, b
	}
	forced, err := checkProtocols(protocols, sides, p.Allow)
	if err != nil {
		return action.Result{}, err
	}
	for i := range sides {
		if sides[i].Protocol, err = shared(protocols[i]); err != nil {
			return action.Result{}, err
		}
	}
	summary, err := Compare(ctx, sides[0], sides[1], t.Dir, Options{Force: forced, Scratch: t.Dir})
	if err != nil {
		return action.Result{}, err
	}
	return action.Result{
		Files: Files(),
		Measured: map[string]float64{
			plan.MeasuredDocuments: float64(summary.Overall.Documents), plan.MeasuredBytes: float64(summary.Overall.Bytes),
		},
	}, nil
}

// Files names the files that Compare writes, sorted.
func Files() []string {
	files := []string{"report.md", "summary.json", "worst_documents.jsonl"}
	for _, table := range []string{"buckets", "datasets", "documents", "groups", "literals", "segments"} {
		files = append(files, table+".csv", table+".parquet")
	}
	slices.Sort(files)
	return files
}

// shared returns the fields that a side's protocols have in common over all its datasets, such as all but a byte limit
// that each dataset sets for itself.
func shared(protocols map[string]json.RawMessage) ([]byte, error) {
	var same map[string]json.RawMessage
	for _, dataset := range slices.Sorted(maps.Keys(protocols)) {
		var p map[string]json.RawMessage
		if err := json.Unmarshal(protocols[dataset], &p); err != nil {
			return nil, fmt.Errorf("dataset %s: protocol: %w", dataset, err)
		}
		if same == nil {
			same = p
		}
		maps.DeleteFunc(same, func(name string, v json.RawMessage) bool { return string(p[name]) != string(v) })
	}
	return json.Marshal(same)
}

// readSide finds the tables of one side: ROLE/DATASET/FILE for each dataset.
func readSide(t *action.Task, role, model string, p parameters) (side Side, protocols map[string]json.RawMessage, err error) {
	side.Name = model
	protocols = map[string]json.RawMessage{}
	tags := p.Tags
	if path, ok := t.Inputs[role+"/"+artifact.ImportFile]; ok {
		var found artifact.Import
		if err := artifact.ReadJSON(path, &found); err != nil {
			return side, nil, err
		}
		tags = map[string][]string{}
		for _, d := range found.Datasets {
			tags[d.Key] = d.Tags
		}
	}
	for _, scored := range t.Roles(role + "/") {
		prefix, ok := strings.CutSuffix(scored, "/"+artifact.ScoredFile)
		dataset := strings.TrimPrefix(prefix, role+"/")
		// An imported table has more datasets than a gap may name.
		if !ok || len(p.Datasets) > 0 && !slices.Contains(p.Datasets, dataset) {
			continue
		}
		summaryPath, err := t.Input(prefix + "/" + artifact.SummaryFile)
		if err != nil {
			return side, nil, err
		}
		var summary struct {
			Protocol json.RawMessage `json:"protocol"`
		}
		if err := artifact.ReadJSON(summaryPath, &summary); err != nil {
			return side, nil, err
		}
		protocols[dataset] = summary.Protocol
		side.Datasets = append(side.Datasets, Table{Key: dataset, Tags: tags[dataset], ScoredPath: t.Inputs[scored]})
	}
	return side, protocols, nil
}

// common keeps the datasets that both sides have.
func common(a, b []Table, nameA, nameB string) ([]Table, []Table, error) {
	within := func(tables, others []Table) []Table {
		return slices.DeleteFunc(slices.Clone(tables), func(t Table) bool {
			return !slices.ContainsFunc(others, func(o Table) bool { return o.Key == t.Key })
		})
	}
	x, y := within(a, b), within(b, a)
	if len(x) == 0 {
		return nil, nil, protocol.Invalid("the tables of models %q and %q have no dataset in common; "+
			"a table that was made elsewhere has the key of the dataset in its column dataset_name", nameA, nameB)
	}
	return x, y, nil
}

// checkProtocols refuses datasets that the two sides scored under protocols that differ in fields which are not allowed
// to. It sets the sides' protocols for the report, and says whether anything differs.
func checkProtocols(protocols [2]map[string]json.RawMessage, sides [2]Side, allow []string) (bool, error) {
	forced := false
	for _, dataset := range slices.Sorted(maps.Keys(protocols[0])) {
		other, ok := protocols[1][dataset]
		if !ok {
			continue
		}
		fields, err := differing(protocols[0][dataset], other)
		if err != nil {
			return false, fmt.Errorf("dataset %s: %w", dataset, err)
		}
		for _, f := range fields {
			forced = true
			if !slices.Contains(allow, f.Path) {
				return false, protocol.Invalid("dataset %q: models %q and %q were scored under different protocols: %s; score both under one, or say allow: [%q] in the gap to compare them all the same",
					dataset, sides[0].Name, sides[1].Name, f, f.Path)
			}
		}
	}
	return forced, nil
}

func differing(a, b json.RawMessage) ([]plan.Field, error) {
	if len(a) == 0 || len(b) == 0 {
		return nil, protocol.Invalid("a score does not say under which protocol it was made")
	}
	fields, err := plan.Diff(a, b)
	if i := slices.IndexFunc(fields, func(f plan.Field) bool { return f.Path == "imported" }); i >= 0 {
		// Of a table scored elsewhere nothing but the name of its protocol is known.
		return fields[i : i+1], err
	}
	return fields, err
}
