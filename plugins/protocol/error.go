package protocol

import (
	"errors"
	"fmt"
)

// ErrorKind classifies a plugin's error for the person who runs it.
type ErrorKind string

// Kinds of plugin errors. An error of no kind is a failure of the plugin itself.
const (
	// InvalidInput: the configuration or the data is wrong; the message contains the location and the remedy.
	InvalidInput ErrorKind = "invalid input"
	// NeedsNetwork: the answer needs a remote service and the request did not allow it.
	NeedsNetwork ErrorKind = "needs network"
	// Changed: the source has changed since it was planned.
	Changed ErrorKind = "changed"
	// OutOfMemory: the work did not fit; a smaller batch may.
	OutOfMemory ErrorKind = "out of memory"
)

// Error is an error with a kind; it keeps its kind across the process boundary.
type Error struct {
	Kind    ErrorKind
	Message string
}

func (e *Error) Error() string { return e.Message }

// Invalid returns an error of kind InvalidInput. Its message contains the location, the value found, the allowed values
// and the remedy.
func Invalid(format string, args ...any) error {
	return &Error{Kind: InvalidInput, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of err, or "" if it has none.
func KindOf(err error) ErrorKind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}
