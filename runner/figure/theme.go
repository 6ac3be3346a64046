package figure

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// Theme holds the colors of a figure.
type Theme struct {
	// Name is part of the names of files.
	Name string
	// Ground is the background, Ink the color of text and axes, and Faint that of grid lines.
	Ground, Ink, Faint color.NRGBA
	// Palette holds the colors of groups, which readers with color blindness can tell apart.
	Palette []color.NRGBA
}

// Themes returns the themes of the files that Write writes. The palettes are those of Okabe and Ito, "Color Universal
// Design" (2008), in the order of contrast with the ground.
func Themes() []Theme {
	return []Theme{{
		Name: "light", Ground: rgb(0xffffff), Ink: rgb(0x1f2328), Faint: rgb(0xe3e6ea),
		Palette: []color.NRGBA{rgb(0x0072b2), rgb(0xd55e00), rgb(0x009e73), rgb(0xcc79a7), rgb(0x8a6d00), rgb(0x56b4e9)},
	}, {
		Name: "dark", Ground: rgb(0x0d1117), Ink: rgb(0xe6edf3), Faint: rgb(0x2a313a),
		Palette: []color.NRGBA{rgb(0x56b4e9), rgb(0xe69f00), rgb(0x2fbf95), rgb(0xcc79a7), rgb(0xf0e442), rgb(0xff7b4a)},
	}}
}

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 0xff}
}

// Color returns the color of group i.
func (t Theme) Color(i int) color.NRGBA { return t.Palette[i%len(t.Palette)] }

// Sizes of text in points.
const (
	titleSize = 13
	labelSize = 11
	tickSize  = 10
)

// New returns an empty plot in the colors of the theme.
func (t Theme) New() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = t.Ground
	sans := func(size vg.Length) font.Font { return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size} }
	handler := text.Plain{Fonts: font.DefaultCache}
	style := func(s *text.Style, size vg.Length) { s.Font, s.Color, s.Handler = sans(size), t.Ink, handler }
	style(&p.Title.TextStyle, titleSize)
	p.Title.Padding = 8
	style(&p.Legend.TextStyle, tickSize)
	p.Legend.Padding = 3
	p.Legend.Top = true
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		style(&axis.Label.TextStyle, labelSize)
		axis.Label.Padding = 5
		style(&axis.Tick.Label, tickSize)
		axis.Color, axis.Width = t.Ink, 0.8
		axis.Tick.Color, axis.Tick.Width = t.Ink, 0.8
		axis.Tick.Length = 5
	}
	return p
}
