//go:build torch && cuda

package backend

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/tensor"
)

// TestCUDA scores on a GPU, with one rank and with two, and compares the losses with this processor's. As on the CPU,
// no tensor of the GPU may leak.
func TestCUDA(t *testing.T) {
	texts := []string{"", "a", "The train was late.", strings.Repeat("It snowed for three days. ", 20), "❄️ 🚂", "\x00\n\n\t"}
	settings := protocol.Settings{Context: 64, Stride: 32}
	want := score(t, opened(t, tiny(t)), settings, texts...)
	for _, test := range []struct {
		dtype, ranks string
		tolerance    float64
	}{{"float32", "1", 1e-4}, {"float32", "2", 1e-4}, {"bfloat16", "1", 0.5}, {"bfloat16", "2", 0.5}} {
		t.Run(test.dtype+"/"+test.ranks, func(t *testing.T) {
			m := tiny(t)
			m.Config = json.RawMessage(strings.NewReplacer("float32", test.dtype, `"cpu"`, `"cuda:0"`, `"tensorParallel": 1`, `"tensorParallel": `+test.ranks).
				Replace(defaults))
			loaded := opened(t, m)
			worst, batched := 0.0, 0.0
			together := score(t, loaded, settings, texts...)
			for i, text := range texts {
				alone := score(t, loaded, settings, text)[0]
				for j, nll := range want[i].TokenNLL {
					worst = max(worst, math.Abs(nll-together[i].TokenNLL[j]))
					batched = max(batched, math.Abs(alone.TokenNLL[j]-together[i].TokenNLL[j]))
				}
			}
			t.Logf("losses differ from the processor's by %.2g nats at most, and by %.2g with other documents in the batch", worst, batched)
			if worst > test.tolerance {
				t.Errorf("losses differ from the processor's by %g nats", worst)
			}
			if live := loaded.(*model).heap.Live(); live != loaded.(*model).weights {
				t.Errorf("%d tensors, %d of them weights", live, loaded.(*model).weights)
			}
		})
	}
	m := tiny(t)
	m.Config = json.RawMessage(strings.NewReplacer(`"cpu"`, `"cuda"`, `"tensorParallel": 1`, `"tensorParallel": 64`).Replace(defaults))
	if devices := tensor.CUDADevices(); devices < 64 {
		if _, err := New().Load(t.Context(), m); err == nil || !strings.Contains(err.Error(), "cuda:0") {
			t.Errorf("64 ranks on %d GPUs: %v", devices, err)
		}
	}
}
