package gate

import (
	"context"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
)

// pageHeadline is what the overview of the site shows of a gate.
type pageHeadline struct {
	Candidate string        `json:"candidate"`
	Against   string        `json:"against"`
	Answer    action.Answer `json:"answer"`
	Sentence  string        `json:"sentence"`
	// Answers counts the slices by answer.
	Answers  map[action.Answer]int `json:"answers"`
	TooSmall int                   `json:"tooSmall"`
}

// Page implements action.Pager.
func (Kind) Page(ctx context.Context, a *plan.Action, p action.Publisher) (*action.Page, error) {
	page, err := action.WholePage(ctx, a, p)
	if page == nil || err != nil {
		return nil, err
	}
	v, err := action.ReadPage[Verdict](ctx, a, verdictFile, p)
	if err != nil {
		return nil, err
	}
	h := pageHeadline{
		Candidate: v.Candidate, Against: v.Against, Answer: v.Answer, Sentence: v.Sentence(func(name string) string { return name }),
		Answers: map[action.Answer]int{}, TooSmall: len(v.TooSmall),
	}
	for _, s := range v.Slices {
		h.Answers[s.Answer]++
	}
	page.Headline = h
	page.Files[action.Details], err = p.JSON(struct {
		*Verdict
		Sentence string `json:"sentence"`
		action.Provenance
	}{v, h.Sentence, action.ProvenanceOf(a)})
	return page, err
}
