package sdk

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
)

// TokenNamer is a Model whose tokens have texts. Its backend declares protocol.CapabilityTokenTexts.
type TokenNamer interface {
	Model
	// TokenTexts returns the bytes that each of the tokens stands for in a text, at most protocol.MaxTokenText. Those of a
	// token without text are empty, or the name that it has. It is safe for concurrent use.
	TokenTexts(ctx context.Context, ids []int32) ([][]byte, error)
}

func (s *backendServer) TokenTexts(ctx context.Context, r *pluginpb.TokenTextsRequest) (*pluginpb.TokenTextsResponse, error) {
	s.mu.Lock()
	m, ok := s.models[r.GetHandle()]
	s.mu.Unlock()
	if !ok {
		return nil, noModel(r.GetHandle())
	}
	namer, ok := m.(TokenNamer)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "this backend does not name tokens")
	}
	size := m.Describe().VocabularySize
	for _, id := range r.GetIds() {
		if id < 0 || size > 0 && int64(id) >= size {
			return nil, protocol.Invalid("token %d: the vocabulary has ids from 0 to %d", id, size-1)
		}
	}
	texts, err := namer.TokenTexts(ctx, r.GetIds())
	if err != nil {
		return nil, err
	}
	return &pluginpb.TokenTextsResponse{Texts: texts}, nil
}
