package sliding

import (
	"fmt"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/windows"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "sliding"

// Kind reports the windows of the texts of a dataset with a model.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 3 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return reportFile }

// parameters are everything that a report depends on except the windows.
type parameters struct {
	Model   string          `json:"model"`
	Dataset string          `json:"dataset"`
	Slicing windows.Slicing `json:"slicing"`
	Refine  *windows.Refine `json:"refine,omitempty"`
	Figure  Figure          `json:"figure"`
}

// Plan implements plan.Kind.
func (Kind) Plan(b *plan.Builder) error {
	var entries []Entry
	if err := b.Section(name, &entries); err != nil {
		return err
	}
	for _, e := range entries {
		for i, model := range e.Models {
			k := slices.IndexFunc(b.Experiment.Models, func(m spec.Model) bool { return m.Name == model })
			if k < 0 {
				return fmt.Errorf("sliding %q: no model %q", e.Name, model)
			}
			m := &b.Experiment.Models[k]
			if err := e.checkCapable(b, m, i); err != nil {
				return err
			}
			for _, dataset := range e.Datasets {
				if err := e.add(b, m, dataset); err != nil {
					return fmt.Errorf("sliding %q: %w", e.Name, err)
				}
			}
		}
	}
	return nil
}

// Uses implements plan.User.
func (Kind) Uses(b *plan.Builder, m *spec.Model) (uses []plan.Use, err error) {
	var entries []Entry
	if err := b.Section(name, &entries); err != nil {
		return nil, err
	}
	if lacking(b.Catalog.Backends[m.Backend.Name]) != "" {
		return nil, nil
	}
	for _, e := range entries {
		// Other windows are a mistake that the spec reports.
		if i := slices.Index(e.Models, m.Name); i >= 0 && e.Slicing.Suffix() > 0 {
			uses = append(uses, plan.Use{Settings: e.Slicing.Settings(), At: e.at(i), Path: spec.FieldPath(name, e.Name, "chunkTokens")})
		}
	}
	return uses, nil
}

// checkCapable checks that the backend of the entry's model i can do what windows need.
func (e Entry) checkCapable(b *plan.Builder, m *spec.Model, i int) error {
	if m.Backend == nil {
		return fmt.Errorf("sliding %q: model %q has no backend", e.Name, m.Name)
	}
	lacks := lacking(b.Catalog.Backends[m.Backend.Name])
	if lacks == "" {
		return nil
	}
	return spec.Errors{{Pos: e.at(i), Path: spec.FieldPath(name, e.Name, "models"), Message: fmt.Sprintf(
		"the backend %q of model %q does not have the capability %q, which sliding windows need; remove the model", m.Backend.Name, m.Name, lacks)}}
}

// at returns the position of the entry's model i.
func (e Entry) at(i int) spec.Position {
	if i < len(e.At) {
		return e.At[i]
	}
	return spec.Position{}
}

// lacking returns the capability that windows need and a backend does not have, or "".
func lacking(backend plan.Plugin) string {
	for _, c := range []string{protocol.CapabilityConfidence, protocol.CapabilityTokenRange, protocol.CapabilityTopK} {
		if !slices.Contains(backend.Capabilities, c) {
			return c
		}
	}
	return ""
}

// add adds the actions for a model and a dataset.
func (e Entry) add(b *plan.Builder, m *spec.Model, dataset string) error {
	d := b.Dataset(dataset)
	if d == nil {
		return fmt.Errorf("no dataset %q", dataset)
	}
	parts, err := windows.Add(b, windows.Request{Name: e.Name, Model: m, Dataset: d, Slicing: e.Slicing, Refine: e.Refine})
	if err != nil {
		return err
	}
	inputs := []plan.Input{{Role: "documents", Upstream: parts.Documents, Files: []string{artifact.DocumentsFile}, Counted: true}}
	for _, of := range []struct {
		role  string
		parts []*plan.Action
	}{{windowsRole, parts.Windows}, {refinedRole, parts.Refined}} {
		for i, a := range of.parts {
			role := fmt.Sprintf("%s/%03d", of.role, i)
			inputs = append(inputs, plan.Input{Role: role, Upstream: a, Files: []string{artifact.SummaryFile, artifact.WindowsFile}})
		}
	}
	_, err = b.Add(name, plan.Parts{
		Name:       name + " " + e.Name + " " + m.Name + " " + dataset,
		Labels:     plan.Labels{Section: e.Name, Model: m.Name, Dataset: dataset, Tags: d.Tags},
		Parameters: parameters{m.Name, dataset, e.Slicing, e.Refine, e.Figure}, Inputs: inputs,
		Publish: name + "/" + e.Name + "/" + m.Name + "/" + dataset,
		Rates:   plan.Rates{Memory: func(largest, _ int64) int64 { return artifact.SlidingMemory(largest) }},
	})
	return err
}

// Roles of inputs.
const (
	windowsRole = "windows"
	refinedRole = "refined"
)
