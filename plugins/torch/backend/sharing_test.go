//go:build torch

package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/prefix"
)

// prompted returns rows with the same first 60 bytes, and then own bytes that differ.
func prompted(rows, own int) (texts []string) {
	for i := range rows {
		texts = append(texts, varied(60, 1000)+varied(own, uint64(i)))
	}
	return texts
}

// TestSharedPrompts checks that the answers for rows with a common prompt are those for each row alone, whatever the size of
// batches, and how many tokens they share. Two rows have more in common, one is the prompt alone, and two are the same.
func TestSharedPrompts(t *testing.T) {
	const own, common = 24, 18
	texts := prompted(20, own)
	texts = append(texts, texts[3][:60], texts[4], texts[5][:60+common]+"????")
	settings := protocol.Settings{Context: 128, Stride: 64, EOS: true, Confidence: true}
	for _, dtype := range []string{"float32", "bfloat16"} {
		for _, ranks := range []int{1, 2} {
			m := tiny(t)
			with := func(batch int) {
				m.Config = fmt.Appendf(nil, `{"dtype": %q, "device": "cpu", "tensorParallel": %d, "threads": 1, "batchTokens": %d}`, dtype, ranks, batch)
			}
			with(2048)
			alone := opened(t, m)
			var want []protocol.ScoredDocument
			for _, text := range texts {
				want = append(want, score(t, alone, settings, text)[0])
			}
			for _, batch := range []int{1, 7, 2048, 1 << 30} {
				with(batch)
				loaded := opened(t, m)
				for _, reverse := range []bool{false, true} {
					some, expected := slices.Clone(texts), slices.Clone(want)
					if reverse {
						slices.Reverse(some)
						slices.Reverse(expected)
					}
					shared := sameAnswers(t, score(t, loaded, settings, some...), expected, batchTolerance(dtype))
					// The prefix token and the prompt, of all rows but one, the rest of the duplicate row, and more of another.
					if all := int64(22*61 + own + common); batch >= 2048 && shared != all || shared < 5*61 {
						t.Errorf("%s, ranks: %d, batchTokens: %d: %d tokens are shared, want %d", dtype, ranks, batch, shared, all)
					}
				}
			}
		}
	}
}

// sameAnswers compares answers and returns how many tokens the first shared.
func sameAnswers(t *testing.T, got, want []protocol.ScoredDocument, tolerance float64) (shared int64) {
	t.Helper()
	for i, a := range got {
		shared += a.SharedTokens
		if d := largestDifference(want[i], a); d > tolerance {
			t.Errorf("document %d differs by %g nats", i, d)
		}
		if tolerance == 0 && (!slices.Equal(a.TokenNLL, want[i].TokenNLL) || a.EOSNLL != want[i].EOSNLL || !reflect.DeepEqual(a.Confidence, want[i].Confidence)) {
			t.Errorf("document %d has other bits", i)
		}
	}
	return shared
}

// TestSharedBatches checks that batches of windows that share tokens stay within the limits of a plan.
func TestSharedBatches(t *testing.T) {
	texts := prompted(200, 6)
	for _, test := range []struct{ budget, most int }{{1, 128}, {100, 128}, {500, 500}} {
		m := tiny(t)
		m.Config = json.RawMessage(strings.Replace(defaults, "2048", fmt.Sprint(test.budget), 1))
		var log bytes.Buffer
		ctx := hclog.WithContext(t.Context(), hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, JSONFormat: true, Output: &log}))
		err := opened(t, m).Score(ctx, protocol.Settings{Context: 128, Stride: 128}, always(documents(texts...)), func(protocol.ScoredDocument) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		windows := 0
		for lines := json.NewDecoder(&log); lines.More(); {
			var batch struct{ Windows, Tokens, Shared int }
			if err := lines.Decode(&batch); err != nil {
				t.Fatal(err)
			}
			windows += batch.Windows
			if batch.Tokens+dividedTokens*(batch.Windows-1) > test.most || batch.Windows > 1 && batch.Shared != 61*(batch.Windows-1) {
				t.Errorf("batchTokens %d: a batch %+v", test.budget, batch)
			}
		}
		if windows != len(texts) {
			t.Errorf("batchTokens %d: %d windows", test.budget, windows)
		}
	}
}

// TestEqualRows checks that a batch of rows that are all the same, which compute nothing new, still ends.
func TestEqualRows(t *testing.T) {
	loaded := opened(t, tiny(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answers := 0
	endless := func(yield func(protocol.Document, error) bool) {
		for i := int64(0); yield(protocol.Document{Index: i, Text: "It snowed for three days.", ScoreEnd: 25}, nil); i++ {
		}
	}
	err := loaded.Score(ctx, protocol.Settings{}, always(endless), func(protocol.ScoredDocument) error {
		if answers++; answers == 1000 {
			cancel()
		}
		return ctx.Err()
	})
	if answers != 1000 {
		t.Errorf("%d answers, %v", answers, err)
	}
}

// TestWindowsOfOneText checks that the windows of a long text, which begin in different ways, share nothing.
func TestWindowsOfOneText(t *testing.T) {
	text := varied(2000, 1)
	a := score(t, opened(t, tiny(t)), protocol.Settings{Context: 64, Stride: 32}, text)[0]
	if a.SharedTokens != 0 {
		t.Errorf("%d tokens are shared", a.SharedTokens)
	}
	tree := prefix.Tree{}
	for from := 0; from+64 <= len(text); from += 32 {
		tokens := make([]int32, 64)
		for i := range tokens {
			tokens[i] = int32(text[from+i])
		}
		if tree.New(tokens) != 64 {
			t.Fatal("the text repeats itself")
		}
		tree.Add(tokens)
	}
}
