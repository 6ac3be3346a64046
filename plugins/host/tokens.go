package host

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
)

// TokenNamer is a loaded model whose tokens may have texts, such as *Model.
type TokenNamer interface {
	// TokenTexts returns the bytes that tokens stand for. It returns nil if the backend does not name tokens.
	TokenTexts(ctx context.Context, ids []int32) ([][]byte, error)
}

// askTokens is how many tokens are named by one answer of a plugin, so that it stays small.
const askTokens = 1 << 10

// TokenTexts implements TokenNamer.
func (m *Model) TokenTexts(ctx context.Context, ids []int32) ([][]byte, error) {
	if !slices.Contains(m.backend.info.Capabilities, protocol.CapabilityTokenTexts) {
		return nil, nil
	}
	all := make([][]byte, 0, len(ids))
	for some := range slices.Chunk(ids, askTokens) {
		texts, err := m.tokenTexts(ctx, some)
		if err != nil {
			return nil, err
		}
		all = append(all, texts...)
	}
	return all, nil
}

func (m *Model) tokenTexts(ctx context.Context, ids []int32) ([][]byte, error) {
	var texts [][]byte
	nothing := func() int64 { return 0 }
	err := m.backend.do(ctx, func() string { return "naming tokens" }, nothing, func(ctx context.Context, p *process) error {
		handle, err := m.loadedIn(ctx, p)
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, p.timing.describe)
		defer cancel()
		r, err := pluginpb.NewBackendClient(p.conn).TokenTexts(limited, &pluginpb.TokenTextsRequest{Handle: handle, Ids: ids},
			grpc.MaxCallRecvMsgSize(askTokens*(protocol.MaxTokenText+16)))
		texts = r.GetTexts()
		if ctx.Err() == nil && limited.Err() != nil {
			return fmt.Errorf("plugin %s: naming %d tokens took more than %v", m.backend, len(ids), p.timing.describe)
		}
		return remote(err)
	})
	if err != nil {
		return nil, err
	}
	if len(texts) != len(ids) {
		return nil, m.backend.broken(fmt.Errorf("it sent %d texts for %d tokens", len(texts), len(ids)))
	}
	for i, text := range texts {
		if len(text) > protocol.MaxTokenText {
			return nil, m.backend.broken(fmt.Errorf("its token %d has a text of %d bytes; a token has at most %d", ids[i], len(text), protocol.MaxTokenText))
		}
	}
	return texts, nil
}
