package sliding

import (
	"fmt"
	"math"

	"surprisal.dev/runner/figure"
	"surprisal.dev/runner/terminal"
)

// Limits of the rows of a strip.
const (
	mostRows         = 8
	charactersPerRow = 50_000
)

// rowsOf returns the number of rows of the strip of a text.
func rowsOf(characters int64) int {
	return int(min((characters+charactersPerRow-1)/charactersPerRow, mostRows))
}

// rowsHeight is the default height of a strip in inches.
func rowsHeight(rows int) float64 { return 1.4 + 0.6*float64(rows) }

// columns is the number of values of a row: about one for each pixel of a PNG file.
func (f Figure) columns() int {
	return min(max(int(0.85*f.Width*float64(f.DPI)), 100), 4000)
}

// Names of the other figures.
const (
	histogramFigure = "histogram"
	triesFigure     = "tries"
)

// floor is the decimal logarithm of the probability from which on colors differ.
const floor = -8

// draw draws the figures, and returns the names of their files.
func (t *tally) draw(dir string, f Figure) (files []string, err error) {
	for _, s := range t.Strips {
		rows := rowsOf(s.Characters)
		size := figure.Size{Width: f.Width, Height: f.Height, DPI: int(f.DPI)}
		if size.Height == 0 {
			size.Height = rowsHeight(rows)
		}
		of := t.Dataset
		if t.Texts > 1 {
			of = fmt.Sprintf("%s, text %d", t.Dataset, s.Document)
		}
		strip := figure.Strip{
			Title: "Largest suffix probability at each character: " + t.Model + " on " + of,
			Label: "position (characters)", Values: s.rows.values, Rows: rows, Length: float64(s.Characters),
			Low: floor, High: 0, BarLabel: "p", Colors: f.ColorMap,
		}
		if err := strip.Write(dir, s.Figure, size); err != nil {
			return nil, err
		}
		files = append(files, figure.Names(s.Figure)...)
	}
	size := figure.DefaultSize
	size.DPI = int(f.DPI)
	h := figure.Histogram{
		Title: fmt.Sprintf("Suffix probabilities of %s", terminal.Count(t.Windows, "window")),
		X:     figure.Axis{Label: "decimal logarithm of the probability of the suffix"}, Y: figure.Axis{Label: "windows", Scale: figure.Log, Format: figure.Count},
		LegendLeft: true, Series: []figure.Series{{Name: "after the prompt"}, {Name: "without the prompt"}},
	}
	for _, b := range t.Histogram {
		h.Edges = append(h.Edges, b.Low)
		h.Series[0].Counts = append(h.Series[0].Counts, float64(b.Windows))
		h.Series[1].Counts = append(h.Series[1].Counts, float64(b.WithoutPrompt))
	}
	h.Edges = append(h.Edges, 0)
	if err := h.Write(dir, histogramFigure, size); err != nil {
		return nil, err
	}
	if err := t.triesCurves().Write(dir, triesFigure, size); err != nil {
		return nil, err
	}
	return append(append(files, figure.Names(histogramFigure)...), figure.Names(triesFigure)...), nil
}

// triesCurves returns the figure of discoverable windows against the number of tries, for top-k sampling.
func (t *tally) triesCurves() figure.Scatter {
	s := figure.Scatter{
		LegendLeft: true,
		Title:      fmt.Sprintf("Windows discoverable with n tries, top-%d sampling", t.Slicing.TopK),
		X:          figure.Axis{Label: "tries n", Scale: figure.Log, Format: figure.Count},
		Y:          figure.Axis{Label: "share of windows (%)"},
	}
	for _, d := range t.Discoverable {
		if d.TopK == 0 {
			continue
		}
		c := figure.Curve{Group: len(s.Groups)}
		g := figure.Group{Name: fmt.Sprintf("with probability %v", d.P)}
		for i, n := range d.Tries {
			c.X, c.Y = append(c.X, n), append(c.Y, 100*d.Shares[i])
			g.Points = append(g.Points, figure.Point{X: n, Y: 100 * d.Shares[i]})
		}
		s.Groups, s.Curves = append(s.Groups, g), append(s.Curves, c)
	}
	return s
}

// short formats a probability, given its natural logarithm.
func short(logP float64) string {
	log10 := logP / math.Ln10
	switch {
	case math.IsInf(logP, -1):
		return "0"
	case log10 > -4:
		return fmt.Sprintf("%.4f", math.Exp(min(logP, 0)))
	}
	exponent := math.Floor(log10)
	mantissa := fmt.Sprintf("%.1f", math.Pow(10, log10-exponent))
	if mantissa == "10.0" {
		mantissa, exponent = "1.0", exponent+1
	}
	return fmt.Sprintf("%se%.0f", mantissa, exponent)
}
