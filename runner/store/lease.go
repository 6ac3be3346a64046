package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Prefixes of leases. Collectors have a separate prefix, which is almost always empty, so that checking for them is
// cheap with any number of writers.
const (
	writers    = "leases/"
	collectors = "collectors/"
)

// claimName matches the last part of a lease's name: of a run, of a process that waits for collectors, or of a
// collector.
var claimName = regexp.MustCompile(`^(?:run-([A-Za-z0-9][A-Za-z0-9._-]*)|wait|gc)\.[0-9a-f]{16}$`)

func writerName(run string) string { return writers + "run-" + run + "." + random() }
func waiterName() string           { return writers + "wait." + random() }
func collectorName() string        { return collectors + "gc." + random() }

// writerOf returns the run of a writer's lease; false for other leases.
func writerOf(name string) (run string, ok bool) {
	m := claimName.FindStringSubmatch(strings.TrimPrefix(name, writers))
	if m == nil || m[1] == "" {
		return "", false
	}
	return m[1], true
}

// leaseBody is the content of a writer's lease.
type leaseBody struct {
	Run     string    `json:"run"`
	Started time.Time `json:"started"`
	// Answered names the collectors that may rely on Held, the digests and keys that the writer uses.
	Answered []string `json:"answered,omitempty"`
	Held     []string `json:"held,omitempty"`
}

// lease is the lease of this process.
type lease struct {
	run     string
	started time.Time

	name   string
	expiry time.Duration
	stop   context.CancelFunc
	done   chan struct{}

	pack pack

	mu   sync.Mutex
	held map[string]struct{}
	// sizes holds the sizes, by name, of blobs that were put under this lease. These blobs stay until it ends.
	sizes map[string]int64
	// paused is closed when no collector is active; nil while holds are granted.
	paused   chan struct{}
	answered []string
	// unanswered is true until a refresh has published answered.
	unanswered bool
	pauses     int
	// refreshed is the start of the last successful refresh, by the wall clock, so that a laptop's sleep counts.
	refreshed time.Time
	lost      error
}

func (s *Store) leased() *lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease
}

// Begin publishes a run and takes the lease that writing needs. It waits for collections in progress. A Store has at
// most one lease at a time. Keys that were looked up before are not held: look them up again.
func (s *Store) Begin(ctx context.Context, r Run) error {
	return s.begin(ctx, r, func(l *lease) error {
		if err := s.checkExclusive(ctx, l); err != nil {
			return err
		}
		return s.PutRun(ctx, r)
	})
}

// Join takes the lease that writing needs for a run that another process began. That run then refers to the records of
// this process. Join waits as Begin does.
func (s *Store) Join(ctx context.Context, run string) error {
	return s.begin(ctx, Run{ID: run, Started: time.Now().UTC()}, func(*lease) error { return s.hasRun(ctx, run) })
}

// begin takes a lease and then calls ready. It releases the lease if ready fails.
func (s *Store) begin(ctx context.Context, r Run, ready func(*lease) error) error {
	if err := checkName("run", r.ID); err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &lease{
		run: r.ID, started: r.Started, name: writerName(r.ID), expiry: s.b.liveness().expiry,
		stop: stop, done: make(chan struct{}), held: map[string]struct{}{}, sizes: map[string]int64{}, paused: make(chan struct{}), refreshed: time.Now().Round(0),
	}
	s.mu.Lock()
	taken := s.lease != nil
	if !taken {
		s.lease = l
	}
	s.mu.Unlock()
	if taken {
		stop()
		return fmt.Errorf("store %s: run %s: a run has already begun", s, r.ID)
	}
	published := make(chan error, 1)
	go s.keepLease(background, l, published)
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

// checkExclusive fails if another process executes the run.
func (s *Store) checkExclusive(ctx context.Context, own *lease) error {
	claims, err := s.b.claimed(ctx, writers)
	if err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	for _, c := range claims {
		if id, ok := writerOf(c.name); ok && c.live && id == own.run && c.name != own.name {
			return invalid("store %s: run %s is already in progress; wait for it, or begin another run", s, own.run)
		}
	}
	return nil
}

// Release ends the lease, if there is one. Call PutRun first; otherwise gc may remove artifacts that the run looked up.
func (s *Store) Release(ctx context.Context) error {
	s.mu.Lock()
	l := s.lease
	s.lease = nil
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	packed := s.putPack(ctx, l)
	l.stop()
	<-l.done
	if packed != nil {
		// A pack is only a copy of records in the store.
		s.warn(fmt.Sprintf("store %s: run %s: %v", s, l.run, packed))
	}
	if err := s.b.unclaim(ctx, l.name); err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	return nil
}

func (s *Store) readLease(ctx context.Context, name string) (leaseBody, error) {
	var body leaseBody
	err := s.read(ctx, name, maxManifest, damagedManifest, func(data []byte) error { return json.Unmarshal(data, &body) })
	if err != nil {
		return leaseBody{}, err
	}
	return body, nil
}

// recordSize records that a blob was put.
func (l *lease) recordSize(name string, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sizes[name] = size
}

// stat returns the size of a blob that was put under this lease.
func (l *lease) stat(name string) (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size, ok := l.sizes[name]
	return size, ok
}

// hold protects digests and keys from collection until the lease ends. It waits for collections in progress.
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
			return nil, fmt.Errorf("store %s: run %s: %w: %w; run again: finished actions are kept", s, l.run, ErrLeaseLost, l.lost)
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
		if s.onWait != nil {
			s.onWait()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("store %s: waiting for gc to finish: %w", s, ctx.Err())
		case <-paused:
		}
	}
}

// stale reports whether the lease is about to expire. The caller holds l.mu.
func (l *lease) stale() bool {
	return l.expiry > 0 && time.Now().Round(0).Sub(l.refreshed) > l.expiry/2
}

// needsRefresh reports whether it is time for a refresh. Two more attempts are then possible before the lease is stale.
func (l *lease) needsRefresh() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.expiry > 0 && time.Now().Round(0).Sub(l.refreshed) > l.expiry/6
}

// count returns the number of held digests and keys, and whether new holds have to wait.
func (l *lease) count() (held int, paused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held), l.paused != nil
}

// keepLease publishes the lease, then answers collectors and refreshes the lease until its context is done. It
// publishes the lease before it checks for collectors; GC publishes its marker before it checks for leases.
func (s *Store) keepLease(ctx context.Context, l *lease, published chan<- error) {
	defer close(l.done)
	err := s.refresh(ctx, l)
	if err == nil {
		err = s.answer(ctx, l)
	}
	published <- err
	if err != nil {
		return
	}
	live := s.b.liveness()
	held := 0
	for wait := live.poll; sleep(ctx, wait) == nil; {
		// A writer without new holds can answer later.
		if now, paused := l.count(); now == held && !paused {
			wait = min(2*wait, live.idle)
		} else {
			wait, held = live.poll, now
		}
		err := s.answer(ctx, l)
		if err == nil && l.needsRefresh() {
			err = s.refresh(ctx, l)
		}
		l.mu.Lock()
		if l.stale() && l.lost == nil {
			l.lost = fmt.Errorf("no refresh since %s: %w", l.refreshed.Format(time.TimeOnly), err)
		}
		// A single failure is harmless: a directory's lease stays valid, a bucket's has minutes left, and a collector
		// waits.
		l.mu.Unlock()
	}
}

// answer checks for collectors. If there are new ones, it stops granting holds and publishes the current ones. When all
// collectors are done, it resumes granting holds.
func (s *Store) answer(ctx context.Context, l *lease) error {
	found, err := s.liveCollectors(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	news := l.unanswered || !slices.Equal(found, l.answered)
	l.answered, l.unanswered = found, news
	switch {
	case len(found) > 0 && l.paused == nil:
		l.paused = make(chan struct{})
		l.pauses++
	case len(found) == 0 && l.paused != nil:
		close(l.paused)
		l.paused = nil
	}
	l.mu.Unlock()
	if !news {
		return nil
	}
	// If this fails, the next tick tries again.
	return s.refresh(ctx, l)
}

// liveCollectors returns the names of the live collectors, sorted.
func (s *Store) liveCollectors(ctx context.Context) ([]string, error) {
	claims, err := s.b.claimed(ctx, collectors)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, c := range claims {
		if c.live {
			found = append(found, c.name)
		}
	}
	slices.Sort(found)
	return found, nil
}

// refresh publishes the lease.
func (s *Store) refresh(ctx context.Context, l *lease) error {
	began := time.Now().Round(0)
	l.mu.Lock()
	body := leaseBody{Run: l.run, Started: l.started, Answered: l.answered}
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
	l.unanswered = l.unanswered && !slices.Equal(l.answered, body.Answered)
	return nil
}

// awaitCollectors returns when no collection is in progress.
func (s *Store) awaitCollectors(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("store %s: waiting for gc to finish: %w", s, err)
		}
	}()
	name := waiterName()
	defer func() { err = errors.Join(err, s.b.unclaim(context.WithoutCancel(ctx), name)) }()
	for {
		if err := s.b.claim(ctx, name, nil); err != nil {
			return err
		}
		found, err := s.liveCollectors(ctx)
		if err != nil || len(found) == 0 {
			return err
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
