package sdk

import (
	"context"
	"io"
	"iter"

	"surprisal.dev/plugins/protocol"
)

// Provider reads rows of text from a source.
//
// Its methods are called at the same time from many goroutines. They return errors made by Invalid for what a user can
// correct, and stop soon after ctx is done.
type Provider interface {
	Describe(ctx context.Context) (protocol.ProviderDescription, error)
	// Resolve says what a source is right now, content digests included. It reads no rows.
	Resolve(ctx context.Context, r protocol.ResolveRequest) (protocol.Resolution, error)
	// Read calls emit for each row, in order. emit's error ends the reading and is returned as it is. The row and its
	// values may be reused after emit returns.
	Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error
}

// Backend scores documents with models.
type Backend interface {
	Describe(ctx context.Context) (protocol.BackendDescription, error)
	// Plan estimates what a model needs. It reads no weights.
	Plan(ctx context.Context, m protocol.Model, s protocol.Settings) (protocol.Estimate, error)
	// Load makes a model ready to score.
	Load(ctx context.Context, m protocol.Model) (Model, error)
}

// Model is a loaded model. Score may be called at the same time from many goroutines.
type Model interface {
	Describe() protocol.LoadedModel
	// Score scores each document once and calls emit as each is finished, in any order, from one goroutine at a time. It
	// checks ctx between batches.
	// It may gather documents into batches as it likes: where the runner waits for answers before it
	// sends more, documents end, and Score is called again for the rest.
	Score(ctx context.Context, s protocol.Settings, documents iter.Seq2[protocol.Document, error],
		emit func(protocol.ScoredDocument) error) error
	Close() error
}

// Trainer is a Backend that makes its models from documents.
type Trainer interface {
	Backend
	// Train reads each document's text and writes one model file, byte-identical for equal input.
	Train(ctx context.Context, m protocol.Model, documents iter.Seq2[protocol.Document, error], w io.Writer) error
}
