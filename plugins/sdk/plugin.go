package sdk

import (
	"context"
	"io"
	"iter"

	"surprisal.dev/plugins/protocol"
)

// Provider reads rows of text from a source.
//
// Its methods must be safe for concurrent use. They return errors made by Invalid for problems that a user can correct,
// and return promptly when ctx is canceled.
type Provider interface {
	Describe(ctx context.Context) (protocol.ProviderDescription, error)
	// Resolve returns a source's current identity, including content digests. It reads no rows.
	Resolve(ctx context.Context, r protocol.ResolveRequest) (protocol.Resolution, error)
	// Read calls emit for each row, in order. An error from emit ends the read and is returned unchanged. The row and
	// its values may be reused after emit returns.
	Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error
}

// Backend scores documents with models.
type Backend interface {
	Describe(ctx context.Context) (protocol.BackendDescription, error)
	// Plan estimates the resources of a model. It reads no weights.
	Plan(ctx context.Context, m protocol.Model, s protocol.Settings) (protocol.Estimate, error)
	// Load makes a model ready to score.
	Load(ctx context.Context, m protocol.Model) (Model, error)
}

// Model is a loaded model. Score must be safe for concurrent use.
type Model interface {
	Describe() protocol.LoadedModel
	// Score scores each document once and calls emit as each is finished, in any order, from one goroutine at a time.
	// It checks ctx between batches. It may group documents into batches in any way. If the runner waits for answers
	// before it sends more, documents ends, and Score is called again for the rest.
	Score(ctx context.Context, s protocol.Settings, documents Documents,
		emit func(protocol.ScoredDocument) error) error
	Close() error
}

// Documents yields the documents of a call. If ctx ends, it ends with ctx's error: a model that fails can stop a
// goroutine that waits for a document.
type Documents func(ctx context.Context) iter.Seq2[protocol.Document, error]

// Trainer is a Backend that makes its models from documents.
type Trainer interface {
	Backend
	// Train reads each document's text and writes one model file, byte-identical for equal input.
	Train(ctx context.Context, m protocol.Model, documents iter.Seq2[protocol.Document, error], w io.Writer) error
}
