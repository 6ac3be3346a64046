package tokenizer

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// maximumPiece bounds the bytes of a token for which merges are derived: the time grows with their square.
const maximumPiece = 1 << 10

// phi3Keeps are the tokens of Phi-3 that leave the white space after them; its others take it. GGUF files do not record
// this.
var phi3Keeps = []string{"<unk>", "<s>", "<|endoftext|>"}

// sentencePiece rebuilds a tokenizer like that of Llama 2 and Mistral: SentencePiece's BPE, which falls back to bytes.
func (b *builder) sentencePiece() error {
	for _, key := range []string{"remove_extra_whitespaces", "treat_whitespace_as_suffix"} {
		if value, _ := b.metadata["tokenizer.ggml."+key].(bool); value {
			return fmt.Errorf("tokenizer.ggml.%s is true; only false is supported", key)
		}
	}
	if value, has := b.metadata["tokenizer.ggml.precompiled_charsmap"]; has {
		if table, ok := value.([]uint8); !ok || len(table) > 0 {
			return errors.New("tokenizer.ggml.precompiled_charsmap is a table that normalizes text, which is not supported")
		}
	}
	ids, err := indexTokens(b.tokens, b.types)
	if err != nil {
		return err
	}
	if err := b.sentencePieceMerges(ids); err != nil {
		return err
	}
	b.special = func(id int) bool { return b.types[id] == ggufControl || b.types[id] == ggufUnknown }
	if architecture, _ := b.metadata["general.architecture"].(string); architecture == "phi3" {
		b.stripsRight = func(id int) bool { return !slices.Contains(phi3Keeps, b.tokens[id]) }
	}
	unknown, has := number(b.metadata["tokenizer.ggml.unknown_token_id"])
	if !has {
		unknown = int64(slices.Index(b.types, ggufUnknown))
	}
	if has && (unknown < 0 || unknown >= int64(len(b.tokens))) {
		return fmt.Errorf("tokenizer.ggml.unknown_token_id is %d, but there are %d tokens", unknown, len(b.tokens))
	}
	f := &b.file
	if unknown >= 0 {
		f.Model.UnknownToken = &b.tokens[unknown]
	}
	f.Model.FuseUnknown, f.Model.ByteFallback = true, true
	spaces := object{"type": "Replace", "pattern": object{"String": " "}, "content": string(lowLine)}
	f.Normalizer = spaces
	// Files without the field are of tokenizers that have the space.
	if prefix, written := b.metadata["tokenizer.ggml.add_space_prefix"].(bool); prefix || !written {
		f.Normalizer = object{"type": "Sequence", "normalizers": []object{{"type": "Prepend", "prepend": string(lowLine)}, spaces}}
	}
	return nil
}

// sentencePieceMerges reads the merges, or derives them from the scores of the tokens that they make, the highest first.
// The order of merges with equal scores is that of Llama 2's tokenizer.json.
func (b *builder) sentencePieceMerges(ids map[string]int32) error {
	if merges, _ := b.metadata["tokenizer.ggml.merges"].([]string); len(merges) > 0 {
		return b.readMerges(merges, ids)
	}
	scores, _ := b.metadata["tokenizer.ggml.scores"].([]float32)
	if len(scores) != len(b.tokens) {
		return fmt.Errorf("tokenizer.ggml.scores has %d numbers and tokenizer.ggml.tokens %d strings", len(scores), len(b.tokens))
	}
	different := false
	var made []int32 // the token that each merge makes
	for id, content := range b.tokens {
		if b.types[id] != ggufNormal {
			continue
		}
		if math.IsNaN(float64(scores[id])) {
			return fmt.Errorf("tokenizer.ggml.scores: that of token %d, %q, is not a number", id, content)
		}
		if len(content) > maximumPiece {
			return fmt.Errorf("token %d has %d bytes; at most %d are supported", id, len(content), maximumPiece)
		}
		for _, p := range splits(content, ids) {
			different = different || len(made) > 0 && scores[id] != scores[made[0]]
			b.merges, made = append(b.merges, p), append(made, int32(id))
		}
	}
	switch {
	case len(b.merges) == 0:
		return errors.New("no token is composed of two others, so there are no merges")
	case !different:
		return fmt.Errorf("tokenizer.ggml.scores are all %v, so the order of the merges is lost", scores[made[0]])
	}
	order := make([]int, len(made))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(scores[made[y]], scores[made[x]]) })
	sorted := make([]pair, len(order))
	for to, from := range order {
		sorted[to] = b.merges[from]
	}
	b.merges = sorted
	return nil
}

// splits returns the pairs of tokens that compose the content, by their ids.
func splits(content string, ids map[string]int32) []pair {
	var pairs []pair
	for at := range content {
		if at == 0 {
			continue
		}
		left, isLeft := ids[content[:at]]
		right, isRight := ids[content[at:]]
		if isLeft && isRight {
			pairs = append(pairs, pair{left, right})
		}
	}
	slices.SortFunc(pairs, func(x, y pair) int { return cmp.Or(cmp.Compare(x.left, y.left), cmp.Compare(x.right, y.right)) })
	return pairs
}
