package drift

import (
	"context"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// pageHeadline is what the overview of the site shows of a drift.
type pageHeadline struct {
	Reference string `json:"reference"`
	Current   string `json:"current"`
	Parts     []Part `json:"parts"`
	Larger    string `json:"larger"`
	Explains  string `json:"explains"`
	Sentence  string `json:"sentence"`
	// Answer is that of the gate, "" without one.
	Answer action.Answer `json:"answer"`
}

// Page implements action.Pager.
func (Kind) Page(ctx context.Context, a *plan.Action, p action.Publisher) (*action.Page, error) {
	page, err := action.WholePage(ctx, a, p)
	if page == nil || err != nil {
		return nil, err
	}
	s, err := action.ReadPage[Summary](ctx, a, artifact.SummaryFile, p)
	if err != nil {
		return nil, err
	}
	h := pageHeadline{
		Reference: s.Reference.Model, Current: s.Current.Model, Parts: s.Parts, Larger: s.Larger, Explains: s.Explains,
		Sentence: s.Sentence(func(name string) string { return name }),
	}
	if s.Gate != nil {
		h.Answer = s.Gate.Answer
	}
	page.Headline = h
	page.Files[action.Details], err = p.JSON(struct {
		*Summary
		Sentence string `json:"sentence"`
		action.Provenance
	}{s, h.Sentence, action.ProvenanceOf(a)})
	return page, err
}
