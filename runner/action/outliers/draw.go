package outliers

import (
	"fmt"
	"math"

	"surprisal.dev/runner/figure"
)

// draw draws the figures of the measures that a model has, and returns the names of their files.
func (s *Summary) draw(dir string, size Size) (files []string, err error) {
	for i, m := range measures() {
		f := s.scatter(m)
		if len(f.Groups) == 0 {
			continue
		}
		name := m.figure(i)
		if err := f.Write(dir, name, size.figure()); err != nil {
			return nil, err
		}
		files = append(files, figure.Names(name)...)
	}
	return files, nil
}

// figure returns the name of the figure of measure i, as in the reference experiment.
func (m measure) figure(i int) string { return fmt.Sprintf("%02d_perplexity_vs_%s", i+1, m.name) }

// perplexityAxis is the horizontal axis of all figures.
func (s *Summary) perplexityAxis() figure.Axis {
	return figure.Axis{Label: s.tokens().Label(), Scale: figure.Log}
}

// scatter returns the figure of a measure against perplexity, with its curves.
func (s *Summary) scatter(m measure) figure.Scatter {
	f := figure.Scatter{Title: m.title + " against perplexity", X: s.perplexityAxis(), Y: figure.Axis{Label: m.label}}
	groups := map[string]int{}
	for i := range s.Rows {
		r := &s.Rows[i]
		v := m.value(r)
		if r.Perplexity == nil || v == nil {
			continue
		}
		k, ok := groups[r.Family]
		if !ok {
			k = len(f.Groups)
			groups[r.Family] = k
			f.Groups = append(f.Groups, figure.Group{Name: r.Family})
		}
		f.Groups[k].Points = append(f.Groups[k].Points, figure.Point{X: *r.Perplexity, Y: *v, Label: r.Model})
	}
	if k, ok := groups[""]; ok && len(f.Groups) > 1 {
		f.Groups[k].Name = "without a family"
	}
	for _, found := range s.Fits {
		if k, ok := groups[found.Family]; ok && found.Of == m.name {
			f.Curves = append(f.Curves, curve(found, f.Groups[k].Points, k))
		}
	}
	return f
}

// curve returns the curve of a fit from the lowest perplexity of the points to the highest.
func curve(found Fit, points []figure.Point, group int) figure.Curve {
	low, high := points[0].X, points[0].X
	for _, p := range points {
		low, high = min(low, p.X), max(high, p.X)
	}
	c := figure.Curve{Group: group, Name: "a exp(b x) with 95% interval"}
	if found.Family != "" {
		c.Name = "a exp(b x) of " + found.Family + ", 95% interval"
	}
	const steps = 60
	for i := range steps + 1 {
		x := low * math.Pow(high/low, float64(i)/steps)
		at := found.Curve.at(x)
		c.X, c.Y = append(c.X, x), append(c.Y, at.Value)
		c.Low, c.High = append(c.Low, at.Low), append(c.High, at.High)
	}
	return c
}
