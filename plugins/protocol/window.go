package protocol

import (
	"fmt"
	"iter"
	"sort"
)

// DefaultContext is the context of a window where neither the settings nor the model's limit ask for less.
const DefaultContext = 4096

// Resolve fills the defaults of s for a model that sees at most limit tokens at once (0: no limit) and checks the
// result: prefix "bos", anchor "tokens", context min(limit, DefaultContext), stride context/2. Its errors have kind
// InvalidInput.
//
// A context counts the tokens of a window, the last one included. That one is predicted and never read, so with a prefix
// token before it a window of limit tokens fits a model of that limit.
func (s Settings) Resolve(limit int64) (Settings, error) {
	if s.Prefix == "" {
		s.Prefix = PrefixBOS
	}
	if s.Anchor == "" {
		s.Anchor = AnchorTokens
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
	invalid := func(format string, values ...any) (Settings, error) {
		return Settings{}, &Error{Kind: InvalidInput, Message: "scoring settings: " + fmt.Sprintf(format, values...)}
	}
	switch s.Prefix {
	case PrefixBOS, PrefixFirst, PrefixNone:
	default:
		return invalid("prefix %q; it is %q, %q or %q", s.Prefix, PrefixBOS, PrefixFirst, PrefixNone)
	}
	switch s.Anchor {
	case AnchorTokens, AnchorBytes:
	default:
		return invalid("anchor %q; it is %q or %q", s.Anchor, AnchorTokens, AnchorBytes)
	}
	if s.Context < 0 {
		return invalid("context %d; it is at least 1, or 0 for the default", s.Context)
	}
	if s.Anchor == AnchorTokens && limit > 0 && s.Context > limit {
		return invalid("context %d is more than the %d tokens that the model can see; lower it", s.Context, limit)
	}
	if s.Stride < 0 || s.Stride > s.Context {
		return invalid("stride %d; it is between 1 and the context, %d, or 0 for the default", s.Stride, s.Context)
	}
	if s.Prefix != PrefixBOS && s.Stride == s.Context {
		return invalid("with prefix %q and stride %d equal to the context, a window's first token has nothing to its left; "+
			"lower the stride or use prefix %q", s.Prefix, s.Stride, PrefixBOS)
	}
	return s, nil
}

// Window is a run of a document's tokens that a model sees at once. It covers the tokens [Start, End); the losses of
// [Score, End) count, and those before Score are only context.
type Window struct {
	Start, Score, End int
}

// Windows yields the windows of a document whose tokens start at the bytes starts, which do not decrease. An end-of-text
// token to be scored is one more token, which starts at the text's end. s is resolved.
//
// Window j lies at position j*Stride and is Context long, in tokens or in bytes as Anchor says. The first scores all its
// tokens, each later one those past the end of the window before it, so each token is scored once, with at least
// Context-Stride positions to its left after the first window. A token belongs to the byte in which it starts; one that
// straddles a window's start is part of that window. Windows that would score nothing are left out.
func (s Settings) Windows(starts []int32) iter.Seq[Window] {
	return func(yield func(Window) bool) {
		for w, at := (Window{}), int64(0); w.End < len(starts); at += s.Stride {
			w.Score = w.End
			if s.Anchor == AnchorTokens {
				w.Start, w.End = int(at), int(min(at+s.Context, int64(len(starts))))
			} else {
				// Positions without a token are passed in one step: a token may be far longer than the stride.
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
