package tokenizer

import (
	"maps"
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
		{"tokenizer.ggml.model", nil, `tokenizer.ggml.model is ""`},
		{"tokenizer.ggml.model", "llama", `architecture "llama"`},
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
		_, err := rebuild(bad)
		if err == nil || !strings.Contains(err.Error(), c.want) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s = %v: %v; want an invalid input with %q", c.key, c.value, err, c.want)
		}
	}
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
