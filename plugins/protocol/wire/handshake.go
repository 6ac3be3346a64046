package wire

import (
	"github.com/hashicorp/go-plugin"

	"surprisal.dev/plugins/protocol"
)

// MaxMessageBytes is the largest message that either side accepts outside streams, such as a resolution of very many files.
const MaxMessageBytes = 64 << 20

// ChunkBytes is about the size of a stream's messages, which the transport moves fastest, and MaxChunkBytes the largest that
// is accepted.
const (
	ChunkBytes    = 1 << 20
	MaxChunkBytes = 4 << 20
)

// LifelineVariable names the environment variable that holds the number of the lifeline's file descriptor: a pipe whose
// other end only the runner holds, so that its end of file means that the runner is gone.
const LifelineVariable = "SURPRISAL_PLUGIN_LIFELINE"

// ProcessVariable names an environment variable whose value no other process has that the runner starts. What a plugin
// starts inherits it, so that the runner finds it even where it has left the plugin's session.
const ProcessVariable = "SURPRISAL_PLUGIN_PROCESS"

// Handshake returns what both sides must agree on before they speak.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  protocol.Version,
		MagicCookieKey:   "SURPRISAL_PLUGIN",
		MagicCookieValue: "surprisal.plugin.v1",
	}
}

// LogFieldsKey is the metadata key under which a call carries fields for the plugin's log: keys and values in turn.
const LogFieldsKey = "surprisal-log-fields"
