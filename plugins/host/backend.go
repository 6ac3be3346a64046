package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
	"surprisal.dev/plugins/protocol/wire"
)

// Backend is a backend plugin. Its methods are safe for concurrent use.
type Backend struct {
	*subprocess
	info        Info
	description protocol.BackendDescription
}

func (h *Host) openBackend(ctx context.Context, args []string, name string) (_ *Backend, err error) {
	s, err := h.open(protocol.KindBackend, name, args)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	d, known := h.options.BackendDescriptions[name]
	if !known || !s.builtin {
		answer, err := call(ctx, s, "describing the backend", h.timing.describe, func(ctx context.Context, conn grpc.ClientConnInterface, r *pluginpb.DescribeRequest) (*pluginpb.BackendDescription, error) {
			return pluginpb.NewBackendClient(conn).Describe(ctx, r)
		}, &pluginpb.DescribeRequest{})
		if err != nil {
			return nil, err
		}
		d = wire.ToBackendDescription(answer)
	}
	info, err := h.describe(s, name, Info{
		Name: d.Name, Version: d.Version, Schema: d.Schema, Environment: d.Environment,
		Capabilities: d.Capabilities, NeutralSettings: d.NeutralSettings,
	})
	if err != nil {
		return nil, err
	}
	return &Backend{s, info, d}, nil
}

// Info identifies the plugin.
func (b *Backend) Info() Info { return b.info }

// Describe returns the plugin's description of itself.
func (b *Backend) Describe(context.Context) (protocol.BackendDescription, error) {
	return b.description, nil
}

// Plan estimates what a model needs.
func (b *Backend) Plan(ctx context.Context, m protocol.Model, s protocol.Settings) (protocol.Estimate, error) {
	e, err := call(ctx, b.subprocess, "estimating a model", b.host.timing.plan, func(ctx context.Context, conn grpc.ClientConnInterface, r *pluginpb.PlanRequest) (*pluginpb.Estimate, error) {
		return pluginpb.NewBackendClient(conn).Plan(ctx, r)
	}, &pluginpb.PlanRequest{Model: wire.FromModel(m), Settings: wire.FromSettings(s)})
	if err != nil {
		return protocol.Estimate{}, err
	}
	estimate := wire.ToEstimate(e)
	if err := checkEstimate(estimate); err != nil {
		return protocol.Estimate{}, b.broken(fmt.Errorf("it sent an invalid estimate of a model: %w", err))
	}
	return estimate, nil
}

// Train writes a model file trained on documents to w. If the plugin dies, Train fails and its partial output is
// unusable: documents and w can be used only once.
func (b *Backend) Train(ctx context.Context, m protocol.Model, documents iter.Seq2[protocol.Document, error], w io.Writer) error {
	process, err := b.running(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var moved atomic.Int64
	defer b.watchSilence(hclog.FromContext(ctx), func() string { return "training a model" }, moved.Load)()
	stream, err := pluginpb.NewBackendClient(process.conn).Train(ctx, maxChunk)
	if err != nil {
		return b.trainError(ctx, process, err)
	}
	var sender sync.WaitGroup
	sender.Go(func() {
		if err := sendTraining(stream, m, documents, &moved); err != nil && !errors.Is(err, io.EOF) {
			cancel(err)
		}
	})
	// Canceling before waiting frees a sender that the plugin no longer listens to.
	defer sender.Wait()
	defer cancel(nil)
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return b.trainError(ctx, process, err)
		}
		moved.Add(1)
		if _, err := w.Write(response.GetData()); err != nil {
			return err
		}
	}
}

func (b *Backend) trainError(ctx context.Context, p *process, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p.died(err) {
		return fmt.Errorf("training a model: plugin %s ended (%s)%s", b.args[0], p.command.ending(), p.command.out.quote())
	}
	if tooLarge(err) {
		return b.broken(received(err))
	}
	return b.named(err)
}

// sendTraining returns io.EOF if the plugin accepts no more documents.
func sendTraining(
	stream grpc.BidiStreamingClient[pluginpb.TrainRequest, pluginpb.TrainResponse], m protocol.Model,
	documents iter.Seq2[protocol.Document, error], moved *atomic.Int64,
) error {
	if err := stream.Send(&pluginpb.TrainRequest{Model: wire.FromModel(m)}); err != nil {
		return err
	}
	w := wire.NewDocumentWriter(func(documents []*pluginpb.Document) error {
		return stream.Send(&pluginpb.TrainRequest{Documents: documents})
	})
	index := int64(0)
	for d, err := range documents {
		if err != nil {
			return err
		}
		d.Index = index
		index++
		if err := d.Check(); err != nil {
			return err
		}
		if err := w.Write(d); err != nil {
			return err
		}
		moved.Add(1)
	}
	return errors.Join(w.Flush(), stream.CloseSend())
}

// Load makes a model ready to score. If the plugin dies later, the model is loaded again on its next use.
func (b *Backend) Load(ctx context.Context, m protocol.Model) (*Model, error) {
	model := &Model{backend: b, model: m}
	err := b.do(ctx, func() string { return "loading a model" }, func() int64 { return 0 }, func(ctx context.Context, p *process) error {
		_, err := model.loadedIn(ctx, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return model, nil
}

// Model is a model that a backend has loaded. Its methods are safe for concurrent use.
type Model struct {
	backend *Backend
	model   protocol.Model

	mu      sync.Mutex
	process *process // where handle is valid
	handle  string
	loaded  protocol.LoadedModel
	// halvings is for the next process. killed is the process whose end it takes into account.
	halvings int
	killed   *process
}

// loadedIn returns the model's handle in the process p.
func (m *Model) loadedIn(ctx context.Context, p *process) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process == p {
		return m.handle, nil
	}
	model := m.model
	model.Halvings = m.halvings
	loaded, err := pluginpb.NewBackendClient(p.conn).Load(ctx, &pluginpb.LoadRequest{Model: wire.FromModel(model)})
	if err != nil {
		return "", remote(err)
	}
	description := wire.ToLoadedModel(loaded)
	if err := checkLoaded(loaded.GetHandle(), description); err != nil {
		return "", m.backend.broken(fmt.Errorf("it sent an invalid description of a loaded model: %w", err))
	}
	m.process, m.handle, m.loaded = p, loaded.GetHandle(), description
	return m.handle, nil
}

// computeLess makes the processes after p, which was killed, compute 1 / 2^halvings as much at once. Of the calls that p
// was computing for, only the first has an effect. It returns false if that is not possible any more.
func (m *Model) computeLess(p *process, halvings int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.killed == p {
		return true
	}
	if m.halvings >= maxHalvings {
		return false
	}
	m.killed, m.halvings = p, min(m.halvings+halvings, maxHalvings)
	return true
}

// Describe returns the backend's description of the loaded model.
func (m *Model) Describe() protocol.LoadedModel {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loaded
}

// Close unloads the model. No Score call may be running. A plugin that does not answer is killed, because the
// model's resources count as free afterwards.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.process
	if p == nil || p.exited(0) {
		return nil
	}
	m.process = nil
	ctx, cancel := context.WithTimeout(context.Background(), p.timing.unload)
	defer cancel()
	_, err := pluginpb.NewBackendClient(p.conn).Unload(ctx, &pluginpb.UnloadRequest{Handle: m.handle})
	if status.Code(err) == codes.DeadlineExceeded {
		p.kill()
		return fmt.Errorf("plugin %s: it did not unload a model within %v, and was killed", m.backend, p.timing.unload)
	}
	if err != nil && !p.died(err) {
		return m.backend.named(err)
	}
	return nil
}
