package ngram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"surprisal.dev/plugins/ngram/kneserney"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

const (
	name = "ngram"
	// version changes whenever the same training text would give another model or another loss.
	version = "2"
	device  = "cpu"
	dtype   = "float64"
)

// Tokenizations.
const (
	tokensBytes = "bytes"
	tokensWords = "words"
)

const schema = `#Config: {
	// train names the datasets from whose documents the model learns; their whole texts are used.
	train!: string | [string, ...string]

	// order is the length of the n-grams: a token is predicted from the previous order-1 tokens.
	order: *5 | (int & >=1 & <=10)

	// tokens is the unit of an n-gram. Words that are unknown to the training text are spelled in bytes.
	tokens: *"bytes" | "words"
}
`

// config is #Config without train.
type config struct {
	Order  int    `json:"order"`
	Tokens string `json:"tokens"`
}

// New returns the backend.
func New() sdk.Backend { return backend{} }

type backend struct{}

var _ sdk.Trainer = backend{}

func (backend) Describe(context.Context) (protocol.BackendDescription, error) {
	return protocol.BackendDescription{
		Name:    name,
		Version: version,
		Schema:  schema,
		Trains:  true,
		Capabilities: []string{
			protocol.CapabilityConfidence, protocol.CapabilityTokenRange, protocol.CapabilityTokenTexts, protocol.CapabilityTopK,
		},
	}, nil
}

// Plan checks the settings. It estimates a model's memory per byte of its training text or, after training, from the
// size of its file.
func (backend) Plan(_ context.Context, m protocol.Model, s protocol.Settings) (protocol.Estimate, error) {
	c, err := parse(m.Config)
	if err != nil {
		return protocol.Estimate{}, err
	}
	if s, err = s.Resolve(0); err != nil {
		return protocol.Estimate{}, err
	}
	e, err := memory(c, m.Files)
	if err != nil {
		return protocol.Estimate{}, err
	}
	e.Context = s.Context
	if c.Tokens == tokensBytes {
		e.BytesPerToken = 1
	}
	return e, nil
}

// Load reads the model's single file, made by Train with the same settings.
func (backend) Load(_ context.Context, m protocol.Model) (sdk.Model, error) {
	c, err := parse(m.Config)
	if err != nil {
		return nil, err
	}
	if len(m.Files) != 1 {
		return nil, sdk.Invalid("an n-gram model is one file, made by training; got %d files", len(m.Files))
	}
	path := m.Files[0].Path
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, sdk.Invalid("model file %q does not exist; train the model again", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read model file: %w", err)
	}
	l, err := readFile(data)
	if err != nil {
		return nil, sdk.Invalid("model file %q: %v; train the model again", path, err)
	}
	tokens := tokensBytes
	if _, ok := l.(wordLanguage); ok {
		tokens = tokensWords
	}
	if l.order() != c.Order || tokens != c.Tokens {
		return nil, sdk.Invalid("model file %q: trained with order %d and tokens %q, not order %d and tokens %q; train the model again",
			path, l.order(), tokens, c.Order, c.Tokens)
	}
	return newModel(l), nil
}

// Train counts the whole text of each document, in one pass, and writes one model file. Memory grows with the number of
// distinct n-grams, and for words also with the number of distinct pieces.
func (backend) Train(ctx context.Context, m protocol.Model, documents iter.Seq2[protocol.Document, error], w io.Writer) error {
	c, err := parse(m.Config)
	if err != nil {
		return err
	}
	if c.Tokens == tokensBytes {
		return train(ctx, newByteTrainer(c.Order), documents, w)
	}
	return train(ctx, newWordTrainer(c.Order), documents, w)
}

func parse(raw json.RawMessage) (config, error) {
	c := config{Order: 5, Tokens: tokensBytes}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return config{}, sdk.Invalid("ngram: configuration %s: %v", raw, err)
	}
	if c.Order < 1 || c.Order > kneserney.MaxOrder {
		return config{}, sdk.Invalid("ngram: order %d; it must be between 1 and %d", c.Order, kneserney.MaxOrder)
	}
	if c.Tokens != tokensBytes && c.Tokens != tokensWords {
		return config{}, sdk.Invalid("ngram: tokens %q; use %q or %q", c.Tokens, tokensBytes, tokensWords)
	}
	return c, nil
}
