package figure

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette"
	"gonum.org/v1/plot/palette/brewer"
	"gonum.org/v1/plot/palette/moreland"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Strip is a figure of values along a line as colors, in one row or in several of equal length. Values are decimal
// logarithms.
type Strip struct {
	Title string
	// Label names the positions along the line, of which there are Length.
	Label  string
	Length float64
	// Values belong to equal parts of the line. Where a value is not finite, the ground is visible.
	Values []float64
	Rows   int
	// Low and High are the values of the first and last color. Lower and higher values have the same colors.
	Low, High float64
	// BarLabel names the value in the color bar.
	BarLabel string
	// Colors is "Kindlmann", "Blues" or "Greys".
	Colors string
}

// Write writes the figure as in the function Write.
func (s Strip) Write(dir, name string, size Size) error { return Write(dir, name, size, s.plot) }

func (s Strip) plot(t Theme) (*plot.Plot, error) {
	if s.Rows < 1 || len(s.Values) == 0 || len(s.Values)%s.Rows != 0 || !(s.Length > 0) || !(s.Low < s.High) {
		return nil, fmt.Errorf("%q has %d values in %d rows over a length of %v, and colors for %v to %v", s.Title, len(s.Values), s.Rows, s.Length, s.Low, s.High)
	}
	colors, err := shades(s.Colors)
	if err != nil {
		return nil, err
	}
	p := t.New()
	p.Title.Text = shown(s.Title, 100)
	p.HideAxes()
	p.X.Padding, p.Y.Padding = 0, 0
	p.Add(strip{s, t, colors})
	return p, nil
}

// shadeCount is the number of different colors of a strip.
const shadeCount = 128

// shades returns the colors of a map, from low to high.
func shades(name string) ([]color.Color, error) {
	switch name {
	case "Kindlmann":
		// The ends are black and white, which a page may be too.
		const first, last = 0.12, 0.95
		m := moreland.Kindlmann()
		m.SetMin(0)
		m.SetMax(1)
		all := make([]color.Color, shadeCount)
		for i := range all {
			c, err := m.At(first + (last-first)*float64(i)/(shadeCount-1))
			if err != nil {
				return nil, err
			}
			all[i] = c
		}
		return all, nil
	case "Blues", "Greys":
		p, err := brewer.GetPalette(brewer.TypeSequential, name, 9)
		if err != nil {
			return nil, err
		}
		return between(p), nil
	}
	return nil, fmt.Errorf("unknown colors %q; they are Kindlmann, Blues and Greys", name)
}

// between interpolates the colors of a palette.
func between(p palette.Palette) []color.Color {
	from := p.Colors()
	all := make([]color.Color, shadeCount)
	for i := range all {
		at := float64(i) / (shadeCount - 1) * float64(len(from)-1)
		k := min(int(at), len(from)-2)
		r0, g0, b0, _ := from[k].RGBA()
		r1, g1, b1, _ := from[k+1].RGBA()
		mix := func(a, b uint32) uint8 {
			return uint8(math.Round((float64(a)*(1-at+float64(k)) + float64(b)*(at-float64(k))) / 257))
		}
		all[i] = color.NRGBA{R: mix(r0, r1), G: mix(g0, g1), B: mix(b0, b1), A: 0xff}
	}
	return all
}

// strip draws a Strip.
type strip struct {
	Strip
	Theme
	colors []color.Color
}

// Widths of the parts of a strip in points.
const (
	barWidth  = 12
	barGap    = 14
	barLabels = 34
	stripEdge = 20
	tickSpace = 17 // below a row
	rowGap    = 6
)

// Plot implements plot.Plotter.
func (s strip) Plot(c draw.Canvas, p *plot.Plot) {
	style := p.X.Tick.Label
	style.XAlign, style.YAlign, style.Rotation = text.XCenter, text.YTop, 0
	label := p.X.Label.TextStyle
	label.XAlign, label.YAlign = text.XCenter, text.YBottom
	area := vg.Rectangle{
		Min: vg.Point{X: c.Min.X + stripEdge, Y: c.Min.Y + labelSize + 4},
		Max: vg.Point{X: c.Max.X - barGap - barWidth - barLabels, Y: c.Max.Y},
	}
	c.FillText(label, vg.Point{X: (area.Min.X + area.Max.X) / 2, Y: c.Min.Y}, shown(s.Label, 60))
	height := (area.Max.Y - area.Min.Y) / vg.Length(s.Rows)
	for row := range s.Rows {
		top := area.Max.Y - vg.Length(row)*height
		box := vg.Rectangle{Min: vg.Point{X: area.Min.X, Y: top - height + tickSpace}, Max: vg.Point{X: area.Max.X, Y: top - rowGap}}
		s.drawRow(c, style, row, box)
	}
	s.drawBar(c, style, vg.Rectangle{
		Min: vg.Point{X: area.Max.X + barGap, Y: area.Min.Y + tickSpace},
		Max: vg.Point{X: area.Max.X + barGap + barWidth, Y: area.Max.Y - rowGap - labelSize - 3},
	})
}

// drawRow draws a row with its ticks.
func (s strip) drawRow(c draw.Canvas, style text.Style, row int, box vg.Rectangle) {
	columns := len(s.Values) / s.Rows
	values := s.Values[row*columns : (row+1)*columns]
	width := box.Max.X - box.Min.X
	x := func(column int) vg.Length { return box.Min.X + width*vg.Length(column)/vg.Length(columns) }
	for from := 0; from < columns; {
		shade, to := s.shade(values[from]), from+1
		for to < columns && s.shade(values[to]) == shade {
			to++
		}
		if shade >= 0 {
			// The overlap with the next color hides the seam between smoothed edges.
			c.FillPolygon(s.colors[shade], corners(vg.Rectangle{Min: vg.Point{X: x(from), Y: box.Min.Y}, Max: vg.Point{X: min(x(to)+0.5, box.Max.X), Y: box.Max.Y}}))
		}
		from = to
	}
	s.frame(c, box)
	low := s.Length * float64(row) / float64(s.Rows)
	high := s.Length * float64(row+1) / float64(s.Rows)
	for _, t := range linearTicks(low, high, Plain) {
		at := box.Min.X + width*vg.Length((t.Value-low)/(high-low))
		c.StrokeLine2(draw.LineStyle{Color: s.Ink, Width: 0.8}, at, box.Min.Y, at, box.Min.Y-3)
		if half := style.Width(t.Label) / 2; at+half < c.Max.X && at-half >= c.Min.X {
			c.FillText(style, vg.Point{X: at, Y: box.Min.Y - 4}, t.Label)
		}
	}
}

// shade returns the index of the color of a value, or -1 if it is not finite.
func (s strip) shade(v float64) int {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return -1
	}
	share := (min(max(v, s.Low), s.High) - s.Low) / (s.High - s.Low)
	return int(math.Round(share * (shadeCount - 1)))
}

func (s strip) frame(c draw.Canvas, box vg.Rectangle) {
	around := corners(box)
	c.StrokeLines(draw.LineStyle{Color: s.mix(s.Ink, 0.5), Width: 0.6}, append(around, around[0]))
}

func corners(r vg.Rectangle) []vg.Point {
	return []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}}
}

// drawBar draws the color bar.
func (s strip) drawBar(c draw.Canvas, style text.Style, box vg.Rectangle) {
	height := box.Max.Y - box.Min.Y
	for i, shade := range s.colors {
		low := box.Min.Y + height*vg.Length(i)/vg.Length(len(s.colors))
		high := min(low+height/vg.Length(len(s.colors))+0.5, box.Max.Y)
		c.FillPolygon(shade, corners(vg.Rectangle{Min: vg.Point{X: box.Min.X, Y: low}, Max: vg.Point{X: box.Max.X, Y: high}}))
	}
	s.frame(c, box)
	style.XAlign, style.YAlign = text.XLeft, text.YCenter
	const spacing = 13
	step := max(math.Ceil((s.High-s.Low)*spacing/float64(height)), 1)
	for v := s.High; v >= s.Low; v -= step {
		y := box.Min.Y + height*vg.Length((v-s.Low)/(s.High-s.Low))
		c.StrokeLine2(draw.LineStyle{Color: s.Ink, Width: 0.8}, box.Max.X, y, box.Max.X+3, y)
		c.FillText(style, vg.Point{X: box.Max.X + 5, Y: y}, power(v))
	}
	style.XAlign, style.YAlign = text.XCenter, text.YBottom
	c.FillText(style, vg.Point{X: (box.Min.X + box.Max.X) / 2, Y: box.Max.Y + 4}, shown(s.BarLabel, 10))
}

// power formats a power of ten, given its exponent.
func power(exponent float64) string {
	if exponent == 0 {
		return "1"
	}
	return fmt.Sprintf("1e%g", exponent)
}
