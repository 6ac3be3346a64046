package spec

import (
	"encoding/json"

	"surprisal.dev/plugins/protocol"
)

// Experiment is a spec as plain values: references resolved, sweeps and matrices expanded, defaults filled.
type Experiment struct {
	Name string
	// Dir is the spec's folder; relative paths of sources start there.
	Dir      string
	Datasets []Dataset // sorted by key, skipped ones included
	Models   []Model   // sorted by name, sweep points included
	// Sections holds what the sections of the kinds say, as JSON, by name of the kind.
	Sections map[string]json.RawMessage
	Warnings []Warning // sorted by place
}

// Position is a place in a spec. File is relative to the spec's folder.
type Position struct {
	File         string
	Line, Column int
}

// Dataset is a named set of documents.
type Dataset struct {
	Name   string
	Pos    Position
	Source Source
	// Fields are the dotted paths to read: one for raw text, input and target for supervised text.
	Fields []string
	Tags   []string
	Limits Limits
	// Rows bounds the source's rows by ordinal, [From, To); To 0 means the end.
	Rows Range
	// Sample picks documents by seed; nil takes them all.
	Sample *Sample
	// InvalidUTF8 is "error" or "replace".
	InvalidUTF8 string
	// BadRows is "error" or "skip": what happens to rows that the provider cannot read.
	BadRows      string
	ParseSpecial bool
	// TrainOnly datasets train models and are not scored.
	TrainOnly bool
	// Skip is the reason the dataset is left out, or "".
	Skip string
}

// Source is the provider of a dataset and its configuration.
type Source struct {
	Provider string
	// Config is canonical JSON, valid under the provider's schema, defaults filled.
	Config json.RawMessage
	Pos    Position
}

// Limits bound a dataset. 0 means no bound.
type Limits struct {
	Documents int64 `json:"documents"`
	// Bytes is the most bytes of one document.
	Bytes int64 `json:"bytes"`
}

// Range is a half-open range of row ordinals; To 0 means the end.
type Range struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Sample picks Documents documents with equal probability, decided by Seed alone.
type Sample struct {
	Documents int64 `json:"documents"`
	Seed      int64 `json:"seed"`
}

// Model is a model to score, or one scored elsewhere: exactly one of Backend and Scores is set.
type Model struct {
	Name, Family string
	Pos          Position
	Backend      *Backend
	// Weights are the model's files; nil for a model that its backend trains.
	Weights *Weights
	Scores  *Scores
	Scoring Scoring
	// Limits, if set by a sweep, replace the datasets' own; -1 keeps a dataset's. LimitsOn applies them.
	Limits *Limits
	// Base is the model that a sweep made this one from, and Point the swept values ("order=3"); both "" otherwise.
	Base, Point string
}

// Backend is the backend of a model and its settings.
type Backend struct {
	Name string
	// Config is canonical JSON, valid under the backend's schema, defaults filled, without `train`.
	Config json.RawMessage
	// Train lists the keys of the datasets that the model is trained on.
	Train []string
	Pos   Position
}

// Weights are the files of a model.
type Weights struct {
	// Format is "gguf", one file, or "safetensors", a folder.
	Format string
	// Path is relative to the spec's folder.
	Path string
	Pos  Position
}

// Scores is a table of scores made elsewhere.
type Scores struct {
	// Path is a file relative to the spec's folder, or a URL.
	Path string
	// Protocol names the protocol under which the table was made. Tables of equal Protocol are comparable.
	Protocol string
	Pos      Position
}

// ScoresProvider stands for the provider of imported tables in the lock file.
const ScoresProvider = "scores"

// Source returns the provider and configuration under which the lock file pins the table.
func (s *Scores) Source() (provider string, config json.RawMessage) {
	// Marshalling a string cannot fail.
	path, _ := json.Marshal(s.Path)
	return ScoresProvider, json.RawMessage(`{"path":` + string(path) + `}`)
}

// Scoring says how a model scores documents. Zero Context and Stride mean the defaults.
type Scoring struct {
	Prefix          string
	Context, Stride int64
	Anchor          string
	EOS             bool
}

// Settings are s as backends take them.
func (s Scoring) Settings() protocol.Settings {
	return protocol.Settings{Prefix: s.Prefix, Context: s.Context, Stride: s.Stride, Anchor: s.Anchor, EOS: s.EOS}
}

// LimitsOn returns the limits that hold when m is scored on d.
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
