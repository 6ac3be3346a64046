package score

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"unicode/utf8"

	"surprisal.dev/plugins/host"
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

// writeTopTokens writes the texts of the tokens that were the most probable ones, if the backend tells them.
func (s *scorer) writeTopTokens(ctx context.Context) (err error) {
	namer, ok := s.model.(host.TokenNamer)
	if !ok || !s.settings.Confidence {
		return nil
	}
	ids := slices.Sorted(maps.Keys(s.top))
	texts, err := namer.TokenTexts(ctx, ids)
	if err != nil {
		return fmt.Errorf("name the most probable tokens: %w", err)
	}
	if s.named = texts != nil; !s.named {
		return nil
	}
	f, err := os.Create(s.task.Path(artifact.TopTokensFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := artifact.NewTokenCountWriter(f)
	for i, id := range ids {
		if err := out.Write(artifact.TokenCount{ID: id, Count: s.top[id], Text: visible(string(texts[i]))}); err != nil {
			return err
		}
	}
	return out.Close()
}

// visible returns a token's bytes as text. Bytes that are not whole characters are escaped (\xE2).
func visible(token string) string {
	if utf8.ValidString(token) {
		return token
	}
	quoted := strconv.Quote(token)
	return quoted[1 : len(quoted)-1]
}
