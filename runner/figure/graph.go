package figure

import (
	"math"

	"github.com/guptarohit/asciigraph"
)

// Graph is a plot of points for a terminal, with a dot and a letter for each.
type Graph struct {
	X, Y Axis
	// Points are those to show. Labels are not used.
	Points []Point
	// Caption is text without invisible characters.
	Caption string
}

// Size of the graph in characters, without its axes.
const (
	graphWidth  = 60
	graphHeight = 12
)

// Letters returns the letters of n points, or nil if there are fewer than two or more than there are letters.
func Letters(n int) []string {
	if n < 2 || n > 26 {
		return nil
	}
	letters := make([]string, n)
	for i := range letters {
		letters[i] = string(rune('A' + i))
	}
	return letters
}

// String draws the graph. There must be letters for its points, and both axes must be able to show them.
func (g Graph) String() string {
	toX, fromX := g.X.linear()
	toY, fromY := g.Y.linear()
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range g.Points {
		low, high = min(low, toX(p.X)), max(high, toX(p.X))
	}
	if low == high {
		low, high = low-1, high+1
	}
	// The column of a letter follows that of its dot, and the library draws nothing in the last column.
	const columns = graphWidth + 2
	var series [][]float64
	var marks []asciigraph.CharSet
	letters := Letters(len(g.Points))
	for i, p := range g.Points {
		line := make([]float64, columns)
		for j := range line {
			line[j] = math.NaN()
		}
		// A value between missing ones is drawn as the start of a line in the column before it, and as the end in its own.
		line[1+int(math.Round((toX(p.X)-low)/(high-low)*(graphWidth-1)))] = toY(p.Y)
		series = append(series, line)
		mark := asciigraph.DefaultCharSet
		mark.StartCap, mark.EndCap = "•", letters[i]
		marks = append(marks, mark)
	}
	return asciigraph.PlotMany(series,
		asciigraph.Height(graphHeight), asciigraph.SeriesChars(marks...),
		asciigraph.YAxisValueFormatter(func(v float64) string { return g.Y.format(fromY(v)) }),
		asciigraph.XAxisRange(low, low+(high-low)*(columns-1)/(graphWidth-1)), asciigraph.XAxisTickCount(5),
		asciigraph.XAxisValueFormatter(func(v float64) string { return g.X.format(fromX(v)) }),
		asciigraph.Caption(g.Caption),
	)
}

// linear returns the function of values whose axis is linear, and its inverse.
func (a Axis) linear() (to, from func(float64) float64) {
	if a.Scale == Log {
		return math.Log, math.Exp
	}
	same := func(v float64) float64 { return v }
	return same, same
}

// format formats a value of the axis.
func (a Axis) format(v float64) string {
	if a.Format != nil {
		return a.Format(v)
	}
	return Plain(v)
}
