package score

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"unicode/utf8"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/table"
)

// TokenCountsSummary is token_counts_summary.json.
type TokenCountsSummary struct {
	Tokens int64 `json:"tokens"`
	// Distinct counts the token ids that occur, of VocabularySize there are.
	Distinct       int64       `json:"distinct"`
	VocabularySize int64       `json:"vocabularySize"`
	Once           int64       `json:"once"`
	Top            []TokenRank `json:"top"`
}

// TokenRank is one of the most frequent tokens.
type TokenRank struct {
	ID    int32  `json:"id"`
	Count int64  `json:"count"`
	Text  string `json:"text"`
}

// topTokens is how many tokens the summary lists.
const topTokens = 32

func (s *scorer) writeTokens() (err error) {
	f, err := os.Create(s.task.Path(TokenCountsFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	summary := TokenCountsSummary{
		Tokens: s.summary.Tokens, Distinct: int64(len(s.tokens)), VocabularySize: s.loaded.VocabularySize, Top: []TokenRank{},
	}
	out := table.NewTokenCountWriter(f)
	for _, id := range slices.Sorted(maps.Keys(s.tokens)) {
		c := s.tokens[id]
		if err := out.Write(table.TokenCount{Dataset: s.task.Action.Dataset.Key, ID: id, Count: c.count, Text: c.text}); err != nil {
			return err
		}
		if c.count == 1 {
			summary.Once++
		}
		summary.Top = append(summary.Top, TokenRank{ID: id, Count: c.count, Text: c.text})
	}
	if err := out.Close(); err != nil {
		return err
	}
	slices.SortFunc(summary.Top, func(x, y TokenRank) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.ID, y.ID))
	})
	summary.Top = summary.Top[:min(len(summary.Top), topTokens)]
	return action.WriteJSON(s.task.Path(TokenCountsSummaryFile), summary)
}

// visible returns a token's bytes as text; bytes that are no whole characters are escaped (\xE2).
func visible(token string) string {
	if utf8.ValidString(token) {
		return token
	}
	quoted := strconv.Quote(token)
	return quoted[1 : len(quoted)-1]
}
