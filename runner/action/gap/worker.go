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
	"surprisal.dev/runner/spec"
)

// Work implements action.Kind. It compares the scores of the two sides.
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
	var warnings []string
	for _, d := range summary.Clustered {
		// Reading the documents warned of few values of a field.
		if d.By == spec.ClusterShard && d.Clusters < artifact.FewClusters {
			warnings = append(warnings, d.sentence("dataset "+d.Dataset))
		}
	}
	return action.Result{
		Files: Files(), Warnings: warnings,
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

// shared returns the fields of the scoring protocol that are equal for all datasets of a side. For example, each
// dataset may have its own byte limit.
func shared(protocols map[string]json.RawMessage) ([]byte, error) {
	var same map[string]json.RawMessage
	for _, dataset := range slices.Sorted(maps.Keys(protocols)) {
		var p map[string]json.RawMessage
		if err := json.Unmarshal(protocols[dataset], &p); err != nil {
			return nil, fmt.Errorf("dataset %s: scoring protocol: %w", dataset, err)
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
			tags[d.Name] = d.Tags
		}
	}
	for _, scored := range t.Roles(role + "/") {
		dir, ok := strings.CutSuffix(scored, "/"+artifact.ScoredFile)
		dataset := strings.TrimPrefix(dir, role+"/")
		// An imported table has more datasets than a gap may name.
		if !ok || len(p.Datasets) > 0 && !slices.Contains(p.Datasets, dataset) {
			continue
		}
		summaryPath, err := t.Input(dir + "/" + artifact.SummaryFile)
		if err != nil {
			return side, nil, err
		}
		var summary struct {
			Protocol json.RawMessage   `json:"scoringProtocol"`
			Computed map[string]string `json:"computed"`
			Noise    struct {
				MaxBitsPerByte float64 `json:"maxBitsPerByte"`
			} `json:"rescoringDifference"`
		}
		if err := artifact.ReadJSON(summaryPath, &summary); err != nil {
			return side, nil, err
		}
		protocols[dataset] = summary.Protocol
		side.Datasets = append(side.Datasets, Table{
			Dataset: dataset, Tags: tags[dataset], ScoredPath: t.Inputs[scored], Computed: summary.Computed,
			Clustered: slices.Contains(p.Clustered, dataset), NoiseBPB: summary.Noise.MaxBitsPerByte,
		})
	}
	return side, protocols, nil
}

// common returns the tables of the datasets that both sides have.
func common(a, b []Table, nameA, nameB string) ([]Table, []Table, error) {
	within := func(tables, others []Table) []Table {
		return slices.DeleteFunc(slices.Clone(tables), func(t Table) bool {
			return !slices.ContainsFunc(others, func(o Table) bool { return o.Dataset == t.Dataset })
		})
	}
	x, y := within(a, b), within(b, a)
	if len(x) == 0 {
		return nil, nil, protocol.Invalid("the tables of models %q and %q have no dataset in common; "+
			"an imported table has the name of the dataset in its column dataset_name", nameA, nameB)
	}
	return x, y, nil
}
