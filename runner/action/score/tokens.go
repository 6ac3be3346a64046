package score

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"unicode/utf8"

	"surprisal.dev/runner/artifact"
)

// topTokens is the number of tokens that the summary lists.
const topTokens = 32

func (s *scorer) writeTokens() (err error) {
	f, err := os.Create(s.task.Path(artifact.TokenCountsFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	summary := artifact.TokenCountsSummary{
		Tokens: s.summary.Tokens, Distinct: int64(len(s.tokens)), VocabularySize: s.loaded.VocabularySize, Top: []artifact.TokenRank{},
	}
	out := artifact.NewTokenCountWriter(f)
	for _, id := range slices.Sorted(maps.Keys(s.tokens)) {
		c := s.tokens[id]
		if err := out.Write(artifact.TokenCount{ID: id, Count: c.count, Text: c.text}); err != nil {
			return err
		}
		if c.count == 1 {
			summary.Once++
		}
		summary.Top = append(summary.Top, artifact.TokenRank{ID: id, Count: c.count, Text: c.text})
	}
	if err := out.Close(); err != nil {
		return err
	}
	slices.SortFunc(summary.Top, func(x, y artifact.TokenRank) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.ID, y.ID))
	})
	summary.Top = summary.Top[:min(len(summary.Top), topTokens)]
	return artifact.WriteJSON(s.task.Path(artifact.TokenCountsSummaryFile), summary)
}

// visible returns a token's bytes as text. Bytes that are not whole characters are escaped (\xE2).
func visible(token string) string {
	if utf8.ValidString(token) {
		return token
	}
	quoted := strconv.Quote(token)
	return quoted[1 : len(quoted)-1]
}
