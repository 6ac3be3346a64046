package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// requests is the maximum number of concurrent small requests to a store.
const requests = 16

// GCOptions are options of a collection.
type GCOptions struct {
	// DryRun counts but removes nothing.
	DryRun bool
	// DropBefore and KeepLast, if not zero, first drop runs that are not in progress and have no tag: runs that started
	// before DropBefore, and all but the last KeepLast of each experiment. If both are set, a run is dropped only if
	// both apply. DropBefore must not be in the future.
	DropBefore time.Time
	KeepLast   int
	// Keep are keys that stay, and KeepFiles digests of blobs, together with what the runs and tags reach.
	Keep      []string
	KeepFiles []string
}

// GCReport describes what a collection removed, or would remove.
type GCReport struct {
	// Runs are the IDs of dropped runs.
	Runs    []string `json:"runs"`
	Records int      `json:"records"`
	Blobs   int      `json:"blobs"`
	// Jobs counts the jobs of unreachable actions; see PutJob.
	Jobs int `json:"jobs"`
	// Bytes is the size of the removed blobs.
	Bytes int64 `json:"bytes"`
}

// GC removes the records and blobs that no run, tag or lease reaches. It is safe while runs are in progress, on this
// and on other machines. They wait until it is done; the package comment explains why this is safe.
func (s *Store) GC(ctx context.Context, o GCOptions) (GCReport, error) {
	if err := o.check(time.Now()); err != nil {
		return GCReport{}, err
	}
	for _, key := range o.Keep {
		if err := checkKey(key); err != nil {
			return GCReport{}, err
		}
	}
	g := &collection{s: s, GCOptions: o, name: collectorName(), bodies: map[string]stamped{}, kept: map[string]bool{}, keys: map[string]bool{}, digests: map[string]bool{}}
	for _, key := range o.Keep {
		g.keys[key] = true
	}
	for _, digest := range o.KeepFiles {
		g.digests[digest] = true
	}
	report, err := g.run(ctx)
	if err != nil {
		return report, fmt.Errorf("gc of store %s: %w", s, err)
	}
	return report, nil
}

func (o GCOptions) check(now time.Time) error {
	if o.DropBefore.After(now) {
		return invalid("gc: cannot drop runs from before %s, which is in the future; use a time in the past",
			o.DropBefore.Format(time.RFC3339))
	}
	if o.KeepLast < 0 {
		return invalid("gc: cannot keep the last %d runs; keep at least 1, or omit the option", o.KeepLast)
	}
	return nil
}

type collection struct {
	GCOptions
	s    *Store
	name string
	// keys and digests must stay. working holds the runs that hold a lease.
	keys, digests map[string]bool
	working       map[string]bool
	dead          []string
	// bodies holds the leases that were read. They are read again only if they change.
	bodies map[string]stamped
	report GCReport
	// kept are the runs that stay, and garbage the records that do not.
	kept    map[string]bool
	garbage []string
	// announced is true once the facts of all processes are invalid.
	announced bool

	mu        sync.Mutex
	refreshed time.Time
}

type stamped struct {
	stamp string
	leaseBody
}

func (g *collection) run(ctx context.Context) (_ GCReport, err error) {
	if err := g.refresh(ctx); err != nil {
		return GCReport{}, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.keepAlive(ctx, stop)
	}()
	defer func() {
		stop(nil)
		<-done
		err = errors.Join(err, g.s.b.unclaim(context.WithoutCancel(ctx), g.name))
	}()
	steps := []func(context.Context) error{g.awaitAnswers, g.readRuns, g.readRecords, g.dropRuns, g.sweepRecords, g.sweepJobs, g.sweepPacks, g.sweepBlobs, g.sweepLeases}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return g.report, err
		}
	}
	return g.report, nil
}

func (g *collection) refresh(ctx context.Context) error {
	began := time.Now().Round(0)
	if err := g.s.b.claim(ctx, g.name, nil); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refreshed = began
	return nil
}

// keepAlive refreshes the marker, and stops the collection when writers may soon stop waiting for it.
func (g *collection) keepAlive(ctx context.Context, stop context.CancelCauseFunc) {
	live := g.s.b.liveness()
	if live.expiry == 0 {
		return
	}
	var err error
	for sleep(ctx, live.poll) == nil {
		if err = g.alive(); err != nil {
			stop(err)
			return
		}
		// A failure matters only if it persists, which alive detects.
		_ = g.refresh(ctx)
	}
}

// alive fails if the marker is about to expire.
func (g *collection) alive() error {
	expiry := g.s.b.liveness().expiry
	g.mu.Lock()
	defer g.mu.Unlock()
	if expiry > 0 && time.Now().Round(0).Sub(g.refreshed) > expiry/2 {
		return fmt.Errorf("%w: no refresh since %s; run it again", ErrLeaseLost, g.refreshed.Format(time.TimeOnly))
	}
	return nil
}

// awaitAnswers waits until each working run has answered, and keeps what they hold.
func (g *collection) awaitAnswers(ctx context.Context) error {
	live := g.s.b.liveness()
	deadline := time.Now().Add(live.patience)
	for {
		claims, err := g.s.b.claimed(ctx, writers)
		if err != nil {
			return err
		}
		waiting, err := g.answers(ctx, claims)
		if err != nil || len(waiting) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("run %s uses this store and does not answer; end it (its process may be stopped) and try again",
				strings.Join(waiting, ", "))
		}
		if err := sleep(ctx, live.poll/4); err != nil {
			return err
		}
	}
}

func (g *collection) answers(ctx context.Context, claims []claim) (waiting []string, err error) {
	g.working, g.dead = map[string]bool{}, nil
	for _, c := range claims {
		run, isWriter := writerOf(c.name)
		switch {
		case !c.live:
			g.dead = append(g.dead, c.name)
			continue
		case !isWriter:
			continue
		}
		body, err := g.body(ctx, c)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(body.Answered, g.name) {
			waiting = append(waiting, run)
			continue
		}
		g.working[run] = true
		for _, name := range body.Held {
			if isHex64(name) {
				g.keys[name] = true
			} else {
				g.digests[name] = true
			}
		}
	}
	return waiting, nil
}

// body returns the content of a lease.
func (g *collection) body(ctx context.Context, c claim) (leaseBody, error) {
	if known, ok := g.bodies[c.name]; ok && c.stamp != "" && known.stamp == c.stamp {
		return known.leaseBody, nil
	}
	body, err := g.s.readLease(ctx, c.name)
	if err != nil {
		return leaseBody{}, err
	}
	g.bodies[c.name] = stamped{c.stamp, body}
	return body, nil
}

// readRuns keeps the actions of runs, and finds the runs to drop as the options require.
func (g *collection) readRuns(ctx context.Context) error {
	tags, err := g.s.Tags(ctx)
	if err != nil {
		return err
	}
	tagged := map[string]bool{}
	for _, run := range tags {
		tagged[run] = true
	}
	runs, damaged, err := g.s.runs(ctx)
	if err := errors.Join(append(damaged, err)...); err != nil {
		return err // artifacts referenced by a damaged run would be lost
	}
	dropped := map[string]bool{}
	later := map[string]int{} // runs of the experiment that started later
	for _, r := range slices.Backward(runs) {
		drop := g.drops(r, later[r.Experiment])
		later[r.Experiment]++
		if drop && !tagged[r.ID] && !g.working[r.ID] {
			dropped[r.ID] = true
			g.report.Runs = append(g.report.Runs, r.ID)
			continue
		}
		g.kept[r.ID] = true
		for _, a := range r.Actions {
			g.keys[a.Key] = true
		}
	}
	for o, err := range g.s.b.list(ctx, "runs/") {
		if err != nil {
			return err
		}
		if run, key, isNote := strings.Cut(strings.TrimPrefix(o.name, "runs/"), "/"); isNote && !dropped[run] {
			g.keys[key] = true
		}
	}
	slices.Sort(g.report.Runs)
	return nil
}

// dropRuns removes the runs to drop.
func (g *collection) dropRuns(ctx context.Context) error {
	if g.DryRun {
		return nil
	}
	for _, id := range g.report.Runs {
		if err := g.alive(); err != nil {
			return err
		}
		// The manifest goes last, so that notes always have a run with which they can be dropped.
		if err := g.s.removeNotes(ctx, id, func(string) bool { return true }); err != nil {
			return err
		}
		if err := g.s.b.remove(ctx, runName(id)); err != nil {
			return err
		}
	}
	return nil
}

// drops reports whether the options drop a run. later is the number of later runs of the same experiment.
func (g *collection) drops(r Run, later int) bool {
	old, beyond := !g.DropBefore.IsZero(), g.KeepLast > 0
	return (old || beyond) && (!old || r.Started.Before(g.DropBefore)) && (!beyond || later >= g.KeepLast)
}

// readRecords keeps the blobs of reachable records and finds the other records. It fails if a reachable record is damaged,
// because the blobs that only this record names would be lost.
func (g *collection) readRecords(ctx context.Context) error {
	var broken []*damage
	read, readCtx := errgroup.WithContext(ctx)
	read.SetLimit(lookups)
	for o, err := range g.s.b.list(ctx, "actions/") {
		if err != nil {
			return errors.Join(err, read.Wait())
		}
		key := recordKey(o.name)
		switch {
		case key == "":
		case !g.keys[key]:
			g.garbage = append(g.garbage, o.name)
		default:
			read.Go(func() error {
				r, err := g.s.GetRecord(readCtx, key)
				if errors.Is(err, fs.ErrNotExist) {
					return nil // another collection dropped its run and removed it
				}
				d, bad := errors.AsType[*damage](err)
				if err != nil && !bad {
					return err
				}
				g.mu.Lock()
				defer g.mu.Unlock()
				if bad {
					broken = append(broken, d)
					return nil
				}
				for _, f := range r.Outputs {
					g.digests[f.Digest] = true
				}
				return nil
			})
		}
	}
	if err := read.Wait(); err != nil {
		return err
	}
	return damagedRecords(broken)
}

// damagedRecords returns the error for reachable records that are damaged, or nil if there are none.
func damagedRecords(all []*damage) error {
	if len(all) == 0 {
		return nil
	}
	first := slices.MinFunc(all, func(a, b *damage) int { return strings.Compare(a.where, b.where) })
	more := ""
	if n := len(all) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return fmt.Errorf("%s: is damaged: %s%s; gc would delete the files that it names, so nothing was deleted. Restore it from a copy, or repeat its "+
		"action with `runner run`, or delete it (gc may then delete its files); `runner verify` lists all damage", first.where, first.found, more)
}

// sweepRecords removes the unreachable records.
func (g *collection) sweepRecords(ctx context.Context) error {
	g.report.Records = len(g.garbage)
	return g.removeContent(ctx, g.garbage)
}

// sweepJobs removes the jobs of unreachable actions.
func (g *collection) sweepJobs(ctx context.Context) error {
	var garbage []string
	for o, err := range g.s.b.list(ctx, "jobs/") {
		if err != nil {
			return err
		}
		if key := jobKey(o.name); key != "" && !g.keys[key] {
			garbage = append(garbage, o.name)
		}
	}
	g.report.Jobs = len(garbage)
	return g.remove(ctx, garbage)
}

func (g *collection) sweepBlobs(ctx context.Context) error {
	var garbage []string
	err := g.s.listed(ctx, "blobs/sha256/", func(objects []object) {
		for _, o := range objects {
			if digest := blobDigest(o.name); digest != "" && !g.digests[digest] {
				garbage = append(garbage, o.name)
				g.report.Bytes += o.bytes
			}
		}
	})
	if err != nil {
		return err
	}
	for o, err := range g.s.b.list(ctx, damagedPrefix) {
		if err != nil {
			return err
		}
		if isHex64(strings.TrimPrefix(o.name, damagedPrefix)) {
			garbage = append(garbage, o.name)
			g.report.Bytes += o.bytes
		}
	}
	g.report.Blobs = len(garbage)
	return g.removeContent(ctx, garbage)
}

func (g *collection) sweepLeases(ctx context.Context) error {
	claims, err := g.s.b.claimed(ctx, collectors)
	if err != nil {
		return err
	}
	for _, c := range claims {
		if !c.live {
			g.dead = append(g.dead, c.name)
		}
	}
	return g.remove(ctx, g.dead)
}

// removeContent removes records or blobs. It first invalidates the facts of other processes about them.
func (g *collection) removeContent(ctx context.Context, names []string) error {
	if len(names) == 0 || g.DryRun {
		return nil
	}
	if !g.announced {
		if err := g.s.invalidateFacts(ctx); err != nil {
			return err
		}
		g.announced = true
	}
	return g.remove(ctx, names)
}

func (g *collection) remove(ctx context.Context, names []string) error {
	if g.DryRun {
		return nil
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(requests)
	for _, name := range names {
		group.Go(func() error {
			if err := g.alive(); err != nil {
				return err
			}
			return g.s.b.remove(groupCtx, name)
		})
	}
	return group.Wait()
}
