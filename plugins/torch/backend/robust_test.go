//go:build torch

package backend

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/decoder"
)

// TestSameBits checks that losses and their confidence have the same bits whatever the size of batches and the number of threads.
func TestSameBits(t *testing.T) {
	texts := []string{"", "a", strings.Repeat("It snowed for three days. ", 12), "The train was late.", "❄️ 🚂", "\x00\n\n\t"}
	settings := protocol.Settings{Context: 64, Stride: 32, EOS: true, Confidence: true}
	for _, dtype := range []string{"float32", "bfloat16"} {
		for _, ranks := range []int{1, 2} {
			with := func(batch, threads int) []protocol.ScoredDocument {
				m := tiny(t)
				m.Config = fmt.Appendf(nil, `{"dtype": %q, "device": "cpu", "tensorParallel": %d, "threads": %d, "batchTokens": %d}`,
					dtype, ranks, threads, batch)
				return score(t, opened(t, m), settings, texts...)
			}
			want := with(2048, 1)
			for _, batch := range []int{1, 7, 1 << 30} {
				for _, threads := range []int{1, 2, 7} {
					for i, got := range with(batch, threads) {
						if d := largestDifference(want[i], got); d > batchTolerance(dtype) {
							t.Errorf("%s, ranks: %d, batchTokens: %d, threads: %d: document %d differs by %g nats", dtype, ranks, batch, threads, i, d)
						}
						if batchTolerance(dtype) == 0 && !reflect.DeepEqual(got.Confidence, want[i].Confidence) {
							t.Errorf("%s, ranks: %d, batchTokens: %d, threads: %d: document %d has another confidence", dtype, ranks, batch, threads, i)
						}
					}
				}
			}
		}
	}
}

// largestDifference returns the largest difference of a token's loss in nats, or infinity for other tokens.
func largestDifference(a, b protocol.ScoredDocument) float64 {
	if len(a.TokenNLL) != len(b.TokenNLL) {
		return math.Inf(1)
	}
	largest := math.Abs(a.EOSNLL - b.EOSNLL)
	for i, nll := range a.TokenNLL {
		largest = max(largest, math.Abs(nll-b.TokenNLL[i]))
	}
	return largest
}

// pathological returns texts of about size bytes that have been difficult for tokenizers.
func pathological(size int) map[string]string {
	random := rand.New(rand.NewPCG(1, 2))
	repeat := func(text string) string { return strings.Repeat(text, size/len(text)) }
	noise := make([]byte, size*3/4)
	digits := make([]byte, size)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for i := range digits {
		digits[i] = '0' + byte(random.IntN(10))
	}
	return map[string]string{
		"spaces":                  repeat(" "),
		"one letter":              repeat("a"),
		"halves of emoji":         repeat("\xf0\x9f🚂\x9a\x82"),
		"NULs":                    repeat("\x00"),
		"invalid UTF-8":           string(noise),
		"combining marks":         "e" + repeat("\u0301\u0308"),
		"CJK":                     repeat("雪が三日間降った。"),
		"right to left":           repeat("ירד שלג שלושה ימים \u202eتساقط الثلج\u202c "),
		"base64":                  base64.StdEncoding.EncodeToString(noise),
		"a line of digits":        string(digits),
		"newlines":                repeat("\n\r\n\n"),
		"names of special tokens": repeat("<|endoftext|><s></s>[CLS]<bos><|im_start|>\u2581"),
	}
}

// TestPathologicalTexts checks that the tokens of texts of 1 MB tile them, with a loss for every byte, and that shorter
// ones are scored.
func TestPathologicalTexts(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
	defer stop()
	settings := protocol.Settings{Context: 128, Stride: 128}
	tiling := opened(t, tiny(t)).(*model)
	tiling.decoder = constantComputer{tiling.decoder}
	tilesPathological(ctx, t, tiling, settings, 1_000_000)
	tilesPathological(ctx, t, opened(t, tiny(t)).(*model), settings, 10_000)
}

// constantComputer has a loss of one nat for every token.
type constantComputer struct{ predictor }

func (constantComputer) Predict(_ context.Context, sequences []decoder.Sequence, _ decoder.Wanted) (p decoder.Predictions, err error) {
	for _, s := range sequences {
		for range len(s.Tokens) - max(s.From, 1) {
			p.Losses = append(p.Losses, 1)
		}
	}
	return p, nil
}

// tilesPathological scores pathological texts.
func tilesPathological(ctx context.Context, t *testing.T, m *model, s protocol.Settings, size int) {
	t.Helper()
	for name, text := range pathological(size) {
		answers, unscored := 0, int32(0)
		err := m.Score(ctx, s, always(documents(text)), func(a protocol.ScoredDocument) error {
			answers++
			for _, u := range a.Unscored {
				unscored += u.End - u.Start
			}
			return protocol.Check(protocol.Document{Text: text, ScoreEnd: int32(len(text))}, a, m.Describe())
		})
		if !utf8.ValidString(text) {
			if err == nil || !strings.Contains(err.Error(), "not valid UTF-8") {
				t.Errorf("%s: found %v", name, err)
			}
			continue
		}
		if err != nil || answers != 1 {
			t.Errorf("%s: %d answers, %v", name, answers, err)
		}
		if unscored > 0 {
			t.Logf("%s: no loss for %d of %d bytes", name, unscored, len(text))
		}
	}
}
