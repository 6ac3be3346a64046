package windows

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
)

// scoreWithPrompt completes a window with the answer about its suffix after the prompt, unless it has too few tokens.
func (s *scorer) scoreWithPrompt(w *window, a protocol.ScoredDocument) error {
	from, to := int(s.Slicing.PromptTokens), int(s.Slicing.ChunkTokens)
	if len(a.TokenIDs) < to {
		s.summary.Skipped++
		if w.atEnd {
			s.summary.AtEnd++
		}
		s.count(1, 0, 0)
		return nil
	}
	if err := checkScored(a, from, to); err != nil {
		return err
	}
	w.completed, w.Tokens = true, int32(to)
	var mass float64
	for i := from; i < to; i++ {
		logP := -a.TokenNLL[i]
		w.TokenLogP = append(w.TokenLogP, logP)
		w.LogP += logP
		mass += a.Confidence.TopKMass[i]
		rank := a.Confidence.Ranks[i]
		if int64(rank) > s.Slicing.TopK {
			mass = math.Inf(1)
		}
		if rank == 1 {
			w.GreedyTokens++
		}
	}
	w.LogPTopK = w.LogP - mass
	end := int32(0)
	for _, e := range a.TokenEnds[:to] {
		end = max(end, e)
	}
	w.Suffix = w.Start + covered(w.text, a.TokenStarts[from], false)
	w.End = w.Start + covered(w.text, end, true)
	s.count(1, int64(end), int64(to))
	return nil
}

// covered returns the number of characters of a text before a byte. The character in which the byte is, if any, counts
// only if partial is true.
func covered(text string, at int32, partial bool) int64 {
	start := characterStart(text, int64(at))
	n := int64(utf8.RuneCountInString(text[:start]))
	if partial && start < int64(at) {
		n++
	}
	return n
}

// scoreWithoutPrompt completes a window with the answer about its suffix without the prompt.
func (s *scorer) scoreWithoutPrompt(w *window, a protocol.ScoredDocument) error {
	from, to := int(s.Slicing.PromptTokens), int(s.Slicing.ChunkTokens)
	if len(a.TokenIDs) < to {
		return fmt.Errorf("the backend tokenized the window differently the second time: %d tokens instead of %d", len(a.TokenIDs), to)
	}
	if err := checkScored(a, from, to); err != nil {
		return err
	}
	for _, nll := range a.TokenNLL[from:to] {
		w.LogPWithoutPrompt -= nll
	}
	s.count(0, int64(a.TokenEnds[to-1]-a.TokenStarts[from]), int64(to-from))
	return nil
}

// checkScored checks that the tokens [from, to) of an answer have losses: none of them is in a range without.
func checkScored(a protocol.ScoredDocument, from, to int) error {
	for _, u := range a.Unscored {
		if u.Start < a.TokenEnds[to-1] && u.End > a.TokenStarts[from] {
			return fmt.Errorf("the backend gives no loss for the bytes [%d, %d) of the suffix: %s", u.Start, u.End, u.Reason)
		}
	}
	if len(a.Confidence.Ranks) == 0 {
		return nil
	}
	for _, rank := range a.Confidence.Ranks[from:to] {
		if rank == 0 {
			return errors.New("the backend gives no loss for a token of the suffix")
		}
	}
	return nil
}

// count counts and reports what the model has read of a window.
func (s *scorer) count(windows, bytes, tokens int64) {
	s.bytes += bytes
	s.tokens += tokens
	s.task.Advance(action.Progress{Documents: windows, Bytes: bytes, Tokens: tokens})
}
