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

// Resources are the resources of a loaded model: bytes of host memory, accelerators, and bytes of their memory.
type Resources struct {
	Memory, Devices, DeviceMemory int64
}

// Pool keeps models loaded between uses. A model holds its resources from the start of its loading until it is
// closed: by Evict, by the end of its last use after Retire, or by Close. Two models with the same id are never loaded
// at the same time. The caller decides how many models may be loaded. Its methods are safe for concurrent use.
type Pool struct {
	mu     sync.Mutex
	closed bool
	models []*pooled // the most recently used is last
}

// pooled is a model that is being loaded, loaded, or being closed.
type pooled struct {
	id        string
	resources Resources
	users     int
	retired   bool
	// ready is closed when the model is loaded, or when loading has failed and the model has left the pool.
	ready chan struct{}
	model Loaded
	err   error
	// abandoned means that the work which loaded the model was canceled. Its err is meaningless to others who wait
	// for it.
	abandoned bool
	// gone is created when the model begins to close, and closed when the model is closed and has left the pool.
	gone chan struct{}
}

// NewPool returns an empty pool.
func NewPool() *Pool { return &Pool{} }

// Acquire returns the model called id and a function that gives it back. It calls load if the model is not loaded
// yet. Models with the same id are interchangeable. A caller that waits while another loads the model gets the other's
// error if that fails. The next Acquire loads again.
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

// take counts a user of a model. loads is true if the caller has to load the model.
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

// touch needs p.mu. It makes m the most recently used model.
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

// Retire declares that no further work needs the model called id. It is closed now, or at the end of its last use. A
// later Acquire keeps it again.
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

// closeIf needs p.mu, which it unlocks. It closes m if asked is true and nothing uses m.
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

// Idle returns the ids of the loaded models that nothing uses, least recently used first.
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

// Held returns the total resources of all models in the pool, including those that are being loaded or closed.
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

// Close closes the models that nothing uses. The others close when they are given back. Acquire then fails.
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
