package sdk

import (
	"fmt"

	"surprisal.dev/plugins/protocol"
)

// Invalid says that the configuration or the data is wrong. The message says where, what was found and what to do.
func Invalid(format string, values ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, values...)}
}

// NeedsNetwork says that the answer needs a remote service and the request did not allow it.
func NeedsNetwork(format string, values ...any) error {
	return &protocol.Error{Kind: protocol.NeedsNetwork, Message: fmt.Sprintf(format, values...)}
}

// Changed says that a source is no longer what the plan was made with.
func Changed(format string, values ...any) error {
	return &protocol.Error{Kind: protocol.Changed, Message: fmt.Sprintf(format, values...)}
}

// OutOfMemory says that the work did not fit. The runner asks again with fewer documents at a time.
func OutOfMemory(format string, values ...any) error {
	return &protocol.Error{Kind: protocol.OutOfMemory, Message: fmt.Sprintf(format, values...)}
}
