//go:build torch && python

package tokenizer

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// metadata converts a tokenizer.json to the metadata of a GGUF file. The steps are lost, as in GGUF files.
func metadata(t *testing.T, path, kind, pre, architecture string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Model struct {
			Vocabulary map[string]int32 `json:"vocab"`
			Merges     []json.RawMessage
		}
		AddedTokens []struct {
			ID      int32
			Content string
			Special bool
		} `json:"added_tokens"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	// Unused tokens fill gaps in a vocabulary, as in files that were reduced.
	size := slices.Max(slices.Collect(maps.Values(f.Model.Vocabulary))) + 1
	for _, a := range f.AddedTokens {
		size = max(size, a.ID+1)
	}
	tokens, types := make([]string, size), make([]int32, size)
	for id := range tokens {
		tokens[id], types[id] = fmt.Sprintf("[PAD%d]", id), ggufUnused
	}
	for content, id := range f.Model.Vocabulary {
		tokens[id], types[id] = content, ggufNormal
		if kind == "llama" && len(content) == 6 && strings.HasPrefix(content, "<0x") {
			types[id] = ggufByte
		}
	}
	for _, a := range f.AddedTokens {
		tokens[a.ID], types[a.ID] = a.Content, ggufUserDefined
		if kind == "llama" {
			tokens[a.ID] = strings.ReplaceAll(a.Content, "▁", " ")
		}
		// This follows llama.cpp's converter, which also classifies tokens by their appearance.
		looksSpecial := strings.HasPrefix(a.Content, "<|") && strings.HasSuffix(a.Content, "|>") || a.Content == "<mask>" || a.Content == "<pad>"
		if a.Special || looksSpecial || strings.HasPrefix(a.Content, "<unused") {
			types[a.ID] = ggufControl
		}
		if a.Content == "<start_of_turn>" || a.Content == "<end_of_turn>" {
			types[a.ID] = ggufUserDefined
		}
	}
	m := map[string]any{
		"general.architecture": architecture, "tokenizer.ggml.model": kind, "tokenizer.ggml.pre": pre,
		"tokenizer.ggml.unknown_token_id": uint32(3), "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types, "tokenizer.ggml.bos_token_id": uint32(1),
	}
	if kind == "gpt2" {
		merges := make([]string, len(f.Model.Merges))
		for i, raw := range f.Model.Merges {
			var pair [2]string
			if json.Unmarshal(raw, &pair) == nil {
				merges[i] = pair[0] + " " + pair[1]
			} else if err := json.Unmarshal(raw, &merges[i]); err != nil {
				t.Fatal(err)
			}
		}
		m["tokenizer.ggml.merges"] = merges
	}
	if architecture == "gemma3" {
		m["tokenizer.ggml.add_space_prefix"] = false
	}
	return m
}

func TestRebuiltAgreesWithPython(t *testing.T) {
	texts := hostile(t)
	paths := files(t)
	for _, c := range []struct{ name, kind, pre, architecture string }{
		{"gpt2", "gpt2", "gpt-2", "gpt2"},
		{"gpt2-digits", "gpt2", "smollm", "llama"},
		{"gpt2-dropping", "gpt2", "smollm", "llama"},
		{"llama3", "gpt2", "llama-bpe", "llama"},
		{"qwen3", "gpt2", "qwen2", "qwen3"},
		{"gemma3", "llama", "default", "gemma3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tokenizer, err := FromGGUF(metadata(t, paths[c.name], c.kind, c.pre, c.architecture))
			if err != nil {
				t.Fatal(err)
			}
			defer tokenizer.Close()
			tokens, inexact, unscored := compare(t, tokenizer, paths[c.name], texts)
			t.Logf("%d tokens, %d inexact, %d bytes unscored", tokens, inexact, unscored)
			if id, ok := tokenizer.BOS(); ok != (c.pre != "qwen2") || ok && id != 1 {
				t.Errorf("BOS is %d, %v", id, ok)
			}
		})
	}
}
