package sliding

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"surprisal.dev/runner/artifact"
)

// Strip is the largest probability along a text.
type Strip struct {
	Document   int64  `json:"document"`
	Shard      string `json:"shard"`
	Row        int64  `json:"row"`
	Characters int64  `json:"characters"`
	// MaxLogP is the largest natural logarithm of the probability of a window.
	MaxLogP float64 `json:"maxLogP"`
	// Profile has the largest decimal logarithm of each of equal parts of the text, or null where no window is.
	Profile []*float64 `json:"profile"`
	// Figure is the name of the figure without theme and extension.
	Figure string `json:"figure"`
	// rows are the values of the figure, decimal logarithms.
	rows *bins
}

const (
	// mostStrips is the number of texts with a strip: those with the most probable windows.
	mostStrips = 8
	// profileParts is the number of parts of a profile.
	profileParts = 48
)

// strips collects the strips of texts.
type strips struct {
	figure Figure
	found  []Strip
	now    Strip
	parts  *bins
}

// begin begins a text.
func (s *strips) begin(document int64, d *artifact.Document, characters int64) {
	s.now = Strip{
		Document: document, Shard: d.Shard, Row: d.Row, Characters: characters, MaxLogP: math.Inf(-1),
		rows: newBins(s.figure.columns()*rowsOf(characters), characters),
	}
	s.parts = newBins(profileParts, characters)
}

// add adds the value of a character of the text.
func (s *strips) add(character int64, logP float64) {
	s.now.MaxLogP = max(s.now.MaxLogP, logP)
	s.now.rows.add(character, logP/math.Ln10)
	s.parts.add(character, logP/math.Ln10)
}

// end ends the text. Only the texts with the most probable windows are kept.
func (s *strips) end() {
	if math.IsInf(s.now.MaxLogP, -1) {
		return // no window
	}
	for _, v := range s.parts.values {
		s.now.Profile = append(s.now.Profile, finite(v))
	}
	at, _ := slices.BinarySearchFunc(s.found, s.now, func(a, b Strip) int {
		return cmp.Or(cmp.Compare(b.MaxLogP, a.MaxLogP), cmp.Compare(a.Document, b.Document))
	})
	s.found = slices.Insert(s.found, at, s.now)
	s.found = s.found[:min(len(s.found), mostStrips)]
}

// finite returns a value, or nil for an infinite one.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// sorted returns the strips in the order of the texts, with the names of their figures. The only text of a dataset has
// the figure "strip".
func (s *strips) sorted(texts int64) []Strip {
	slices.SortFunc(s.found, func(a, b Strip) int { return cmp.Compare(a.Document, b.Document) })
	for i := range s.found {
		s.found[i].Figure = "strip"
		if texts > 1 {
			s.found[i].Figure = fmt.Sprintf("strip-%d", s.found[i].Document)
		}
	}
	return s.found
}
