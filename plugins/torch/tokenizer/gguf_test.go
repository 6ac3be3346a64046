package tokenizer

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
)

func TestRebuildRefuses(t *testing.T) {
	good := map[string]any{
		"general.architecture": "llama", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
		"tokenizer.ggml.tokens": []string{"<s>", "a", "b", "ab"}, "tokenizer.ggml.token_type": []int32{3, 1, 1, 1},
		"tokenizer.ggml.merges": []string{"a b"}, "tokenizer.ggml.bos_token_id": uint32(0), "tokenizer.ggml.eos_token_id": int64(3),
	}
	if r, err := rebuild(good); err != nil || len(r.tokens) != 4 || r.bos != 0 || r.eos != 3 {
		t.Fatalf("%d tokens, BOS %d, EOS %d, %v", len(r.tokens), r.bos, r.eos, err)
	}
	// Qwen's tokenizers have no beginning-of-text token, whatever config.json contains.
	for flag, want := range map[any]int32{nil: -1, false: -1, true: 0} {
		qwen := maps.Clone(good)
		qwen["tokenizer.ggml.pre"], qwen["tokenizer.ggml.add_bos_token"] = "qwen2", flag
		if r, err := rebuild(qwen); err != nil || r.bos != want || r.eos != 3 {
			t.Errorf("add_bos_token %v: BOS %d, EOS %d, %v; want BOS %d", flag, r.bos, r.eos, err, want)
		}
	}
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"tokenizer.ggml.add_space_prefix", true, "add_space_prefix is true"},
		{"tokenizer.ggml.model", "t5", `tokenizer.ggml.model is "t5"`},
		{"tokenizer.ggml.model", nil, `the file has none: tokenizer.ggml.model is missing; supported are "gpt2" and "llama"`},
		{"tokenizer.ggml.pre", "deepseek-llm", `tokenizer.ggml.pre is "deepseek-llm"`},
		{"tokenizer.ggml.pre", "default", `tokenizer.ggml.pre is "default"`},
		{"tokenizer.ggml.tokens", nil, "tokenizer.ggml.tokens has 0 strings"},
		{"tokenizer.ggml.token_type", []int32{1}, "tokenizer.ggml.token_type 1 numbers"},
		{"tokenizer.ggml.token_type", []int32{3, 1, 1, 9}, `token 3, "ab", is of type 9`},
		{"tokenizer.ggml.tokens", []string{"<s>", "a", "b", "a"}, `the tokens 1 and 3 are both "a"`},
		{"tokenizer.ggml.tokens", []string{"<s>", "a", "b", "\xff"}, `token 3, "\xff", is not valid UTF-8`},
		{"tokenizer.ggml.merges", nil, "tokenizer.ggml.merges contains no strings"},
		{"tokenizer.ggml.merges", []string{"ab"}, `entry 0 is "ab"`},
		{"tokenizer.ggml.merges", []string{"a b", "c b"}, `entry 1 is "c b", but "c" is not a token`},
		{"tokenizer.ggml.bos_token_id", uint32(4), "tokenizer.ggml.bos_token_id is 4, but there are 4 tokens"},
		{"tokenizer.ggml.eos_token_id", int32(-1), "tokenizer.ggml.eos_token_id is -1"},
	} {
		bad := maps.Clone(good)
		bad[c.key] = c.value
		err := CheckGGUF(bad)
		if err == nil || !strings.Contains(err.Error(), c.want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s = %v: %v; want an invalid input with %q", c.key, c.value, err, c.want)
		}
	}
}

// sentencePieceMetadata is a small tokenizer like that of Llama 2.
func sentencePieceMetadata() map[string]any {
	return map[string]any{
		"general.architecture": "llama", "tokenizer.ggml.model": "llama", "tokenizer.ggml.bos_token_id": uint32(1),
		"tokenizer.ggml.tokens":     []string{"<unk>", "<s>", "▁", "a", "b", "ab", "▁a", "▁ab", "▁▁", "unused"},
		"tokenizer.ggml.token_type": []int32{2, 3, 1, 1, 1, 1, 1, 1, 1, 5},
		"tokenizer.ggml.scores":     []float32{0, 0, -9, -8, -7, -1, -2, -3, -1e9, 5},
	}
}

func TestSentencePieceMerges(t *testing.T) {
	merges := func(m map[string]any) string {
		r, err := rebuild(m)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, p := range r.merges {
			texts = append(texts, r.tokens[p.left]+"+"+r.tokens[p.right])
		}
		return strings.Join(texts, " ")
	}
	// By scores; those that make one token, by the ids of their sides.
	m := sentencePieceMetadata()
	if got, want := merges(m), "a+b ▁+a ▁+ab ▁a+b ▁+▁"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// Where the file lists merges, scores do not matter.
	m["tokenizer.ggml.merges"] = []string{"▁ a", "a b"}
	if got, want := merges(m), "▁+a a+b"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for prefix, want := range map[any]bool{nil: true, true: true, false: false} {
		m := sentencePieceMetadata()
		m["tokenizer.ggml.add_space_prefix"] = prefix
		r, err := rebuild(m)
		if err != nil || strings.Contains(string(r.json), "Prepend") != want {
			t.Errorf("add_space_prefix %v: %s, %v", prefix, r.json, err)
		}
	}
}

func TestSentencePieceRefuses(t *testing.T) {
	long := strings.Repeat("a", maximumPiece+1)
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"scores", nil, "tokenizer.ggml.scores has 0 numbers and tokenizer.ggml.tokens 10 strings"},
		{"scores", make([]float32, 9), "tokenizer.ggml.scores has 9 numbers"},
		{"scores", slices.Repeat([]float32{-1000}, 10), "tokenizer.ggml.scores are all -1000, so the order of the merges is lost"},
		{"scores", slices.Repeat([]float32{float32(math.NaN())}, 10), `that of token 2, "▁", is not a number`},
		{"tokens", []string{"<unk>", "<s>", "▁", "a", "b", "ab", "▁a", "▁ab", "a", "unused"}, `the tokens 3 and 8 are both "a"`},
		{"tokens", []string{"<unk>", "<s>", "▁", "a", "b", "c", "d", "e", "f", "unused"}, "no token is composed of two others"},
		{"tokens", []string{"<unk>", "<s>", "▁", "a", "b", "ab", "▁a", "▁ab", long, "unused"}, "token 8 has 1025 bytes; at most 1024"},
		{"token_type", []int32{2, 3, 1, 1, 1, 1, 1, 1, 7, 5}, "is of type 7"},
		{"unknown_token_id", uint32(10), "tokenizer.ggml.unknown_token_id is 10, but there are 10 tokens"},
		{"merges", []string{"a c"}, `entry 0 is "a c", but "c" is not a token`},
		{"remove_extra_whitespaces", true, "tokenizer.ggml.remove_extra_whitespaces is true"},
		{"treat_whitespace_as_suffix", true, "tokenizer.ggml.treat_whitespace_as_suffix is true"},
		{"precompiled_charsmap", []uint8{1}, "tokenizer.ggml.precompiled_charsmap"},
		{"precompiled_charsmap", "x", "tokenizer.ggml.precompiled_charsmap"},
	} {
		bad := sentencePieceMetadata()
		bad["tokenizer.ggml."+c.key] = c.value
		_, err := rebuild(bad)
		if err == nil || !strings.Contains(err.Error(), c.want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s = %.100v: %v; want an invalid input with %q", c.key, c.value, err, c.want)
		}
	}
}

// FuzzRebuild rebuilds tokenizers from damaged metadata: what is accepted has ids that exist.
func FuzzRebuild(f *testing.F) {
	f.Add("llama", "llama", "<unk> <s> ▁ a b ab ▁a", []byte{2, 3, 1, 1, 1, 1, 1}, []byte{0, 0, 9, 9, 9, 1, 2}, "", int64(1), int64(0))
	f.Add("llama", "phi3", "<unk> <s> a b ab </s>", []byte{2, 3, 1, 1, 1, 4}, []byte{0, 0, 9, 9, 1, 2}, "a b", int64(1), int64(9))
	f.Add("llama", "gemma3", "<unk> a b ab", []byte{2, 1, 1, 1}, []byte{}, "", int64(-1), int64(0))
	f.Add("gpt2", "olmo", "a b ab", []byte{1, 1, 1}, []byte{}, "a b", int64(1), int64(1))
	f.Add("gpt2", "qwen2", "a b ab", []byte{1, 1, 1}, []byte{}, "a b,b a", int64(0), int64(1))
	f.Fuzz(func(t *testing.T, kind, architecture, tokens string, types, scores []byte, merges string, bos, unknown int64) {
		m := map[string]any{
			"general.architecture": architecture, "tokenizer.ggml.model": kind, "tokenizer.ggml.pre": architecture,
			"tokenizer.ggml.tokens": strings.Split(tokens, " "), "tokenizer.ggml.bos_token_id": bos, "tokenizer.ggml.unknown_token_id": unknown,
			"tokenizer.ggml.add_space_prefix": bos%2 == 0,
		}
		kinds, numbers := make([]int32, len(types)), make([]float32, len(scores))
		for i, b := range types {
			kinds[i] = int32(int8(b))
		}
		for i, b := range scores {
			numbers[i] = -float32(b)
		}
		m["tokenizer.ggml.token_type"], m["tokenizer.ggml.scores"] = kinds, numbers
		if merges != "" {
			m["tokenizer.ggml.merges"] = strings.Split(merges, ",")
		}
		r, err := rebuild(m)
		if err != nil {
			if protocol.KindOf(err) != protocol.InvalidInput {
				t.Fatal(err)
			}
			return
		}
		n := int32(len(r.tokens))
		if len(r.flags) != len(r.tokens) || r.bos >= n || r.eos >= n {
			t.Fatalf("%d tokens, %d flags, BOS %d, EOS %d", n, len(r.flags), r.bos, r.eos)
		}
		for _, p := range r.merges {
			if p.left < 0 || p.left >= n || p.right < 0 || p.right >= n {
				t.Fatalf("merge %v of %d tokens", p, n)
			}
		}
		if _, err := parseSettings(r.json); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTemplate(t *testing.T) {
	for _, c := range []struct{ file, before, after string }{
		{`{"post_processor": null, "model": {}}`, "", ""},
		{`{"post_processor": {"type": "ByteLevel"}, "model": {}}`, "", ""},
		{`{"post_processor": {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]}, "model": {}}`, "<s>", ""},
		{`{"post_processor": {"processors": [{"type": "ByteLevel"}, {"single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}]}]}, "model": {}}`, "", "</s>"},
	} {
		s, err := parseSettings([]byte(c.file))
		if err != nil {
			t.Fatal(err)
		}
		if before, after := template(s.PostProcessor); before != c.before || after != c.after {
			t.Errorf("%s: %q and %q", c.file, before, after)
		}
	}
}
