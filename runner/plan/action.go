package plan

import (
	"encoding/json"

	"surprisal.dev/runner/store"
)

// State says what a plan or a run makes of an action.
type State string

// States of an action. A plan knows Pending, Waits, Cached and Skipped; a run adds the others.
const (
	Pending   State = "pending"
	Waits     State = "waits" // the key depends on an upstream that has not run
	Cached    State = "cached"
	Skipped   State = "skipped"
	Running   State = "running"
	Done      State = "done"
	Failed    State = "failed"
	Blocked   State = "blocked" // an upstream failed
	Cancelled State = "cancelled"
)

// Action is a node of the plan. Its fields but Status are set when the plan is built.
type Action struct {
	// Index is the action's place in Plan.Actions.
	Index int
	// Kind and Schema are those of its descriptor.
	Kind   string
	Schema int
	// Name is unique within a plan and the same in the next: "score order-3 books/opticks".
	Name   string
	Labels Labels
	// Parameters and Worker are those of its descriptor.
	Parameters json.RawMessage
	Worker     *Worker
	Inputs     []Input

	// Machine is JSON that tells a worker where things lie on this machine. What lies there is known by its digest in
	// Parameters, so Machine is not part of the key.
	Machine json.RawMessage
	// Resources are what the action takes while it is at work.
	Resources Resources
	// Model is the loaded model that the action shares with others; nil if it needs none.
	Model *Model
	// Publish is where people find what the action made, a slash-separated path below the directory of reports; "" if it is
	// in the store alone.
	Publish string

	Cost  Cost
	Rates Rates

	Status
}

// Labels say what an action is about, for messages and tables. They are not part of its key.
type Labels struct {
	Dataset string   `json:"dataset,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	Model   string   `json:"model,omitempty"`
	// Section is the name of the entry of the spec that asks for the action: the name of a gap.
	Section string `json:"section,omitempty"`
}

// Status is what a plan, and then the engine, found out about an action or did with it.
type Status struct {
	State State
	// Key is empty while the action waits.
	Key string
	// Outputs are set once the action is cached or done.
	Outputs []store.File
	// Warnings are what the action found worth telling. They name no labels, for equal actions share them.
	Warnings []string
	// Seconds is how long the action took when it ran.
	Seconds float64
	// Reason says why the action is skipped or blocked.
	Reason string
}

// Input is what an action reads from an upstream action.
type Input struct {
	// Role names the input within the action's descriptor.
	Role     string
	Upstream *Action
	// Files names the upstream's files that are read; nil means all of them.
	Files []string
	// Counted says that the action's cost follows from the documents and bytes of the upstream.
	Counted bool
}

// Resources are parts of a machine.
type Resources struct {
	Cores int64 `json:"cores,omitempty"`
	// Memory is in bytes, of the host.
	Memory int64 `json:"memory,omitempty"`
	// Devices counts accelerators, and DeviceMemory is in bytes on all of them together.
	Devices      int64 `json:"devices,omitempty"`
	DeviceMemory int64 `json:"deviceMemory,omitempty"`
}

// Model is a model that stays loaded between the actions that use it.
type Model struct {
	// ID is the same for all actions of a plan that use the same model.
	ID string `json:"id"`
	// Resources are taken for as long as the model is loaded.
	Resources Resources `json:"resources"`
}

// Cost is what an action is expected to need. Zero means unknown.
type Cost struct {
	Documents int64 `json:"documents,omitempty"`
	Bytes     int64 `json:"bytes,omitempty"`
	// Largest is the bytes of the largest document.
	Largest int64   `json:"largest,omitempty"`
	Tokens  int64   `json:"tokens,omitempty"`
	FLOPs   float64 `json:"flops,omitempty"`
	// Memory is what the action and its loaded model take of the host's memory, in bytes, and DeviceMemory of devices'.
	Memory       int64 `json:"memory,omitempty"`
	DeviceMemory int64 `json:"deviceMemory,omitempty"`
	// Seconds is a projection from earlier runs of the same model or provider.
	Seconds float64 `json:"seconds,omitempty"`
	// AtMost is true if Documents and Bytes are bounds and not counts.
	AtMost bool `json:"atMost,omitempty"`
}

// Rates say how a cost follows from what an action reads.
type Rates struct {
	// Who names what earlier measurements of the kind are filed under: a model, a provider or a backend.
	Who string
	// SecondsPerByte was measured by earlier runs; BytesPerToken and FLOPsPerToken are a backend's estimates. 0 is unknown.
	SecondsPerByte, BytesPerToken, FLOPsPerToken float64
	// Memory returns the bytes of memory that the action takes for work on documents of at most largest bytes, total bytes in
	// all; nil means that it is not known.
	Memory func(largest, total int64) int64
}

// estimate fills what follows from c.Documents, c.Bytes and c.Largest.
func (a *Action) estimate() {
	c := &a.Cost
	c.Seconds = a.Rates.SecondsPerByte * float64(c.Bytes)
	if a.Rates.BytesPerToken > 0 {
		c.Tokens = int64(float64(c.Bytes) / a.Rates.BytesPerToken)
		c.FLOPs = float64(c.Tokens) * a.Rates.FLOPsPerToken
	}
	if a.Rates.Memory != nil && c.Largest > 0 {
		a.Resources.Memory = a.Rates.Memory(c.Largest, c.Bytes)
	}
	c.Memory, c.DeviceMemory = a.Resources.Memory, a.Resources.DeviceMemory
	if a.Model != nil {
		c.Memory += a.Model.Resources.Memory
		c.DeviceMemory += a.Model.Resources.DeviceMemory
	}
}

// read adds the cost of reading an upstream's documents.
func (c *Cost) read(d Cost) {
	c.Documents += d.Documents
	c.Bytes += d.Bytes
	c.Largest = max(c.Largest, d.Largest)
	c.AtMost = c.AtMost || d.AtMost
}
