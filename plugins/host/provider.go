package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
	"surprisal.dev/plugins/protocol/wire"
)

// Provider is a provider plugin. Its methods are safe for concurrent use.
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
	d, known := h.options.ProviderDescriptions[name]
	if !known || !s.builtin {
		answer, err := call(ctx, s, "describing the provider", h.timing.describe, func(ctx context.Context, conn grpc.ClientConnInterface, r *pluginpb.DescribeRequest) (*pluginpb.ProviderDescription, error) {
			return pluginpb.NewProviderClient(conn).Describe(ctx, r)
		}, &pluginpb.DescribeRequest{})
		if err != nil {
			return nil, err
		}
		d = wire.ToProviderDescription(answer)
	}
	info, err := h.describe(s, name, Info{
		Name: d.Name, Version: d.Version, Schema: d.Schema, Environment: d.Environment, Capabilities: d.Capabilities,
	})
	if err != nil {
		return nil, err
	}
	return &Provider{s, info, d}, nil
}

// Info identifies the plugin.
func (p *Provider) Info() Info { return p.info }

// Describe returns the plugin's description of itself.
func (p *Provider) Describe(context.Context) (protocol.ProviderDescription, error) {
	return p.description, nil
}

// Resolve returns the current files of a source.
func (p *Provider) Resolve(ctx context.Context, r protocol.ResolveRequest) (protocol.Resolution, error) {
	resolution, err := call(ctx, p.subprocess, "resolving a source", p.host.timing.resolve, func(ctx context.Context, conn grpc.ClientConnInterface, r *pluginpb.ResolveRequest) (*pluginpb.Resolution, error) {
		return pluginpb.NewProviderClient(conn).Resolve(ctx, r)
	}, wire.FromResolveRequest(r))
	if err != nil {
		return protocol.Resolution{}, err
	}
	resolved := wire.ToResolution(resolution)
	if err := checkResolution(resolved); err != nil {
		return protocol.Resolution{}, p.broken(fmt.Errorf("it sent an invalid resolution of a source: %w", err))
	}
	return resolved, nil
}

// Read calls emit once for each row, in order, even if the plugin dies in between. emit may keep the row. An error
// from emit ends the read and is returned unchanged.
func (p *Provider) Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error {
	var reached atomic.Int64
	reached.Store(r.From)
	rows := &rowCheck{request: r, next: r.From}
	return p.do(ctx,
		func() string { return fmt.Sprintf("reading row %d", reached.Load()) },
		reached.Load,
		func(ctx context.Context, process *process) error {
			if r.To != 0 && rows.next >= r.To {
				return nil
			}
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			rest := r
			rest.From = rows.next
			stream, err := pluginpb.NewProviderClient(process.conn).Read(ctx, wire.FromReadRequest(rest), maxChunk)
			if err != nil {
				return remote(err)
			}
			joiner := wire.NewRowJoiner(r.Values())
			for {
				response, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					return p.broken(joiner.End())
				}
				if tooLarge(err) {
					return p.broken(received(err))
				}
				if err != nil {
					return remote(err)
				}
				var emitErr error
				err = joiner.Join(response.GetRows(), func(row protocol.Row) error {
					if err := rows.check(row); err != nil {
						return err
					}
					reached.Store(rows.next)
					row.Problem = protocol.Visible(row.Problem)
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

// maxChunk bounds the messages of a stream.
var maxChunk = grpc.MaxCallRecvMsgSize(wire.MaxChunkBytes)

// tooLarge reports whether err is the transport's error for a message that is too large.
func tooLarge(err error) bool {
	return status.Code(err) == codes.ResourceExhausted && protocol.KindOf(wire.FromStatus(err)) == ""
}

// broken adds the plugin to an error about data that it sent.
func (s *subprocess) broken(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("plugin %s breaks the protocol: %w", s.args[0], err)
}
