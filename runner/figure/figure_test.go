package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

func example() Scatter {
	s := Scatter{
		Title: "Bits per byte against parameters", X: Axis{Label: "parameters", Scale: Log, Format: Count}, Y: Axis{Label: "bits per byte", Scale: Log},
		Groups: []Group{{Name: "family"}, {Name: "others", Points: []Point{{135e6, 0.91, "SmolLM2-135M"}, {268e6, 0.905, "Gemma-3-270M <b>&\x1b[31m"}}}},
	}
	for _, n := range []float64{0.3e6, 1e6, 3e6, 10e6, 11e6} {
		s.Groups[0].Points = append(s.Groups[0].Points, Point{n, 7 * math.Pow(n, -0.1), "llama-" + Count(n)})
	}
	c := Curve{Name: "power law, 95% interval"}
	for i := range 50 {
		x := 0.3e6 * math.Pow(1000, float64(i)/49)
		y := 7 * math.Pow(x, -0.1)
		c.X, c.Y, c.Low, c.High = append(c.X, x), append(c.Y, y), append(c.Low, y*0.94), append(c.High, y*1.06)
	}
	s.Curves = []Curve{c}
	return s
}

// The same figure gives the same bytes. PNG files have the requested number of pixels; SVG files are XML without fonts
// and without text that could be misread.
func TestFiles(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		if err := example().Write(dir, "a", Size{Width: 4, Height: 3, DPI: 50}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	entries, err := os.ReadDir(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if d := cmp.Diff(Names("a"), names); d != "" {
		t.Fatal(d)
	}
	for _, name := range names {
		x, err := os.ReadFile(filepath.Join(first, name))
		y, other := os.ReadFile(filepath.Join(second, name))
		if err := errors.Join(err, other); err != nil || !bytes.Equal(x, y) {
			t.Errorf("%s differs between two runs, %v", name, err)
		}
		if strings.HasSuffix(name, ".png") {
			if c, err := png.DecodeConfig(bytes.NewReader(x)); err != nil || c.Width != 200 || c.Height != 150 {
				t.Errorf("%s: got %d by %d pixels, %v", name, c.Width, c.Height, err)
			}
			continue
		}
		for d := xml.NewDecoder(bytes.NewReader(x)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "text" {
				t.Errorf("%s has text, which needs a font", name)
			}
		}
	}
}

// Labels overlap neither each other nor the edge, even if points are close to each other.
func TestLabels(t *testing.T) {
	s := space{within: vg.Rectangle{Max: vg.Point{X: 400, Y: 250}}}
	for i := range 12 {
		s.points = append(s.points, around(vg.Point{X: vg.Length(150 + 9*i), Y: vg.Length(120 + i%3)}, pointRadius+1))
	}
	for _, p := range slices.Clone(s.points) {
		at := vg.Point{X: (p.Min.X + p.Max.X) / 2, Y: (p.Min.Y + p.Max.Y) / 2}
		box, _ := s.place(at, vg.Point{X: 60, Y: 11})
		s.taken = s.taken[:len(s.taken)-1]
		if cost := s.cost(box); cost >= overlapsPoint {
			t.Errorf("the label at %v has a cost of %v", box, cost)
		}
		s.taken = append(s.taken, box)
	}
}

// A legend is where it hides neither points nor curves, if there is such a corner.
func TestLegend(t *testing.T) {
	for name, test := range map[string]struct {
		curve     []float64
		top, left bool
	}{
		"falling": {[]float64{10, 5, 1}, true, false}, "rising": {[]float64{1, 5, 10}, true, true},
		"full at the top": {[]float64{10, 1, 10}, false, false},
	} {
		s := Scatter{Groups: []Group{{Name: "a"}, {Name: "b"}}, Curves: []Curve{{Name: "c", X: []float64{0, 1, 2}, Y: test.curve}}}
		for i, y := range test.curve {
			s.Groups[0].Points = append(s.Groups[0].Points, Point{X: float64(i), Y: y})
		}
		if top, left := s.corner(s.legendEntries(), -0.1, 2.1, 0, 11); top != test.top || left != test.left {
			t.Errorf("%s: got top %v, left %v", name, top, left)
		}
	}
}

func TestTicks(t *testing.T) {
	show := func(ticks []plot.Tick) string {
		var all []string
		for _, t := range ticks {
			if t.Label != "" {
				all = append(all, t.Label)
			}
		}
		return strings.Join(all, " ")
	}
	for name, test := range map[string]struct{ got, want string }{
		"short log":      {show(logTicks(0.93, 1.52, Plain)), "1 1.1 1.2 1.3 1.4 1.5"},
		"a decade":       {show(logTicks(1.9, 11, Plain)), "2 3 4 5 7 10"},
		"log":            {show(logTicks(1.1e8, 2.1e9, Count)), "200M 500M 1B 2B"},
		"long log":       {show(logTicks(10, 3e6, Count)), "10 100 1k 10k 100k 1M"},
		"longer log":     {show(logTicks(1e-10, 1e10, Plain)), "1e-09 1e-06 0.001 1 1000 1e+06 1e+09"},
		"linear":         {show(linearTicks(-0.1, 0.31, Plain)), "-0.1 0 0.1 0.2 0.3"},
		"almost equal":   {show(linearTicks(1e16, 1e16+2, Plain)), "1e+16"},
		"neighbors":      {show(linearTicks(1, math.Nextafter(1, 2), Plain)), "1"},
		"equal":          {show(linearTicks(3, 3, Plain)), "3"},
		"whole range":    {show(linearTicks(-math.MaxFloat64, math.MaxFloat64, Plain)), "0"},
		"infinite":       {show(linearTicks(math.Inf(-1), math.Inf(1), Plain)), "NaN"},
		"denormal":       {show(linearTicks(0, 3e-320, Plain)), "1.5e-320"},
		"a narrow range": {show(linearTicks(1e10, 1e10+12, Plain)), "1e+10 1.0000000002e+10 1.0000000004e+10 1.0000000006e+10 1.0000000008e+10 1.000000001e+10 1.0000000012e+10"},
		"days":           {show(dateTicks(19000.5, 19004)), "2022-01-09 2022-01-10 2022-01-11 2022-01-12"},
		"months":         {show(dateTicks(19000, 19100)), "2022-02 2022-03 2022-04"},
		"years":          {show(dateTicks(17000, 20000)), "2018 2020 2022 2024"},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %s, want %s", name, test.got, test.want)
		}
	}
	for v, want := range map[float64]string{0: "0", 12: "12", 999: "999", 1000: "1k", 134515008: "135M", 999.6e6: "1B", 1.5e12: "1.5T", 2.34e16: "23400T", 6.02e23: "6.02e+23", -1.25e-9: "-1.25e-09", 2e-6: "0.000002"} {
		if got := Count(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}

// What an axis cannot show is an error that names the axis.
func TestRefused(t *testing.T) {
	for name, change := range map[string]func(*Scatter){
		"zero on a log axis": func(s *Scatter) { s.Groups[0].Points[0].X = 0 },
		"not a number":       func(s *Scatter) { s.Curves[0].Y[3] = math.NaN() },
		"no points":          func(s *Scatter) { s.Groups = nil },
	} {
		s := example()
		change(&s)
		if err := s.Write(t.TempDir(), "a", DefaultSize); err == nil || !strings.Contains(err.Error(), "figure a: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := example().Write(t.TempDir(), "a", Size{}); err == nil {
		t.Error("no error for a figure without a size")
	}
	for _, x := range []float64{1, 1e16, 1e50} {
		neighbors := Scatter{Groups: []Group{{Points: []Point{{X: x, Y: 2, Label: "one"}, {X: math.Nextafter(x, 2*x), Y: 2, Label: "next"}}}}}
		if err := neighbors.Write(t.TempDir(), "a", DefaultSize); err != nil {
			t.Error(err)
		}
	}
	single := Scatter{X: Axis{Scale: Log}, Groups: []Group{{Points: []Point{{X: 5, Y: 2, Label: "one"}}}}}
	if err := single.Write(t.TempDir(), "a", DefaultSize); err != nil {
		t.Error(err)
	}
}

func TestShown(t *testing.T) {
	if got := shown("a\n\u202eb", 20); got != `a\n\u202eb` {
		t.Errorf("got %s", got)
	}
	if got, want := shown(fmt.Sprintf("%050d", 7), 11), "00000…00007"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
