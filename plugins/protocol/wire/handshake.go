package wire

import (
	"github.com/hashicorp/go-plugin"

	"surprisal.dev/plugins/protocol"
)

// MaxMessageBytes is the largest message that either side accepts outside streams, such as a resolution of very many
// files.
const MaxMessageBytes = 64 << 20

// ChunkBytes is the approximate size of a stream's messages; the transport is fastest at this size. MaxChunkBytes is
// the largest message that is accepted.
const (
	ChunkBytes    = 1 << 20
	MaxChunkBytes = 4 << 20
)

// LifelineVariable names the environment variable that holds the number of the lifeline's file descriptor. The lifeline
// is a pipe whose other end only the runner holds, so that its end of file means that the runner has exited.
const LifelineVariable = "SURPRISAL_PLUGIN_LIFELINE"

// ProcessVariable names an environment variable whose value is unique among the processes that the runner starts. Child
// processes of a plugin inherit it, so that the runner finds them even if they have left the plugin's session.
const ProcessVariable = "SURPRISAL_PLUGIN_PROCESS"

// Handshake returns the configuration on which both sides must agree before they communicate.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  protocol.Version,
		MagicCookieKey:   "SURPRISAL_PLUGIN",
		MagicCookieValue: "surprisal.plugin.v1",
	}
}

// LogFieldsKey is the metadata key under which a call carries fields for the plugin's log: keys and values in turn.
const LogFieldsKey = "surprisal-log-fields"
