package action

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Task is one action to do.
type Task struct {
	Action *plan.Action
	// Dir is an empty folder of the task's own, on the store's file system.
	Dir string
	// Blob returns the path of a blob on this machine.
	Blob func(ctx context.Context, digest string) (string, error)
	Log  hclog.Logger
	// Advance tells the progress since it was last called; it may be called from many goroutines.
	Advance func(Progress)
}

// Progress counts work.
type Progress struct {
	Documents, Bytes, Tokens int64
	// Nats and ScoredBytes give the loss so far.
	Nats        float64
	ScoredBytes int64
}

// Add adds q to p.
func (p *Progress) Add(q Progress) {
	p.Documents += q.Documents
	p.Bytes += q.Bytes
	p.Tokens += q.Tokens
	p.Nats += q.Nats
	p.ScoredBytes += q.ScoredBytes
}

// Result is what an action made.
type Result struct {
	// Files are the names of the output files within Task.Dir, sorted.
	Files    []string
	Warnings []string
	// Measured holds figures that may differ between equal runs.
	Measured map[string]float64
}

// Path returns a path in the task's folder.
func (t *Task) Path(name string) string { return filepath.Join(t.Dir, filepath.FromSlash(name)) }

// Input returns the path on this machine of a file of the input with the role.
func (t *Task) Input(ctx context.Context, role, file string) (string, error) {
	files, err := t.Inputs(role)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if f.Name == file {
			return t.Blob(ctx, f.Digest)
		}
	}
	return "", fmt.Errorf("%s: input %s has no file %s", t.Action.Name, role, file)
}

// Inputs returns all files of the input with the role.
func (t *Task) Inputs(role string) ([]store.File, error) {
	for _, in := range t.Action.Inputs {
		if in.Role == role {
			return in.Upstream.Outputs, nil
		}
	}
	return nil, fmt.Errorf("%s has no input %s", t.Action.Name, role)
}
