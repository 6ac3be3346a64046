// Command picture draws the picture of README: the gap of two models in each bucket of a gap report.
//
//	go run ./docs/picture summary.json docs/picture
//
// writes docs/picture-light.svg and docs/picture-dark.svg.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Buckets with less text are left to the report: a gap over a few bytes says little.
const fewestBytes = 300

// summary is what a gap's summary.json holds of interest here.
type summary struct {
	ModelA  string   `json:"modelA"`
	ModelB  string   `json:"modelB"`
	Buckets []bucket `json:"pattern_buckets"`
}

type bucket struct {
	Name  string  `json:"name"`
	Bytes int64   `json:"bytes"`
	Gap   float64 `json:"gap_bpb"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: picture SUMMARY.json NAME")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path, name string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s summary
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.Buckets = slices.DeleteFunc(s.Buckets, func(b bucket) bool { return b.Bytes < fewestBytes })
	slices.SortFunc(s.Buckets, func(a, b bucket) int { return cmp.Compare(a.Gap, b.Gap) })
	if len(s.Buckets) == 0 {
		return fmt.Errorf("%s has no bucket of %d bytes or more", path, fewestBytes)
	}
	return errors.Join(
		write(s, name+"-light.svg", color.Gray{Y: 0x1f}),
		write(s, name+"-dark.svg", color.Gray{Y: 0xe6}),
	)
}

// write draws the buckets as bars on a transparent ground.
func write(s summary, path string, ink color.Color) error {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	p.Title.Text = fmt.Sprintf("Gap of %s and %s by character class", s.ModelA, s.ModelB)
	p.X.Label.Text = "gap in bits per byte; to the right of 0, " + s.ModelA + " is worse"
	var names []string
	for i, b := range s.Buckets {
		fill := color.RGBA{0x2f, 0x7e, 0xd8, 0xff}
		if b.Gap > 0 {
			fill = color.RGBA{0xd9, 0x5f, 0x3b, 0xff}
		}
		bar, err := plotter.NewBarChart(plotter.Values{b.Gap}, vg.Points(14))
		if err != nil {
			return err
		}
		bar.Horizontal, bar.XMin, bar.Color, bar.LineStyle.Width = true, float64(i), fill, 0
		p.Add(bar)
		names = append(names, b.Name)
	}
	p.NominalY(names...)
	width := p.X.Max - p.X.Min
	p.X.Min, p.X.Max = p.X.Min-width/12, p.X.Max+width/12
	p.X.Padding, p.Y.Padding = vg.Points(6), vg.Points(6)
	for _, line := range []*draw.LineStyle{&p.X.LineStyle, &p.X.Tick.LineStyle, &p.Y.LineStyle} {
		line.Color = ink
	}
	for _, style := range []*draw.TextStyle{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label} {
		style.Color, style.Font.Variant = ink, "Sans"
	}
	p.Title.TextStyle.Font.Size, p.Title.Padding = vg.Points(14), vg.Points(8)

	canvas := vgsvg.NewWith(vgsvg.UseWH(vg.Points(600), vg.Points(60+22*float64(len(s.Buckets)))))
	p.Draw(draw.New(canvas))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(f)
	return errors.Join(err, f.Close())
}
