package figure

// Size of a legend in a figure of DefaultSize, as shares of the area between the axes.
const (
	legendWidth  = 0.42
	legendMargin = 0.03
	legendEntry  = 0.055
)

// Weights of what a legend would hide: the points of curves are close to each other.
const (
	hidesPoint = 20
	hidesCurve = 1
)

// corner returns the corner in which a legend with a number of entries hides least: the top right corner, if it is not
// worse than others. The ranges are those of the axes.
func (s Scatter) corner(entries int, lowX, highX, lowY, highY float64) (top, left bool) {
	toX, _ := s.X.linear()
	toY, _ := s.Y.linear()
	share := func(v, low, high float64) float64 {
		if low == high {
			return 0.5
		}
		return (v - low) / (high - low)
	}
	height := legendMargin + legendEntry*float64(entries)
	var hidden [4]float64 // by left + 2 * bottom
	add := func(x, y, weight float64) {
		atX, atY := share(toX(x), toX(lowX), toX(highX)), share(toY(y), toY(lowY), toY(highY))
		for corner := range hidden {
			fromSide, fromEdge := 1-atX, 1-atY
			if corner&1 == 1 {
				fromSide = atX
			}
			if corner&2 == 2 {
				fromEdge = atY
			}
			if fromSide < legendWidth && fromEdge < height {
				hidden[corner] += weight
			}
		}
	}
	for _, g := range s.Groups {
		for _, p := range g.Points {
			add(p.X, p.Y, hidesPoint)
		}
	}
	for _, c := range s.Curves {
		for i, x := range c.X {
			add(x, c.Y[i], hidesCurve)
		}
	}
	best := 0
	for corner, n := range hidden {
		if n < hidden[best] {
			best = corner
		}
	}
	return best&2 == 0, best&1 == 1
}

// legendEntries returns the number of entries of the legend.
func (s Scatter) legendEntries() (n int) {
	if len(s.Groups)+len(s.Curves) < 2 {
		return 0
	}
	for _, g := range s.Groups {
		if g.Name != "" {
			n++
		}
	}
	for _, c := range s.Curves {
		if c.Name != "" {
			n++
		}
	}
	return n
}
