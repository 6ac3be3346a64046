package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"surprisal.dev/plugins/protocol"
)

// Loaded is a model that is ready to score, such as *Model.
type Loaded interface {
	Describe() protocol.LoadedModel
	// Score calls emit with every document and its answer, in order.
	Score(ctx context.Context, s protocol.Settings, documents iter.Seq2[protocol.Document, error],
		emit func(protocol.Document, protocol.ScoredDocument) error) error
	Close() error
}

// Resources are what a loaded model holds: bytes of the host's memory, accelerators, and bytes of their memory.
type Resources struct {
	Memory, Devices, DeviceMemory int64
}

// Pool keeps models loaded between the work that uses them. A model holds its resources from the start of its loading until
// it is closed: by Evict, by the end of its last use after Retire, or by Close. No two models of one id are ever loaded at
// the same time. How many models may be loaded is for the caller to decide. Its methods may be called from many goroutines.
type Pool struct {
	mu     sync.Mutex
	closed bool
	models []*pooled // that used last comes last
}

// pooled is a model that is being loaded, loaded, or being closed.
type pooled struct {
	id        string
	resources Resources
	users     int
	retired   bool
	// ready is closed when the model is loaded, or has failed to and is no longer in the pool.
	ready chan struct{}
	model Loaded
	err   error
	// abandoned says that the work which loaded the model was cancelled: err means nothing to others who wait for it.
	abandoned bool
	// gone is made when the model begins to close, and closed when it is closed and no longer in the pool.
	gone chan struct{}
}

// NewPool returns an empty pool.
func NewPool() *Pool { return &Pool{} }

// Acquire returns the model called id, loaded by load if it is not yet, and a function that gives it back. Models of one id
// are interchangeable. Whoever waits while another loads the same model gets the other's error if that fails. The next
// Acquire loads again.
func (p *Pool) Acquire(
	ctx context.Context, id string, r Resources, load func(context.Context) (Loaded, error),
) (Loaded, func() error, error) {
	for {
		m, loads, err := p.take(ctx, id, r)
		if err != nil {
			return nil, nil, err
		}
		if loads {
			p.load(ctx, m, load)
		}
		select {
		case <-m.ready:
		case <-ctx.Done():
			return nil, nil, errors.Join(context.Cause(ctx), p.release(m))
		}
		switch {
		case m.err == nil:
			return m.model, sync.OnceValue(func() error { return p.release(m) }), nil
		case loads || !m.abandoned:
			return nil, nil, m.err
		}
	}
}

// take counts a user of a model. loads is true if the model has to be loaded by the caller.
func (p *Pool) take(ctx context.Context, id string, r Resources) (m *pooled, loads bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return nil, false, errors.New("the pool of models is closed")
		}
		i := p.index(id)
		if i < 0 {
			m = &pooled{id: id, resources: r, users: 1, ready: make(chan struct{})}
			p.models = append(p.models, m)
			return m, true, nil
		}
		m = p.models[i]
		if m.gone == nil {
			m.users++
			return m, false, nil
		}
		p.mu.Unlock()
		select {
		case <-m.gone:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		p.mu.Lock()
		if err != nil {
			return nil, false, err
		}
	}
}

// touch needs p.mu. It makes m the one that was used last.
func (p *Pool) touch(m *pooled) {
	if i := slices.Index(p.models, m); i >= 0 {
		p.models = append(slices.Delete(p.models, i, i+1), m)
	}
}

// index needs p.mu. It returns -1 for a model that is not in the pool.
func (p *Pool) index(id string) int {
	return slices.IndexFunc(p.models, func(m *pooled) bool { return m.id == id })
}

func (p *Pool) load(ctx context.Context, m *pooled, load func(context.Context) (Loaded, error)) {
	model, err := load(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.err = err; err == nil {
		m.model = model
	} else {
		m.abandoned = ctx.Err() != nil
		p.drop(m)
	}
	close(m.ready)
}

// drop needs p.mu.
func (p *Pool) drop(m *pooled) {
	p.models = slices.DeleteFunc(p.models, func(x *pooled) bool { return x == m })
}

func (p *Pool) release(m *pooled) error {
	p.mu.Lock()
	m.users--
	p.touch(m)
	return p.closeIf(m, m.retired || p.closed)
}

// Evict closes the model called id if it is loaded and nothing uses it.
func (p *Pool) Evict(id string) error {
	p.mu.Lock()
	i := p.index(id)
	if i < 0 {
		p.mu.Unlock()
		return nil
	}
	return p.closeIf(p.models[i], true)
}

// Retire says that no work to come needs the model called id: it is closed now, or by the end of its last use. An Acquire
// all the same keeps it from that end on.
func (p *Pool) Retire(id string) error {
	p.mu.Lock()
	i := p.index(id)
	if i < 0 {
		p.mu.Unlock()
		return nil
	}
	p.models[i].retired = true
	return p.closeIf(p.models[i], true)
}

// closeIf needs p.mu, which it unlocks. It closes m if it is asked to and nothing uses m.
func (p *Pool) closeIf(m *pooled, asked bool) error {
	if !asked || m.users > 0 || m.model == nil || m.gone != nil {
		p.mu.Unlock()
		return nil
	}
	m.gone = make(chan struct{})
	p.mu.Unlock()
	err := m.model.Close()
	p.mu.Lock()
	p.drop(m)
	p.mu.Unlock()
	close(m.gone)
	if err != nil {
		return fmt.Errorf("closing model %s: %w", m.id, err)
	}
	return nil
}

// Idle returns the ids of the loaded models that nothing uses, that which was not used for longest first.
func (p *Pool) Idle() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for _, m := range p.models {
		if m.users == 0 && m.gone == nil {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// Held returns what all models in the pool hold together, those that are being loaded or closed among them.
func (p *Pool) Held() Resources {
	p.mu.Lock()
	defer p.mu.Unlock()
	var sum Resources
	for _, m := range p.models {
		sum.Memory += m.resources.Memory
		sum.Devices += m.resources.Devices
		sum.DeviceMemory += m.resources.DeviceMemory
	}
	return sum
}

// Close closes the models that nothing uses, and the others when they are given back. Acquire then fails.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	models := slices.Clone(p.models)
	p.mu.Unlock()
	var errs []error
	for _, m := range models {
		p.mu.Lock()
		errs = append(errs, p.closeIf(m, true))
	}
	return errors.Join(errs...)
}
