package series

import (
	"fmt"

	"surprisal.dev/runner/figure"
)

// Names of figures.
const (
	bpbFigure      = "bpb"
	bestFigure     = "best"
	datasetsFigure = "datasets"
)

// mostDatasets is the number of datasets of a figure.
const mostDatasets = 6

// draw draws the figures, and returns the names of their files.
func (s *Summary) draw(dir string) (files []string, err error) {
	if len(s.Slices) == 0 {
		return nil, nil
	}
	overall := s.Slices[0]
	figures := []struct {
		name    string
		scatter figure.Scatter
	}{{bpbFigure, s.level(overall)}, {bestFigure, s.againstBest(overall)}}
	if len(s.Datasets) > 1 {
		figures = append(figures, struct {
			name    string
			scatter figure.Scatter
		}{datasetsFigure, s.byDataset()})
	}
	for _, f := range figures {
		if err := f.scatter.Write(dir, f.name, figure.DefaultSize); err != nil {
			return nil, err
		}
		files = append(files, figure.Names(f.name)...)
	}
	return files, nil
}

// level returns the figure of the loss of a slice, with the best so far and the changes of level.
func (s *Summary) level(of Slice) figure.Scatter {
	f := figure.Scatter{
		Title: "Bits per byte over " + s.X.Title(), X: s.X.Figure(), Y: figure.Axis{Label: "bits per byte"},
		Groups: []figure.Group{{Points: s.points(of)}},
	}
	line := figure.Curve{Name: "bits per byte with 95% interval"}
	best := figure.Curve{Name: "best so far", Group: 2, Dashed: true}
	low, high := of.Points[0].BPB, of.Points[0].BPB
	for _, p := range of.Points {
		line.X, line.Y = append(line.X, p.X), append(line.Y, p.BPB)
		if p.Low != nil {
			line.Low, line.High = append(line.Low, *p.Low), append(line.High, *p.High)
		}
		if n := len(best.X); n > 0 {
			best.X, best.Y = append(best.X, p.X), append(best.Y, best.Y[n-1])
		}
		low, high = min(low, p.BPB), max(high, p.BPB)
		best.X, best.Y = append(best.X, p.X), append(best.Y, low)
	}
	if widest(line) > high-low {
		// The documents differ by more than the models. A band over everything shows nothing.
		line.Name, line.Low, line.High = "bits per byte", nil, nil
	}
	f.Curves, f.WholeBands = []figure.Curve{line, best}, true
	for i, c := range of.Changes {
		mark := figure.Curve{Group: 1, Dashed: true, X: []float64{c.X, c.X}, Y: []float64{low, high}}
		if i == 0 {
			mark.Name = "change of level"
		}
		f.Curves = append(f.Curves, mark)
	}
	return f
}

// widest returns the width of the widest interval of a curve.
func widest(c figure.Curve) (width float64) {
	for i := range c.Low {
		width = max(width, c.High[i]-c.Low[i])
	}
	return width
}

// points returns the points of a slice. Only those that a reader looks for have a label: the first, the last, the best and
// those where the level changes.
func (s *Summary) points(of Slice) []figure.Point {
	labeled := map[string]bool{of.Best: true, of.Points[0].Model: true, of.Points[len(of.Points)-1].Model: true}
	for _, c := range of.Changes {
		labeled[c.Model] = true
	}
	var points []figure.Point
	for _, p := range of.Points {
		at := figure.Point{X: p.X, Y: p.BPB}
		if labeled[p.Model] {
			at.Label = p.Model
		}
		points = append(points, at)
	}
	return points
}

// againstBest returns the figure of the differences of a slice to the best so far.
func (s *Summary) againstBest(of Slice) figure.Scatter {
	f := figure.Scatter{
		Title: "Bits per byte less those of the best so far", X: s.X.Figure(), Y: figure.Axis{Label: "difference in bits per byte; above 0 is worse"},
	}
	line := figure.Curve{Name: "difference with 95% interval"}
	var points []figure.Point
	worse := false
	for i, p := range of.Points[1:] {
		at := figure.Point{X: p.X, Y: p.Best.Gap}
		// Of worse models that follow each other, the first has a label, and the last model of all.
		before := worse
		if worse = p.Best.Verdict == Worse; worse && (!before || i == len(of.Points)-2) {
			at.Label = p.Model
		}
		points = append(points, at)
		line.X, line.Y = append(line.X, p.X), append(line.Y, p.Best.Gap)
		if p.Best.Estimate != nil {
			line.Low, line.High = append(line.Low, p.Best.Low), append(line.High, p.Best.High)
		}
	}
	zero := figure.Curve{Name: "equal to the best so far", Group: 2, Dashed: true, X: []float64{of.Points[0].X, of.Points[len(of.Points)-1].X}, Y: []float64{0, 0}}
	f.Groups, f.Curves, f.WholeBands = []figure.Group{{Points: points}}, []figure.Curve{line, zero}, true
	return f
}

// byDataset returns the figure of the change of each dataset since the first model.
func (s *Summary) byDataset() figure.Scatter {
	f := figure.Scatter{
		Title: "Change of bits per byte since " + s.Models[0], X: s.X.Figure(), Y: figure.Axis{Label: "difference in bits per byte; above 0 is worse"},
	}
	all := 0
	for _, of := range s.Slices {
		if of.List != ListDatasets {
			continue
		}
		if all++; all > mostDatasets {
			continue
		}
		c := figure.Curve{Group: len(f.Groups)}
		var points []figure.Point
		for _, p := range of.Points {
			y := p.BPB - of.Points[0].BPB
			points = append(points, figure.Point{X: p.X, Y: y})
			c.X, c.Y = append(c.X, p.X), append(c.Y, y)
		}
		points[len(points)-1].Label = of.Name
		f.Groups, f.Curves = append(f.Groups, figure.Group{Points: points}), append(f.Curves, c)
	}
	if all > mostDatasets {
		f.Title += fmt.Sprintf(" (the first %d of %d datasets)", mostDatasets, all)
	}
	return f
}
