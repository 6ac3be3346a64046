package figure

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"surprisal.dev/plugins/protocol"
)

// Scatter is a figure of labeled points and curves.
type Scatter struct {
	Title  string
	X, Y   Axis
	Groups []Group
	Curves []Curve
	// LegendLeft puts the legend at the left, for curves that rise.
	LegendLeft bool
	// WholeBands extends the axes to the bands. Without it, a wide band is cut off, because it would hide the points.
	WholeBands bool
}

// Group holds points of one color and shape. Its name, if any, is in the legend if the figure has more than one group or
// curve.
type Group struct {
	Name   string
	Points []Point
}

// Point is a point and its label.
type Point struct {
	X, Y  float64
	Label string
}

// Curve is a line, and the band between Low and High around it if they are set. All slices have the length of X.
type Curve struct {
	Name string
	// Group is the index of the group whose color the curve has.
	Group     int
	X, Y      []float64
	Low, High []float64
	Dashed    bool
}

// Write writes the figure as in the function Write.
func (s Scatter) Write(dir, name string, size Size) error { return Write(dir, name, size, s.plot) }

// bounds returns the range of the points and curves, and of the bands if they are to be whole.
func (s Scatter) bounds() (lowX, highX, lowY, highY float64, err error) {
	lowX, lowY, highX, highY = math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	add := func(x, y float64) {
		for _, problem := range []error{s.X.check(x), s.Y.check(y)} {
			if problem != nil && err == nil {
				err = problem
			}
		}
		lowX, highX, lowY, highY = min(lowX, x), max(highX, x), min(lowY, y), max(highY, y)
	}
	points := 0
	for _, g := range s.Groups {
		for _, p := range g.Points {
			add(p.X, p.Y)
			points++
		}
	}
	for _, c := range s.Curves {
		for i, x := range c.X {
			add(x, c.Y[i])
			if s.WholeBands && len(c.Low) > 0 {
				add(x, c.Low[i])
				add(x, c.High[i])
			}
		}
	}
	if points == 0 && err == nil {
		err = fmt.Errorf("%q has no points", s.Title)
	}
	return lowX, highX, lowY, highY, err
}

func (s Scatter) plot(t Theme) (*plot.Plot, error) {
	lowX, highX, lowY, highY, err := s.bounds()
	if err != nil {
		return nil, err
	}
	p := t.New()
	p.Title.Text = shown(s.Title, 90)
	p.Legend.Left = s.LegendLeft
	s.X.style(&p.X, lowX, highX)
	s.Y.style(&p.Y, lowY, highY)
	p.Add(grid{t})
	named := len(s.Groups) + len(s.Curves)
	for _, c := range s.Curves {
		c.add(p, t, named > 1)
	}
	for i, g := range s.Groups {
		g.add(p, t, i, named > 1)
	}
	if entries := s.legendEntries(); entries > 0 {
		p.Legend.Top, p.Legend.Left = s.corner(entries, p.X.Min, p.X.Max, p.Y.Min, p.Y.Max)
	}
	p.Add(labels{s, t})
	return p, nil
}

// grid draws a line at every labeled tick.
type grid struct{ Theme }

// Plot implements plot.Plotter.
func (g grid) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	style := draw.LineStyle{Color: g.Faint, Width: 0.7}
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		if t.Label != "" {
			c.StrokeLine2(style, x(t.Value), c.Min.Y, x(t.Value), c.Max.Y)
		}
	}
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if t.Label != "" {
			c.StrokeLine2(style, c.Min.X, y(t.Value), c.Max.X, y(t.Value))
		}
	}
}

// add adds the curve and its band.
func (c Curve) add(p *plot.Plot, t Theme, named bool) {
	style := draw.LineStyle{Color: t.Color(c.Group), Width: 1.6}
	if c.Dashed {
		style.Dashes = []vg.Length{5, 4}
	}
	line := plotter.Line{LineStyle: style}
	for i, x := range c.X {
		line.XYs = append(line.XYs, plotter.XY{X: x, Y: c.Y[i]})
	}
	if len(c.Low) > 0 {
		p.Add(band{c, t})
	}
	// Nothing of a curve is outside of the axes, which include it.
	p.Add(&line)
	if named && c.Name != "" {
		p.Legend.Add(shown(c.Name, 60), &line)
	}
}

// band fills the area between the bounds of a curve, as far as it is inside of the axes.
type band struct {
	Curve
	Theme
}

// Plot implements plot.Plotter.
func (b band) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	inside := func(v float64) vg.Length { return y(min(max(v, p.Y.Min), p.Y.Max)) }
	var area []vg.Point
	for i, v := range b.X {
		area = append(area, vg.Point{X: x(v), Y: inside(b.High[i])})
	}
	for i := len(b.X) - 1; i >= 0; i-- {
		area = append(area, vg.Point{X: x(b.X[i]), Y: inside(b.Low[i])})
	}
	c.FillPolygon(b.mix(b.Color(b.Group), 0.18), area)
}

// mix returns a color over the ground, as an opaque color.
func (t Theme) mix(over color.NRGBA, share float64) color.NRGBA {
	m := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*(1-share) + float64(b)*share)) }
	return color.NRGBA{R: m(t.Ground.R, over.R), G: m(t.Ground.G, over.G), B: m(t.Ground.B, over.B), A: 0xff}
}

// add adds the points of group i.
func (g Group) add(p *plot.Plot, t Theme, i int, named bool) {
	shapes := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.CrossGlyph{}, draw.RingGlyph{}, draw.PlusGlyph{}}
	points := plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: t.Color(i), Radius: pointRadius, Shape: shapes[i%len(shapes)]}}
	for _, v := range g.Points {
		points.XYs = append(points.XYs, plotter.XY{X: v.X, Y: v.Y})
	}
	p.Add(&points)
	if named && g.Name != "" {
		p.Legend.Add(shown(g.Name, 60), &points)
	}
}

const pointRadius = 4

// shown returns text of a spec on one line, at most limit code points of it: the beginning and the end.
func shown(s string, limit int) string {
	runes := []rune(protocol.Visible(s))
	if len(runes) <= limit {
		return string(runes)
	}
	tail := limit / 2
	return string(runes[:limit-tail-1]) + "…" + string(runes[len(runes)-tail:])
}
