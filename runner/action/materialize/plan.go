package materialize

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "materialize"

// Kind turns the source of a dataset into documents.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 7 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return artifact.MetadataFile }

// parameters are everything that documents depend on.
type parameters struct {
	BadRows string `json:"badRows"`
	// Cluster is the field that names the cluster of a row, or "".
	Cluster     string          `json:"cluster,omitempty"`
	Fields      []string        `json:"fields"`
	Files       []shard         `json:"files"`
	InvalidUTF8 string          `json:"invalidUTF8"`
	Limits      spec.Limits     `json:"limits"`
	Revision    string          `json:"revision"`
	Rows        spec.Range      `json:"rows"`
	Sample      *spec.Sample    `json:"sample"`
	Source      json.RawMessage `json:"source"`
}

// shard is a file of a source. Its name is part of the documents.
type shard struct {
	Digest string `json:"digest"`
	Name   string `json:"name"`
}

// localSettings hold the local paths of a source.
type localSettings struct {
	// Config is the configuration of the provider, whose relative paths start at Dir.
	Config json.RawMessage `json:"config"`
	Dir    string          `json:"dir"`
	// Source is the resolution of the source. Its files are those of the parameters.
	Source protocol.Resolution `json:"source"`
}

// documents identifies the documents of a dataset: the dataset and its limits.
type documents struct {
	dataset string
	limits  spec.Limits
}

// Plan implements plan.Kind. It adds an action for each skipped dataset; Documents adds the actions of the others.
func (Kind) Plan(b *plan.Builder) error {
	skipped := map[string]string{}
	for _, d := range b.Experiment.Datasets {
		if d.Skip != "" {
			skipped[d.Name] = d.Skip
		}
	}
	for _, dataset := range slices.Sorted(maps.Keys(skipped)) {
		parts := plan.Parts{Name: name + " " + dataset, Labels: plan.Labels{Dataset: dataset}, Skip: skipped[dataset]}
		if _, err := b.Add(name, parts); err != nil {
			return err
		}
	}
	return nil
}

// Documents returns the action that materializes a dataset with limits. The first call adds it, so that a dataset is
// materialized once for all models.
func Documents(b *plan.Builder, d *spec.Dataset, limits spec.Limits) (*plan.Action, error) {
	id := documents{d.Name, limits}
	if a := b.Shared(id); a != nil {
		return a, nil
	}
	source, ok := b.Catalog.Sources[d.Name]
	if !ok {
		return nil, fmt.Errorf("dataset %q has no resolved source", d.Name)
	}
	called := name + " " + d.Name
	if limits != d.Limits {
		called += fmt.Sprintf("@documents=%d,bytes=%d", limits.Documents, limits.Bytes)
	}
	shards := make([]shard, len(source.Files))
	for i, f := range source.Files {
		shards[i] = shard{f.Digest, f.Name}
	}
	provider := b.Catalog.Providers[d.Source.Provider].Worker
	a, err := b.Add(name, plan.Parts{
		Name: called, Labels: plan.Labels{Dataset: d.Name, Tags: d.Tags}, Worker: &provider,
		Parameters: parameters{
			BadRows: d.BadRows, Cluster: d.ClusterPath, Fields: d.Fields, Files: shards, InvalidUTF8: d.InvalidUTF8, Limits: limits,
			Revision: source.Revision, Rows: d.Rows, Sample: d.Sample, Source: source.Parameters,
		},
		Machine: localSettings{Config: d.Source.Config, Dir: b.Experiment.Dir, Source: source},
		Cost:    bound(source, limits),
		Rates: plan.Rates{
			Who:    d.Source.Provider,
			Memory: func(largest, _ int64) int64 { return artifact.MaterializeMemory(largest) },
		},
	})
	if err != nil {
		return nil, err
	}
	b.Share(id, a)
	return a, nil
}

// bound returns an upper bound of what a source contains within limits.
func bound(source protocol.Resolution, limits spec.Limits) plan.Cost {
	c := plan.Cost{Documents: limits.Documents, AtMost: true}
	for _, f := range source.Files {
		if f.Compressed {
			// Its size does not bound the size of the text, but the limits may.
			c.Bytes = 0
			if limits.Bytes > 0 && limits.Documents > 0 && limits.Documents <= math.MaxInt64/limits.Bytes {
				c.Bytes, c.Largest = limits.Documents*limits.Bytes, min(limits.Bytes, 2*protocol.MaxTextBytes)
			}
			return c
		}
		c.Bytes += f.Bytes
	}
	if limits.Bytes > 0 && limits.Documents > 0 && limits.Documents <= c.Bytes/limits.Bytes {
		c.Bytes = limits.Documents * limits.Bytes
	}
	// A plugin returns no longer value, and a document has at most an input and a target.
	c.Largest = min(c.Bytes, 2*protocol.MaxTextBytes)
	if limits.Bytes > 0 {
		c.Largest = min(c.Largest, limits.Bytes)
	}
	return c
}

// check checks that the files are those of the parameters.
func (p localSettings) check(d parameters) error {
	same := len(p.Source.Files) == len(d.Files)
	for i := range d.Files {
		same = same && d.Files[i] == shard{p.Source.Files[i].Digest, p.Source.Files[i].Name}
	}
	if !same {
		return errors.New("the files of the source on this machine are not those of the plan; run again")
	}
	return nil
}
