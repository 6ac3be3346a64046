package site

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Bounds of the history of a page: the latest earlier results, and the first parts of a key that changed after each.
const (
	mostVersions = 10
	mostChanges  = 50
)

// version is an earlier result of an action. Run is the first run that had it.
type version struct {
	Key      string `json:"key"`
	Run      string `json:"run"`
	Started  string `json:"started"`
	Headline any    `json:"headline"`
	// Changed are the parts of the cache key in which the next result differs, and Changes counts them. There are none where
	// datasets are left out, because a part may name them.
	Changed []plan.Field `json:"changed"`
	Changes int          `json:"changes"`
}

// versionRow is a number of a version, by its place in the list.
type versionRow struct {
	Version int32 `parquet:"version"`
	action.VersionRow
}

// versions adds the earlier results of an action to its page: the roles "versions" and "version_rows".
func (p *publisher) versions(ctx context.Context, k action.Kind, a *plan.Action, page *action.Page) error {
	if _, ok := k.(action.Versioner); !ok {
		return nil
	}
	next, err := p.e.Record(ctx, a.Key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // It was deleted meanwhile.
	}
	if err != nil {
		return err
	}
	all := []version{}
	var rows []versionRow
	for _, of := range p.earlier(a) {
		r, found, err := p.version(ctx, k, a, of.Key)
		if err != nil {
			return err
		}
		if found == nil {
			continue
		}
		of.Headline, of.Changed = found.Headline, []plan.Field{}
		if p.unfiltered() {
			changed, err := plan.Diff(r.Descriptor, next.Descriptor)
			if err != nil {
				return err
			}
			of.Changed, of.Changes = append(of.Changed, changed[:min(len(changed), mostChanges)]...), len(changed)
		}
		next = r
		for _, row := range found.Rows {
			rows = append(rows, versionRow{int32(len(all)), row})
		}
		if all = append(all, of); len(all) == mostVersions {
			break
		}
	}
	if len(all) == 0 {
		return nil
	}
	if page.Files["versions"], err = p.JSON(all); err != nil {
		return err
	}
	page.Files["version_rows"], err = action.PublishTable(p, action.Rows(rows), func(*versionRow) int { return 64 })
	return err
}

// version returns an earlier result of an action. It returns nil if a page may not show it or cannot.
func (p *publisher) version(ctx context.Context, k action.Kind, a *plan.Action, key string) (*store.Record, *action.Version, error) {
	versioner, ok := k.(action.Versioner)
	if !ok {
		return nil, nil, nil
	}
	r, err := p.e.Record(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil // gc deleted it.
	}
	if err != nil {
		return nil, nil, err
	}
	old, err := actionOf(a, r)
	if err != nil {
		return nil, nil, err
	}
	if old.Schema != k.Schema() {
		return nil, nil, nil // Its files differ from what this program reads.
	}
	found, err := versioner.Version(ctx, old, p)
	return r, found, err
}

// earlier returns the other results of an action in the runs of its experiment, the latest first.
func (p *publisher) earlier(a *plan.Action) (all []version) {
	for _, r := range slices.Backward(p.e.Runs) {
		if r.Experiment != p.e.Plan.Experiment {
			continue
		}
		i := slices.IndexFunc(r.Actions, func(of store.RunAction) bool { return of.Name == a.Name })
		if i < 0 || r.Actions[i].Key == "" || r.Actions[i].Key == a.Key {
			continue
		}
		v := version{Key: r.Actions[i].Key, Run: r.ID, Started: r.Started.UTC().Format(time.RFC3339)}
		if at := slices.IndexFunc(all, func(of version) bool { return of.Key == v.Key }); at >= 0 {
			all[at].Run, all[at].Started = v.Run, v.Started
		} else {
			all = append(all, v)
		}
	}
	return all
}

// actionOf returns an earlier result of an action, without its inputs.
func actionOf(now *plan.Action, r *store.Record) (*plan.Action, error) {
	d, err := plan.ReadDescriptor(r.Descriptor)
	if err != nil {
		return nil, err
	}
	a := &plan.Action{Kind: d.Kind, Schema: d.Schema, Name: now.Name, Labels: now.Labels, Parameters: d.Parameters}
	a.State, a.Key, a.Outputs = plan.Cached, r.Key, r.Outputs
	return a, nil
}
