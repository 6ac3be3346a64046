package workspace

import (
	"context"
	"fmt"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// estimator asks backends for estimates, once for equal models and settings.
type estimator struct {
	*Workspace
	catalog plan.Catalog
	known   map[string]protocol.Estimate
}

// estimate asks the backends for the estimates of all models. The memory of a model is that of the settings that need most,
// of those of its scores and of other kinds.
func (w *Workspace) estimate(ctx context.Context, e *spec.Experiment, c plan.Catalog, problems *spec.Errors) error {
	of := estimator{w, c, map[string]protocol.Estimate{}}
	for i := range e.Models {
		m := &e.Models[i]
		if m.Backend == nil || m.Backend.Config == nil || m.Weights != nil && !local(c.Weights[m.Name]) {
			continue
		}
		if _, ok := w.outlined(c.Weights[m.Name]); !ok {
			w.warnings = append(w.warnings, fmt.Sprintf("model %s: its weights have no local copy, so that memory and time are not known; `runner pin` gets what a plan needs", m.Name))
			continue
		}
		estimate, err := of.ask(ctx, m, c.Settings(m))
		if protocol.KindOf(err) != "" {
			problem := spec.Error{Pos: m.Backend.Pos, Path: spec.FieldPath("models", m.Base, "backend", m.Backend.Name), Message: err.Error()}
			// The points of a sweep follow their base model, and may share its problem.
			if !slices.Contains(*problems, problem) {
				problem.Path = spec.FieldPath("models", m.Name, "backend", m.Backend.Name)
				*problems = append(*problems, problem)
			}
			continue
		} else if err != nil {
			return err
		}
		if c.Estimates[m.Name], err = of.widen(ctx, e, m, estimate, problems); err != nil {
			return err
		}
	}
	return nil
}

// ask returns the estimate of a model with settings. A problem of the backend with them is returned once.
func (e *estimator) ask(ctx context.Context, m *spec.Model, s protocol.Settings) (protocol.Estimate, error) {
	files, _ := e.outlined(e.catalog.Weights[m.Name])
	id := fmt.Sprintf("%s %s %+v %v", m.Backend.Name, m.Backend.Config, s, files)
	if estimate, ok := e.known[id]; ok {
		return estimate, nil
	}
	b, err := e.host.Backend(ctx, m.Backend.Name)
	if err != nil {
		return protocol.Estimate{}, err
	}
	estimate, err := b.Plan(ctx, protocol.Model{Config: m.Backend.Config, Files: files}, s)
	if err == nil || protocol.KindOf(err) != "" {
		e.known[id] = estimate
	}
	return estimate, err
}

// widen raises the memory of an estimate to that of the settings with which other kinds use the model.
func (e *estimator) widen(ctx context.Context, x *spec.Experiment, m *spec.Model, estimate protocol.Estimate, problems *spec.Errors) (protocol.Estimate, error) {
	for _, k := range e.kinds {
		user, ok := k.(plan.User)
		if !ok {
			continue
		}
		uses, err := user.Uses(&plan.Builder{Experiment: x, Catalog: e.catalog}, m)
		if err != nil {
			return estimate, err
		}
		for _, use := range uses {
			other, err := e.ask(ctx, m, use.Settings)
			if protocol.KindOf(err) != "" {
				*problems = append(*problems, spec.Error{Pos: use.At, Path: use.Path, Message: fmt.Sprintf("model %q: %v", m.Name, err)})
				continue
			} else if err != nil {
				return estimate, err
			}
			estimate.MemoryBytes = max(estimate.MemoryBytes, other.MemoryBytes)
			estimate.DeviceMemoryBytes = max(estimate.DeviceMemoryBytes, other.DeviceMemoryBytes)
		}
	}
	return estimate, nil
}

// local reports whether there are files, and all of them are on this machine.
func local(files []protocol.ModelFile) bool {
	return len(files) > 0 && !slices.ContainsFunc(files, func(f protocol.ModelFile) bool { return f.Path == "" })
}
