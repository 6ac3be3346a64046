package protocol

import (
	"fmt"
	"iter"
	"math"
	"sort"
)

// DefaultContext is the context of a window unless the settings or the model's limit require a smaller one.
const DefaultContext = 4096

// MaxTopK bounds Settings.TopK, and thereby the memory for it.
const MaxTopK = 1024

// Resolve fills the defaults of s for a model with a context limit of limit tokens (0: no limit) and checks the result.
// The defaults are prefix "bos", anchor "tokens", context min(limit, DefaultContext) and stride context/2. Its errors
// have kind InvalidInput.
//
// A context counts all tokens of a window, including the last. The last token is predicted and never read, so that a
// window of limit tokens and a prefix token fit a model with that limit.
//
// With a Range, context, stride and anchor do not apply. They become those of one window of tokens as long as the range.
func (s Settings) Resolve(limit int64) (Settings, error) {
	if s.Prefix == "" {
		s.Prefix = PrefixBOS
	}
	if s.Anchor == "" {
		s.Anchor = AnchorTokens
	}
	switch s.Prefix {
	case PrefixBOS, PrefixFirst, PrefixNone:
	default:
		return Settings{}, invalidSettings("prefix %q; it must be %q, %q or %q", s.Prefix, PrefixBOS, PrefixFirst, PrefixNone)
	}
	switch s.Anchor {
	case AnchorTokens, AnchorBytes:
	default:
		return Settings{}, invalidSettings("anchor %q; it must be %q or %q", s.Anchor, AnchorTokens, AnchorBytes)
	}
	if err := s.checkRequests(); err != nil {
		return Settings{}, err
	}
	if s.Range != (TokenRange{}) {
		if err := s.checkBounds(limit); err != nil {
			return Settings{}, err
		}
		s.Anchor, s.Context, s.Stride = AnchorTokens, s.Range.To-s.Range.From, s.Range.To-s.Range.From
		return s, nil
	}
	if s.Context == 0 {
		s.Context = DefaultContext
		if limit > 0 {
			s.Context = min(limit, s.Context)
		}
	}
	if s.Stride == 0 {
		s.Stride = max(s.Context/2, 1)
	}
	return s, s.checkWindows(limit)
}

func invalidSettings(format string, values ...any) error {
	return &Error{Kind: InvalidInput, Message: "scoring settings: " + fmt.Sprintf(format, values...)}
}

// checkRequests checks what is requested in addition to losses.
func (s Settings) checkRequests() error {
	switch t := s.ActivationThreshold; {
	case s.TopK < 0 || s.TopK > MaxTopK:
		return invalidSettings("topK %d; it must be between 1 and %d, or 0 for none", s.TopK, MaxTopK)
	case s.TopK > 0 && !s.Confidence:
		return invalidSettings("topK %d without confidence; request confidence too, or set topK to 0", s.TopK)
	case !(t >= 0) || math.IsInf(t, 0):
		return invalidSettings("activationThreshold %v; it must be a positive number, or 0 for no activations", t)
	}
	return nil
}

// checkBounds checks a range that is not the whole document.
func (s Settings) checkBounds(limit int64) error {
	switch r := s.Range; {
	case r.From < 0 || r.Score < r.From || r.To <= r.Score:
		return invalidSettings("the range reads the tokens [%d, %d) and scores those from %d on; it must hold that 0 <= from <= score < to",
			r.From, r.To, r.Score)
	case limit > 0 && r.To-r.From > limit:
		return invalidSettings("the range [%d, %d) has %d tokens, more than the model's maximum of %d; lower its number of tokens to %d",
			r.From, r.To, r.To-r.From, limit, limit)
	case s.EOS:
		return invalidSettings("eos with the range [%d, %d); a range has no end-of-text token, set eos to false", r.From, r.To)
	}
	return nil
}

// checkWindows checks the windows of settings without a range.
func (s Settings) checkWindows(limit int64) error {
	if s.Context < 0 {
		return invalidSettings("context %d; it must be at least 1, or 0 for the default", s.Context)
	}
	if s.Anchor == AnchorTokens && limit > 0 && s.Context > limit {
		return invalidSettings("context %d exceeds the model's maximum of %d tokens; lower it", s.Context, limit)
	}
	if s.Stride < 0 || s.Stride > s.Context {
		return invalidSettings("stride %d; it must be between 1 and the context, %d, or 0 for the default", s.Stride, s.Context)
	}
	if s.Prefix != PrefixBOS && s.Stride == s.Context {
		return invalidSettings("with prefix %q and stride %d equal to the context, a window's first token has nothing to its left; "+
			"lower the stride or use prefix %q", s.Prefix, s.Stride, PrefixBOS)
	}
	return nil
}

// Window is a range of a document's tokens that a model sees at once. It covers the tokens [Start, End). The tokens
// [Score, End) are scored; those before Score are only context.
type Window struct {
	Start, Score, End int
}

// Windows yields the windows of a document whose tokens start at the bytes starts, which do not decrease. An
// end-of-text token to be scored is an additional token that starts at the text's end. s is resolved.
//
// Window j starts at position j*Stride and has length Context, in tokens or in bytes according to Anchor. The first
// window scores all its tokens. Each later window scores the tokens past the end of the previous window. Each token is
// therefore scored once, and after the first window it has at least Context-Stride positions to its left. A token
// belongs to the byte in which it starts; a token that straddles a window's start is part of that window. Windows that
// would score nothing are skipped.
//
// With a Range, the only window is the part of the range that the document has. A document without tokens to score has
// none.
func (s Settings) Windows(starts []int32) iter.Seq[Window] {
	return func(yield func(Window) bool) {
		if r := s.Range; r != (TokenRange{}) {
			if int64(len(starts)) > r.Score {
				yield(Window{int(r.From), int(r.Score), int(min(r.To, int64(len(starts))))})
			}
			return
		}
		for w, at := (Window{}), int64(0); w.End < len(starts); at += s.Stride {
			w.Score = w.End
			if s.Anchor == AnchorTokens {
				w.Start, w.End = int(at), int(min(at+s.Context, int64(len(starts))))
			} else {
				// Positions without a token are skipped in one step: a token may be far longer than the stride.
				if ahead := int64(starts[w.Score]) - s.Context - at; ahead >= 0 {
					at += (ahead/s.Stride + 1) * s.Stride
				}
				w.Start = firstFrom(starts, w.Start, at)
				w.End = firstFrom(starts, w.Score, at+s.Context)
				if w.Start > 0 && (w.Start == len(starts) || int64(starts[w.Start]) > at) {
					w.Start--
				}
			}
			if !yield(w) {
				return
			}
		}
	}
}

// firstFrom returns the first index at or after from whose start is at or after position.
func firstFrom(starts []int32, from int, position int64) int {
	return from + sort.Search(len(starts)-from, func(i int) bool { return int64(starts[from+i]) >= position })
}
