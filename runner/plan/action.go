package plan

import (
	"encoding/json"

	"surprisal.dev/runner/store"
)

// State is the state of an action in a plan or a run.
type State string

// States of an action. A plan uses Pending, Waits, Cached and Skipped; a run adds the others.
const (
	Pending  State = "pending"
	Waits    State = "waits" // the key depends on an upstream that has not run
	Cached   State = "cached"
	Skipped  State = "skipped"
	Waiting  State = "waiting" // another process executes it
	Running  State = "running"
	Done     State = "done"
	Failed   State = "failed"
	Blocked  State = "blocked" // an upstream failed
	Canceled State = "canceled"
)

// Action is a node of the plan. All fields except Status are set when the plan is built.
type Action struct {
	// Index is the action's place in Plan.Actions.
	Index int
	// Kind and Schema are those of the descriptor.
	Kind   string
	Schema int
	// Name is unique within a plan and stable between plans: "score order-3 books/opticks".
	Name   string
	Labels Labels
	// Parameters and Worker are those of the descriptor.
	Parameters json.RawMessage
	Worker     *Worker
	Inputs     []Input

	// Machine is JSON with local paths and other settings of this machine. The content at these paths is identified by
	// the digests in Parameters, so Machine is not part of the cache key.
	Machine json.RawMessage
	// Resources are needed while the action runs.
	Resources Resources
	// Model is the loaded model that the action shares with others; nil if it needs none.
	Model *Model
	// Pinned is the result of an action that is not executed; nil for all others.
	Pinned *Pinned
	// Publish is the directory for the outputs below the directory of reports, a slash-separated path. It is "" if the
	// outputs are only in the store.
	Publish string

	Cost  Cost
	Rates Rates
	// expected are outputs that the action must have.
	expected []expectation

	Status
}

// Labels describe an action, for messages and tables. They are not part of its cache key.
type Labels struct {
	Dataset string   `json:"dataset,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	Model   string   `json:"model,omitempty"`
	// Cluster is spec.ClusterShard if the units of the dataset are its shards.
	Cluster string `json:"cluster,omitempty"`
	// Section is the name of the spec's entry for the action, such as the name of a gap.
	Section string `json:"section,omitempty"`
}

// Status is the state of an action in a plan and in the run that follows.
type Status struct {
	State State
	// Key is the cache key. It is empty while the action waits.
	Key string
	// Outputs are set once the action is cached or done.
	Outputs []store.File
	// Warnings are for the user. They contain no labels, because equal actions share them.
	Warnings []string
	// Seconds is the duration of the action when it ran, and Measured what it measured.
	Seconds  float64
	Measured map[string]float64
	// Reason is why the action is skipped or blocked.
	Reason string
}

// Input is an input of an action from an upstream action.
type Input struct {
	// Role names the input within the action's descriptor.
	Role     string
	Upstream *Action
	// Files lists the upstream's files that are read; nil means all of them.
	Files []string
	// Counted is true if the action's cost follows from the documents and bytes of the upstream.
	Counted bool
}

// Resources are amounts of a machine's resources.
type Resources struct {
	Cores int64 `json:"cores,omitempty"`
	// Memory is host memory in bytes.
	Memory int64 `json:"memory,omitempty"`
	// Devices counts accelerators. DeviceMemory is the total of their memory in bytes.
	Devices      int64 `json:"devices,omitempty"`
	DeviceMemory int64 `json:"deviceMemory,omitempty"`
}

// Model is a model that stays loaded between the actions that use it.
type Model struct {
	// ID is the same for all actions of a plan that use the same model.
	ID string `json:"id"`
	// Resources are needed while the model is loaded.
	Resources Resources `json:"resources"`
	// Unknown is true if they are not known, because the weights are not here.
	Unknown bool `json:"-"`
}

// Cost is what an action is expected to need. Zero means unknown.
type Cost struct {
	Documents int64 `json:"documents,omitempty"`
	Bytes     int64 `json:"bytes,omitempty"`
	// Largest is the size in bytes of the largest document.
	Largest int64 `json:"largest,omitempty"`
	// RepeatedBytes is how many bytes documents begin with that are the same as those of others before them, as far as a batch
	// has both.
	RepeatedBytes int64 `json:"repeatedBytes,omitempty"`
	// SharedBytes is how many of the bytes are computed once with those of other documents.
	SharedBytes int64   `json:"sharedBytes,omitempty"`
	Tokens      int64   `json:"tokens,omitempty"`
	FLOPs       float64 `json:"flops,omitempty"`
	// Memory and DeviceMemory are the memory of the action and its loaded model, in bytes, on the host and on devices.
	Memory       int64 `json:"memory,omitempty"`
	DeviceMemory int64 `json:"deviceMemory,omitempty"`
	// Seconds is a projection from earlier runs of the same model or provider.
	Seconds float64 `json:"seconds,omitempty"`
	// AtMost is true if Documents and Bytes are upper bounds, not counts.
	AtMost bool `json:"atMost,omitempty"`
}

// Rates determine a cost from the size of the inputs.
type Rates struct {
	// Who is the name under which measurements of the kind are recorded: a model, a provider or a backend.
	Who string
	// SecondsPerByte was measured by earlier runs. BytesPerToken and FLOPsPerToken are a backend's estimates. 0 means
	// unknown.
	SecondsPerByte, BytesPerToken, FLOPsPerToken float64
	// SharesPrefixes is true if bytes that documents repeat cost nothing.
	SharesPrefixes bool
	// TokensPerDocument bounds the tokens that are read of a document; 0 means all.
	TokensPerDocument int64
	// Memory returns the memory of the action in bytes, for documents of at most largest bytes and total bytes
	// together. nil means unknown.
	Memory func(largest, total int64) int64
}

// estimate computes the cost from c.Documents, c.Bytes and c.Largest.
func (a *Action) estimate() {
	c := &a.Cost
	if a.Rates.SharesPrefixes {
		c.SharedBytes = c.RepeatedBytes
	}
	c.Seconds = a.Rates.SecondsPerByte * float64(c.Computed())
	if a.Rates.BytesPerToken > 0 {
		c.Tokens = int64(float64(c.Computed()) / a.Rates.BytesPerToken)
		if limit := a.Rates.TokensPerDocument; limit > 0 && c.Documents > 0 {
			c.Tokens = min(c.Tokens, c.Documents*limit)
		}
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
	if a.Model != nil && a.Model.Unknown {
		c.Memory, c.DeviceMemory = 0, 0
	}
}

// Computed returns the bytes that the action computes.
func (c Cost) Computed() int64 { return c.Bytes - c.SharedBytes }

// read adds the cost of reading an upstream's documents.
func (c *Cost) read(d Cost) {
	c.Documents += d.Documents
	c.Bytes += d.Bytes
	c.RepeatedBytes += d.RepeatedBytes
	c.Largest = max(c.Largest, d.Largest)
	c.AtMost = c.AtMost || d.AtMost
}
