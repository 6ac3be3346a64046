package plan

import (
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// Kind is a kind of action.
type Kind string

// The kinds of actions, in the order in which a plan lists them.
const (
	Materialize Kind = "materialize" // a source becomes documents
	Train       Kind = "train"       // documents become a model
	Import      Kind = "import"      // a table scored elsewhere becomes score tables
	Score       Kind = "score"       // a model scores the documents of a dataset
	Gap         Kind = "gap"         // the scores of two models become a report
)

// Kinds lists all kinds in plan order.
func Kinds() []Kind { return []Kind{Materialize, Train, Import, Score, Gap} }

// Schema is the version of what an action of the kind computes. Raising it makes every cached result of the kind stale:
// do so whenever the same inputs would give other bytes.
func (k Kind) Schema() int {
	return 1
}

// State says what a plan or a run makes of an action.
type State string

// States of an action. A plan knows Pending, Waits, Cached and Skipped; a run adds the others.
const (
	Pending   State = "to run"
	Waits     State = "waits" // the key depends on an upstream that has not run
	Cached    State = "cached"
	Skipped   State = "skipped"
	Running   State = "running"
	Done      State = "done"
	Failed    State = "failed"
	Blocked   State = "blocked" // an upstream failed
	Cancelled State = "cancelled"
)

// Action is a node of the plan. Which of Dataset, Model and Gap are set depends on the kind.
type Action struct {
	// Index is the action's place in Plan.Actions.
	Index int
	Kind  Kind
	// Name is unique within a plan: "score order-3 books/opticks".
	Name    string
	Dataset *Dataset
	Model   *Model
	Gap     *spec.Gap
	Inputs  []Input
	// Reason says why the action is skipped.
	Reason string

	State State
	// Key is empty while the action waits.
	Key string
	// Outputs are set once the action is cached or done.
	Outputs []store.File
	// Warnings are what the action found worth telling.
	Warnings []string
	Cost     Cost

	// Seconds is how long the action took when it ran.
	Seconds float64

	// rate is what earlier runs measured, in seconds a byte.
	rate float64
}

// Worker names the model or provider that does the action's work; "" for work of the runner itself.
func (a *Action) Worker() string {
	switch {
	case a.Model != nil:
		return a.Model.Name
	case a.Dataset != nil:
		return a.Dataset.Dataset.Source.Provider
	}
	return ""
}

// Input is what an action reads from an upstream action.
type Input struct {
	// Role names the input within the action's key.
	Role     string
	Upstream *Action
	// Files names the upstream's files that are read; nil means all of them.
	Files []string
}

// Cost is what an action is expected to need. Zero means unknown.
type Cost struct {
	Documents int64   `json:"documents,omitempty"`
	Bytes     int64   `json:"bytes,omitempty"`
	Tokens    int64   `json:"tokens,omitempty"`
	FLOPs     float64 `json:"flops,omitempty"`
	Memory    int64   `json:"memory,omitempty"`
	// Seconds is a projection from earlier runs of the same model or provider.
	Seconds float64 `json:"seconds,omitempty"`
	// AtMost is true if Documents and Bytes are bounds and not counts.
	AtMost bool `json:"atMost,omitempty"`
}

func (c *Cost) add(d Cost) {
	c.Documents += d.Documents
	c.Bytes += d.Bytes
	c.Tokens += d.Tokens
	c.FLOPs += d.FLOPs
	c.Memory = max(c.Memory, d.Memory)
	c.Seconds += d.Seconds
	c.AtMost = c.AtMost || d.AtMost
}
