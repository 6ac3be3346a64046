package artifact

import (
	"fmt"
	"io"
	"math"
)

// Names of the tables of sliding windows.
const (
	WindowsFile      = "windows.parquet"
	CharacterMaxFile = "char_max.parquet"
)

// Window is a row of windows.parquet: a window of a text, and the probabilities of its suffix, the tokens after its
// prompt. Rows are sorted by document and start. Positions are characters (Unicode code points) of the document, and
// logarithms are natural.
type Window struct {
	// Document is the index of the document in its dataset.
	Document int64 `parquet:"document,delta"`
	// Cursor is the place of the window in the unit of the cursor: a character or a token of the document.
	Cursor int64 `parquet:"cursor,delta"`
	// [Start, End) are the characters that the window's tokens cover. The suffix begins in the character Suffix.
	Start  int64 `parquet:"start,delta"`
	Suffix int64 `parquet:"suffix,delta"`
	End    int64 `parquet:"end,delta"`
	// Tokens counts the tokens of the window, prompt and suffix.
	Tokens int32 `parquet:"tokens"`
	// LogP is the log probability of the suffix after the prompt, LogPTopK the same if each token is drawn from the most
	// probable k: -Inf if a token is not among them. LogPWithoutPrompt is that of the suffix alone.
	LogP              float64 `parquet:"log_p"`
	LogPTopK          float64 `parquet:"log_p_top_k"`
	LogPWithoutPrompt float64 `parquet:"log_p_without_prompt"`
	// GreedyTokens counts the tokens of the suffix that are the most probable one. Greedy decoding extracts the suffix if
	// all are.
	GreedyTokens int32 `parquet:"greedy_tokens"`
	// TokenLogP has the log probability of each token of the suffix. LogP is their sum, added in order.
	TokenLogP []float64 `parquet:"token_log_p,list" parquet-element:",split"`
}

// sumTolerance bounds the rounding of a sum of log probabilities, relative to the sum.
const sumTolerance = 1e-12

// Check checks the row: the positions, and the sums against the log probabilities of the tokens.
func (w *Window) Check() error {
	fault := func(format string, args ...any) error {
		return invalid("document %d, window at %d: %s", w.Document, w.Start, fmt.Sprintf(format, args...))
	}
	var sum float64
	for i, v := range w.TokenLogP {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fault("token %d of the suffix has the log probability %v; it must be finite", i, v)
		}
		sum += v
	}
	within := sumTolerance * max(1, math.Abs(sum))
	switch n := int32(len(w.TokenLogP)); {
	case w.Document < 0 || w.Start < 0 || w.Suffix < w.Start || w.End < w.Suffix:
		return fault("the characters %d, %d and %d are not in order", w.Start, w.Suffix, w.End)
	case n == 0 || n >= w.Tokens:
		return fault("%d tokens are in the suffix of %d; there must be some, and fewer", n, w.Tokens)
	case !(math.Abs(w.LogP-sum) <= within):
		return fault("the log probability is %v, but those of the tokens add up to %v", w.LogP, sum)
	case !(w.LogPTopK >= w.LogP-within || math.IsInf(w.LogPTopK, -1)):
		return fault("the log probability %v among the top tokens is below %v, that among all", w.LogPTopK, w.LogP)
	case math.IsNaN(w.LogPWithoutPrompt) || math.IsInf(w.LogPWithoutPrompt, 0):
		return fault("the log probability without prompt is %v; it must be finite", w.LogPWithoutPrompt)
	case w.GreedyTokens < 0 || w.GreedyTokens > n:
		return fault("%d of %d tokens are the most probable", w.GreedyTokens, n)
	}
	return nil
}

// Greedy reports whether greedy decoding extracts the suffix.
func (w *Window) Greedy() bool { return int(w.GreedyTokens) == len(w.TokenLogP) }

// WindowWriter writes windows.parquet. It rejects rows that Check rejects.
type WindowWriter = Writer[Window]

// NewWindowWriter returns a writer of windows.parquet.
func NewWindowWriter(w io.Writer) *WindowWriter {
	out := NewWriter(w, func(w *Window) int { return 72 + 8*len(w.TokenLogP) })
	out.check = (*Window).Check
	return out
}

// OpenWindows opens windows.parquet.
func OpenWindows(path string) (*Reader[Window], error) {
	columns := []column{
		{"document", "int64"}, {"cursor", "int64"}, {"start", "int64"}, {"suffix", "int64"}, {"end", "int64"}, {"tokens", "int32"},
		{"log_p", "double"}, {"log_p_top_k", "double"}, {"log_p_without_prompt", "double"}, {"greedy_tokens", "int32"},
		{"token_log_p", "list<double>"},
	}
	return open(path, columns, func(c []*cursor, r *Window) error {
		if err := decode(
			c[0].int64(&r.Document), c[1].int64(&r.Cursor), c[2].int64(&r.Start), c[3].int64(&r.Suffix), c[4].int64(&r.End),
			c[5].int32(&r.Tokens), c[6].double(&r.LogP), c[7].double(&r.LogPTopK), c[8].double(&r.LogPWithoutPrompt),
			c[9].int32(&r.GreedyTokens), c[10].doubles(&r.TokenLogP),
		); err != nil {
			return err
		}
		return r.Check()
	})
}

// CharacterMax is a row of char_max.parquet, which has a row for each character of each document, in order. LogP is the
// largest log probability of the windows that cover the character, or -Inf if none does.
type CharacterMax struct {
	Document  int64   `parquet:"document,delta"`
	Character int64   `parquet:"character,delta"`
	LogP      float64 `parquet:"log_p"`
}

// NewCharacterMaxWriter returns a writer of char_max.parquet.
func NewCharacterMaxWriter(w io.Writer) *Writer[CharacterMax] {
	return NewWriter(w, func(*CharacterMax) int { return 24 })
}

// OpenCharacterMax opens char_max.parquet.
func OpenCharacterMax(path string) (*Reader[CharacterMax], error) {
	columns := []column{{"document", "int64"}, {"character", "int64"}, {"log_p", "double"}}
	return open(path, columns, func(c []*cursor, r *CharacterMax) error {
		return decode(c[0].int64(&r.Document), c[1].int64(&r.Character), c[2].double(&r.LogP))
	})
}
