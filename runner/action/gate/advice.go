package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/series"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// known is what earlier comparisons of models on a slice could show.
type known struct {
	// detectable is the smallest of their detectable gaps, with units units.
	detectable float64
	units      int64
}

// shown holds what comparisons could show, by list and name of the slice, for equal datasets.
type shown map[string]known

func (s shown) add(list, name string, detectable float64, units int64) {
	key := list + "/" + name
	if of, ok := s[key]; !ok || detectable < of.detectable {
		s[key] = known{detectable, units}
	}
}

// Advise implements action.Adviser: it warns of slices of gates whose margin is below what earlier comparisons on the same
// datasets could show. Without such comparisons it says nothing.
func (Kind) Advise(ctx context.Context, all []*plan.Action, read action.ReadFile) ([]string, error) {
	var advice []string
	earlier := map[string]shown{}
	for _, a := range all {
		if a.Kind != name || a.Outputs != nil || a.State == plan.Skipped {
			continue
		}
		var p parameters
		if err := json.Unmarshal(a.Parameters, &p); err != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		datasets := documentsOf(a.Inputs[0].Upstream)
		of, ok := earlier[datasets]
		if !ok {
			var err error
			if of, err = earlierOn(ctx, datasets, all, read); err != nil {
				return nil, err
			}
			earlier[datasets] = of
		}
		advice = append(advice, p.advise(a.Name, of)...)
	}
	return advice, nil
}

// documentsOf identifies the documents of a comparison by the actions that provide them.
func documentsOf(compared *plan.Action) string {
	var names []string
	for _, in := range compared.Inputs {
		if len(in.Upstream.Inputs) > 0 {
			names = append(names, in.Upstream.Inputs[0].Upstream.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), "\n")
}

// earlierOn returns what the comparisons on some documents could show whose results are there.
func earlierOn(ctx context.Context, documents string, all []*plan.Action, read action.ReadFile) (shown, error) {
	s := shown{}
	for _, a := range all {
		if a.Outputs == nil || a.Kind != "gap" && a.Kind != "series" || documentsOf(a) != documents {
			continue
		}
		if a.Kind == "series" {
			var of series.Summary
			if err := read.JSON(ctx, a, artifact.SummaryFile, &of); err != nil {
				return nil, err
			}
			s.addSeries(of)
			continue
		}
		var of gap.Summary
		if err := read.JSON(ctx, a, artifact.SummaryFile, &of); err != nil {
			return nil, err
		}
		for _, list := range []string{"overall", "datasets", "groups", "buckets"} {
			for _, r := range rows(&of, list) {
				if r.Detectable != nil && r.Verdict != gap.VerdictSmall {
					s.add(list, r.Name, *r.Detectable, r.Units)
				}
			}
		}
	}
	return s, nil
}

func (s shown) addSeries(of series.Summary) {
	for _, slice := range of.Slices {
		for _, p := range slice.Points {
			if d := p.Previous; d != nil && d.Estimate != nil && !slice.TooSmall {
				s.add(slice.List, slice.Name, d.Detectable, slice.Units)
			}
		}
	}
}

// shownSlices is the number of slices that an advice names.
const shownSlices = 3

// advise returns a warning if slices of a gate cannot show a gap of the size of their margin.
func (t Test) advise(gate string, of shown) []string {
	var weak []string
	for _, key := range sortedKeys(of) {
		list, slice, _ := strings.Cut(key, "/")
		margin, k := t.margin(slice), of[key]
		if !t.tests(list) || k.detectable <= margin {
			continue
		}
		text := fmt.Sprintf("%s shows no gap below %.2g bits per byte, and its margin is %.2g", protocol.Visible(slice), k.detectable, margin)
		if margin > 0 {
			text += fmt.Sprintf(" (about %d documents or clusters like its %d would do)", scaled(k.units, k.detectable/margin), k.units)
		}
		weak = append(weak, text)
	}
	if len(weak) == 0 {
		return nil
	}
	rest := ""
	if n := len(weak) - shownSlices; n > 0 {
		rest = fmt.Sprintf("; and %d more slices", n)
		weak = weak[:shownSlices]
	}
	return []string{fmt.Sprintf("%s may be inconclusive: by earlier comparisons of the same documents, %s%s; add documents, or raise the margins",
		protocol.Visible(gate), strings.Join(weak, "; "), rest)}
}

func sortedKeys(of shown) []string {
	keys := make([]string, 0, len(of))
	for key := range of {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
