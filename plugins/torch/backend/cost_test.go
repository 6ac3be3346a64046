//go:build torch && models

package backend

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"surprisal.dev/plugins/protocol"
)

// processorTime returns the processor time of this process, which other programs affect less than elapsed time.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRequests measures what requests add to the processor time of a pass of SmolLM2 over a window of 463 tokens. It
// scores with and without them in turn, on one thread, and reports the least times.
func BenchmarkRequests(b *testing.B) {
	text := strings.Repeat("The train was late because it had snowed for three days, and nobody had expected it in May. ", 22)
	plain := protocol.Settings{Context: 512, Stride: 512}
	confident, top, observed := plain, plain, plain
	confident.Confidence = true
	top.Confidence, top.TopK = true, 40
	observed.ActivationThreshold = 6
	for _, dtype := range []string{"float32", "bfloat16"} {
		b.Run(dtype, func(b *testing.B) {
			model := real(b, "smollm2.gguf", dtype)
			model.Config = bytes.Replace(model.Config, []byte(`"threads": 0`), []byte(`"threads": 1`), 1)
			m := opened(b, model)
			names := []string{"plain", "confidence", "confidence+topK", "activations"}
			spent := make([][]time.Duration, len(names))
			for b.Loop() {
				for i, s := range []protocol.Settings{plain, confident, top, observed} {
					begun := processorTime(b)
					score(b, m, s, text)
					spent[i] = append(spent[i], processorTime(b)-begun)
				}
			}
			least := slices.Min(spent[0])
			b.ReportMetric(float64(least.Milliseconds()), "ms/plain")
			for i, name := range names[1:] {
				b.ReportMetric(100*float64(slices.Min(spent[i+1])-least)/float64(least), "%/"+name)
			}
		})
	}
}

// BenchmarkBatches measures how much faster two models score with two batches at a time than with one, in documents of a
// book. It scores in both ways in turn, on all threads, and reports the median of the ratios of elapsed times.
func BenchmarkBatches(b *testing.B) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatal(err)
	}
	book, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "src/testdata/Isaac.Newton-Opticks.txt"))
	if err != nil {
		b.Fatal(err)
	}
	var texts []string
	for from := 20_000; len(texts) < 12; {
		size := []int{1000, 2000, 4000}[len(texts)%3]
		texts = append(texts, string(book[from:from+size]))
		from += size
	}
	settings := protocol.Settings{Context: 2048, Stride: 2048, Confidence: true}
	for _, which := range []string{"smollm2.gguf float32", "smollm2.gguf bfloat16", "gemma3-270m.gguf float32", "gemma3-270m.gguf bfloat16"} {
		b.Run(which, func(b *testing.B) {
			file, dtype, _ := strings.Cut(which, " ")
			one, two := opened(b, real(b, file, dtype)).(*model), opened(b, real(b, file, dtype)).(*model)
			one.batches.Store(1)
			elapsed := func(m *model) time.Duration {
				begun := time.Now()
				score(b, m, settings, texts...)
				return time.Since(begun)
			}
			var ratios []float64
			for b.Loop() {
				first, second := elapsed(one), elapsed(two)
				ratios = append(ratios, float64(first)/float64(second))
				second, first = elapsed(two), elapsed(one)
				ratios = append(ratios, float64(first)/float64(second))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "times/two")
		})
	}
}
