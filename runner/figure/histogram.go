package figure

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Histogram is a figure of counts. The first series is drawn as bars, the others as lines around theirs.
type Histogram struct {
	Title string
	X, Y  Axis
	// Edges are the ascending edges of the bins, one more than counts.
	Edges  []float64
	Series []Series
	// LegendLeft puts the legend at the left, for counts that rise.
	LegendLeft bool
}

// Series are counts of a histogram. On a logarithmic axis, a count of 0 is not drawn.
type Series struct {
	Name   string
	Counts []float64
}

// Write writes the figure as in the function Write.
func (h Histogram) Write(dir, name string, size Size) error { return Write(dir, name, size, h.plot) }

func (h Histogram) plot(t Theme) (*plot.Plot, error) {
	highest := 0.0
	for i, s := range h.Series {
		if len(s.Counts)+1 != len(h.Edges) || len(s.Counts) == 0 {
			return nil, fmt.Errorf("series %d of %q has %d counts for %d edges", i, h.Title, len(s.Counts), len(h.Edges))
		}
		for _, n := range s.Counts {
			highest = max(highest, n)
		}
	}
	if highest == 0 {
		return nil, fmt.Errorf("%q has no counts", h.Title)
	}
	low := 0.0
	if h.Y.Scale == Log {
		low = 0.8 // below a count of 1
	}
	p := t.New()
	p.Title.Text = shown(h.Title, 90)
	p.Legend.Left = h.LegendLeft
	h.X.style(&p.X, h.Edges[0], h.Edges[len(h.Edges)-1])
	h.Y.style(&p.Y, max(low, 1e-300), highest)
	p.Y.Min = low
	p.Add(grid{t})
	for i, s := range h.Series {
		b := bars{s, t, h.Edges, i, low}
		p.Add(b)
		if s.Name != "" && len(h.Series) > 1 {
			p.Legend.Add(shown(s.Name, 60), b)
		}
	}
	return p, nil
}

// bars draws series i.
type bars struct {
	Series
	Theme
	edges []float64
	i     int
	low   float64
}

func (b bars) line() draw.LineStyle { return draw.LineStyle{Color: b.Color(b.i), Width: 1.5} }

func (b bars) fill() bool { return b.i == 0 }

// Plot implements plot.Plotter.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i, n := range b.Counts {
		if n <= b.low {
			continue
		}
		box := vg.Rectangle{Min: vg.Point{X: x(b.edges[i]), Y: y(b.low)}, Max: vg.Point{X: x(b.edges[i+1]), Y: y(n)}}
		if b.fill() {
			c.FillPolygon(b.mix(b.Color(b.i), 0.55), corners(box))
			continue
		}
		around := corners(box)
		c.StrokeLines(b.line(), []vg.Point{around[0], around[3], around[2], around[1]})
	}
}

// Thumbnail implements plot.Thumbnailer.
func (b bars) Thumbnail(c *draw.Canvas) {
	if b.fill() {
		c.FillPolygon(b.mix(b.Color(b.i), 0.55), corners(c.Rectangle))
		return
	}
	y := (c.Min.Y + c.Max.Y) / 2
	c.StrokeLine2(b.line(), c.Min.X, y, c.Max.X, y)
}
