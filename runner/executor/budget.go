package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/dustin/go-humanize"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/plan"
)

// ErrStopped is the error of work that had not started before a stop.
var ErrStopped = errors.New("stopped before it started")

// Models closes loaded models.
type Models interface {
	// Evict closes an idle model. It does nothing if the model is not loaded.
	Evict(id string) error
}

// Budget admits work to a machine. Work that needs more than is free waits, first come first served for each resource.
// A loaded model holds its resources until it is evicted. Idle models are evicted when work does not fit otherwise, the
// least recently used first.
type Budget struct {
	has    plan.Resources
	models Models
	failed func(model string, err error)

	mu      sync.Mutex
	taken   plan.Resources
	waiting []*waiter
	held    map[string]*hold
	uses    int64
	stopped chan struct{}
	closing sync.WaitGroup
}

type waiter struct {
	own     plan.Resources
	model   *plan.Model
	granted chan struct{}
}

// hold is a model that is loaded or being loaded.
type hold struct {
	resources plan.Resources
	users     int
	lastUse   int64
	retired   bool
	// leaving is true while the model is being closed.
	leaving bool
}

// NewBudget returns a budget with the given resources. It calls failed with models that could not be closed.
func NewBudget(has plan.Resources, models Models, failed func(model string, err error)) *Budget {
	return &Budget{has: has, models: models, failed: failed, held: map[string]*hold{}, stopped: make(chan struct{})}
}

// Indexes of resources in amounts.
const (
	cores = iota
	memory
	devices
	deviceMemory
	kinds
)

type amounts [kinds]int64

func amountsOf(r plan.Resources) amounts {
	return amounts{r.Cores, r.Memory, r.Devices, r.DeviceMemory}
}

func (a amounts) plus(b amounts) amounts {
	for i := range a {
		a[i] += b[i]
	}
	return a
}

// Check returns an error for work that can never be admitted.
func (b *Budget) Check(own plan.Resources, model *plan.Model) error {
	need, has := amountsOf(own), amountsOf(b.has)
	if model != nil {
		need = need.plus(amountsOf(model.Resources))
	}
	for i, n := range need {
		if n < 0 {
			return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf("requests %d %s; a request must not be negative", n, kindNames[i])}
		}
		// The memory of devices is not known here. The backend reports an error if it does not suffice.
		if n > has[i] && i != deviceMemory {
			return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(
				"needs %s, but the limit is %s; raise --%s, reduce the work or use a larger machine", amount(i, n), amount(i, has[i]), kindNames[i])}
		}
	}
	return nil
}

var kindNames = [kinds]string{"cores", "memory", "devices", "device-memory"}

func amount(kind int, n int64) string {
	if kind == memory || kind == deviceMemory {
		return humanize.IBytes(uint64(n)) + " of memory"
	}
	name := kindNames[kind]
	if n == 1 {
		name = strings.TrimSuffix(name, "s")
	}
	return fmt.Sprintf("%d %s", n, name)
}

// Acquire waits until the machine has room for the work itself and for its model, if any. It returns a function that
// releases both. The model then stays loaded until it is evicted.
func (b *Budget) Acquire(ctx context.Context, own plan.Resources, model *plan.Model) (release func(), err error) {
	if err := b.Check(own, model); err != nil {
		return nil, err
	}
	w := &waiter{own: own, model: model, granted: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, w)
	b.admit()
	b.mu.Unlock()
	select {
	case <-w.granted:
		// An earlier stop takes precedence.
		select {
		case <-b.stopped:
			b.release(w)
			return nil, ErrStopped
		default:
		}
		return sync.OnceFunc(func() { b.release(w) }), nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-b.stopped:
		err = ErrStopped
	}
	b.mu.Lock()
	i := slices.Index(b.waiting, w)
	if i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
		b.admit()
	}
	b.mu.Unlock()
	if i < 0 {
		b.release(w)
	}
	return nil, err
}

// Stop ends all waiting with ErrStopped and admits no more work.
func (b *Budget) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.stopped:
	default:
		close(b.stopped)
	}
}

// admit grants waiting work that fits, in order. Later work does not get a resource that earlier work is waiting for.
func (b *Budget) admit() {
	var lacking [kinds]bool
	b.waiting = slices.DeleteFunc(b.waiting, func(w *waiter) bool {
		need := amountsOf(w.own)
		fits := true
		var h *hold
		if w.model != nil {
			if h = b.held[w.model.ID]; h == nil {
				need = need.plus(amountsOf(w.model.Resources))
				fits = !b.closeUnknown()
			} else if h.leaving {
				fits = false
			}
		}
		var short [kinds]bool
		taken, has := amountsOf(b.taken), amountsOf(b.has)
		for i, n := range need {
			short[i] = n > 0 && (taken[i]+n > has[i] && i != deviceMemory || lacking[i])
			fits = fits && !short[i]
		}
		if fits {
			b.grant(w, h, need)
			return true
		}
		for i := range short {
			lacking[i] = lacking[i] || short[i]
		}
		b.makeRoom(w, short)
		return false
	})
}

func (b *Budget) grant(w *waiter, h *hold, need amounts) {
	b.take(need, 1)
	if w.model != nil {
		if h == nil {
			h = &hold{resources: w.model.Resources}
			b.held[w.model.ID] = h
		}
		h.users++
	}
	close(w.granted)
}

func (b *Budget) take(n amounts, sign int64) {
	b.taken.Cores += sign * n[cores]
	b.taken.Memory += sign * n[memory]
	b.taken.Devices += sign * n[devices]
	b.taken.DeviceMemory += sign * n[deviceMemory]
}

// closeUnknown closes idle models whose resources are unknown, so that they do not accumulate when another model is
// loaded. It reports whether any is still open.
func (b *Budget) closeUnknown() (open bool) {
	for id, h := range b.held {
		if h.users > 0 || amountsOf(h.resources) != (amounts{}) {
			continue
		}
		open = true
		if !h.leaving {
			b.evict(id)
		}
	}
	return open
}

// makeRoom closes the least recently used model among those that hold a resource that w needs.
func (b *Budget) makeRoom(w *waiter, short [kinds]bool) {
	oldest := ""
	for id, h := range b.held {
		if h.users > 0 || h.leaving || w.model != nil && w.model.ID == id {
			continue
		}
		helps := false
		for i, n := range amountsOf(h.resources) {
			helps = helps || short[i] && n > 0
		}
		if helps && (oldest == "" || h.lastUse < b.held[oldest].lastUse) {
			oldest = id
		}
	}
	if oldest != "" {
		b.evict(oldest)
	}
}

// evict closes an idle model and then releases its resources.
func (b *Budget) evict(id string) {
	h := b.held[id]
	h.leaving = true
	b.closing.Go(func() {
		if err := b.models.Evict(id); err != nil {
			b.failed(id, err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.take(amountsOf(h.resources), -1)
		delete(b.held, id)
		b.admit()
	})
}

func (b *Budget) release(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.take(amountsOf(w.own), -1)
	if w.model != nil {
		h := b.held[w.model.ID]
		h.users--
		b.uses++
		h.lastUse = b.uses
		if h.users == 0 && h.retired {
			b.evict(w.model.ID)
		}
	}
	b.admit()
}

// Retire declares that no future work needs a model. The model is closed as soon as it is idle.
func (b *Budget) Retire(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.held[id]
	if h == nil || h.leaving {
		return
	}
	h.retired = true
	if h.users == 0 {
		b.evict(id)
	}
}

// Wait waits for the models that are being closed.
func (b *Budget) Wait() { b.closing.Wait() }

// WithModel returns the resources of work together with its model.
func WithModel(own plan.Resources, model *plan.Model) plan.Resources {
	if model == nil {
		return own
	}
	m := model.Resources
	return plan.Resources{
		Cores: max(own.Cores, cmp.Or(m.Cores, own.Cores)), Memory: own.Memory + m.Memory,
		Devices: own.Devices + m.Devices, DeviceMemory: own.DeviceMemory + m.DeviceMemory,
	}
}
