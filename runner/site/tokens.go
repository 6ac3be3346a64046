package site

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"unicode/utf8"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/store"
)

// tokenRow is a row of the published table of token texts.
type tokenRow struct {
	ID   int32  `parquet:"token_id"`
	Text string `parquet:"token_text,plain"`
}

// topIn is the confidence of a score, which names tokens in some of its rows.
type topIn struct {
	digest string
	rows   chosenRows
}

// ids returns the tokens that were the most probable ones.
func (t topIn) ids(ctx context.Context, e *Experiment) (ids map[int32]bool, err error) {
	path, err := e.Path(ctx, t.digest)
	if err != nil {
		return nil, err
	}
	in, err := artifact.OpenTopTokens(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	ids = map[int32]bool{}
	for c, err := range in.All() {
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return nil, err
		}
		if !t.rows.keep(artifact.RowID{Shard: c.Shard, Row: c.Row}) {
			continue
		}
		for i, id := range c.TopIDs {
			if c.Ranks[i] > 0 {
				ids[id] = true
			}
		}
	}
	return ids, nil
}

// topTokens publishes the texts of the most probable tokens of a score. It returns nil if there are none.
func (p *publisher) topTokens(ctx context.Context, of action.ScoredFile, in topIn) (*action.PageFile, error) {
	f, err := store.FileOf(of.Action.Outputs, path.Join(path.Dir(of.Name), artifact.TopTokensFile))
	if err != nil {
		return nil, nil //nolint:nilerr // The backend does not name its tokens.
	}
	longer := p.trainedOnPublished(of)
	file, err := p.made(fmt.Sprintf("top tokens %s of %s, longer %v", f.Digest, in.digest, longer), in.rows.choice, func() (_ action.PageFile, err error) {
		from, err := p.e.Path(ctx, f.Digest)
		if err != nil {
			return action.PageFile{}, err
		}
		ids, err := in.ids(ctx, p.e)
		if err != nil {
			return action.PageFile{}, err
		}
		all, err := artifact.OpenTokenCounts(from)
		if err != nil {
			return action.PageFile{}, err
		}
		defer func() { err = errors.Join(err, all.Close()) }()
		return action.PublishTable(p, texts(all.All(), ids, longer), func(r *tokenRow) int { return 16 + len(r.Text) })
	})
	return &file, err
}

// texts yields the texts of tokens. Those with more than one character are left out unless longer is true.
func texts(all iter.Seq2[artifact.TokenCount, error], ids map[int32]bool, longer bool) iter.Seq2[tokenRow, error] {
	return func(yield func(tokenRow, error) bool) {
		for t, err := range all {
			if err == nil && (!ids[t.ID] || !longer && utf8.RuneCountInString(t.Text) > 1) {
				continue
			}
			if !yield(tokenRow{t.ID, t.Text}, err) || err != nil {
				return
			}
		}
	}
}

// trainedOnPublished reports whether all text is published on which the experiment trained the model of a score: a model
// of words has the words of that text as its tokens.
func (p *publisher) trainedOnPublished(of action.ScoredFile) bool {
	for _, in := range of.Action.Inputs {
		if in.Role != "model" {
			continue
		}
		if p.choice.text != action.TextAll {
			return false
		}
		for _, trained := range in.Upstream.Inputs {
			if l := trained.Upstream.Labels; !p.choice.publishes(l.Dataset, l.Tags) {
				return false
			}
		}
	}
	return true
}
