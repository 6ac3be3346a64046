//go:build torch

package tokenizer

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestComposed compares the model that composes tokens without a list of merges with the library's model and the list
// of all merges: over random vocabularies in which most strings are tokens, and random texts.
func TestComposed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		metadata := composedVocabulary(random, round%3 == 0)
		composed, err := rebuild(metadata)
		if err != nil {
			t.Fatal(err)
		}
		listed := composed
		listed.merges = allMerges(metadata["tokenizer.ggml.token_type"].([]int32), composed)
		if len(listed.merges) < 50 {
			t.Fatalf("%d merges", len(listed.merges))
		}
		texts := make([][]byte, 200)
		for i := range texts {
			var text strings.Builder
			for range random.IntN(60) {
				text.WriteString([]string{"a", "a", "a", "b", "b", " ", " ", "é", "\x00", "<", "\n", "ü", "👍", "<unk>", "<x>", "<0x41>"}[random.IntN(16)])
			}
			texts[i] = []byte(text.String())
		}
		for _, parseSpecial := range []bool{false, true} {
			got, want := idsOf(t, composed, texts, parseSpecial), idsOf(t, listed, texts, parseSpecial)
			for i := range texts {
				if got[i] != want[i] {
					t.Fatalf("round %d, %q: %s, want %s", round, texts[i], got[i], want[i])
				}
			}
		}
	}
}

// composedVocabulary returns the metadata of a model like Gemma. If incomplete, some bytes have no token.
func composedVocabulary(random *rand.Rand, incomplete bool) map[string]any {
	tokens := []string{"<unk>", "<x>", "a", "b", "▁", "\x00", "<", "é"}
	types := []int32{ggufUnknown, ggufControl, ggufNormal, ggufNormal, ggufNormal, ggufNormal, ggufNormal, ggufNormal}
	for b := range 256 {
		if !incomplete || random.IntN(4) > 0 {
			tokens, types = append(tokens, fmt.Sprintf("<0x%02X>", b)), append(types, ggufByte)
		}
	}
	// Some tokens contain the content of bytes and of the unknown token.
	parts := []string{"a", "a", "b", "▁", "é", "\x00", "<", "ü", "<unk>", "<0xC3>", "<0xBC>"}
	known := map[string]bool{}
	for _, content := range tokens {
		known[content] = true
	}
	for range 800 {
		var content strings.Builder
		for range 1 + random.IntN(5) {
			content.WriteString(parts[random.IntN(len(parts))])
		}
		if known[content.String()] {
			continue
		}
		known[content.String()] = true
		kinds := []int32{ggufNormal, ggufNormal, ggufNormal, ggufNormal, ggufUserDefined, ggufUnused, ggufByte}
		tokens, types = append(tokens, content.String()), append(types, kinds[random.IntN(len(kinds))])
	}
	random.Shuffle(len(tokens)-1, func(i, j int) {
		i, j = i+1, j+1
		tokens[i], tokens[j], types[i], types[j] = tokens[j], tokens[i], types[j], types[i]
	})
	return map[string]any{
		"general.architecture": "gemma3", "tokenizer.ggml.model": "llama", "tokenizer.ggml.add_space_prefix": false,
		"tokenizer.ggml.unknown_token_id": uint32(0), "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types,
	}
}

// allMerges lists the merges that rebuilt describes without a list.
func allMerges(types []int32, r rebuilt) []pair {
	type merge struct {
		pair
		rank, left, right int
	}
	ids := map[string]int32{}
	for _, t := range r.found() {
		ids[t.content] = t.id
	}
	var merges []merge
	for id, content := range r.tokens {
		rank := 0
		switch types[id] {
		case ggufUnused:
			continue
		case ggufNormal:
			rank = id + 1
		}
		runes := []rune(content)
		for i := 1; i < len(runes); i++ {
			left, isLeft := ids[string(runes[:i])]
			right, isRight := ids[string(runes[i:])]
			if isLeft && isRight {
				merges = append(merges, merge{pair{left, right}, rank, i, len(runes) - i})
			}
		}
	}
	slices.SortStableFunc(merges, func(a, b merge) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(b.left, a.left), cmp.Compare(a.right, b.right))
	})
	out := make([]pair, len(merges))
	for i, m := range merges {
		out[i] = m.pair
	}
	return out
}

// idsOf returns the engine's ids and ranges of each text.
func idsOf(t *testing.T, r rebuilt, texts [][]byte, parseSpecial bool) []string {
	t.Helper()
	reply, err := r.build()
	if err != nil {
		t.Fatal(err)
	}
	tokenizer := &Tokenizer{reply: reply}
	defer tokenizer.Close()
	results, err := tokenizer.call(texts, parseSpecial)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(results))
	for i, r := range results {
		out[i] = fmt.Sprint(r.ids, r.starts, r.ends)
	}
	return out
}
