//go:build torch

package tensor

import (
	"fmt"
	"testing"
)

func BenchmarkAttend(b *testing.B) {
	SetThreads(2)
	for _, c := range []struct{ heads, keys, size, window int64 }{{9, 3, 64, 0}, {4, 1, 256, 0}, {4, 1, 256, 512}} {
		for _, kind := range []Type{Float32, BFloat16} {
			for _, reference := range []bool{false, true} {
				b.Run(fmt.Sprint(c, kind, reference), func(b *testing.B) {
					h := NewHeap()
					s := h.NewScope()
					q := s.To(New(s, make([]float32, 2048*c.heads*c.size), Float32, 2048, c.heads, c.size), kind, CPU)
					k := s.To(New(s, make([]float32, 2048*c.keys*c.size), Float32, 2048, c.keys, c.size), kind, CPU)
					for b.Loop() {
						t := h.NewScope()
						t.Attention(q, k, k, NewSequences(t, []int64{1024, 2048}, CPU), AttentionOptions{Scale: 1, Window: c.window, Reference: reference})
						if err := t.Close(); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(4*float64(c.heads*c.size)*2048*512*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
					if err := s.Close(); err != nil {
						b.Fatal(err)
					}
				})
			}
		}
	}
}
