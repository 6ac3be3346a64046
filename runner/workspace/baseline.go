package workspace

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
	"surprisal.dev/runner/terminal"
)

// baselineTags begins the tags of baselines in a store.
const baselineTags = "baseline."

// Baseline is a pinned baseline and what the store has of it.
type Baseline struct {
	spec.Baseline
	// Missing names the datasets, or the imported table, whose scores the store does not have.
	Missing []string `json:"missing"`
	// Change is "added", "changed" or "kept", after Workspace.SetBaseline.
	Change string `json:"change,omitempty"`
}

// SetBaseline pins the scores of a model on all its datasets under a name: it tags them in the store, so that no collection
// removes them, and then writes their digests into the lock file. A process that is killed in between leaves a tag.
func (w *Workspace) SetBaseline(ctx context.Context, name, model string) (b Baseline, err error) {
	if err := spec.CheckBaselineName(name); err != nil {
		return b, invalid("%v", err)
	}
	w.setting = name
	p, err := w.Plan(ctx)
	if err != nil {
		return b, err
	}
	if err := w.checkNewBaseline(name, model); err != nil {
		return b, err
	}
	if err := w.Resolve(ctx, p); err != nil {
		return b, err
	}
	if b.Baseline, err = w.baselineOf(ctx, p, name, model); err != nil {
		return b, err
	}
	if b.Tag, err = baselineTag(p.Experiment, b.Baseline); err != nil {
		return b, err
	}
	err = spec.ChangeLock(ctx, w.Dir, w.options.Confine, func(lock *spec.Lock) error {
		// Only here is it known that the lock file can be written.
		if err := w.keep(ctx, b.Baseline, p.Experiment); err != nil {
			return err
		}
		old, known := lock.Baseline(name)
		if err := lock.SetBaseline(b.Baseline); err != nil {
			return err
		}
		b.Change = "added"
		if now, _ := lock.Baseline(name); known {
			b.Change = "changed"
			if reflect.DeepEqual(old, now) {
				b.Change = "kept"
			}
		}
		return nil
	})
	return b, err
}

// keep makes a run that refers to the scores of a baseline and has its tag, unless there is one already.
func (w *Workspace) keep(ctx context.Context, b spec.Baseline, experiment string) (err error) {
	if id, err := w.keeper(ctx, b); id != "" || err != nil {
		return err
	}
	run := store.Run{ID: newRunID(), Experiment: keeperPrefix + b.Name + " of " + experiment, Started: time.Now().UTC(), State: StateRunning}
	if err := w.Store.Begin(ctx, run); err != nil {
		return err
	}
	// What is looked up now stays while this process runs. What a tagged run refers to stays after it.
	defer func() { err = errors.Join(err, w.Store.Release(context.WithoutCancel(ctx))) }()
	records, err := w.Store.LookupMany(ctx, keysOf(b), "")
	if err != nil {
		return err
	}
	for _, s := range b.Scores {
		if r := records[s.Key]; r == nil || plan.Differs(&s, r.Outputs) != "" {
			return fmt.Errorf("the scores of %q on %q were removed from the store %s meanwhile; run again", b.Model, s.Dataset, w.Store)
		}
		run.Actions = append(run.Actions, store.RunAction{Name: strings.TrimSpace(s.Kind + " " + b.Name + " " + s.Dataset), Key: s.Key, State: string(plan.Cached)})
	}
	run.State, run.Finished = StateDone, time.Now().UTC()
	if err := w.Store.PutRun(ctx, run); err != nil {
		return err
	}
	return w.Store.Tag(ctx, b.Tag, run.ID)
}

// keeperPrefix begins the experiment of a run that keeps a baseline. The name of an experiment has no space.
const keeperPrefix = "baseline "

// keeper returns the id of the run that keeps exactly the scores of a baseline under its tag, or "" if there is none.
func (w *Workspace) keeper(ctx context.Context, b spec.Baseline) (string, error) {
	tags, err := w.Store.Tags(ctx)
	if err != nil || tags[b.Tag] == "" {
		return "", err
	}
	r, err := w.Store.GetRun(ctx, tags[b.Tag])
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	kept := make([]string, len(r.Actions))
	for i, a := range r.Actions {
		kept[i] = a.Key
	}
	if !strings.HasPrefix(r.Experiment, keeperPrefix+b.Name+" of ") || !slices.Equal(kept, keysOf(b)) {
		return "", nil
	}
	return r.ID, nil
}

// keysOf returns the keys of the scores of a baseline.
func keysOf(b spec.Baseline) []string {
	keys := make([]string, len(b.Scores))
	for i, s := range b.Scores {
		keys[i] = s.Key
	}
	return keys
}

// checkNewBaseline checks the name of a baseline and that of its model against the spec.
func (w *Workspace) checkNewBaseline(name, model string) error {
	var models []string
	for _, m := range w.experiment.Models {
		models = append(models, m.Name)
	}
	switch {
	case !slices.Contains(models, model):
		meant := ""
		if near := spec.Nearest(model, models); near != "" {
			meant = fmt.Sprintf("; did you mean %s?", near)
		}
		return invalid("the specification has no model %q; models are %s%s", model, terminal.Few(models), meant)
	case slices.Contains(models, name):
		return invalid("%q is the name of a model of the specification, so gates could not tell which one they name; choose another name, such as %q, or rename the model",
			name, name+"-pinned")
	case slices.Contains(w.experiment.Following, name):
		return invalid("the specification has an entry %q in baselines, which follows a model; remove it first, or choose another name", name)
	}
	return nil
}

// baselineOf returns the scores of a model, all of which must be in the store.
func (w *Workspace) baselineOf(ctx context.Context, p *plan.Plan, name, model string) (spec.Baseline, error) {
	b := spec.Baseline{Name: name, Model: model}
	var missing []string
	for _, a := range p.Actions {
		pinner, ok := w.kind(a.Kind).(action.Pinner)
		if !ok || a.Labels.Model != model || a.Pinned != nil || a.State == plan.Skipped {
			continue
		}
		if a.State != plan.Cached {
			missing = append(missing, a.Name)
			continue
		}
		s, err := pinner.Pin(ctx, a, w.readFile)
		if err != nil {
			return b, err
		}
		if a.Worker != nil {
			b.Backend = a.Worker.Name
		}
		b.Scores = append(b.Scores, s)
	}
	switch {
	case len(missing) > 0:
		instead, err := w.insteadOf(ctx, name, model)
		if err != nil {
			return b, err
		}
		return b, invalid("the store %s does not have %s yet; run `runner run` first, or wait until it is done%s", w.Store, terminal.Few(missing), instead)
	case len(b.Scores) == 0:
		return b, invalid("model %q has no scores in this specification", model)
	}
	slices.SortFunc(b.Scores, func(x, y spec.BaselineScore) int { return cmp.Compare(x.Dataset, y.Dataset) })
	return b, nil
}

// insteadOf says how to score a model before it replaces a baseline whose scores the store does not have. A run that compares
// with that baseline refuses to start. It is "" if there is no such baseline.
func (w *Workspace) insteadOf(ctx context.Context, name, model string) (string, error) {
	all, err := w.Baselines(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(b Baseline) bool { return b.Name == name })
	if i < 0 || len(all[i].Missing) == 0 {
		return "", nil
	}
	return fmt.Sprintf(". Scores of the baseline %q are missing, too, and a run that compares with it refuses to start: name %s instead of %s in gates and gaps, "+
		"run, set the baseline, and name it again", name, model, name), nil
}

// baselineTag returns the tag of a baseline: the same for the same scores under the same name of an experiment, and another
// one for others. Lock files on other branches may still refer to the earlier scores of a name.
func baselineTag(experiment string, b spec.Baseline) (string, error) {
	b.Tag = ""
	text, err := json.Marshal(struct {
		Experiment string
		spec.Baseline
	}{experiment, b})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return baselineTags + strings.ReplaceAll(b.Name, "+", "_") + "." + hex.EncodeToString(sum[:8]), nil
}

// Baselines returns the baselines of the lock file and what the store does not have of them.
func (w *Workspace) Baselines(ctx context.Context) ([]Baseline, error) {
	lock, err := spec.ReadLock(w.Dir, w.options.Confine)
	if err != nil {
		return nil, err
	}
	all := []Baseline{}
	var keys []string
	for _, b := range lock.Baselines() {
		all = append(all, Baseline{Baseline: b, Missing: []string{}})
		keys = append(keys, keysOf(b)...)
	}
	records, err := lookups{w.Store, ""}.LookupMany(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i := range all {
		for _, s := range all[i].Scores {
			if r := records[s.Key]; r == nil || plan.Differs(&s, r.Outputs) != "" {
				all[i].Missing = append(all[i].Missing, cmp.Or(s.Dataset, "the imported table"))
			}
		}
	}
	return all, nil
}

// RemoveBaseline removes a baseline from the lock file. Its tag keeps its scores in the store, because the lock file of another
// branch may name them; RemoveTag releases them.
func (w *Workspace) RemoveBaseline(ctx context.Context, name string) (b spec.Baseline, err error) {
	err = spec.ChangeLock(ctx, w.Dir, w.options.Confine, func(lock *spec.Lock) error {
		var known bool
		if b, known = lock.Baseline(name); known {
			lock.RemoveBaseline(name)
			return nil
		}
		var names []string
		for _, o := range lock.Baselines() {
			names = append(names, o.Name)
		}
		if len(names) == 0 {
			return invalid("%s has no baselines", spec.LockFile)
		}
		meant := ""
		if near := spec.Nearest(name, names); near != "" {
			meant = fmt.Sprintf("; did you mean %s?", near)
		}
		return invalid("%s has no baseline %q; baselines are %s%s", spec.LockFile, name, terminal.Few(names), meant)
	})
	return b, err
}

// Kept reports whether the store keeps the scores of a baseline under its tag. A lock file that was edited may name a tag that
// keeps something else.
func (w *Workspace) Kept(ctx context.Context, b spec.Baseline) (bool, error) {
	run, err := w.keeper(ctx, b)
	return run != "", err
}

// releaseBaseline removes the tag of a baseline, and the run that it refers to.
func (w *Workspace) releaseBaseline(ctx context.Context, tag, run string) error {
	if err := w.Store.Untag(ctx, tag); err != nil {
		return err
	}
	return w.Store.DropRun(ctx, run)
}

// pinned returns the keys and the digests of the files of the scores that the lock file pins. The files stay even if their
// record is lost: it can be restored from a copy.
func (w *Workspace) pinned() (keys, digests []string, err error) {
	lock, err := spec.ReadLock(w.Dir, w.options.Confine)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range lock.Baselines() {
		keys = append(keys, keysOf(b)...)
		for _, s := range b.Scores {
			digests = slices.AppendSeq(digests, maps.Values(s.Files))
		}
	}
	return keys, digests, nil
}

// Available returns an error if a resolved plan compares with a baseline and cannot, because its scores are not in the store
// or because it was scored on other documents.
func (w *Workspace) Available(ctx context.Context, p *plan.Plan) error {
	problems := p.Unavailable(w.Store.String(), func(key string) json.RawMessage {
		r, err := w.Store.GetRecord(ctx, key)
		if err != nil {
			return nil // Without it, the message says less.
		}
		return r.Descriptor
	})
	if len(problems) > 0 {
		return problems
	}
	return nil
}
