package figure

import (
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// decode returns the picture of a PNG file.
func decode(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// A single bright value is visible in both themes, and a part without values has the color of the ground.
func TestStrip(t *testing.T) {
	s := Strip{Title: "t", Label: "position", Length: 1000, Values: make([]float64, 200), Rows: 2, Low: -8, High: 0, BarLabel: "p"}
	for i := range s.Values {
		s.Values[i] = -20
	}
	s.Values[150] = 0
	s.Values[100], s.Values[101], s.Values[102], s.Values[103] = math.Inf(-1), math.Inf(-1), math.NaN(), math.Inf(1)
	for _, s.Colors = range []string{"Kindlmann", "Blues", "Greys"} {
		dir := t.TempDir()
		if err := s.Write(dir, "s", Size{Width: 8, Height: 2.6, DPI: 100}); err != nil {
			t.Fatal(err)
		}
		shades, err := shades(s.Colors)
		if err != nil || len(shades) != shadeCount {
			t.Fatal(len(shades), err)
		}
		for _, theme := range Themes() {
			picture := decode(t, filepath.Join(dir, "s-"+theme.Name+".png"))
			bright, dark := 0, 0
			// The color bar is at the right.
			for x := range picture.Bounds().Max.X - 100 {
				for y := range picture.Bounds().Max.Y {
					switch at := color.NRGBAModel.Convert(picture.At(x, y)); at {
					case color.NRGBAModel.Convert(shades[shadeCount-1]):
						bright++
					case color.NRGBAModel.Convert(shades[0]):
						dark++
					}
				}
			}
			if bright < 100 || dark < 100*bright/2 {
				t.Errorf("%s, %s: got %d bright and %d dark pixels", s.Colors, theme.Name, bright, dark)
			}
		}
	}
	for name, change := range map[string]func(*Strip){
		"unknown colors \"jet\"": func(s *Strip) { s.Colors = "jet" },
		"200 values in 3 rows":   func(s *Strip) { s.Rows = 3 },
		"colors for 0 to 0":      func(s *Strip) { s.Low = 0 },
	} {
		broken := s
		change(&broken)
		if err := broken.Write(t.TempDir(), "s", DefaultSize); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}

func TestHistogram(t *testing.T) {
	h := Histogram{
		Title: "t", Y: Axis{Label: "windows", Scale: Log}, Edges: []float64{-2, -1, 0},
		Series: []Series{{"a", []float64{0, 7}}, {"b", []float64{1, 0}}},
	}
	if err := h.Write(t.TempDir(), "h", DefaultSize); err != nil {
		t.Error(err)
	}
	h.Y.Scale = Linear
	if err := h.Write(t.TempDir(), "h", DefaultSize); err != nil {
		t.Error(err)
	}
	h.Series[1].Counts = nil
	if err := h.Write(t.TempDir(), "h", DefaultSize); err == nil || !strings.Contains(err.Error(), "series 1 of \"t\" has 0 counts for 3 edges") {
		t.Errorf("got %v", err)
	}
	h.Series = []Series{{"a", []float64{0, 0}}}
	if err := h.Write(t.TempDir(), "h", DefaultSize); err == nil || !strings.Contains(err.Error(), "has no counts") {
		t.Errorf("got %v", err)
	}
}
