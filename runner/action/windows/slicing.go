package windows

import (
	"math"

	"surprisal.dev/plugins/protocol"
)

// Units of the cursor.
const (
	UnitCharacters = "characters"
	UnitTokens     = "tokens"
)

// Slicing defines the windows of a text. The cursor takes the positions 0, CursorInc, 2 CursorInc and so on. At each, the
// SliceLength characters from the cursor are a document for the backend. The window is the first ChunkTokens tokens of
// it, and it is skipped if there are fewer. The first PromptTokens are the prompt, the others the suffix.
type Slicing struct {
	// SliceLength is in characters, which are Unicode code points.
	SliceLength  int64 `json:"sliceLength"`
	ChunkTokens  int64 `json:"chunkTokens"`
	PromptTokens int64 `json:"promptTokens"`
	CursorInc    int64 `json:"cursorInc"`
	// CursorUnit is UnitCharacters or UnitTokens, the tokens of the whole document. A cursor of a token is the character in
	// which the token starts. A token that starts in the same character as an earlier cursor gives no window.
	CursorUnit string `json:"cursorUnit"`
	TopK       int64  `json:"topK"`
}

// Suffix is the number of tokens of a suffix.
func (s Slicing) Suffix() int64 { return s.ChunkTokens - s.PromptTokens }

// Settings returns the settings of the pass that needs more of a model: the one that also reads prompts.
func (s Slicing) Settings() protocol.Settings { return s.withPrompt() }

// withPrompt are the settings for the suffix after the prompt. A token of the beginning of text precedes the prompt, and
// special tokens are not parsed.
func (s Slicing) withPrompt() protocol.Settings {
	return protocol.Settings{
		Prefix: protocol.PrefixBOS, Anchor: protocol.AnchorTokens, Confidence: true, TopK: s.TopK,
		Range: protocol.TokenRange{From: 0, Score: s.PromptTokens, To: s.ChunkTokens},
	}
}

// withoutPrompt are the settings for the suffix alone.
func (s Slicing) withoutPrompt() protocol.Settings {
	return protocol.Settings{
		Prefix: protocol.PrefixBOS, Anchor: protocol.AnchorTokens,
		Range: protocol.TokenRange{From: s.PromptTokens, Score: s.PromptTokens, To: s.ChunkTokens},
	}
}

// tokenizing are the settings for the tokens of a document without any loss: the range is behind all of them.
func tokenizing() protocol.Settings {
	const end = math.MaxInt32
	return protocol.Settings{
		Prefix: protocol.PrefixBOS, Anchor: protocol.AnchorTokens, Range: protocol.TokenRange{From: end, Score: end, To: end + 1},
	}
}

// Refine defines additional windows: with the stride Stride, in the unit of the cursor, between a window whose suffix has
// at least the probability Above and its neighbors.
type Refine struct {
	Above  float64 `json:"above"`
	Stride int64   `json:"stride"`
}
