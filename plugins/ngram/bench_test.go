package ngram

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"surprisal.dev/plugins/protocol"
)

// goSources returns the sources of the standard library's packages about Go, some 2 MB, one document per file.
func goSources(tb testing.TB) []string {
	tb.Helper()
	var texts []string
	err := filepath.WalkDir(filepath.Join(standardLibrary(tb), "go"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		texts = append(texts, string(text))
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return texts
}

// benchmarkModels are the models of the benchmarks, as configurations.
func benchmarkModels() []string {
	return []string{
		`{"order": 5, "tokens": "bytes"}`,
		`{"order": 3, "tokens": "words"}`,
		`{"order": 5, "tokens": "words"}`,
	}
}

func benchmarkTexts(b *testing.B) map[string][2][]string {
	source := goSources(b)
	var halves [2][]string
	for i, text := range source { // neighbors are alike, so that each half has seen the like of the other
		halves[i%2] = append(halves[i%2], text)
	}
	book := opticks(b)
	return map[string][2][]string{
		"go":      halves,
		"opticks": {{book[:len(book)/2]}, {book[len(book)/2:]}},
	}
}

func size(texts []string) (n int64) {
	for _, text := range texts {
		n += int64(len(text))
	}
	return n
}

func BenchmarkTrain(b *testing.B) {
	for name, texts := range benchmarkTexts(b) {
		for _, config := range benchmarkModels() {
			b.Run(fmt.Sprintf("%s/%s", name, config), func(b *testing.B) {
				b.SetBytes(size(texts[0]))
				b.ReportAllocs()
				for b.Loop() {
					m := protocol.Model{Config: []byte(config)}
					if err := (backend{}).Train(b.Context(), m, documents(texts[0]...), io.Discard); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for name, texts := range benchmarkTexts(b) {
		for _, config := range benchmarkModels() {
			b.Run(fmt.Sprintf("%s/%s", name, config), func(b *testing.B) {
				var file bytes.Buffer
				if err := (backend{}).Train(b.Context(), protocol.Model{Config: []byte(config)}, documents(texts[0]...), &file); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(file.Len()))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := readFile(file.Bytes()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkScore(b *testing.B) {
	for name, texts := range benchmarkTexts(b) {
		for _, config := range benchmarkModels() {
			b.Run(fmt.Sprintf("%s/%s", name, config), func(b *testing.B) {
				m := trained(b, config, texts[0]...)
				b.SetBytes(size(texts[1]))
				b.ReportAllocs()
				var nats float64
				for b.Loop() {
					nats = 0
					err := m.Score(b.Context(), protocol.Settings{}, always(documents(texts[1]...)), func(d protocol.ScoredDocument) error {
						nats += d.TotalNLL
						return nil
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(bitsPerByte(nats, size(texts[1])), "bpb")
			})
		}
	}
}

// BenchmarkConfidence scores without confidence and with it, in turn. It reports the least processor time of each per
// token, which depends less on other work of the machine than the mean, and the time in which the ranker is made.
func BenchmarkConfidence(b *testing.B) {
	for name, texts := range benchmarkTexts(b) {
		for _, config := range benchmarkModels() {
			b.Run(fmt.Sprintf("%s/%s", name, config), func(b *testing.B) {
				m := trained(b, config, texts[0]...)
				started := processorTime(b)
				m.ranker()
				making := processorTime(b) - started
				var least [2]float64
				for b.Loop() {
					for i, s := range []protocol.Settings{{}, {Confidence: true}} {
						if spent := perToken(b, m, s, texts[1]); least[i] == 0 || spent < least[i] {
							least[i] = spent
						}
					}
				}
				b.ReportMetric(float64(making.Milliseconds()), "ranker-ms")
				b.ReportMetric(least[0], "ns/token")
				b.ReportMetric(least[1]-least[0], "more-ns/token")
			})
		}
	}
}

// BenchmarkTopK scores with the mass of top tokens.
func BenchmarkTopK(b *testing.B) {
	for name, texts := range benchmarkTexts(b) {
		for _, config := range benchmarkModels() {
			b.Run(fmt.Sprintf("%s/%s", name, config), func(b *testing.B) {
				m := trained(b, config, texts[0]...)
				var spent float64
				for b.Loop() {
					spent = perToken(b, m, protocol.Settings{Confidence: true, TopK: 40}, texts[1])
				}
				b.ReportMetric(spent, "ns/token")
			})
		}
	}
}

// perToken scores texts and returns the nanoseconds of processor time that a token takes.
func perToken(b *testing.B, m model, s protocol.Settings, texts []string) float64 {
	b.Helper()
	var tokens int
	started := processorTime(b)
	err := m.Score(b.Context(), s, always(documents(texts...)), func(d protocol.ScoredDocument) error {
		tokens += len(d.TokenIDs)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return float64((processorTime(b) - started).Nanoseconds()) / float64(tokens)
}

// processorTime returns the processor time of this process.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}
