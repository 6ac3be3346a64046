package sliding

import (
	"context"
	"fmt"
	"io"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
)

// Headlines are reports, in plan order.
type Headlines []Headline

// Headline is a report of a model and a dataset, and the name of its entry in the spec.
type Headline struct {
	Name string `json:"name"`
	Statistics
}

// Report implements action.Reporter.
func (Kind) Report(ctx context.Context, actions []*plan.Action, read action.ReadFile) (action.Report, error) {
	return action.ReportOf[Headlines](ctx, actions, read, statisticsFile, func(a *plan.Action, h *Headline) {
		// Equal texts and models may have other names in this plan.
		h.Name, h.Model, h.Dataset = a.Labels.Section, a.Labels.Model, a.Labels.Dataset
	})
}

// mostLines bounds the lines of a table on a terminal.
const mostLines = 40

// Print implements action.Report.
func (h Headlines) Print(w io.Writer) {
	for from := 0; from < len(h); {
		to := from + 1
		for to < len(h) && h[to].Name == h[from].Name {
			to++
		}
		if from > 0 {
			fmt.Fprintln(w)
		}
		h[from:to].print(w)
		from = to
	}
}

// print prints the table of an entry. Each line has a model and a dataset, and their strip below.
func (h Headlines) print(w io.Writer) {
	rows := [][]string{{"sliding " + h[0].Name, "text", "windows", "largest p", "p >= 1e-4", "p >= 0.5", "greedy", "memorized", "easy"}}
	for _, s := range h[:min(len(h), mostLines)] {
		rows = append(rows, []string{
			s.Model, s.Dataset, fmt.Sprint(s.Windows), short(s.MaxLogP), percent(s.share(1e-4)), percent(s.share(0.5)), percent(s.GreedyShare),
			terminal.Count(s.Memorized, "passage"), terminal.Count(s.Easy, "passage"),
		})
	}
	terminal.Columns(w, rows)
	strips := [][]string{{"  largest p", "text", fmt.Sprintf("1e%d ▁▂▃▄▅▆▇█ 1, at each position", floor)}}
	for _, s := range h {
		for _, strip := range s.Strips {
			if len(strips) > mostLines {
				break
			}
			of := s.Dataset
			if s.Texts > 1 {
				of = fmt.Sprintf("%s, text %d", s.Dataset, strip.Document)
			}
			strips = append(strips, []string{"  " + s.Model, of, blocks(strip.Profile)})
		}
	}
	terminal.Columns(w, strips)
	for _, s := range h {
		for _, n := range s.Notes {
			fmt.Fprintf(w, "  note: %s on %s: %s\n", s.Model, s.Dataset, protocol.Visible(n))
		}
	}
	if len(h) > mostLines {
		fmt.Fprintf(w, "... %s in total; run `runner show --json` for all of them\n", terminal.Count(len(h), "report"))
	}
}

// share returns the share of windows with at least the probability p, a threshold.
func (s *Statistics) share(p float64) float64 {
	for _, t := range s.Thresholds {
		if t.P == p {
			return t.Share
		}
	}
	return 0
}

// blocks draws decimal logarithms from floor to 0 as blocks of different heights, and a space where there is none.
func blocks(profile []*float64) string {
	heights := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range profile {
		if v == nil {
			b.WriteRune(' ')
			continue
		}
		share := min(max((*v-floor)/-floor, 0), 1)
		b.WriteRune(heights[int(share*float64(len(heights)-1)+0.5)])
	}
	return b.String()
}
