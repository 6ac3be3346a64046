package checkpoint

import (
	"encoding/binary"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"surprisal.dev/plugins/torch/family"
	"surprisal.dev/plugins/torch/graph"
)

// TestDimensions reads tensors of one to four dimensions: a row is the last dimension, and all others count rows.
func TestDimensions(t *testing.T) {
	all := make([]float32, 48)
	var data []byte
	for i := range all {
		all[i] = float32(i)
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(all[i]))
	}
	for _, test := range []struct {
		shape []int64
		width int64
	}{{[]int64{48}, 1}, {[]int64{6, 8}, 8}, {[]int64{2, 3, 8}, 8}, {[]int64{2, 2, 3, 4}, 4}} {
		x := Tensor{Name: "x", Type: F32, Shape: test.shape, from: stored{shape: test.shape, data: data}}
		if x.Elements() != 48 {
			t.Errorf("%v has %d elements", test.shape, x.Elements())
		}
		got := make([]float32, 48)
		if err := x.Float32(got); err != nil || !slices.Equal(got, all) {
			t.Errorf("%v: %v, %v", test.shape, got, err)
		}
		rows := make([]float32, 2*test.width)
		if err := x.Rows(rows, 4, 6); err != nil || !slices.Equal(rows, all[4*test.width:6*test.width]) {
			t.Errorf("%v: rows 4 and 5 are %v, %v", test.shape, rows, err)
		}
		if raw, ok := x.Raw(graph.Span{To: 48 / test.width}); !ok || len(raw) != len(data) {
			t.Errorf("%v: %d bytes, %v", test.shape, len(raw), ok)
		}
	}
}

// TestBlocks compares blocks of matrices of all types, which are decoded on several cores, with the elements of a
// single call of the type's decoder.
func TestBlocks(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(7))
	random := rand.New(rand.NewPCG(1, 2))
	const height, width = 301, 1024
	reverse := func(r int64) int64 { return height - 1 - r }
	for typ, f := range formats {
		if f.decode == nil {
			continue // its scales are in another tensor: TestMXFP4
		}
		all, data := randomTensor(random, f, height*width)
		from := stored{shape: []int64{height, width}, data: data}
		views := map[string]family.View{"all rows": {}, "rows in reverse": {Row: reverse}}
		if f.elements == 1 {
			views["transposed"] = family.View{Transposed: true}
		}
		for name, view := range views {
			x := Tensor{Name: name, Type: typ, Shape: []int64{height, width}, from: from, view: view}
			if view.Transposed {
				x.Shape = []int64{width, height}
			}
			element := func(r, c int64) float32 {
				switch {
				case view.Transposed:
					return all[c*width+r]
				case view.Row != nil:
					return all[reverse(r)*width+c]
				}
				return all[r*width+c]
			}
			for _, rows := range []graph.Span{{From: 0, To: x.Shape[0]}, {From: 3, To: x.Shape[0] - 2}, {From: 5, To: 6}, {From: 7, To: 7}} {
				for _, columns := range []graph.Span{{From: 0, To: x.Shape[1]}, {From: 40, To: 290}} {
					columns = x.Whole(columns)
					got := make([]float32, rows.Len()*columns.Len())
					if err := x.Block(got, rows, columns); err != nil {
						t.Fatal(err)
					}
					for i, value := range got {
						r, c := rows.From+int64(i)/columns.Len(), columns.From+int64(i)%columns.Len()
						if want := element(r, c); math.Float32bits(value) != math.Float32bits(want) {
							t.Fatalf("%s, %s, rows %v, columns %v: element %d of row %d is %v, want %v", typ, name, rows, columns, c, r, value, want)
						}
					}
				}
			}
		}
	}
}

// randomTensor returns n random elements of a type, and the bytes that store them.
func randomTensor(random *rand.Rand, f format, n int64) ([]float32, []byte) {
	data := make([]byte, n/f.elements*f.bytes)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	all := make([]float32, n)
	f.decode(all, data)
	return all, data
}

func TestBlockRefuses(t *testing.T) {
	x := Tensor{Name: "x", Type: Q8_0, Shape: []int64{4, 64}, from: stored{shape: []int64{4, 64}, data: make([]byte, 4*2*34)}}
	if got, want := x.Whole(graph.Span{From: 33, To: 33}), (graph.Span{From: 32, To: 64}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	for _, columns := range []graph.Span{{From: 1, To: 33}, {From: 0, To: 33}, {From: -32, To: 0}, {From: 32, To: 96}, {From: 32, To: 0}} {
		if err := x.Block(make([]float32, max(columns.Len(), 0)), graph.Span{From: 0, To: 1}, columns); err == nil {
			t.Errorf("columns %v of blocks of 32 are decoded", columns)
		}
	}
}

func BenchmarkRows(b *testing.B) {
	const height, width = 1024, 4096
	for _, typ := range slices.Sorted(maps.Keys(formats)) {
		_, data := randomTensor(rand.New(rand.NewPCG(1, 2)), formats[typ], height*width)
		x := Tensor{Name: "x", Type: typ, Shape: []int64{height, width}, from: stored{shape: []int64{height, width}, data: data}}
		dst := make([]float32, height*width)
		b.Run(string(typ), func(b *testing.B) {
			b.SetBytes(int64(len(dst))) // elements
			for b.Loop() {
				if err := x.Float32(dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
