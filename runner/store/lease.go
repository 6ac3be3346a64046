package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Names in leases/: writers and collectors.
const (
	writerPrefix    = "run-"
	collectorPrefix = "gc-"
)

// Lease is a run that is working.
type Lease struct {
	Run     string    `json:"run"`
	Started time.Time `json:"started"`
}

// leaseBody is what a writer's lease says.
type leaseBody struct {
	Lease
	// Answered names the collectors that may rely on Held, the digests and keys that the writer uses.
	Answered []string `json:"answered,omitempty"`
	Held     []string `json:"held,omitempty"`
}

// lease is this process's own.
type lease struct {
	Lease
	name   string
	expiry time.Duration
	stop   context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	held map[string]struct{}
	// paused is closed when no collector is under way; nil while holds are granted.
	paused   chan struct{}
	answered []string
	pauses   int
	// refreshed is when the last successful refresh began, by the wall clock: a laptop's sleep counts.
	refreshed time.Time
	lost      error
}

// generation tells states of a store apart between which a collection may have happened.
type generation struct {
	l      *lease
	pauses int
}

func (s *Store) leased() *lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease
}

func (s *Store) generation() generation {
	l := s.leased()
	if l == nil {
		return generation{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return generation{l, l.pauses}
}

// Begin publishes a run and takes the lease that writing needs. It waits while a collection is under way. A store has one
// lease at a time. What was looked up before is not held: look it up again.
func (s *Store) Begin(ctx context.Context, r Run) error {
	return s.begin(ctx, r, func(l *lease) error {
		if err := s.alone(ctx, l); err != nil {
			return err
		}
		return s.PutRun(ctx, r)
	})
}

// Join takes the lease that writing needs for a run that another process began: what this one records, that run reaches. It
// waits as Begin does.
func (s *Store) Join(ctx context.Context, run string) error {
	return s.begin(ctx, Run{ID: run, Started: time.Now().UTC()}, func(*lease) error { return s.hasRun(ctx, run) })
}

// begin takes a lease; once it is held, it calls ready, and gives the lease up if that fails.
func (s *Store) begin(ctx context.Context, r Run, ready func(*lease) error) error {
	if err := checkName("run", r.ID); err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &lease{
		Lease: Lease{r.ID, r.Started}, name: writerPrefix + r.ID + "." + random(), expiry: s.b.liveness().expiry,
		stop: stop, done: make(chan struct{}), held: map[string]struct{}{}, paused: make(chan struct{}), refreshed: time.Now().Round(0),
	}
	s.mu.Lock()
	taken := s.lease != nil
	if !taken {
		s.lease = l
	}
	s.mu.Unlock()
	if taken {
		stop()
		return fmt.Errorf("store %s: run %s: a run has begun already", s, r.ID)
	}
	published := make(chan error, 1)
	go s.keep(background, l, published)
	var err error
	select {
	case err = <-published:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("store %s: %w", s, err)
	} else if _, err = s.hold(ctx); err == nil {
		err = ready(l)
	}
	if err != nil {
		return errors.Join(err, s.Release(context.WithoutCancel(ctx)))
	}
	return nil
}

// alone refuses a run that another process works on.
func (s *Store) alone(ctx context.Context, own *lease) error {
	claims, err := s.b.claimed(ctx)
	if err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	for _, c := range claims {
		if id, ok := writerOf(c.name); ok && c.live && id == own.Run && c.name != own.name {
			return invalid("store %s: run %s is working already; wait for it, or begin another run", s, own.Run)
		}
	}
	return nil
}

func writerOf(name string) (run string, ok bool) {
	run, ok = strings.CutPrefix(name, writerPrefix)
	if i := strings.LastIndexByte(run, '.'); ok && i > 0 {
		return run[:i], true
	}
	return "", false
}

// Release ends the lease, if there is one. PutRun comes first, or gc may free what the run looked up.
func (s *Store) Release(ctx context.Context) error {
	s.mu.Lock()
	l := s.lease
	s.lease = nil
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	l.stop()
	<-l.done
	if err := s.b.unclaim(ctx, l.name); err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	return nil
}

// Leases returns the runs that are working, on this machine or another.
func (s *Store) Leases(ctx context.Context) ([]Lease, error) {
	claims, err := s.b.claimed(ctx)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s, err)
	}
	var leases []Lease
	for _, c := range claims {
		if _, ok := writerOf(c.name); !ok || !c.live {
			continue
		}
		// Nobody refreshed anything just now, so this clock must do.
		if expiry := s.b.liveness().expiry; expiry > 0 && time.Since(c.refreshed) > expiry {
			continue
		}
		var body leaseBody
		if err := json.Unmarshal(c.data, &body); err != nil {
			return nil, &badManifest{s.b.where("leases/" + c.name), err.Error()}
		}
		leases = append(leases, body.Lease)
	}
	return leases, nil
}

// hold keeps digests and keys from collection until the lease ends. It waits while a collection is under way.
func (s *Store) hold(ctx context.Context, names ...string) (*lease, error) {
	l := s.leased()
	if l == nil {
		return nil, fmt.Errorf("store %s: writing needs a lease; begin a run", s)
	}
	for {
		l.mu.Lock()
		if l.lost == nil && l.stale() {
			l.lost = fmt.Errorf("no refresh since %s", l.refreshed.Format(time.TimeOnly))
		}
		if l.lost != nil {
			defer l.mu.Unlock()
			return nil, fmt.Errorf("store %s: run %s: %w: %w; run again: finished actions are kept", s, l.Run, ErrLeaseLost, l.lost)
		}
		paused := l.paused
		if paused == nil {
			for _, name := range names {
				l.held[name] = struct{}{}
			}
			l.mu.Unlock()
			return l, nil
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("store %s: waiting for gc to finish: %w", s, ctx.Err())
		case <-paused:
		}
	}
}

// stale says whether the lease may soon count as dead. The caller holds l.mu.
func (l *lease) stale() bool {
	return l.expiry > 0 && time.Now().Round(0).Sub(l.refreshed) > l.expiry/2
}

// keep publishes the lease, then answers collectors and refreshes it until its context is done. The lease comes first and
// the look for collectors second; GC does the same the other way round.
func (s *Store) keep(ctx context.Context, l *lease, published chan<- error) {
	defer close(l.done)
	err := s.refresh(ctx, l)
	if err == nil {
		err = s.answer(ctx, l)
	}
	published <- err
	if err != nil {
		return
	}
	tick := time.NewTicker(s.b.liveness().poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.answer(ctx, l)
		if err == nil && l.expiry > 0 {
			err = s.refresh(ctx, l)
		}
		l.mu.Lock()
		if l.stale() && l.lost == nil {
			l.lost = fmt.Errorf("no refresh since %s: %w", l.refreshed.Format(time.TimeOnly), err)
		}
		// A single failure is no matter: a folder's lease lives on, a bucket's has minutes, and a collector waits.
		l.mu.Unlock()
	}
}

// answer looks for collectors. If there are new ones it stops new holds and publishes what is held; when all have gone it
// lets holds go on.
func (s *Store) answer(ctx context.Context, l *lease) error {
	claims, err := s.b.claimed(ctx)
	if err != nil {
		return err
	}
	var collectors []string
	for _, c := range claims {
		if strings.HasPrefix(c.name, collectorPrefix) && c.live {
			collectors = append(collectors, c.name)
		}
	}
	slices.Sort(collectors)
	l.mu.Lock()
	news := !slices.Equal(collectors, l.answered)
	l.answered = collectors
	switch {
	case len(collectors) > 0 && l.paused == nil:
		l.paused = make(chan struct{})
		l.pauses++
	case len(collectors) == 0 && l.paused != nil:
		close(l.paused)
		l.paused = nil
	}
	l.mu.Unlock()
	if !news {
		return nil
	}
	if err := s.refresh(ctx, l); err != nil {
		l.mu.Lock()
		l.answered = nil // so that the next tick tries again
		l.mu.Unlock()
		return err
	}
	return nil
}

// refresh publishes the lease.
func (s *Store) refresh(ctx context.Context, l *lease) error {
	began := time.Now().Round(0)
	l.mu.Lock()
	body := leaseBody{Lease: l.Lease, Answered: l.answered}
	if l.paused != nil {
		body.Held = sortedKeys(l.held)
	}
	l.mu.Unlock()
	data, err := encode(body)
	if err != nil {
		return err
	}
	if err := s.b.claim(ctx, l.name, data); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refreshed = began
	return nil
}

// awaitCollectors returns when no collection is under way.
func (s *Store) awaitCollectors(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("store %s: waiting for gc to finish: %w", s, err)
		}
	}()
	name := "tag-" + random()
	defer func() { err = errors.Join(err, s.b.unclaim(context.WithoutCancel(ctx), name)) }()
	for {
		if err := s.b.claim(ctx, name, nil); err != nil {
			return err
		}
		claims, err := s.b.claimed(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(claims, func(c claim) bool { return c.live && strings.HasPrefix(c.name, collectorPrefix) }) {
			return nil
		}
		if err := sleep(ctx, s.b.liveness().poll); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
