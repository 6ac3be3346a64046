package workspace

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// Pinned is a source with its new entry in the lock file.
type Pinned struct {
	// Source names the provider and its configuration.
	Source     string              `json:"source"`
	Resolution protocol.Resolution `json:"resolution"`
	// Change is "added", "changed" or "kept".
	Change string `json:"change"`
}

// Pin resolves every source of the spec, over the network where needed, and writes the lock file.
func (w *Workspace) Pin(ctx context.Context) ([]Pinned, error) {
	e, err := w.Experiment(ctx)
	if err != nil {
		return nil, err
	}
	// A damaged file is reported before anything is resolved.
	if _, err := spec.ReadLock(w.Dir, w.options.Confine); err != nil {
		return nil, err
	}
	var found []protocol.Resolution
	var problems spec.Errors
	sources := sourcesOf(e)
	for _, source := range sources {
		r, err := w.resolve(ctx, source)
		if protocol.KindOf(err) != "" {
			problems = append(problems, spec.Error{Pos: source.pos, Path: source.path, Message: err.Error()})
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	var pinned []Pinned
	err = spec.ChangeLock(ctx, w.Dir, w.options.Confine, func(lock *spec.Lock) error {
		lock.Retain(e)
		for i, source := range sources {
			p, err := pin(lock, source, found[i])
			if err != nil {
				return err
			}
			pinned = append(pinned, p)
		}
		return nil
	})
	return pinned, err
}

// source is a source of a dataset, an imported table, or weights that are not local.
type source struct {
	provider string
	config   json.RawMessage
	pos      spec.Position
	path     string
}

// sourcesOf lists the sources of an experiment without repetition: those of its datasets, its imported tables, and its
// weights that are not local.
func sourcesOf(e *spec.Experiment) []source {
	var all []source
	add := func(s source) {
		if !slices.ContainsFunc(all, func(o source) bool { return o.provider == s.provider && bytes.Equal(o.config, s.config) }) {
			all = append(all, s)
		}
	}
	for _, d := range e.Datasets {
		if d.Skip == "" {
			add(source{d.Source.Provider, d.Source.Config, d.Source.Pos, sourcePath(d)})
		}
	}
	for _, m := range e.Models {
		if m.Scores != nil {
			provider, config := m.Scores.Source()
			add(source{provider, config, m.Scores.Pos, scoresPath(m)})
		}
		if m.Weights != nil && m.Weights.Remote() {
			provider, config := m.Weights.Source()
			add(source{provider, config, m.Weights.Pos, weightsPath(m)})
		}
	}
	return all
}

// sourcePath, scoresPath and weightsPath return the path of the field that defines a source. Points of a sweep share the
// weights of their base model.
func sourcePath(d spec.Dataset) string {
	return spec.FieldPath("datasets", d.Name, "source", d.Source.Provider)
}
func scoresPath(m spec.Model) string { return spec.FieldPath("models", m.Name, "scores", "path") }
func weightsPath(m spec.Model) string {
	return spec.FieldPath("models", cmp.Or(m.Base, m.Name), "weights", m.Weights.Field())
}

// resolve resolves a source, over the network where needed.
func (w *Workspace) resolve(ctx context.Context, s source) (protocol.Resolution, error) {
	if s.provider == spec.ScoresProvider {
		return w.resolveTable(ctx, s.config)
	}
	if s.provider == spec.WeightsProvider {
		return w.resolveWeights(ctx, s.config)
	}
	provider, err := w.host.Provider(ctx, s.provider)
	if err != nil {
		return protocol.Resolution{}, err
	}
	request, err := w.request(s.config, w.place(), true)
	if err != nil {
		return protocol.Resolution{}, err
	}
	return provider.Resolve(ctx, request)
}

func (w *Workspace) resolveTable(ctx context.Context, config json.RawMessage) (protocol.Resolution, error) {
	var table struct {
		Path string `json:"path"`
	}
	if err := json.Unmarshal(config, &table); err != nil {
		return protocol.Resolution{}, err
	}
	location, remote := table.Path, store.IsURL(table.Path)
	if !remote {
		location = w.place().path(location)
	}
	digest, n, err := store.CopyObject(ctx, io.Discard, location, w.options.Confine)
	if err != nil {
		return protocol.Resolution{}, err
	}
	return protocol.Resolution{
		Parameters: json.RawMessage("{}"), Local: !remote,
		Files: []protocol.File{{Name: path.Base(filepath.ToSlash(location)), Digest: digest, Bytes: n}},
	}, nil
}

func pin(lock *spec.Lock, s source, r protocol.Resolution) (Pinned, error) {
	resolution, err := json.Marshal(r)
	if err != nil {
		return Pinned{}, err
	}
	p := Pinned{Source: s.provider + " " + string(s.config), Resolution: r, Change: "added"}
	before, locked := lock.Get(s.provider, s.config)
	if err := lock.Set(s.provider, s.config, resolution); err != nil {
		return Pinned{}, err
	}
	if after, _ := lock.Get(s.provider, s.config); locked {
		p.Change = "changed"
		if bytes.Equal(before, after) {
			p.Change = "kept"
		}
	}
	return p, nil
}

// locked returns the entry of a source in the lock file. lock is nil if the file is damaged.
func locked(lock *spec.Lock, provider string, config json.RawMessage) (r protocol.Resolution, ok bool, err error) {
	if lock == nil {
		return r, false, nil
	}
	data, ok := lock.Get(provider, config)
	if !ok {
		return r, false, nil
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, true, invalid("%s: cannot read the entry of this source (%v); run `runner pin`", spec.LockFile, err)
	}
	return r, true, nil
}

// changed describes how a source differs from its pinned resolution, or returns "".
func changed(pinned, now protocol.Resolution) string {
	before := make(map[string]string, len(pinned.Files))
	for _, f := range pinned.Files {
		before[f.Name] = f.Digest
	}
	for _, f := range now.Files {
		digest, ok := before[f.Name]
		switch {
		case !ok:
			return fmt.Sprintf("the file %s was added", protocol.Visible(f.Name))
		case digest != f.Digest:
			return fmt.Sprintf("the file %s changed from %s to %s", protocol.Visible(f.Name), digest, f.Digest)
		}
		delete(before, f.Name)
	}
	for _, f := range pinned.Files {
		if _, left := before[f.Name]; left {
			return fmt.Sprintf("the file %s was removed", protocol.Visible(f.Name))
		}
	}
	return ""
}
