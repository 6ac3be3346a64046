package workspace

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
)

// Pinned is a source as the lock file now holds it.
type Pinned struct {
	// Source names the provider and its configuration.
	Source     string              `json:"source"`
	Resolution protocol.Resolution `json:"resolution"`
	// Change is "added", "changed" or "kept".
	Change string `json:"change"`
}

// Pin resolves every source of the spec, over the network where it must, and writes the lock file.
func (w *Workspace) Pin(ctx context.Context) ([]Pinned, error) {
	e, err := w.Experiment(ctx)
	if err != nil {
		return nil, err
	}
	lock, err := spec.ReadLock(os.DirFS(w.Dir))
	if err != nil {
		return nil, err
	}
	lock.Retain(e)
	var pinned []Pinned
	var problems spec.Errors
	seen := map[string]bool{}
	for _, d := range e.Datasets {
		name := d.Source.Provider + " " + string(d.Source.Config)
		if d.Skip != "" || seen[name] {
			continue
		}
		seen[name] = true
		p, err := w.pin(ctx, d, lock)
		if protocol.KindOf(err) != "" {
			problems = append(problems, spec.Error{
				Pos: d.Source.Pos, Path: fmt.Sprintf("datasets.%q.source.%s", d.Key, d.Source.Provider), Message: err.Error(),
			})
			continue
		}
		if err != nil {
			return nil, err
		}
		p.Source = name
		pinned = append(pinned, p)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return pinned, lock.Write(w.Dir)
}

func (w *Workspace) pin(ctx context.Context, d spec.Dataset, lock *spec.Lock) (Pinned, error) {
	provider, err := w.host.Provider(ctx, d.Source.Provider)
	if err != nil {
		return Pinned{}, err
	}
	r, err := provider.Resolve(ctx, protocol.ResolveRequest{
		Source: protocol.Source{Config: d.Source.Config, Dir: w.Dir}, Network: true,
	})
	if err != nil {
		return Pinned{}, err
	}
	resolution, err := json.Marshal(r)
	if err != nil {
		return Pinned{}, err
	}
	p := Pinned{Resolution: r, Change: "added"}
	before, locked := lock.Get(d.Source.Provider, d.Source.Config)
	if err := lock.Set(d.Source.Provider, d.Source.Config, resolution); err != nil {
		return Pinned{}, err
	}
	if after, _ := lock.Get(d.Source.Provider, d.Source.Config); locked {
		p.Change = "changed"
		if bytes.Equal(before, after) {
			p.Change = "kept"
		}
	}
	return p, nil
}

// locked returns what the lock file says of a dataset's source.
func locked(lock *spec.Lock, d spec.Dataset) (r protocol.Resolution, ok bool, err error) {
	data, ok := lock.Get(d.Source.Provider, d.Source.Config)
	if !ok {
		return r, false, nil
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, true, invalid("%s: the entry of this source cannot be read (%v); run runner pin", spec.LockFile, err)
	}
	return r, true, nil
}

// changed says how a source differs from what it was pinned to, "" if it does not.
func changed(pinned, now protocol.Resolution) string {
	before := make(map[string]string, len(pinned.Files))
	for _, f := range pinned.Files {
		before[f.Name] = f.Digest
	}
	for _, f := range now.Files {
		digest, ok := before[f.Name]
		switch {
		case !ok:
			return fmt.Sprintf("the file %s was added", f.Name)
		case digest != f.Digest:
			return fmt.Sprintf("the file %s changed from %s to %s", f.Name, digest, f.Digest)
		}
		delete(before, f.Name)
	}
	for _, f := range pinned.Files {
		if _, left := before[f.Name]; left {
			return fmt.Sprintf("the file %s was removed", f.Name)
		}
	}
	return ""
}
