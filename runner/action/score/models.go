package score

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"surprisal.dev/plugins/protocol"
)

// Model is a loaded model of a backend process.
type Model interface {
	Describe() protocol.LoadedModel
	// Score calls emit with every document and its answer, in order.
	Score(ctx context.Context, s protocol.Settings, documents iter.Seq2[protocol.Document, error],
		emit func(protocol.Document, protocol.ScoredDocument) error) error
	Close() error
}

// Models keeps models loaded between the actions that use them. A plan lists all datasets of a model together, so a
// few idle models are enough to load each one once.
type Models struct {
	load func(ctx context.Context, backend string, m protocol.Model) (Model, error)
	idle int

	mu     sync.Mutex
	loaded []*pooled // least recently used first
}

type pooled struct {
	id    string
	users int
	ready chan struct{}
	model Model
	err   error
}

// NewModels returns a pool that keeps at most idle models loaded that nothing uses.
func NewModels(idle int, load func(ctx context.Context, backend string, m protocol.Model) (Model, error)) *Models {
	return &Models{load: load, idle: idle}
}

// Acquire returns a loaded model and a function that gives it back.
func (p *Models) Acquire(ctx context.Context, backend string, m protocol.Model) (Model, func() error, error) {
	id := backend + "\x00" + string(m.Config)
	for _, f := range m.Files {
		id += "\x00" + f.Name + "\x00" + f.Digest
	}
	p.mu.Lock()
	i := slices.IndexFunc(p.loaded, func(l *pooled) bool { return l.id == id })
	if i >= 0 {
		l := p.loaded[i]
		l.users++
		p.loaded = append(slices.Delete(p.loaded, i, i+1), l)
		p.mu.Unlock()
		select {
		case <-l.ready:
		case <-ctx.Done():
			return nil, nil, errors.Join(ctx.Err(), p.release(l))
		}
		if l.err != nil {
			return nil, nil, errors.Join(l.err, p.release(l))
		}
		return l.model, func() error { return p.release(l) }, nil
	}
	l := &pooled{id: id, users: 1, ready: make(chan struct{})}
	p.loaded = append(p.loaded, l)
	p.mu.Unlock()

	l.model, l.err = p.load(ctx, backend, m)
	close(l.ready)
	if l.err != nil {
		return nil, nil, errors.Join(l.err, p.release(l))
	}
	return l.model, func() error { return p.release(l) }, nil
}

func (p *Models) release(l *pooled) error {
	p.mu.Lock()
	l.users--
	var closing []*pooled
	unused := 0
	// The most recently used come last and stay.
	for i := len(p.loaded) - 1; i >= 0; i-- {
		x := p.loaded[i]
		if x.users > 0 {
			continue
		}
		if x.err == nil {
			unused++
		}
		if x.err != nil || unused > p.idle {
			closing = append(closing, x)
			p.loaded = slices.Delete(p.loaded, i, i+1)
		}
	}
	p.mu.Unlock()
	return closeAll(closing)
}

// Close closes every model that nothing uses.
func (p *Models) Close() error {
	p.mu.Lock()
	var closing []*pooled
	p.loaded = slices.DeleteFunc(p.loaded, func(l *pooled) bool {
		if l.users == 0 {
			closing = append(closing, l)
		}
		return l.users == 0
	})
	p.mu.Unlock()
	return closeAll(closing)
}

func closeAll(models []*pooled) error {
	var errs []error
	for _, l := range models {
		if l.err == nil {
			errs = append(errs, l.model.Close())
		}
	}
	return errors.Join(errs...)
}
