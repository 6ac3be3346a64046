package figure

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Size is the size of a figure in inches, and its resolution as a PNG file in dots per inch.
type Size struct {
	Width, Height float64
	DPI           int
}

// DefaultSize gives PNG files of 800 by 500 pixels.
var DefaultSize = Size{Width: 8, Height: 5, DPI: 100}

// Names returns the names of the files that Write writes, sorted.
func Names(name string) []string {
	var files []string
	for _, t := range Themes() {
		files = append(files, name+"-"+t.Name+".png", name+"-"+t.Name+".svg")
	}
	slices.Sort(files)
	return files
}

// Write draws a figure in each theme, and writes it to a directory as NAME-THEME.png and NAME-THEME.svg.
func Write(dir, name string, size Size, figure func(Theme) (*plot.Plot, error)) error {
	if !(size.Width > 0 && size.Height > 0) || size.DPI < 1 {
		return fmt.Errorf("figure %s: a size of %v by %v inches at %d dpi; all must be positive", name, size.Width, size.Height, size.DPI)
	}
	for _, t := range Themes() {
		p, err := figure(t)
		if err != nil {
			return fmt.Errorf("figure %s: %w", name, err)
		}
		path := filepath.Join(dir, name+"-"+t.Name)
		width, height := vg.Length(size.Width)*vg.Inch, vg.Length(size.Height)*vg.Inch
		pixels := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(size.DPI))
		paint(p, pixels)
		lines := vgsvg.New(width, height)
		paint(p, &outlined{Canvas: lines})
		if err := errors.Join(save(path+".png", vgimg.PngCanvas{Canvas: pixels}), save(path+".svg", lines)); err != nil {
			return err
		}
	}
	return nil
}

// margin is the space around a figure.
const margin = 10

func paint(p *plot.Plot, on vg.CanvasSizer) {
	c := draw.New(on)
	c.SetColor(p.BackgroundColor)
	c.Fill(c.Path())
	p.Draw(draw.Crop(c, margin, -margin, margin, -margin))
}

func save(path string, canvas io.WriterTo) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, err = canvas.WriteTo(w)
	return errors.Join(err, w.Flush(), f.Close())
}

// outlined draws text as filled outlines, so that a file needs no fonts where it is shown. An embedded font would take
// half a megabyte per file.
type outlined struct {
	*vgsvg.Canvas
	buffer sfnt.Buffer
}

// FillString implements vg.Canvas.
func (o *outlined) FillString(f font.Face, at vg.Point, text string) {
	// Outlines are loaded at one pixel per unit of the font, so that nothing is rounded.
	units := int(f.Face.UnitsPerEm())
	scale := f.Font.Size.Points() / float64(units) / 64
	point := func(p fixed.Point26_6) vg.Point {
		return vg.Point{X: at.X + vg.Length(float64(p.X)*scale), Y: at.Y - vg.Length(float64(p.Y)*scale)}
	}
	var path vg.Path
	for _, r := range text {
		// A rune without a glyph has glyph 0, a box.
		index, err := f.Face.GlyphIndex(&o.buffer, r)
		if err != nil {
			continue
		}
		segments, err := f.Face.LoadGlyph(&o.buffer, index, fixed.I(units), nil)
		if err != nil {
			continue
		}
		for i, s := range segments {
			switch s.Op {
			case sfnt.SegmentOpMoveTo:
				if i > 0 {
					path.Close()
				}
				path.Move(point(s.Args[0]))
			case sfnt.SegmentOpLineTo:
				path.Line(point(s.Args[0]))
			case sfnt.SegmentOpQuadTo:
				path.QuadTo(point(s.Args[0]), point(s.Args[1]))
			case sfnt.SegmentOpCubeTo:
				path.CubeTo(point(s.Args[0]), point(s.Args[1]), point(s.Args[2]))
			}
		}
		if len(segments) > 0 {
			path.Close()
		}
		if advance, err := f.Face.GlyphAdvance(&o.buffer, index, fixed.I(units), 0); err == nil {
			at.X += vg.Length(float64(advance) * scale)
		}
	}
	o.Fill(path)
}
