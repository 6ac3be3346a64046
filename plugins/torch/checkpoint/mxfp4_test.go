package checkpoint

import (
	"math"
	"os"
	"strings"
	"testing"

	"surprisal.dev/plugins/torch/family"
	"surprisal.dev/plugins/torch/graph"
)

// TestMXFP4 compares the elements of blocks with all scales and codes, in both layouts, with those that transformers and
// the gguf package decode, bit for bit.
func TestMXFP4(t *testing.T) {
	const path = "../../../testdata/torch/mxfp4.safetensors"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := parseSafetensors(path, data)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]stored{}
	for _, s := range list {
		files[s.name] = s
	}
	const height, width = 256, 32
	shape := []int64{height, width}
	for _, test := range []struct {
		name, want string
		from       stored
	}{
		{"blocks", "values", stored{typ: MXFP4Blocks, shape: shape, data: files["blocks"].data, scales: files["scales"].data}},
		{"ggml", "ggml_values", stored{typ: MXFP4, shape: shape, data: files["ggml"].data}},
	} {
		x := Tensor{Name: test.name, Type: test.from.typ, Shape: shape, from: test.from}
		want := files[test.want]
		expected, got := make([]float32, height*width), make([]float32, height*width)
		want.decode(want.typ, expected, 0, height*width)
		if err := x.Float32(got); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(expected[i]) {
				t.Fatalf("%s: element %d with scale %d is %v, want %v", test.name, i%width, i/width, got[i], expected[i])
			}
		}
	}
}

// TestMXFP4Layout checks that blocks of a wrong length, and scales that do not fit them, are rejected by name, and that
// blocks are read as rows of 32 elements each.
func TestMXFP4Layout(t *testing.T) {
	bytes := func(name string, shape ...int64) stored {
		n, _ := graph.Elements(shape)
		return stored{name: name, file: "model.safetensors", typ: "U8", shape: shape, data: make([]byte, n)}
	}
	for _, test := range []struct {
		blocks, scales stored
		want           string
	}{
		{bytes("w_blocks", 2, 4, 3, 16), bytes("w_scales", 2, 4, 3), ""},
		{bytes("w_blocks", 2, 4, 3, 8), bytes("w_scales", 2, 4, 3), `tensor "w_blocks" has type U8 and shape [2 4 3 8]; MXFP4 has blocks of 16 bytes`},
		{bytes("w_blocks", 2, 4, 3, 16), bytes("w_scales", 2, 4, 2), `tensor "w_scales" has type U8 and shape [2 4 2]; MXFP4 has a scale of type U8 for each block of "w_blocks": [2 4 3]`},
		{bytes("w_blocks", 16), bytes("w_scales"), `shape [16]; MXFP4 has blocks`},
		{bytes("w.blocks", 2, 4, 3, 16), bytes("w.scales", 2, 4, 3), ""},
		{bytes("w.blocks", 2, 4, 3, 15), bytes("w.scales", 2, 4, 3), `tensor "w.blocks" has type U8 and shape [2 4 3 15]; MXFP4 has blocks of 16 bytes`},
	} {
		files := map[string]stored{test.blocks.name: test.blocks, test.scales.name: test.scales}
		err := joinBlocks(files)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v and %v: %v does not say %q", test.blocks.shape, test.scales.shape, err, test.want)
		}
		if err == nil {
			equalShapes(t, files["w"].shape, []int64{2, 4, 96})
		}
	}
	twice := map[string]stored{"w_blocks": bytes("w_blocks", 2, 4, 3, 16), "w_scales": bytes("w_scales", 2, 4, 3), "w": bytes("w", 1)}
	if err := joinBlocks(twice); err == nil || !strings.Contains(err.Error(), "are the same weights") {
		t.Errorf("weights twice: %v", err)
	}
}

func equalShapes(t *testing.T, got, want []int64) {
	t.Helper()
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("shape %v, want %v", got, want)
	}
}

// TestTransposedMatrices reads several matrices that are stored transposed, with the columns of two parameters in turn.
func TestTransposedMatrices(t *testing.T) {
	// Two experts [3 inputs, 4 columns], of which every second is this parameter's.
	data := make([]byte, 0, 4*24)
	for i := range 24 {
		bits := math.Float32bits(float32(i))
		data = append(data, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
	}
	x := Tensor{
		Name: "x", Type: F32, Shape: []int64{2, 2, 3}, from: stored{typ: F32, shape: []int64{2, 3, 4}, data: data},
		view: family.View{Transposed: true, Row: func(r int64) int64 { return 2*r + 1 }},
	}
	got := make([]float32, 12)
	if err := x.Float32(got); err != nil {
		t.Fatal(err)
	}
	for i, want := range []float32{1, 5, 9, 3, 7, 11, 13, 17, 21, 15, 19, 23} {
		if got[i] != want {
			t.Errorf("element %d is %v, want %v", i, got[i], want)
		}
	}
	block := make([]float32, 4)
	if err := x.Block(block, graph.Span{From: 1, To: 3}, graph.Span{From: 1, To: 3}); err != nil || block[0] != 7 || block[1] != 11 || block[2] != 17 || block[3] != 21 {
		t.Errorf("block %v, %v", block, err)
	}
}
