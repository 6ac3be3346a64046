//go:build torch

package tensor_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"surprisal.dev/plugins/torch/tensor"
)

// BenchmarkExperts measures a part of OLMoE's experts: 16 experts, of which each of 2,048 tokens uses two, so that each
// has as many tokens as in the whole model. It reports operations in products for each second of processor time, also
// those of the same number in one product with one matrix.
func BenchmarkExperts(b *testing.B) {
	const tokens, hidden, width, count, active = 2048, 2048, 1024, 16, 2
	tensor.SetThreads(1)
	tensor.KeepMemory()
	for name, kind := range map[string]tensor.Type{"float32": tensor.Float32, "bfloat16": tensor.BFloat16} {
		h := tensor.NewHeap()
		s := h.NewScope()
		random := rand.New(rand.NewPCG(1, 2))
		normal := func(t tensor.Type, shape ...int64) tensor.Tensor {
			values := make([]float32, shape[0]*shape[1])
			for i := range values {
				values[i] = float32(random.NormFloat64()) / 32
			}
			return s.To(tensor.New(s, values, tensor.Float32, shape...), t, tensor.CPU)
		}
		x, logits := normal(kind, tokens, hidden), normal(tensor.Float32, tokens, count)
		var experts []tensor.Expert
		for range count {
			e := tensor.Expert{In: s.Pack(normal(kind, 2*width, hidden)), Down: s.PackFloat32(normal(kind, hidden, width))}
			experts = append(experts, e)
		}
		in, down, inner := experts[0].In, experts[0].Down, normal(kind, tokens, width)
		options := tensor.ExpertsOptions{Active: active, Scale: 1}
		each := map[string]func(t *tensor.Scope){
			"experts": func(t *tensor.Scope) { t.Experts(x, logits, tensor.Tensor{}, experts, options) },
			"products": func(t *tensor.Scope) {
				for range active {
					t.Linear(x, in, tensor.Tensor{})
					t.LinearFloat32(inner, down)
				}
			},
		}
		for what, f := range each {
			b.Run(fmt.Sprintf("%s/%s", name, what), func(b *testing.B) {
				before := processorSeconds(b)
				for b.Loop() {
					t := h.NewScope()
					f(t)
					if err := t.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(6*tokens*active*hidden*width*float64(b.N)/(processorSeconds(b)-before)/1e9, "GFLOP/CPU-s")
			})
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func processorSeconds(b *testing.B) float64 {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}
