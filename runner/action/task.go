package action

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/plan"
)

// Task is an action as its worker receives it: its descriptor and the files that the descriptor refers to.
type Task struct {
	Descriptor plan.Descriptor
	// Name and Labels are for messages. The result of a task must not depend on them.
	Name   string
	Labels plan.Labels
	// Machine holds local paths and other settings of this machine, as encoded by the kind's plan.
	Machine json.RawMessage
	// Dir is an empty directory for the output files, on the store's file system.
	Dir string
	// Inputs holds the path of each input by its role in the descriptor.
	Inputs  map[string]string
	Plugins Plugins
	Log     hclog.Logger
	// Advance reports the progress since the previous call. It may be called from many goroutines.
	Advance func(Progress)
}

// Plugins gives a task the plugin that its descriptor names.
type Plugins interface {
	Provider(ctx context.Context) (Provider, error)
	Backend(ctx context.Context) (Backend, error)
	// Estimate returns the backend's estimate for a model that scores with these settings. With the file of a trained
	// model, it has what is unknown before training.
	Estimate(ctx context.Context, m protocol.Model, s protocol.Settings) (protocol.Estimate, error)
	// Model returns a loaded model of the backend and a function that releases it.
	Model(ctx context.Context, m protocol.Model) (Model, func() error, error)
}

// Provider reads the rows of a source in order.
type Provider interface {
	Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error
}

// Backend trains a model on documents and writes its file.
type Backend interface {
	Train(ctx context.Context, m protocol.Model, documents iter.Seq2[protocol.Document, error], w io.Writer) error
}

// Model is a loaded model.
type Model interface {
	Describe() protocol.LoadedModel
	// Score calls emit with every document and its answer, in order.
	Score(ctx context.Context, s protocol.Settings, documents iter.Seq2[protocol.Document, error],
		emit func(protocol.Document, protocol.ScoredDocument) error) error
}

// Progress counts completed work.
type Progress struct {
	Documents int64 `json:"documents,omitempty"`
	Bytes     int64 `json:"bytes,omitempty"`
	Tokens    int64 `json:"tokens,omitempty"`
	// Nats and ScoredBytes are the loss so far.
	Nats        float64 `json:"nats,omitempty"`
	ScoredBytes int64   `json:"scoredBytes,omitempty"`
}

// Add adds the counts of q.
func (p *Progress) Add(q Progress) {
	p.Documents += q.Documents
	p.Bytes += q.Bytes
	p.Tokens += q.Tokens
	p.Nats += q.Nats
	p.ScoredBytes += q.ScoredBytes
}

// Result is the result of a task.
type Result struct {
	// Files are the names of the output files within Task.Dir, sorted.
	Files []string
	// Warnings are for the user. They contain no labels, because equal actions share them.
	Warnings []string
	// Measured holds measurements that may differ between equal runs.
	Measured map[string]float64
	// Computed describes the hardware and software that computed the result: processor, device, library versions.
	Computed map[string]string
}

// Path returns the path of an output file.
func (t *Task) Path(name string) string { return filepath.Join(t.Dir, filepath.FromSlash(name)) }

// Parameters decodes the descriptor's parameters.
func (t *Task) Parameters(v any) error { return t.decode("parameters", t.Descriptor.Parameters, v) }

// LocalSettings decodes Machine.
func (t *Task) LocalSettings(v any) error { return t.decode("local settings", t.Machine, v) }

func (t *Task) decode(what string, data json.RawMessage, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s of a %s: %w", what, t.Descriptor.Kind, err)
	}
	return nil
}

// Input returns the path of an input.
func (t *Task) Input(role string) (string, error) {
	path, ok := t.Inputs[role]
	if !ok {
		return "", fmt.Errorf("%s has no input %s; inputs are %s", t.Name, role, strings.Join(t.Roles(""), ", "))
	}
	return path, nil
}

// Roles returns the roles of inputs that start with prefix, sorted.
func (t *Task) Roles(prefix string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(t.Inputs)), func(role string) bool { return !strings.HasPrefix(role, prefix) })
}
