package checkpoint

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
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
		if raw, ok := x.Raw(); !ok || len(raw) != len(data) {
			t.Errorf("%v: %d bytes, %v", test.shape, len(raw), ok)
		}
	}
}
