package scaling

import (
	"fmt"
	"math"
	"slices"

	"surprisal.dev/runner/figure"
	"surprisal.dev/runner/fit"
)

// fit fits the laws of all families with enough sizes, and notes why others have none. Families of one model are points
// of other designs, which need no note if there is another family.
func (s *Summary) fit() {
	if len(s.families()) > 0 && s.largest() == nil {
		s.Notes = append(s.Notes, "no power law is fitted: no family has two models; give models of one design the same family, or add models")
	}
	for _, f := range s.families() {
		var sizes []float64
		for _, i := range f.rows {
			sizes = append(sizes, *s.Rows[i].X)
		}
		called := "the models"
		if f.name != "" {
			called = fmt.Sprintf("the family %q", f.name)
		}
		switch n := fit.Distinct(sizes); {
		case !s.X.Logarithmic():
			s.Notes = append(s.Notes, fmt.Sprintf("no power law is fitted to %s, because the axis is linear", called))
		case n < fewestSizes && len(f.rows) > 1:
			s.Notes = append(s.Notes, fmt.Sprintf("no power law is fitted to %s: a law with an interval needs %d different values of x, and there are %d; add models", called, fewestSizes, n))
		case n >= fewestSizes:
			s.fitFamily(f, called, sizes)
		}
	}
}

func (s *Summary) fitFamily(f family, called string, sizes []float64) {
	var names []string
	var bpb, perToken []float64
	tokens := s.Rows[f.rows[0]].Tokens
	for _, i := range f.rows {
		r := s.Rows[i]
		names = append(names, r.Model)
		bpb = append(bpb, r.BPB)
		if r.Tokens == tokens && tokens > 0 {
			perToken = append(perToken, r.Nats/float64(r.Tokens))
		}
	}
	if slices.Min(bpb) <= 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("no power law is fitted to %s: a model has a loss of 0", called))
		return
	}
	add := func(of string, losses []float64) {
		law, err := fitLaw(sizes, losses)
		if err != nil {
			s.Notes = append(s.Notes, fmt.Sprintf("no power law is fitted to %s of %s: %v, so that its interval has no bounds; add models that differ more", of, called, err))
			return
		}
		found := Fit{Family: f.name, Models: names, Of: of, Law: law}
		if fit.Distinct(sizes) >= fewestOffsetSizes {
			if o, err := fitOffset(sizes, losses); err == nil {
				found.Offset = &o
			}
		}
		s.Fits = append(s.Fits, found)
	}
	add(ofBPB, bpb)
	if len(perToken) == len(bpb) {
		add(ofToken, perToken)
	} else {
		s.Notes = append(s.Notes, fmt.Sprintf("no power law is fitted to nats per token of %s: the models have different numbers of tokens", called))
	}
}

// Names of figures.
const (
	bpbFigure        = "bpb"
	perplexityFigure = "perplexity"
	datasetsFigure   = "datasets"
)

// draw draws the figures, and returns the names of their files. Without models on the axis there are none.
func (s *Summary) draw(dir string) (files []string, err error) {
	for _, f := range []struct {
		name    string
		scatter figure.Scatter
	}{
		{bpbFigure, s.scatter("Bits per byte", "bits per byte", ofBPB, func(r Row) *float64 { return &r.BPB }, func(v float64) float64 { return v })},
		{perplexityFigure, s.scatter("Perplexity per token", s.tokens().Label(), ofToken, func(r Row) *float64 { return r.Perplexity.PerToken }, math.Exp)},
		{datasetsFigure, s.byDataset()},
	} {
		if len(f.scatter.Groups) == 0 {
			continue
		}
		if err := f.scatter.Write(dir, f.name, figure.DefaultSize); err != nil {
			return nil, err
		}
		files = append(files, figure.Names(f.name)...)
	}
	return files, nil
}

// positive reports whether a logarithmic axis can show a value.
func positive(v *float64) bool { return v != nil && *v > 0 && !math.IsInf(*v, 1) }

// scatter returns the figure of a value of each model against x, with the laws of a loss, transformed to the value.
func (s *Summary) scatter(title, label, of string, value func(Row) *float64, transform func(float64) float64) figure.Scatter {
	f := figure.Scatter{Title: title + " against " + s.X.Title(), X: s.X.Figure(), Y: figure.Axis{Label: label, Scale: figure.Log}}
	groups := map[string]int{}
	for _, r := range s.Rows {
		v := value(r)
		if r.X == nil || !positive(v) {
			continue
		}
		k, ok := groups[r.Family]
		if !ok {
			k = len(f.Groups)
			groups[r.Family] = k
			f.Groups = append(f.Groups, figure.Group{Name: r.Family})
		}
		f.Groups[k].Points = append(f.Groups[k].Points, figure.Point{X: *r.X, Y: *v, Label: r.Model})
	}
	if k, ok := groups[""]; ok && len(f.Groups) > 1 {
		f.Groups[k].Name = "without a family"
	}
	for _, law := range s.Fits {
		if k, ok := groups[law.Family]; ok && law.Of == of {
			f.Curves = append(f.Curves, curve(law, f.Groups[k].Points, k, transform))
		}
	}
	return f
}

// curve returns the curve of a law from the smallest of the points to the largest.
func curve(law Fit, points []figure.Point, group int, transform func(float64) float64) figure.Curve {
	low, high := points[0].X, points[0].X
	for _, p := range points {
		low, high = min(low, p.X), max(high, p.X)
	}
	c := figure.Curve{Group: group, Name: "power law with 95% interval"}
	if law.Family != "" {
		c.Name = "power law of " + law.Family + ", 95% interval"
	}
	const steps = 60
	for i := range steps + 1 {
		x := low * math.Pow(high/low, float64(i)/steps)
		at := law.Law.at(x)
		c.X, c.Y = append(c.X, x), append(c.Y, transform(at.Value))
		c.Low, c.High = append(c.Low, transform(at.Low)), append(c.High, transform(at.High))
	}
	return c
}

// mostDatasets is the number of datasets of a figure.
const mostDatasets = 8

// byDataset returns the figure of bits per byte of each dataset for the models of Gain.
func (s *Summary) byDataset() figure.Scatter {
	f := figure.Scatter{X: s.X.Figure(), Y: figure.Axis{Label: "bits per byte", Scale: figure.Log}}
	gain := s.largest()
	if len(s.Datasets) < 2 || len(gain) == 0 {
		return f
	}
	f.Title = "Bits per byte of each dataset against " + s.X.Title()
	if n := len(s.Datasets); n > mostDatasets {
		f.Title += fmt.Sprintf(" (the first %d of %d)", mostDatasets, n)
	}
	for j, dataset := range s.Datasets[:min(len(s.Datasets), mostDatasets)] {
		c := figure.Curve{Group: len(f.Groups)}
		var points []figure.Point
		for _, i := range gain {
			if r := s.Rows[i]; positive(&r.ByDataset[j]) {
				points = append(points, figure.Point{X: *r.X, Y: r.ByDataset[j]})
				c.X, c.Y = append(c.X, *r.X), append(c.Y, r.ByDataset[j])
			}
		}
		if len(points) == 0 {
			continue
		}
		points[len(points)-1].Label = dataset
		f.Groups = append(f.Groups, figure.Group{Points: points})
		f.Curves = append(f.Curves, c)
	}
	return f
}
