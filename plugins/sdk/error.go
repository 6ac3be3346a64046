package sdk

import (
	"fmt"

	"surprisal.dev/plugins/protocol"
)

// Invalid reports that the configuration or the data is wrong. The message should contain the location, the value found
// and the remedy.
func Invalid(format string, values ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, values...)}
}

// NeedsNetwork reports that the answer needs a remote service and the request did not allow it.
func NeedsNetwork(format string, values ...any) error {
	return &protocol.Error{Kind: protocol.NeedsNetwork, Message: fmt.Sprintf(format, values...)}
}

// Changed reports that a source has changed since it was planned.
func Changed(format string, values ...any) error {
	return &protocol.Error{Kind: protocol.Changed, Message: fmt.Sprintf(format, values...)}
}

// OutOfMemory reports that the work did not fit in memory. The runner retries with fewer documents at a time.
func OutOfMemory(format string, values ...any) error {
	return &protocol.Error{Kind: protocol.OutOfMemory, Message: fmt.Sprintf(format, values...)}
}
