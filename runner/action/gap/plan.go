package gap

import (
	"fmt"
	"slices"
	"strings"

	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "gap"

// Kind compares the scores of two models.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 8 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return "report.md" }

// parameters are everything that a report depends on except the scores: labels, and the fields that may differ.
type parameters struct {
	A        string   `json:"a"`
	Allow    []string `json:"allow"`
	B        string   `json:"b"`
	Datasets []string `json:"datasets"`
	// Clustered lists the datasets whose shards are clusters, sorted.
	Clustered []string `json:"clustered,omitempty"`
	// Tags holds the tags of each dataset that has some.
	Tags map[string][]string `json:"tags,omitempty"`
}

// comparedID identifies the comparison of two models on datasets.
type comparedID struct{ a, b, datasets, allow string }

// Plan implements plan.Kind.
func (Kind) Plan(b *plan.Builder) error {
	var gaps []Gap
	if err := b.Section(name, &gaps); err != nil {
		return err
	}
	for _, g := range gaps {
		if err := g.CheckContexts(b, b.Experiment.Positions[name+" "+g.Name]); err != nil {
			return err
		}
		a, err := add(b, g)
		if err != nil {
			return err
		}
		if b.Shared(g.id()) == nil {
			b.Share(g.id(), a)
		}
	}
	return nil
}

// Compared returns the action of an equal gap of the spec, or else adds that of g.
func Compared(b *plan.Builder, g Gap) (*plan.Action, error) {
	if a := b.Shared(g.id()); a != nil {
		return a, nil
	}
	return add(b, g)
}

// CheckContexts checks that both models have the same context, as far as it is known, unless the gap allows another. The
// spec may leave it to them.
func (g Gap) CheckContexts(b *plan.Builder, at spec.Position) error {
	c := score.ContextsOf(b, []string{g.A, g.B})
	if c.Other == "" || slices.Contains(g.Allow, c.Field.Path) {
		return nil
	}
	// The default stride is half of the context.
	permit := permission([]plan.Field{c.Field, {Path: "stride"}}, g.Allow)
	return spec.Errors{{Pos: at, Message: fmt.Sprintf("%s; set scoring: context: %d for both, or compare them anyway in an entry of gaps with %s",
		score.Differ([]plan.Field{c.Field}, g.A, g.B), c.Smallest, permit)}}
}

func (g Gap) id() comparedID {
	// No name contains a line break.
	return comparedID{g.A, g.B, strings.Join(g.Datasets, "\n"), strings.Join(g.Allow, "\n")}
}

func add(b *plan.Builder, g Gap) (*plan.Action, error) {
	files := []string{artifact.ScoredFile, artifact.SummaryFile}
	var inputs []plan.Input
	for _, side := range []struct{ role, model string }{{"a", g.A}, {"b", g.B}} {
		of, err := score.Inputs(b, side.role, side.model, g.Datasets, files)
		if err != nil {
			return nil, fmt.Errorf("gap %q: %w", g.Name, err)
		}
		for i := range of {
			// The same documents come from both sides.
			of[i].Counted = side.role == "a"
		}
		inputs = append(inputs, of...)
	}
	score.Expect(b, g.A, g.B, g.Datasets)
	score.Expect(b, g.B, g.A, g.Datasets)
	p := parameters{A: g.A, Allow: slices.Sorted(slices.Values(g.Allow)), B: g.B, Datasets: g.Datasets, Tags: map[string][]string{}}
	for _, dataset := range g.Datasets {
		of := b.Dataset(dataset)
		if len(of.Tags) > 0 {
			p.Tags[dataset] = of.Tags
		}
		if of.Cluster == spec.ClusterShard {
			p.Clustered = append(p.Clustered, dataset)
		}
	}
	return b.Add(name, plan.Parts{
		Name: name + " " + g.Name, Labels: plan.Labels{Section: g.Name}, Parameters: p, Inputs: inputs,
		Publish: name + "/" + g.Name,
		Rates:   plan.Rates{Memory: func(largest, _ int64) int64 { return artifact.GapMemory(largest) }},
	})
}
