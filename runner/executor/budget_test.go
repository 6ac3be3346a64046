package executor_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/executor"
	"surprisal.dev/runner/plan"
)

// Any mix of work stays within the resources of the machine and is completed.
// run executes work once the budget has room for it.
func run(ctx context.Context, b *executor.Budget, takes plan.Resources, work func(context.Context) error) error {
	release, err := b.Acquire(ctx, takes, nil)
	if err != nil {
		return err
	}
	defer release()
	return work(ctx)
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		has := plan.Resources{Cores: 4, Memory: 100, Devices: 2}
		l := executor.NewBudget(has, nil, nil)
		random := rand.New(rand.NewPCG(1, 2))
		var cores, memory, devices, done atomic.Int64
		var most atomic.Int64
		var work sync.WaitGroup
		for range 500 {
			takes := plan.Resources{Cores: 1 + random.Int64N(4), Memory: random.Int64N(101), Devices: random.Int64N(3)}
			seconds := time.Duration(random.IntN(10)) * time.Second
			work.Go(func() {
				err := run(t.Context(), l, takes, func(context.Context) error {
					c, m, d := cores.Add(takes.Cores), memory.Add(takes.Memory), devices.Add(takes.Devices)
					if c > has.Cores || m > has.Memory || d > has.Devices {
						t.Errorf("%d cores, %d bytes and %d devices are taken", c, m, d)
					}
					most.Store(max(most.Load(), c))
					time.Sleep(seconds)
					cores.Add(-takes.Cores)
					memory.Add(-takes.Memory)
					devices.Add(-takes.Devices)
					done.Add(1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		if done.Load() != 500 || most.Load() != has.Cores {
			t.Errorf("%d of 500 were done, on %d cores at once", done.Load(), most.Load())
		}
	})
}

// Work that waits for memory does not block cores for work that needs no memory.
func TestWaitingKeepsNoCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := executor.NewBudget(plan.Resources{Cores: 2, Memory: 10}, nil, nil)
		hold := make(chan struct{})
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() {
				_ = run(t.Context(), l, plan.Resources{Cores: 1, Memory: 10}, func(context.Context) error {
					<-hold
					return nil
				})
			})
			synctest.Wait()
		}
		ran := false
		work.Go(func() {
			_ = run(t.Context(), l, plan.Resources{Cores: 1}, func(context.Context) error {
				ran = true
				return nil
			})
		})
		synctest.Wait()
		if !ran {
			t.Error("a free core is not used")
		}
		close(hold)
		work.Wait()
	})
}

func TestTooLarge(t *testing.T) {
	l := executor.NewBudget(plan.Resources{Cores: 2, Memory: 3 << 20, Devices: 1}, nil, nil)
	for _, test := range []struct {
		takes plan.Resources
		want  string
	}{
		{plan.Resources{Cores: 3}, "needs 3 cores, but the limit is 2"},
		{plan.Resources{Cores: 1, Memory: 3<<20 + 1}, "needs 3.0 MiB of memory, but the limit is 3.0 MiB of memory"},
		{plan.Resources{Cores: 1, Devices: 2}, "needs 2 devices, but the limit is 1 device; raise --devices"},
	} {
		err := run(t.Context(), l, test.takes, func(context.Context) error {
			t.Errorf("%+v ran", test.takes)
			return nil
		})
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%+v: %v, want %q of kind %s", test.takes, err, test.want, protocol.InvalidInput)
		}
	}
}

func TestCanceledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := executor.NewBudget(plan.Resources{Cores: 1}, nil, nil)
		hold := make(chan struct{})
		var work sync.WaitGroup
		work.Go(func() {
			_ = run(t.Context(), l, one, func(context.Context) error {
				<-hold
				return nil
			})
		})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		work.Go(func() {
			err := run(ctx, l, one, func(context.Context) error {
				t.Error("work ran after its context was canceled")
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(hold)
		work.Wait()
		failure := errors.New("failure")
		if err := run(t.Context(), l, one, func(context.Context) error { return failure }); !errors.Is(err, failure) {
			t.Errorf("after all: %v", err)
		}
	})
}

// shelf holds models that do nothing.
type shelf struct {
	mu      sync.Mutex
	evicted []string
	gate    chan struct{} // closing a model waits for it, if there is one
	fail    error
}

func (s *shelf) Evict(id string) error {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.evicted = append(s.evicted, id)
	return s.fail
}

func (s *shelf) names() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.evicted, " ")
}

func model(id string, memory, devices int64) *plan.Model {
	return &plan.Model{ID: id, Resources: plan.Resources{Memory: memory, Devices: devices}}
}

// acquire acquires resources that must be free at once.
func acquire(t *testing.T, b *executor.Budget, own plan.Resources, m *plan.Model) func() {
	t.Helper()
	release, err := b.Acquire(t.Context(), own, m)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

var one = plan.Resources{Cores: 1}

func TestModelsHoldWhatTheyTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{gate: make(chan struct{})}
		b := executor.NewBudget(plan.Resources{Cores: 4, Memory: 10, Devices: 2}, s, nil)
		acquire(t, b, one, model("a", 4, 1))()
		acquire(t, b, one, model("b", 4, 1))()
		// Both are still loaded, and need no more resources when they are used again.
		acquire(t, b, one, model("a", 4, 1))()
		acquire(t, b, plan.Resources{Cores: 1, Memory: 2}, nil)()
		if got := s.names(); got != "" {
			t.Errorf("evicted %s although all had room", got)
		}
		// b is the least recently used. Its resources are free only once it is closed.
		granted := make(chan func(), 1)
		go func() { granted <- acquire(t, b, plan.Resources{Cores: 1, Memory: 3}, nil) }()
		synctest.Wait()
		if len(granted) > 0 {
			t.Error("memory was given twice")
		}
		close(s.gate)
		synctest.Wait()
		release := <-granted
		if got := s.names(); got != "b" {
			t.Errorf("evicted %q, want b", got)
		}
		release()
		// A device is also held.
		acquire(t, b, plan.Resources{Cores: 1, Devices: 2}, nil)()
		if got := s.names(); got != "b a" {
			t.Errorf("evicted %q, want b and then a", got)
		}
	})
}

func TestModelsInUseStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		b := executor.NewBudget(plan.Resources{Cores: 4, Memory: 10}, s, nil)
		release := acquire(t, b, one, model("a", 8, 0))
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() {
			_, err := b.Acquire(ctx, one, model("b", 8, 0))
			over <- err
		}()
		synctest.Wait()
		if len(over) > 0 || s.names() != "" {
			t.Errorf("a model in use gave way: %q", s.names())
		}
		cancel()
		if err := <-over; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		release()
		acquire(t, b, one, model("b", 8, 0))()
		if got := s.names(); got != "a" {
			t.Errorf("evicted %q, want a", got)
		}
	})
}

// A hundred models used one at a time never hold more than one model's resources.
func TestRetire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		b := executor.NewBudget(plan.Resources{Cores: 16, Memory: 1000}, s, nil)
		for i := range 100 {
			id := string(rune('A' + i))
			release := acquire(t, b, one, model(id, 1, 0))
			b.Retire(id)
			if strings.Contains(s.names(), id) {
				t.Fatal("a model in use was closed")
			}
			release()
			b.Wait()
			if !strings.HasSuffix(s.names(), id) {
				t.Fatalf("%s stayed: %s", id, s.names())
			}
		}
		b.Retire("never loaded")
	})
}

// A model that no future work needs stays until the last work that uses it has ended.
func TestRetireWhileShared(t *testing.T) {
	s := &shelf{}
	b := executor.NewBudget(plan.Resources{Cores: 2, Memory: 1}, s, nil)
	first, second := acquire(t, b, one, model("a", 1, 0)), acquire(t, b, one, model("a", 1, 0))
	b.Retire("a")
	first()
	b.Wait()
	if got := s.names(); got != "" {
		t.Errorf("%s was closed while it was in use", got)
		return
	}
	second()
	b.Wait()
	if got := s.names(); got != "a" {
		t.Errorf("evicted %q, want a", got)
	}
}

// Work does not close the model that it is waiting for.
func TestOwnModelStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		b := executor.NewBudget(plan.Resources{Cores: 2, Memory: 10}, s, nil)
		acquire(t, b, one, model("a", 4, 0))()
		other := acquire(t, b, plan.Resources{Cores: 1, Memory: 4}, nil)
		granted := make(chan func(), 1)
		go func() { granted <- acquire(t, b, plan.Resources{Cores: 1, Memory: 4}, model("a", 4, 0)) }()
		synctest.Wait()
		if len(granted) > 0 || s.names() != "" {
			t.Errorf("granted %d, evicted %q, want neither", len(granted), s.names())
		}
		other()
		(<-granted)()
		if got := s.names(); got != "" {
			t.Errorf("evicted %q, want none", got)
		}
	})
}

// Work that gives up no longer blocks the resources that it was waiting for.
func TestGivingUpMakesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := executor.NewBudget(plan.Resources{Cores: 3, Memory: 10}, nil, nil)
		release := acquire(t, b, plan.Resources{Cores: 1, Memory: 5}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		gave := make(chan error, 1)
		go func() {
			_, err := b.Acquire(ctx, plan.Resources{Cores: 1, Memory: 10}, nil)
			gave <- err
		}()
		synctest.Wait()
		granted := make(chan func(), 1)
		go func() { granted <- acquire(t, b, plan.Resources{Cores: 1, Memory: 5}, nil) }()
		synctest.Wait()
		if len(granted) > 0 {
			t.Error("later work took a resource that the first was waiting for")
		}
		cancel()
		if err := <-gave; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		synctest.Wait()
		if len(granted) == 0 {
			t.Error("what fits still waits for work that gave up")
		}
		release()
		(<-granted)()
	})
}

func TestStoppedWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := executor.NewBudget(plan.Resources{Cores: 1}, nil, nil)
		release := acquire(t, b, one, nil)
		over := make(chan error, 1)
		go func() {
			_, err := b.Acquire(t.Context(), one, nil)
			over <- err
		}()
		synctest.Wait()
		b.Stop()
		b.Stop()
		if err := <-over; !executor.IsStopped(err) {
			t.Error(err)
		}
		release()
		if _, err := b.Acquire(t.Context(), one, nil); !executor.IsStopped(err) {
			t.Errorf("after the stop: %v", err)
		}
	})
}

func TestFailingEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan string, 1)
		b := executor.NewBudget(plan.Resources{Cores: 1, Memory: 1}, &shelf{fail: errors.New("hangs")}, func(model string, err error) {
			told <- model + " " + err.Error()
		})
		acquire(t, b, one, model("a", 1, 0))()
		acquire(t, b, plan.Resources{Memory: 1}, nil)()
		if got := <-told; got != "a hangs" {
			t.Error(got)
		}
	})
}

func TestNegativeAmounts(t *testing.T) {
	b := executor.NewBudget(plan.Resources{Cores: 1, Memory: 1}, nil, nil)
	if _, err := b.Acquire(t.Context(), plan.Resources{Memory: -1}, nil); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("got error %v", err)
	}
}

// The resources of a machine limit work together with its model. The memory of its devices is unknown.
func TestCheck(t *testing.T) {
	b := executor.NewBudget(plan.Resources{Cores: 2, Memory: 10, Devices: 1}, nil, nil)
	for _, test := range []struct {
		own   plan.Resources
		model *plan.Model
		want  string
	}{
		{plan.Resources{Cores: 2, Memory: 10, Devices: 1}, nil, ""},
		{plan.Resources{Cores: 2, Memory: 4}, model("m", 6, 1), ""},
		{plan.Resources{Cores: 2, Memory: 5}, model("m", 6, 1), "needs 11 B of memory, but the limit is 10 B of memory; raise --memory"},
		{plan.Resources{Cores: 1, Devices: 1}, model("m", 6, 1), "needs 2 devices, but the limit is 1 device; raise --devices"},
		{plan.Resources{Cores: 1, DeviceMemory: 1 << 40}, nil, ""},
		{plan.Resources{Cores: -1}, nil, "requests -1 cores"},
		{plan.Resources{Devices: -2}, nil, "requests -2 devices"},
		{plan.Resources{DeviceMemory: -3}, nil, "requests -3 device-memory"},
	} {
		err := b.Check(test.own, test.model)
		if (err == nil) != (test.want == "") || err != nil && (!strings.HasPrefix(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput) {
			t.Errorf("%+v: got %v, want %q", test.own, err, test.want)
		}
	}
}

// free reports whether work gets its resources at once, and then releases them.
func free(t *testing.T, b *executor.Budget, own plan.Resources, m *plan.Model) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan func(), 1)
	go func() {
		release, err := b.Acquire(ctx, own, m)
		if err == nil {
			release()
		}
		got <- release
	}()
	synctest.Wait()
	defer cancel()
	if len(got) == 0 {
		cancel()
		<-got
		return false
	}
	<-got
	return true
}

// Releasing twice has the effect of releasing once.
func TestReleaseTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := executor.NewBudget(plan.Resources{Cores: 1}, nil, nil)
		release := acquire(t, b, one, nil)
		release()
		release()
		release = acquire(t, b, one, nil)
		if free(t, b, one, nil) {
			t.Error("one core was given to two")
		}
		release()
	})
}

// Idle models with unknown resources are closed when another model is to be loaded. Others stay
// loaded if they do not conflict.
func TestUnknownModelsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		b := executor.NewBudget(plan.Resources{Cores: 4, Memory: 10, Devices: 1}, s, nil)
		used := acquire(t, b, one, model("used", 0, 0))
		acquire(t, b, one, model("known", 1, 0))()
		acquire(t, b, one, model("device", 0, 1))()
		acquire(t, b, one, nil)()
		if got := s.names(); got != "" {
			t.Errorf("evicted %q, want none", got)
		}
		used()
		acquire(t, b, one, nil)()
		acquire(t, b, one, model("known", 1, 0))()
		if got := s.names(); got != "" {
			t.Errorf("evicted %q for a model that is not to be loaded", got)
		}
		acquire(t, b, one, model("new", 2, 0))()
		if got := s.names(); got != "used" {
			t.Errorf("evicted %q, want used", got)
		}
		// Closing a model without memory does not free memory.
		acquire(t, b, plan.Resources{Cores: 1, Memory: 10}, nil)()
		b.Wait()
		if got := s.names(); got != "used known new" {
			t.Errorf("evicted %q, want used, known and then new", got)
		}
	})
}

// A model that is needed again while it is being closed is loaded again, and closed once.
func TestModelBeingClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{gate: make(chan struct{})}
		b := executor.NewBudget(plan.Resources{Cores: 4, Memory: 10}, s, nil)
		acquire(t, b, one, model("a", 4, 0))()
		b.Retire("a")
		b.Retire("a")
		if free(t, b, one, model("a", 4, 0)) {
			t.Error("a model that is being closed was used")
		}
		if free(t, b, plan.Resources{Cores: 1, Memory: 7}, nil) {
			t.Error("resources of a model that is being closed were granted")
		}
		close(s.gate)
		b.Wait()
		if !free(t, b, plan.Resources{Cores: 1, Memory: 10}, nil) || s.names() != "a" {
			t.Errorf("evicted %q, want a once", s.names())
		}
		// It is not retired permanently.
		acquire(t, b, one, model("a", 4, 0))()
		b.Wait()
		if got := s.names(); got != "a" {
			t.Errorf("evicted %q after it was loaded anew", got)
		}
	})
}

// Exactly the acquired resources are released.
func TestAllIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := plan.Resources{Cores: 3, Memory: 20, Devices: 2, DeviceMemory: 50}
		b := executor.NewBudget(whole, &shelf{}, nil)
		release := acquire(t, b, plan.Resources{Cores: 1, Memory: 5, Devices: 1, DeviceMemory: 9}, model("a", 5, 0))
		for _, test := range []struct {
			own  plan.Resources
			want bool
		}{
			{plan.Resources{Cores: 2, Memory: 10, Devices: 1}, true}, {plan.Resources{Cores: 3}, false}, {plan.Resources{Memory: 11}, false},
			{plan.Resources{Devices: 2}, false}, {plan.Resources{DeviceMemory: 1 << 40}, true},
		} {
			if got := free(t, b, test.own, nil); got != test.want {
				t.Errorf("%+v concurrently: %t", test.own, got)
			}
		}
		release()
		acquire(t, b, whole, nil)()
		b.Wait()
		if !free(t, b, whole, nil) {
			t.Error("not all was given back")
		}
	})
}
