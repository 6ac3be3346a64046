package graph

import "testing"

// TestMeanKeys compares the mean number of keys of windows and of chunks with a count.
func TestMeanKeys(t *testing.T) {
	for _, test := range []struct{ context, window, chunk int }{
		{10, 0, 0}, {10, 3, 0}, {10, 0, 4}, {12, 0, 4}, {3, 0, 4}, {4, 0, 4}, {9, 0, 1},
	} {
		keys := 0
		for q := range test.context {
			for k := range q + 1 {
				if (test.window == 0 || q-k < test.window) && (test.chunk == 0 || q/test.chunk == k/test.chunk) {
					keys++
				}
			}
		}
		want := float64(keys) / float64(test.context)
		if got := (Attention{Window: test.window, Chunk: test.chunk}).meanKeys(test.context); got != want {
			t.Errorf("%+v: %v keys, want %v", test, got, want)
		}
	}
}
