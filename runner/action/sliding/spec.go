package sliding

import (
	"cmp"
	_ "embed"
	"slices"

	"surprisal.dev/runner/action/windows"
	"surprisal.dev/runner/spec"
)

//go:embed schema.cue
var schema []byte

// Entry is an entry of the section.
type Entry struct {
	Name     string          `json:"name"`
	Models   []string        `json:"models"`
	Datasets []string        `json:"datasets"`
	Slicing  windows.Slicing `json:"slicing"`
	Refine   *windows.Refine `json:"refine,omitempty"`
	Figure   Figure          `json:"figure"`
	// At has the position of each model.
	At []spec.Position `json:"at"`
}

// Figure is the appearance of the strip.
type Figure struct {
	// Width and Height are in inches; Height 0 depends on the text.
	Width    float64 `json:"width"`
	Height   float64 `json:"height,omitempty"`
	DPI      int64   `json:"dpi"`
	ColorMap string  `json:"colorMap"`
}

// mostPixels bounds the size of the strip in pixels: 400 MB of memory.
const mostPixels = 100_000_000

// Section implements action.Sectioner.
func (Kind) Section() spec.Section {
	return spec.Section{Kind: name, CUE: schema, Decode: func(d spec.Decoding) any { return decode(d) }}
}

func decode(d spec.Decoding) []Entry {
	var entries []Entry
	var names []spec.Named
	for called, n := range d.Field(name).Fields() {
		names = append(names, spec.Named{Name: called, At: n})
		e := Entry{Name: called, Datasets: d.Match(n.Field("datasets"))}
		list := n.Field("models")
		for i, m := range d.Models(list) {
			e.Models = append(e.Models, m.Name)
			if m.Scores != nil {
				d.Fail(list, "model %d, %q, has imported scores; windows need a model with a backend", i+1, m.Name)
			}
		}
		for _, m := range list.Elements() {
			e.At = append(e.At, d.Position(m))
		}
		e.decodeSlicing(d, n)
		e.decodeFigure(d, n.Field("figure"))
		entries = append(entries, e)
	}
	d.CheckNames(name, names)
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries
}

// decodeSlicing decodes and checks what defines the windows.
func (e *Entry) decodeSlicing(d spec.Decoding, n spec.Node) {
	s := &e.Slicing
	s.SliceLength, s.ChunkTokens = n.Field("sliceLength").Number(), n.Field("chunkTokens").Number()
	s.CursorInc, s.CursorUnit, s.TopK = n.Field("cursorInc").Number(), n.Field("cursorUnit").Text(), n.Field("topK").Number()
	prompt := n.Field("promptTokens")
	if s.PromptTokens = s.ChunkTokens / 2; prompt.Set() {
		s.PromptTokens = prompt.Number()
	}
	if !d.Conforms() {
		return
	}
	if s.PromptTokens >= s.ChunkTokens {
		d.Fail(prompt, "a prompt of %d tokens leaves no suffix of a window of %d; lower promptTokens, or raise chunkTokens", s.PromptTokens, s.ChunkTokens)
	}
	refine := n.Field("refine")
	if !refine.Set() {
		return
	}
	e.Refine = &windows.Refine{Above: refine.Field("above").Decimal(), Stride: refine.Field("stride").Number()}
	if e.Refine.Stride >= s.CursorInc {
		d.Fail(refine, "a stride of %d adds no windows between cursors at a distance of %d; lower stride, or remove refine", e.Refine.Stride, s.CursorInc)
	}
}

func (e *Entry) decodeFigure(d spec.Decoding, n spec.Node) {
	e.Figure = Figure{Width: 8, DPI: 100, ColorMap: "Kindlmann"}
	if !n.Set() || !d.Conforms() {
		return
	}
	e.Figure = Figure{
		Width: n.Field("width").Decimal(), Height: n.Field("height").Decimal(), DPI: n.Field("dpi").Number(),
		ColorMap: n.Field("colorMap").Text(),
	}
	dpi := float64(e.Figure.DPI)
	if pixels := e.Figure.Width * dpi * max(e.Figure.Height, rowsHeight(mostRows)) * dpi; pixels > mostPixels {
		d.Fail(n, "the strip may have %.3g pixels, more than the limit of %.3g; lower width, height or dpi", pixels, float64(mostPixels))
	}
}
