package host

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
	"surprisal.dev/plugins/protocol/wire"
)

// Provider is a provider plugin. Its methods may be called from many goroutines.
type Provider struct {
	*subprocess
	info        Info
	description protocol.ProviderDescription
}

func (h *Host) openProvider(ctx context.Context, args []string, name string) (_ *Provider, err error) {
	s, err := h.open(protocol.KindProvider, name, args)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	d, err := call(ctx, s, "describing the provider", func(ctx context.Context, conn grpc.ClientConnInterface, r *pluginpb.DescribeRequest) (*pluginpb.ProviderDescription, error) {
		return pluginpb.NewProviderClient(conn).Describe(ctx, r)
	}, &pluginpb.DescribeRequest{})
	if err != nil {
		return nil, err
	}
	info, err := h.describe(s, name, Info{
		Name: d.GetName(), Version: d.GetVersion(), Schema: d.GetSchema(), Environment: d.GetEnvironment(),
		Capabilities: d.GetCapabilities(),
	})
	if err != nil {
		return nil, err
	}
	return &Provider{s, info, wire.ToProviderDescription(d)}, nil
}

// Info says which plugin this is.
func (p *Provider) Info() Info { return p.info }

// Describe returns what the plugin said when it was started.
func (p *Provider) Describe(context.Context) (protocol.ProviderDescription, error) {
	return p.description, nil
}

// Resolve says what a source is right now.
func (p *Provider) Resolve(ctx context.Context, r protocol.ResolveRequest) (protocol.Resolution, error) {
	resolution, err := call(ctx, p.subprocess, "resolving a source", func(ctx context.Context, conn grpc.ClientConnInterface, r *pluginpb.ResolveRequest) (*pluginpb.Resolution, error) {
		return pluginpb.NewProviderClient(conn).Resolve(ctx, r)
	}, wire.FromResolveRequest(r))
	if err != nil {
		return protocol.Resolution{}, err
	}
	return wire.ToResolution(resolution), nil
}

// Read calls emit for each row, in order and each once, even if the plugin dies in between. emit may keep the row. Its
// error ends the reading and is returned as it is.
func (p *Provider) Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error {
	next := r.From
	return p.do(ctx,
		func() string { return fmt.Sprintf("reading row %d", next) },
		func() int64 { return next },
		func(ctx context.Context, process *process) error {
			if r.To != 0 && next >= r.To {
				return nil
			}
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			rest := r
			rest.From = next
			stream, err := pluginpb.NewProviderClient(process.conn).Read(ctx, wire.FromReadRequest(rest))
			if err != nil {
				return remote(err)
			}
			var joiner wire.RowJoiner
			for {
				response, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					return p.broken(joiner.End())
				}
				if err != nil {
					return remote(err)
				}
				var emitErr error
				err = joiner.Join(response.GetRows(), func(row protocol.Row) error {
					if row.Ordinal != next || r.To != 0 && next >= r.To {
						return fmt.Errorf("it sent row %d of shard %q where row %d of [%d, %d) was due",
							row.Ordinal, row.Shard, next, r.From, r.To)
					}
					if row.Problem == "" && len(row.Values) != len(r.Fields) {
						return fmt.Errorf("row %d of shard %q has %d values for %d fields", row.Ordinal, row.Shard, len(row.Values), len(r.Fields))
					}
					next++
					emitErr = emit(row)
					return emitErr
				})
				if emitErr != nil {
					return emitErr
				}
				if err != nil {
					return p.broken(err)
				}
			}
		})
}

// broken names the plugin in an error about what it sent.
func (s *subprocess) broken(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("plugin %s breaks the protocol: %w", s.args[0], err)
}
