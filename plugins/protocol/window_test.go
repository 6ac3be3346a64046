package protocol

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestResolve(t *testing.T) {
	for name, test := range map[string]struct {
		settings Settings
		limit    int64
		want     Settings
		problem  string
	}{
		"defaults": {
			want: Settings{Prefix: "bos", Anchor: "tokens", Context: 4096, Stride: 2048},
		},
		"a model that sees little": {
			limit: 512,
			want:  Settings{Prefix: "bos", Anchor: "tokens", Context: 512, Stride: 256},
		},
		"a model that sees much": {
			limit: 100_000,
			want:  Settings{Prefix: "bos", Anchor: "tokens", Context: 4096, Stride: 2048},
		},
		"all said": {
			settings: Settings{Prefix: "first", Anchor: "bytes", Context: 9, Stride: 3, EOS: true}, limit: 4,
			want: Settings{Prefix: "first", Anchor: "bytes", Context: 9, Stride: 3, EOS: true},
		},
		"a context of one token": {
			settings: Settings{Context: 1},
			want:     Settings{Prefix: "bos", Anchor: "tokens", Context: 1, Stride: 1},
		},
		"as much as the model sees": {
			settings: Settings{Context: 512}, limit: 512,
			want: Settings{Prefix: "bos", Anchor: "tokens", Context: 512, Stride: 256},
		},
		"an odd context": {
			settings: Settings{Prefix: "none", Context: 5},
			want:     Settings{Prefix: "none", Anchor: "tokens", Context: 5, Stride: 2},
		},
		"a stride as long as the context": {
			settings: Settings{Context: 8, Stride: 8},
			want:     Settings{Prefix: "bos", Anchor: "tokens", Context: 8, Stride: 8},
		},
		"the longest stride without a prefix": {
			settings: Settings{Prefix: "first", Context: 8, Stride: 7},
			want:     Settings{Prefix: "first", Anchor: "tokens", Context: 8, Stride: 7},
		},
		"a model that sees one token": {
			limit: 1,
			want:  Settings{Prefix: "bos", Anchor: "tokens", Context: 1, Stride: 1},
		},
		"bytes, whose windows the model's limit does not bound": {
			settings: Settings{Anchor: "bytes", Context: 513}, limit: 512,
			want: Settings{Prefix: "bos", Anchor: "bytes", Context: 513, Stride: 256},
		},
		"a range": {
			settings: Settings{Prefix: "none", Context: 5, Stride: 3, Anchor: "bytes", Range: TokenRange{10, 12, 522}, Confidence: true, TopK: 40}, limit: 512,
			want: Settings{Prefix: "none", Anchor: "tokens", Context: 512, Stride: 512, Range: TokenRange{10, 12, 522}, Confidence: true, TopK: 40},
		},
		"a range of one token": {
			settings: Settings{Prefix: "first", Range: TokenRange{0, 0, 1}, ActivationThreshold: 6},
			want:     Settings{Prefix: "first", Anchor: "tokens", Context: 1, Stride: 1, Range: TokenRange{0, 0, 1}, ActivationThreshold: 6},
		},
		"a range that is too long": {
			settings: Settings{Range: TokenRange{1, 2, 514}}, limit: 512,
			problem: "the range [1, 514) has 513 tokens, more than the model's maximum of 512; lower its number of tokens to 512",
		},
		"a range below 0":              {settings: Settings{Range: TokenRange{-1, 0, 5}}, problem: "reads the tokens [-1, 5) and scores those from 0 on"},
		"a range that ends too early":  {settings: Settings{Range: TokenRange{1, 5, 5}}, problem: "0 <= from <= score < to"},
		"a range scored before itself": {settings: Settings{Range: TokenRange{4, 3, 5}}, problem: "0 <= from <= score < to"},
		"a range and the end of text":  {settings: Settings{EOS: true, Range: TokenRange{0, 0, 5}}, problem: "set eos to false"},
		"a range with a wrong prefix":  {settings: Settings{Prefix: "eos", Range: TokenRange{0, 0, 5}}, problem: `prefix "eos"`},
		"top k without confidence":     {settings: Settings{TopK: 40}, problem: "topK 40 without confidence; request confidence too"},
		"negative top k":               {settings: Settings{TopK: -1, Confidence: true}, problem: "topK -1; it must be between 1 and 1024"},
		"too many top tokens":          {settings: Settings{TopK: 1025, Confidence: true}, problem: "topK 1025"},
		"a threshold below 0":          {settings: Settings{ActivationThreshold: -1}, problem: "activationThreshold -1; it must be a positive number"},
		"a threshold without bounds":   {settings: Settings{ActivationThreshold: math.Inf(1)}, problem: "activationThreshold +Inf"},
		"no number as a threshold":     {settings: Settings{ActivationThreshold: math.NaN()}, problem: "activationThreshold NaN"},
		"unknown prefix":               {settings: Settings{Prefix: "eos"}, problem: `prefix "eos"; it must be "bos", "first" or "none"`},
		"unknown anchor":               {settings: Settings{Anchor: "words"}, problem: `anchor "words"; it must be "tokens" or "bytes"`},
		"negative context":             {settings: Settings{Context: -1}, problem: "context -1; it must be at least 1"},
		"context too long":             {settings: Settings{Context: 513}, limit: 512, problem: "context 513 exceeds the model's maximum of 512 tokens"},
		"negative stride":              {settings: Settings{Context: 8, Stride: -1}, problem: "stride -1; it must be between 1 and the context, 8"},
		"stride too long":              {settings: Settings{Context: 8, Stride: 9}, problem: "stride 9; it must be between 1 and the context, 8"},
		"nothing to the left of a window's first token": {
			settings: Settings{Prefix: "none", Context: 8, Stride: 8}, problem: `with prefix "none" and stride 8`,
		},
		"nothing to the left of any token": {
			settings: Settings{Prefix: "first", Context: 1}, problem: `with prefix "first" and stride 1`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.settings.Resolve(test.limit)
			if test.problem != "" {
				if err == nil || KindOf(err) != InvalidInput || !strings.Contains(err.Error(), test.problem) {
					t.Fatalf("got %v, want %q", err, test.problem)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestWindows(t *testing.T) {
	for name, test := range map[string]struct {
		anchor          string
		context, stride int64
		starts          []int32
		want            []Window
	}{
		"no tokens":                 {AnchorTokens, 4, 2, nil, nil},
		"one window":                {AnchorTokens, 4, 2, []int32{0, 3, 5, 9}, []Window{{0, 0, 4}}},
		"overlapping windows":       {AnchorTokens, 4, 2, []int32{0, 3, 5, 9, 11, 12, 20}, []Window{{0, 0, 4}, {2, 4, 6}, {4, 6, 7}}},
		"no overlap":                {AnchorTokens, 2, 2, []int32{0, 3, 5}, []Window{{0, 0, 2}, {2, 2, 3}}},
		"bytes":                     {AnchorBytes, 4, 2, []int32{0, 1, 2, 3, 4, 5, 6}, []Window{{0, 0, 4}, {2, 4, 6}, {4, 6, 7}}},
		"a token across the start":  {AnchorBytes, 4, 2, []int32{0, 1, 3, 4}, []Window{{0, 0, 3}, {1, 3, 4}}},
		"a token of many windows":   {AnchorBytes, 4, 2, []int32{0, 1, 100, 101}, []Window{{0, 0, 2}, {1, 2, 4}}},
		"tokens without bytes":      {AnchorBytes, 2, 1, []int32{0, 1, 1, 2, 2, 3}, []Window{{0, 0, 3}, {1, 3, 5}, {3, 5, 6}}},
		"a context past all text":   {AnchorBytes, 1 << 62, 1, []int32{0, 1, 1 << 30}, []Window{{0, 0, 3}}},
		"tokens, context past them": {AnchorTokens, 1 << 62, 1 << 62, []int32{0, 1}, []Window{{0, 0, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Settings{Anchor: test.anchor, Context: test.context, Stride: test.stride}.Resolve(0)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, slices.Collect(s.Windows(test.starts))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every token is scored once, in order, with sufficient context to its left, in windows that are no longer than the
// context.
func TestWindowsScoreEachTokenOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Settings{Prefix: PrefixBOS, Anchor: rapid.SampledFrom([]string{AnchorTokens, AnchorBytes}).Draw(t, "anchor")}
		s.Context = rapid.Int64Range(1, 20).Draw(t, "context")
		s.Stride = rapid.Int64Range(1, s.Context).Draw(t, "stride")
		var starts []int32
		at := int32(0)
		lengths := rapid.SliceOfN(rapid.Int32Range(1, 30), 0, 60).Draw(t, "lengths")
		for _, length := range lengths {
			starts = append(starts, at)
			at += length
		}
		position := func(token int) int64 {
			if s.Anchor == AnchorTokens {
				return int64(token)
			}
			return int64(starts[token])
		}
		scored := 0
		for w := range s.Windows(starts) {
			if w.Score != scored || w.End <= w.Score || w.Start > w.Score || w.End > len(starts) {
				t.Fatalf("window %+v after %d scored tokens", w, scored)
			}
			scored = w.End
			if int64(w.End-w.Start) > s.Context {
				t.Fatalf("window %+v has more tokens than the context", w)
			}
			if w.Score == 0 {
				continue
			}
			if left := position(w.Score) - position(w.Start); left < s.Context-s.Stride {
				t.Fatalf("window %+v has %d to the left of its first scored token", w, left)
			}
			if w.Start+1 < w.End && position(w.End-1)-position(w.Start+1) >= s.Context {
				t.Fatalf("window %+v is longer than the context", w)
			}
		}
		if scored != len(starts) {
			t.Fatalf("%d of %d tokens scored", scored, len(starts))
		}
	})
}

// TestRangeWindows checks that a range is one window, cut at the document's end, and none where nothing is scored.
func TestRangeWindows(t *testing.T) {
	for _, test := range []struct {
		tokens int
		want   []Window
	}{{0, nil}, {3, nil}, {5, nil}, {6, []Window{{3, 5, 6}}}, {8, []Window{{3, 5, 8}}}, {9, []Window{{3, 5, 8}}}} {
		s, err := Settings{Range: TokenRange{3, 5, 8}}.Resolve(0)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Collect(s.Windows(make([]int32, test.tokens))); !slices.Equal(got, test.want) {
			t.Errorf("%d tokens have the windows %v, want %v", test.tokens, got, test.want)
		}
	}
}
