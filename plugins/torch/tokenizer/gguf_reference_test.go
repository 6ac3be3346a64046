//go:build torch && python

package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
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
	unknown := uint32(3)
	if kind == "llama" && architecture != "gemma3" {
		unknown, types[0] = 0, ggufUnknown
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
		"tokenizer.ggml.unknown_token_id": unknown, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types, "tokenizer.ggml.bos_token_id": uint32(1),
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
	} else if kind == "llama" {
		m["tokenizer.ggml.scores"] = llamaScores(tokens, types)
	}
	return m
}

// llamaScores returns the scores of Llama 2's tokens: those of runs of spaces are the lowest, and of the others, the first
// tokens have the highest. Converters give added tokens -1000.
func llamaScores(tokens []string, types []int32) []float32 {
	scores := make([]float32, len(tokens))
	for id, content := range tokens {
		switch {
		case types[id] != ggufNormal:
			scores[id] = -1000
		case strings.Trim(content, string(lowLine)) == "":
			scores[id] = -1e9
		default:
			scores[id] = -float32(id)
		}
	}
	return scores
}

// TestLlamaMerges checks that the merges that follow from the scores of Llama 2's tokens are those of its tokenizer.json.
func TestLlamaMerges(t *testing.T) {
	path := filepath.Join(environment(t, "SURPRISAL_TOKENIZERS"), "llama2", "tokenizer.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Model struct{ Merges []string } }
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	r, err := rebuild(metadata(t, path, "llama", "default", "llama"))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Model.Merges) < 50000 || len(r.merges) != len(f.Model.Merges) {
		t.Fatalf("%d merges, the file has %d", len(r.merges), len(f.Model.Merges))
	}
	for i, want := range f.Model.Merges {
		if got := r.tokens[r.merges[i].left] + " " + r.tokens[r.merges[i].right]; got != want {
			t.Fatalf("merge %d is %q, want %q", i, got, want)
		}
	}
}

// changedFile writes a changed tokenizer.json.
func changedFile(t *testing.T, path string, change func(map[string]any)) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f map[string]any
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	change(f)
	changed := filepath.Join(t.TempDir(), "tokenizer.json")
	if data, err = json.Marshal(f); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(changed, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return changed
}

// addPhi3 gives Llama 2's tokenizer.json the added tokens of Phi-3.
func addPhi3(f map[string]any) {
	added := []any{}
	add := func(id int, content string, special, strips bool) {
		added = append(added, map[string]any{
			"id": id, "content": content, "special": special, "rstrip": strips, "lstrip": false, "normalized": false, "single_word": false})
	}
	add(0, "<unk>", true, false)
	add(1, "<s>", true, false)
	add(2, "</s>", false, true)
	add(32000, "<|endoftext|>", true, false)
	for i, content := range []string{"<|assistant|>", "<|placeholder1|>", "<|system|>", "<|end|>", "<|user|>"} {
		add(32001+i, content, true, true)
	}
	f["added_tokens"] = added
}

// setTekken gives a byte-level tokenizer.json the steps of Mistral Nemo. The expression is that of Mistral's tekken.json.
func setTekken(f map[string]any) {
	const expression = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+` +
		`|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*` +
		`|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	f["normalizer"] = nil
	f["pre_tokenizer"] = object{"type": "Sequence", "pretokenizers": []object{
		{"type": "Split", "pattern": object{"Regex": expression}, "behavior": "Isolated", "invert": false},
		{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
	}}
	f["model"].(map[string]any)["ignore_merges"] = true
}

// TestSentencePieceAgrees compares the tokenizers of Mistral's models, rebuilt from their scores, with SentencePiece's own
// library.
func TestSentencePieceAgrees(t *testing.T) {
	texts := hostile(t)
	models, err := filepath.Glob(filepath.Join(environment(t, "SURPRISAL_TOKENIZERS"), "mistral", "*.model.*"))
	if err != nil || len(models) < 2 {
		t.Fatalf("%d models, %v", len(models), err)
	}
	var input bytes.Buffer
	for _, text := range texts {
		if err := json.NewEncoder(&input).Encode(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range models {
		t.Run(filepath.Base(path), func(t *testing.T) {
			decoder := json.NewDecoder(bytes.NewReader(python(t, input.Bytes(), "pieces.py", path)))
			var m struct {
				Pieces []string
				Scores []float32
				Types  []int32
			}
			if err := decoder.Decode(&m); err != nil {
				t.Fatal(err)
			}
			tokenizer, err := FromGGUF(map[string]any{
				"general.architecture": "llama", "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": m.Pieces,
				"tokenizer.ggml.token_type": m.Types, "tokenizer.ggml.scores": m.Scores,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer tokenizer.Close()
			for _, text := range texts {
				var want []int32
				if err := decoder.Decode(&want); err != nil {
					t.Fatal(err)
				}
				e, err := tokenizer.Encode([][]byte{[]byte(text)}, false)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(e[0].IDs, want) {
					t.Errorf("%.200q has the ids  %v\nin SentencePiece %v", text, e[0].IDs[:min(50, len(e[0].IDs))], want[:min(50, len(want))])
				}
				if err := tiles([]byte(text), e[0]); err != nil {
					t.Errorf("%.200q: %v", text, err)
				}
			}
		})
	}
}

func TestRebuiltAgreesWithPython(t *testing.T) {
	texts := hostile(t)
	paths := files(t)
	paths["phi3"] = changedFile(t, paths["llama2"], addPhi3)
	paths["tekken"] = changedFile(t, paths["cl100k"], setTekken)
	for _, c := range []struct{ name, kind, pre, architecture string }{
		{"gpt2", "gpt2", "gpt-2", "gpt2"},
		{"gpt2-digits", "gpt2", "smollm", "llama"},
		{"gpt2-dropping", "gpt2", "smollm", "llama"},
		{"llama3", "gpt2", "llama-bpe", "llama"},
		{"cl100k", "gpt2", "dbrx", "phi3"},
		{"gptoss", "gpt2", "gpt-4o", "gpt-oss"},
		{"olmo", "gpt2", "olmo", "olmoe"},
		{"tekken", "gpt2", "tekken", "llama"},
		{"qwen3", "gpt2", "qwen2", "qwen3"},
		{"gemma3", "llama", "default", "gemma3"},
		{"llama2", "llama", "default", "llama"},
		{"phi3", "llama", "default", "phi3"},
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
