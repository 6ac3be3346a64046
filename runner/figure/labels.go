package figure

import (
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// labels writes the labels of points where they overlap neither each other nor points, nor curves if possible.
type labels struct {
	Scatter
	Theme
}

// labelLimit is the largest number of code points of a label.
const labelLimit = 28

// Plot implements plot.Plotter.
func (l labels) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	s := space{within: c.Rectangle, taken: []vg.Rectangle{p.Legend.Rectangle(c)}}
	for _, g := range l.Groups {
		for _, point := range g.Points {
			s.points = append(s.points, around(vg.Point{X: x(point.X), Y: y(point.Y)}, pointRadius+1))
		}
	}
	for _, curve := range l.Curves {
		for i, v := range curve.X {
			s.follow(vg.Point{X: x(v), Y: y(curve.Y[i])}, i > 0)
		}
	}
	for i, g := range l.Groups {
		style := p.X.Tick.Label
		style.Color, style.XAlign, style.YAlign, style.Rotation = l.Color(i), text.XLeft, text.YBottom, 0
		for _, point := range g.Points {
			label := shown(point.Label, labelLimit)
			if label == "" {
				continue
			}
			at := vg.Point{X: x(point.X), Y: y(point.Y)}
			box, far := s.place(at, style.Rectangle(label).Size())
			if far {
				c.StrokeLine2(draw.LineStyle{Color: l.mix(l.Color(i), 0.6), Width: 0.6}, at.X, at.Y, nearest(at.X, box.Min.X, box.Max.X), nearest(at.Y, box.Min.Y, box.Max.Y))
			}
			c.FillText(style, box.Min, label)
		}
	}
}

// nearest returns the value of [low, high] that is nearest to v.
func nearest(v, low, high vg.Length) vg.Length { return min(max(v, low), high) }

func around(p vg.Point, radius vg.Length) vg.Rectangle {
	return vg.Rectangle{Min: vg.Point{X: p.X - radius, Y: p.Y - radius}, Max: vg.Point{X: p.X + radius, Y: p.Y + radius}}
}

// space is the area of a figure in which labels are placed.
type space struct {
	within        vg.Rectangle
	taken, points []vg.Rectangle
	lines         []vg.Point
}

// follow adds the point of a line, and the points between it and the one before.
func (s *space) follow(to vg.Point, connected bool) {
	if connected {
		from := s.lines[len(s.lines)-1]
		const step = 3
		n := int(math.Hypot(float64(to.X-from.X), float64(to.Y-from.Y)) / step)
		for i := 1; i < n; i++ {
			share := vg.Length(i) / vg.Length(n)
			s.lines = append(s.lines, vg.Point{X: from.X + share*(to.X-from.X), Y: from.Y + share*(to.Y-from.Y)})
		}
	}
	s.lines = append(s.lines, to)
}

// Penalties of a place. A label that overlaps another or is cut off cannot be read.
const (
	overlapsLabel = 1000
	outside       = 1000
	overlapsPoint = 200
	overlapsLine  = 30
	perRing       = 4
)

// place returns the best box of a size for the label of a point, and whether it is so far away that a line must connect
// them. The box is then taken.
func (s *space) place(at, size vg.Point) (best vg.Rectangle, far bool) {
	// Directions in the order in which they are preferred: right, left, above, below, and between.
	directions := [][2]float64{{1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}, {0.5, 1}, {-0.5, 1}, {0.5, -1}, {-0.5, -1}}
	const rings, gap = 8, 3
	lowest := math.Inf(1)
	for ring := range rings {
		reach := vg.Length(pointRadius + gap + ring*14)
		for i, d := range directions {
			center := vg.Point{
				X: at.X + vg.Length(d[0])*(reach+size.X/2),
				Y: at.Y + vg.Length(d[1])*(reach+size.Y/2),
			}
			box := vg.Rectangle{
				Min: vg.Point{X: center.X - size.X/2, Y: center.Y - size.Y/2}, Max: vg.Point{X: center.X + size.X/2, Y: center.Y + size.Y/2},
			}
			if cost := s.cost(box) + perRing*float64(ring) + float64(i)/100; cost < lowest {
				lowest, best, far = cost, box, ring > 0
			}
		}
	}
	s.taken = append(s.taken, best)
	return best, far
}

func (s *space) cost(box vg.Rectangle) float64 {
	cost := 0.0
	if box.Min.X < s.within.Min.X || box.Min.Y < s.within.Min.Y || box.Max.X > s.within.Max.X || box.Max.Y > s.within.Max.Y {
		cost += outside
	}
	for _, t := range s.taken {
		if overlap(box, t) {
			cost += overlapsLabel
		}
	}
	for _, p := range s.points {
		if overlap(box, p) {
			cost += overlapsPoint
		}
	}
	if slices.ContainsFunc(s.lines, func(p vg.Point) bool { return overlap(box, vg.Rectangle{Min: p, Max: p}) }) {
		cost += overlapsLine
	}
	return cost
}

// overlap reports whether two boxes have a point in common.
func overlap(a, b vg.Rectangle) bool {
	return a.Min.X <= b.Max.X && b.Min.X <= a.Max.X && a.Min.Y <= b.Max.Y && b.Min.Y <= a.Max.Y
}
