package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
	"surprisal.dev/plugins/protocol/wire"
)

// cutMark ends a truncated problem.
const cutMark = " ..."

type providerServer struct {
	pluginpb.UnimplementedProviderServer
	provider Provider
}

func (s *providerServer) Describe(ctx context.Context, _ *pluginpb.DescribeRequest) (*pluginpb.ProviderDescription, error) {
	d, err := s.provider.Describe(ctx)
	if err != nil {
		return nil, err
	}
	return wire.FromProviderDescription(d), nil
}

func (s *providerServer) Resolve(ctx context.Context, r *pluginpb.ResolveRequest) (*pluginpb.Resolution, error) {
	resolution, err := s.provider.Resolve(ctx, wire.ToResolveRequest(r))
	if err != nil {
		return nil, err
	}
	return wire.FromResolution(resolution), nil
}

func (s *providerServer) Read(r *pluginpb.ReadRequest, stream grpc.ServerStreamingServer[pluginpb.ReadResponse]) error {
	ctx := stream.Context()
	rows := wire.NewRowWriter(func(rows []*pluginpb.Row) error { return stream.Send(&pluginpb.ReadResponse{Rows: rows}) })
	err := s.provider.Read(ctx, wire.ToReadRequest(r), func(row protocol.Row) error {
		// A row is sent only when a message is full, so that the transport alone would stop the provider late.
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, value := range row.Values {
			if len(value) > protocol.MaxTextBytes {
				return fmt.Errorf("row %d of shard %q has a value of %d bytes; the maximum is %d, and the provider must report a longer value as the row's problem",
					row.Ordinal, row.Shard, len(value), protocol.MaxTextBytes)
			}
		}
		if len(row.Problem) > protocol.MaxProblemBytes {
			row.Problem = strings.ToValidUTF8(row.Problem[:protocol.MaxProblemBytes-len(cutMark)], "") + cutMark
		}
		return rows.Write(row)
	})
	return errors.Join(err, rows.Flush())
}
