package protocol

// Kind is the role of a plugin. Its values are part of a plugin binary's name, runner-KIND-NAME.
type Kind string

// Kinds of plugins.
const (
	KindProvider Kind = "provider"
	KindBackend  Kind = "backend"
)
