package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"surprisal.dev/plugins/protocol"
)

var _ Loaded = (*Model)(nil)

// garage loads models that do nothing.
type garage struct {
	mu     sync.Mutex
	events []string
	fail   map[string]error
	// gate and exit, where set, block loading and closing.
	gate, exit chan struct{}
}

type parked struct {
	name string
	in   *garage
}

func (g *garage) note(event string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, event)
}

// acquire acquires a model of 10 bytes of memory, and one device of 100 bytes if it is called "gpu".
func (g *garage) acquire(ctx context.Context, p *Pool, name string) (func() error, error) {
	r := Resources{Memory: 10}
	if name == "gpu" {
		r = Resources{Memory: 1, Devices: 1, DeviceMemory: 100}
	}
	_, release, err := p.Acquire(ctx, name, r, func(ctx context.Context) (Loaded, error) {
		g.note("load " + name)
		if g.gate != nil {
			select {
			case <-g.gate:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if err := g.fail[name]; err != nil {
			return (*parked)(nil), err
		}
		return &parked{name, g}, nil
	})
	return release, err
}

func (*parked) Describe() protocol.LoadedModel { return protocol.LoadedModel{} }

func (*parked) Score(context.Context, protocol.Settings, iter.Seq2[protocol.Document, error], func(protocol.Document, protocol.ScoredDocument) error) error {
	return nil
}

func (p *parked) Close() error {
	if p.in.exit != nil {
		<-p.in.exit
	}
	p.in.note("close " + p.name)
	if p.name == "stuck" {
		return errors.New("it does not open")
	}
	return nil
}

// TestPool acquires (+), gives back (-), evicts (~) and retires (.) models one after the other.
func TestPool(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps []string
		want  []string
		idle  []string
		held  Resources
	}{
		{
			name: "a model stays loaded between two uses", steps: []string{"+a", "-a", "+a", "-a"},
			want: []string{"load a"}, idle: []string{"a"}, held: Resources{Memory: 10},
		}, {
			name: "users share it", steps: []string{"+a", "+a", "-a"},
			want: []string{"load a"}, held: Resources{Memory: 10},
		}, {
			name: "an idle one is evicted, and loaded again", steps: []string{"+a", "-a", "~a", "+a", "-a"},
			want: []string{"load a", "close a", "load a"}, idle: []string{"a"}, held: Resources{Memory: 10},
		}, {
			name: "one in use is not", steps: []string{"+a", "~a", "+b", "-b", "~b"},
			want: []string{"load a", "load b", "close b"}, held: Resources{Memory: 10},
		}, {
			name: "what is not there cannot be evicted", steps: []string{"~a", ".a", "+b", "-b", "~a", ".a"},
			want: []string{"load b"}, idle: []string{"b"}, held: Resources{Memory: 10},
		}, {
			name: "the one that was not used for longest is named first", steps: []string{"+a", "-a", "+b", "-b", "+gpu", "-gpu", "+a", "-a"},
			want: []string{"load a", "load b", "load gpu"}, idle: []string{"b", "gpu", "a"}, held: Resources{Memory: 21, Devices: 1, DeviceMemory: 100},
		}, {
			name: "which is the one that was given back first", steps: []string{"+a", "+b", "-b", "-a"},
			want: []string{"load a", "load b"}, idle: []string{"b", "a"}, held: Resources{Memory: 20},
		}, {
			name: "one that is retired is closed at once", steps: []string{"+a", "-a", ".a"},
			want: []string{"load a", "close a"},
		}, {
			name: "or when nothing uses it any more", steps: []string{"+gpu", "+gpu", ".gpu", "-gpu", "+b", "-gpu"},
			want: []string{"load gpu", "load b", "close gpu"}, held: Resources{Memory: 10},
		}, {
			name: "a failure is not kept, holds nothing and closes nothing", steps: []string{"+a", "-a", "!bad", "!bad", "~bad", ".bad", "+a", "-a"},
			want: []string{"load a", "load bad", "load bad"}, idle: []string{"a"}, held: Resources{Memory: 10},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := &garage{fail: map[string]error{"bad": errors.New("no weights")}}
			pool := NewPool()
			held := map[string][]func() error{}
			for _, step := range test.steps {
				var err error
				name := step[1:]
				switch step[0] {
				case '-':
					last := len(held[name]) - 1
					err = errors.Join(held[name][last](), held[name][last]()) // the second time does nothing
					held[name] = held[name][:last]
				case '~':
					err = pool.Evict(name)
				case '.':
					err = pool.Retire(name)
				case '!':
					if _, err = g.acquire(t.Context(), pool, name); err != nil && err.Error() == "no weights" {
						err = nil
					}
				default:
					var release func() error
					release, err = g.acquire(t.Context(), pool, name)
					held[name] = append(held[name], release)
				}
				if err != nil {
					t.Fatalf("%s: %v", step, err)
				}
			}
			if !slices.Equal(g.events, test.want) {
				t.Errorf("got %q, want %q", g.events, test.want)
			}
			if got := pool.Idle(); !slices.Equal(got, test.idle) {
				t.Errorf("idle are %q, want %q", got, test.idle)
			}
			if got := pool.Held(); got != test.held {
				t.Errorf("held is %+v, want %+v", got, test.held)
			}
		})
	}
}

// TestPoolOfMany checks that at most one of 100 models is loaded when they are used one after the other and retired.
func TestPoolOfMany(t *testing.T) {
	g, pool := &garage{}, NewPool()
	for i := range 100 {
		name := fmt.Sprint("m", i)
		for range 2 {
			release, err := g.acquire(t.Context(), pool, name)
			if err != nil {
				t.Fatal(err)
			}
			if got := pool.Held(); got.Memory != 10 {
				t.Fatalf("with %s loaded, %d bytes are held, of 10 for a model", name, got.Memory)
			}
			if err := release(); err != nil {
				t.Fatal(err)
			}
		}
		if err := pool.Retire(name); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.events) != 200 {
		t.Errorf("%d loads and closes of 100 models", len(g.events))
	}
}

func TestPoolCloses(t *testing.T) {
	g, pool := &garage{}, NewPool()
	var kept func() error
	for _, name := range []string{"a", "stuck", "used"} {
		release, err := g.acquire(t.Context(), pool, name)
		if err != nil {
			t.Fatal(err)
		}
		if kept = release; name != "used" {
			if err := release(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := pool.Close(); err == nil || err.Error() != "closing model stuck: it does not open" {
		t.Errorf("closing gave %v", err)
	}
	if want := []string{"load a", "load stuck", "load used", "close a", "close stuck"}; !slices.Equal(g.events, want) {
		t.Errorf("got %q, want %q", g.events, want)
	}
	if _, err := g.acquire(t.Context(), pool, "late"); err == nil {
		t.Error("a closed pool loads a model")
	}
	if err := kept(); err != nil {
		t.Error(err)
	}
	if got := g.events[len(g.events)-1]; got != "close used" {
		t.Errorf("the last event is %q", got)
	}
	if got := pool.Held(); got != (Resources{}) {
		t.Errorf("still held: %+v", got)
	}
}

// TestPoolTogether checks that many users of the same model load it once, and that one of them can stop waiting.
func TestPoolTogether(t *testing.T) {
	for _, failure := range []error{nil, errors.New("no weights")} {
		synctest.Test(t, func(t *testing.T) {
			g, pool := &garage{gate: make(chan struct{}), fail: map[string]error{"m": failure}}, NewPool()
			impatient, leave := context.WithCancel(t.Context())
			var group sync.WaitGroup
			use := func(ctx context.Context, want error) {
				group.Go(func() {
					release, err := g.acquire(ctx, pool, "m")
					if !errors.Is(err, want) || (want == nil) != (err == nil) {
						t.Errorf("got error %v, want %v", err, want)
					}
					if err == nil {
						err = release()
					}
					if want == nil && err != nil {
						t.Error(err)
					}
				})
			}
			for range 8 {
				use(t.Context(), failure)
			}
			synctest.Wait()
			use(impatient, context.Canceled)
			synctest.Wait()
			leave()
			synctest.Wait()
			close(g.gate)
			group.Wait()
			if err := pool.Close(); err != nil {
				t.Error(err)
			}
			want := []string{"load m", "close m"}
			if failure != nil {
				want = want[:1]
			}
			if !slices.Equal(g.events, want) {
				t.Errorf("got %q, want %q", g.events, want)
			}
		})
	}
}

// TestPoolLoaderLeaves checks that a waiting caller loads the model if the caller that was loading it is canceled.
func TestPoolLoaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, pool := &garage{gate: make(chan struct{})}, NewPool()
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := g.acquire(ctx, pool, "m"); first <- err }()
		synctest.Wait()
		go func() { _, err := g.acquire(t.Context(), pool, "m"); second <- err }()
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first got %v", err)
		}
		synctest.Wait()
		close(g.gate)
		if err := <-second; err != nil {
			t.Errorf("the second got %v", err)
		}
		if want := []string{"load m", "load m"}; !slices.Equal(g.events, want) {
			t.Errorf("got %q, want %q", g.events, want)
		}
		if got := pool.Held(); got != (Resources{Memory: 10}) {
			t.Errorf("held is %+v", got)
		}
	})
}

// TestPoolClosesFirst checks that a model that is being closed still holds its resources, and is loaded again only
// afterwards.
func TestPoolClosesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, pool := &garage{exit: make(chan struct{})}, NewPool()
		release, err := g.acquire(t.Context(), pool, "m")
		if err == nil {
			err = release()
		}
		if err != nil {
			t.Fatal(err)
		}
		evicted, acquired := make(chan error, 1), make(chan error, 1)
		go func() { evicted <- pool.Evict("m") }()
		synctest.Wait()
		if err := pool.Evict("m"); err != nil { // a second time does not close it twice
			t.Error(err)
		}
		if got := pool.Held(); got != (Resources{Memory: 10}) {
			t.Errorf("held is %+v", got)
		}
		if got := pool.Idle(); len(got) != 0 {
			t.Errorf("idle are %q", got)
		}
		go func() { _, err := g.acquire(t.Context(), pool, "m"); acquired <- err }()
		impatient, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := g.acquire(impatient, pool, "m"); left <- err }()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that was canceled got %v", err)
		}
		close(g.exit)
		if err := errors.Join(<-evicted, <-acquired); err != nil {
			t.Error(err)
		}
		if want := []string{"load m", "close m", "load m"}; !slices.Equal(g.events, want) {
			t.Errorf("got %q, want %q", g.events, want)
		}
	})
}
