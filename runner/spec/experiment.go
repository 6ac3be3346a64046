package spec

import (
	"encoding/json"
	"strings"

	"surprisal.dev/plugins/protocol"
)

// Experiment is a spec as plain values, with references resolved, sweeps expanded and defaults filled in.
type Experiment struct {
	Name string
	// Dir is the experiment directory. Relative paths start there.
	Dir      string
	Datasets []Dataset // sorted by name, including skipped ones
	Models   []Model   // sorted by name, including sweep points
	// Baselines are those of the lock file that the spec refers to, sorted by name. Names of models are others.
	Baselines []UsedBaseline `json:",omitempty"`
	// Following has the names of the baselines that the spec defines, which follow a model, sorted.
	Following []string `json:",omitempty"`
	// Sections has the decoded sections of the kinds as JSON, by name of the kind.
	Sections map[string]json.RawMessage
	// Positions are those of the named entries of sections, by what they are and their names: "gap a-vs-b".
	Positions map[string]Position `json:",omitempty"`
	// Values is the spec as JSON with defaults filled in. It is nil unless Options.Values is set.
	Values   json.RawMessage `json:",omitempty"`
	Warnings []Warning       // sorted by position
}

// Baseline returns the pinned baseline with a name, or nil.
func (e *Experiment) Baseline(name string) *UsedBaseline {
	for i := range e.Baselines {
		if e.Baselines[i].Name == name {
			return &e.Baselines[i]
		}
	}
	return nil
}

// Position is a position in a spec. File is relative to the experiment directory.
type Position struct {
	File         string
	Line, Column int
}

// Dataset is a named set of documents.
type Dataset struct {
	Name   string
	Pos    Position
	Source Source
	// Fields are the dotted paths to read: one for raw text, two (input and target) for supervised text.
	Fields []string
	Tags   []string
	Limits Limits
	// Rows selects rows of the source by ordinal.
	Rows Range
	// Sample selects random documents; nil selects all.
	Sample *Sample
	// InvalidUTF8 is "error" or "replace".
	InvalidUTF8 string
	// BadRows is "error" or "skip": the treatment of rows that the provider cannot read.
	BadRows      string
	ParseSpecial bool
	// Cluster is ClusterDocument, ClusterShard or ClusterField. For the last, ClusterPath is the dotted path of the field.
	Cluster     string
	ClusterPath string `json:",omitempty"`
	// TrainOnly datasets train models and are not scored.
	TrainOnly bool
	// Skip is the reason why the dataset is skipped, or "".
	Skip string
	// About is what is known about the text, or nil.
	About *About `json:",omitempty"`
	// Minimum is the size below which a plan warns, or nil; its Bytes are those of all documents.
	Minimum *Limits `json:",omitempty"`
}

// About is what is known about the text of a dataset.
type About struct {
	License       string `json:"license,omitempty"`
	Contamination string `json:"contamination,omitempty"`
	Note          string `json:"note,omitempty"`
	// Unconfirmed names what nobody has checked.
	Unconfirmed []string `json:"unconfirmed,omitempty"`
}

// Clusters of documents, for intervals.
const (
	ClusterDocument = "document"
	ClusterShard    = "shard"
	ClusterField    = "field"
)

// Source is the provider of a dataset and its configuration.
type Source struct {
	Provider string
	// Config is canonical JSON, valid under the provider's schema, with defaults filled in. It is nil only if the spec
	// has a mistake in it.
	Config json.RawMessage `json:",omitempty"`
	Pos    Position
}

// Limits bound a dataset. 0 means unlimited.
type Limits struct {
	Documents int64 `json:"documents"`
	// Bytes is the maximum size of a document.
	Bytes int64 `json:"bytes"`
}

// Range is a half-open range of row ordinals; To 0 means the end.
type Range struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Sample selects Documents documents with equal probability, determined by Seed alone.
type Sample struct {
	Documents int64 `json:"documents"`
	Seed      int64 `json:"seed"`
}

// Model is a model to score, or one with precomputed scores. Exactly one of Backend and Scores is set, or Baseline for a
// model of which only pinned scores are known. Experiment.Models has none of the latter.
type Model struct {
	Name, Family string
	// Step orders the models of a series. It is nil if the spec does not set it.
	Step    *float64 `json:",omitempty"`
	Pos     Position
	Backend *Backend
	// Weights are the files of the model. They are nil for a model that its backend trains.
	Weights *Weights
	Scores  *Scores
	// Chat is true for a model that is tuned for conversations.
	Chat bool `json:",omitempty"`
	// SeenData are names, globs of names, and tags of datasets that the model was trained on elsewhere.
	SeenData []string  `json:",omitempty"`
	Baseline *Baseline `json:"-"`
	Scoring  Scoring
	// Limits, if set by a sweep, override the limits of datasets; -1 keeps that of the dataset. LimitsOn applies them.
	Limits *Limits
	// Base is the model that a sweep derived this one from, and Point the swept values ("order=3"). Otherwise both are
	// "".
	Base, Point string
}

// Backend is the backend of a model and its settings.
type Backend struct {
	Name string
	// Config is canonical JSON, valid under the backend's schema, with defaults filled in and without `train`. It is
	// nil only if the spec has a mistake in the model.
	Config json.RawMessage `json:",omitempty"`
	// Train lists the names of the datasets that the model is trained on.
	Train []string
	Pos   Position
}

// Weights are the files of a model.
type Weights struct {
	// Format is "gguf", a file, or "safetensors", a directory.
	Format string
	// Path is a path relative to the experiment directory, or a URL. It is "" for a model on a hub.
	Path string
	// Hub is a model on a hub, or nil.
	Hub *HubModel `json:",omitempty"`
	// Parameters and Active are the sizes that the spec states, or 0.
	Parameters float64 `json:",omitempty"`
	Active     float64 `json:",omitempty"`
	Pos        Position
}

// Bytes returns the size of the weights by the stated number of parameters, in 16 bits, as most models are published. It
// returns 0 if none is stated.
func (w *Weights) Bytes() int64 { return int64(2 * w.Parameters) }

// HubModel is a model on a hub.
type HubModel struct {
	ID       string `json:"id"`
	Revision string `json:"revision"`
	// File is a GGUF file of the repository, or "".
	File string `json:"file,omitempty"`
}

// WeightsProvider is the name in the lock file of the provider of weights that are not local.
const WeightsProvider = "weights"

// Field is the field of the spec that defines the weights.
func (w *Weights) Field() string {
	if w.Hub != nil {
		return "hf"
	}
	return w.Format
}

// Remote reports whether the weights are not local.
func (w *Weights) Remote() bool { return w.Hub != nil || strings.Contains(w.Path, "://") }

// RemoteWeights is the configuration under which the lock file pins weights that are not local.
type RemoteWeights struct {
	Format string    `json:"format"`
	Path   string    `json:"path,omitempty"`
	Hub    *HubModel `json:"hf,omitempty"`
}

// Source returns the provider and configuration under which the lock file pins the weights.
func (w *Weights) Source() (provider string, config json.RawMessage) {
	// Marshaling strings cannot fail.
	config, _ = json.Marshal(RemoteWeights{w.Format, w.Path, w.Hub})
	return WeightsProvider, config
}

// Scores is a table of precomputed scores.
type Scores struct {
	// Path is a file relative to the experiment directory, or a URL.
	Path string
	// Protocol names the scoring protocol of the table. Tables with the same Protocol are comparable.
	Protocol string
	Pos      Position
}

// ScoresProvider is the name in the lock file of the provider of imported tables.
const ScoresProvider = "scores"

// Source returns the provider and configuration under which the lock file pins the table.
func (s *Scores) Source() (provider string, config json.RawMessage) {
	// Marshaling a string cannot fail.
	path, _ := json.Marshal(s.Path)
	return ScoresProvider, json.RawMessage(`{"path":` + string(path) + `}`)
}

// Scoring has the settings with which a model scores documents. Zero Context and Stride mean the defaults.
type Scoring struct {
	Prefix          string
	Context, Stride int64
	Anchor          string
	EOS             bool
}

// Settings returns s in the form that backends use.
func (s Scoring) Settings() protocol.Settings {
	return protocol.Settings{Prefix: s.Prefix, Context: s.Context, Stride: s.Stride, Anchor: s.Anchor, EOS: s.EOS}
}

// LimitsOn returns the limits that apply when m is scored on d.
func (m Model) LimitsOn(d Dataset) Limits {
	l := d.Limits
	if m.Limits != nil && m.Limits.Documents >= 0 {
		l.Documents = m.Limits.Documents
	}
	if m.Limits != nil && m.Limits.Bytes >= 0 {
		l.Bytes = m.Limits.Bytes
	}
	return l
}
