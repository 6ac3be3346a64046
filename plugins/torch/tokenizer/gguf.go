package tokenizer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
)

// Types of tokens in tokenizer.ggml.token_type.
const (
	ggufNormal      = 1
	ggufUnknown     = 2
	ggufControl     = 3
	ggufUserDefined = 4
	ggufUnused      = 5
	ggufByte        = 6
)

// object is one of JSON.
type object = map[string]any

// file is a tokenizer.json.
type file struct {
	Version      string   `json:"version"`
	AddedTokens  []object `json:"added_tokens"`
	Normalizer   object   `json:"normalizer"`
	PreTokenizer object   `json:"pre_tokenizer"`
	Model        model    `json:"model"`
}

type model struct {
	Type         string           `json:"type"`
	UnknownToken *string          `json:"unk_token"`
	FuseUnknown  bool             `json:"fuse_unk"`
	ByteFallback bool             `json:"byte_fallback"`
	IgnoreMerges bool             `json:"ignore_merges"`
	Vocabulary   map[string]int32 `json:"vocab"`
	Merges       [][2]string      `json:"merges"`
}

// byteLevelSteps is how a byte-level vocabulary is used, by tokenizer.ggml.pre.
type byteLevelSteps struct {
	normalizer   object
	preTokenizer object
	// ignoreMerges takes a word that is a token as that token.
	ignoreMerges bool
}

func byteLevelPre(name string) (byteLevelSteps, bool) {
	byteLevel := func(useRegex bool) object {
		return object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": useRegex}
	}
	sequence := func(steps ...object) object { return object{"type": "Sequence", "pretokenizers": steps} }
	split := func(expression string) object {
		return object{"type": "Split", "pattern": object{"Regex": expression}, "behavior": "Isolated", "invert": false}
	}
	switch name {
	case "gpt-2":
		return byteLevelSteps{preTokenizer: byteLevel(true)}, true
	case "smollm":
		digits := object{"type": "Digits", "individual_digits": true}
		return byteLevelSteps{preTokenizer: sequence(digits, byteLevel(true))}, true
	case "llama-bpe":
		return byteLevelSteps{preTokenizer: sequence(split(wordExpression(`\p{N}{1,3}`)), byteLevel(false)), ignoreMerges: true}, true
	case "qwen2":
		return byteLevelSteps{
			normalizer:   object{"type": "NFC"},
			preTokenizer: sequence(split(wordExpression(`\p{N}`)), byteLevel(false)),
		}, true
	}
	return byteLevelSteps{}, false
}

// wordExpression is how Llama 3 and Qwen 2 cut text into words; they differ in what of a number is one.
func wordExpression(number string) string {
	return `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|` + number +
		`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
}

// gemmaSpecial are the special tokens of Gemma 3. Its GGUF files mark unused tokens as control tokens too, and those that
// begin and end a turn as ordinary ones.
var gemmaSpecial = []string{
	"<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
	"<image_soft_token>",
}

// qwenOrdinary are tokens of Qwen 2 and 3 that look special, so that GGUF files mark them as control tokens, and are found in any text.
var qwenOrdinary = []string{
	"<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
}

// rebuilt is a tokenizer made from the metadata of a GGUF file.
type rebuilt struct {
	json []byte
	// size is the number of tokens, those that no text has included.
	size int
	// bos and eos are -1 for none.
	bos, eos int32
}

// rebuild makes a tokenizer.json from the metadata of a GGUF file.
func rebuild(metadata map[string]any) (rebuilt, error) {
	fault := func(format string, values ...any) (rebuilt, error) {
		return rebuilt{}, &protocol.Error{
			Kind:    protocol.InvalidInput,
			Message: "the tokenizer in this GGUF file cannot be rebuilt: " + fmt.Sprintf(format, values...) + "; use the model's directory of safetensors and tokenizer.json instead",
		}
	}
	tokens, _ := metadata["tokenizer.ggml.tokens"].([]string)
	types, _ := metadata["tokenizer.ggml.token_type"].([]int32)
	if len(tokens) == 0 || len(types) != len(tokens) {
		return fault("tokenizer.ggml.tokens has %d strings and tokenizer.ggml.token_type %d numbers", len(tokens), len(types))
	}
	f := file{Version: "1.0", Model: model{Type: "BPE", Merges: [][2]string{}}}
	kind, _ := metadata["tokenizer.ggml.model"].(string)
	special := func(id int) bool { return types[id] == ggufControl || types[id] == ggufUnknown }
	hasBOS := true
	var err error
	switch kind {
	case "gpt2":
		pre, _ := metadata["tokenizer.ggml.pre"].(string)
		steps, ok := byteLevelPre(pre)
		if !ok {
			return fault(`tokenizer.ggml.pre is %q; "gpt-2", "smollm", "llama-bpe" and "qwen2" are known`, pre)
		}
		if prefix, _ := metadata["tokenizer.ggml.add_space_prefix"].(bool); prefix {
			return fault("tokenizer.ggml.add_space_prefix is true; only false is known")
		}
		if pre == "qwen2" {
			special = func(id int) bool { return types[id] == ggufControl && !slices.Contains(qwenOrdinary, tokens[id]) }
			// Qwen's tokenizers have no such token. The file has the id that config.json names for another use.
			hasBOS, _ = metadata["tokenizer.ggml.add_bos_token"].(bool)
		}
		f.Normalizer, f.PreTokenizer, f.Model.IgnoreMerges = steps.normalizer, steps.preTokenizer, steps.ignoreMerges
		if f.Model.Vocabulary, err = indexTokens(tokens, types); err != nil {
			return fault("%v", err)
		}
		merges, _ := metadata["tokenizer.ggml.merges"].([]string)
		for i, merge := range merges {
			// A space is written as another character, so the first one separates.
			left, right, found := strings.Cut(merge, " ")
			if !found {
				return fault("tokenizer.ggml.merges: number %d is %q, without a space", i, merge)
			}
			f.Model.Merges = append(f.Model.Merges, [2]string{left, right})
		}
		if len(merges) == 0 {
			return fault("tokenizer.ggml.merges has no strings")
		}
	case "llama":
		if architecture, _ := metadata["general.architecture"].(string); architecture != "gemma3" {
			return fault(`tokenizer.ggml.model is "llama" in a model of architecture %q; only "gemma3" is known`, architecture)
		}
		if prefix, ok := metadata["tokenizer.ggml.add_space_prefix"].(bool); !ok || prefix {
			return fault("tokenizer.ggml.add_space_prefix is %v; only false is known", metadata["tokenizer.ggml.add_space_prefix"])
		}
		tokens = slices.Clone(tokens)
		for i := range tokens {
			tokens[i] = strings.ReplaceAll(tokens[i], " ", string(lowLine))
		}
		if f.Model.Vocabulary, err = indexTokens(tokens, types); err != nil {
			return fault("%v", err)
		}
		unknown, ok := number(metadata["tokenizer.ggml.unknown_token_id"])
		if !ok || unknown < 0 || unknown >= int64(len(tokens)) {
			return fault("tokenizer.ggml.unknown_token_id is %v, and there are %d tokens", metadata["tokenizer.ggml.unknown_token_id"], len(tokens))
		}
		f.Model.UnknownToken, f.Model.FuseUnknown, f.Model.ByteFallback = &tokens[unknown], true, true
		f.Model.Merges = mergesOf(tokens, types, f.Model.Vocabulary)
		f.Normalizer = object{"type": "Replace", "pattern": object{"String": " "}, "content": string(lowLine)}
		special = func(id int) bool { return slices.Contains(gemmaSpecial, tokens[id]) }
	default:
		return fault(`tokenizer.ggml.model is %q; "gpt2" and "llama" are known`, kind)
	}

	for id, content := range tokens {
		if t := types[id]; t == ggufControl || t == ggufUserDefined || special(id) {
			f.AddedTokens = append(f.AddedTokens, object{
				"id": id, "content": content, "special": special(id),
				"single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
			})
		}
	}
	out := rebuilt{size: len(tokens), bos: -1, eos: -1}
	for key, id := range map[string]*int32{"tokenizer.ggml.bos_token_id": &out.bos, "tokenizer.ggml.eos_token_id": &out.eos} {
		value, ok := number(metadata[key])
		if ok && (value < 0 || value >= int64(len(tokens))) {
			return fault("%s is %d, and there are %d tokens", key, value, len(tokens))
		}
		if ok && (id != &out.bos || hasBOS) {
			*id = int32(value)
		}
	}
	out.json, err = json.Marshal(f)
	return out, err
}

// indexTokens returns the ids of the tokens that a text can have.
func indexTokens(tokens []string, types []int32) (map[string]int32, error) {
	ids := make(map[string]int32, len(tokens))
	for id, content := range tokens {
		if types[id] < ggufNormal || types[id] > ggufByte {
			return nil, fmt.Errorf("token %d, %q, is of type %d; 1 to 6 are known", id, content, types[id])
		}
		if types[id] == ggufUnused {
			continue
		}
		if !utf8.ValidString(content) {
			return nil, fmt.Errorf("token %d, %q, is not valid UTF-8", id, content)
		}
		if other, ok := ids[content]; ok {
			return nil, fmt.Errorf("the tokens %d and %d are both %q", other, id, content)
		}
		ids[content] = int32(id)
	}
	return ids, nil
}

// mergesOf rebuilds the merges of Gemma's vocabulary: each way to put a token together from two
// others. Tokens defined by users come first, the longest first; the others follow by id, whatever their score. The longer
// left side wins.
func mergesOf(tokens []string, types []int32, ids map[string]int32) [][2]string {
	type merge struct {
		parts [2]string
		// rank is 0 for a token that is not normal, else its id.
		rank        int32
		left, right int
	}
	var merges []merge
	for id, content := range tokens {
		if known, ok := ids[content]; !ok || known != int32(id) {
			continue
		}
		rank := int32(id) + 1
		if types[id] != ggufNormal {
			rank = 0
		}
		length := utf8.RuneCountInString(content)
		begin := len(merges)
		runes := 0
		for i := range content {
			if i > 0 {
				left, right := content[:i], content[i:]
				_, leftKnown := ids[left]
				_, rightKnown := ids[right]
				if leftKnown && rightKnown {
					merges = append(merges, merge{[2]string{left, right}, rank, runes, length - runes})
				}
			}
			runes++
		}
		slices.SortFunc(merges[begin:], func(a, b merge) int {
			return cmp.Or(cmp.Compare(ids[a.parts[0]], ids[b.parts[0]]), cmp.Compare(ids[a.parts[1]], ids[b.parts[1]]))
		})
	}
	slices.SortStableFunc(merges, func(a, b merge) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(b.left, a.left), cmp.Compare(b.right, a.right))
	})
	out := make([][2]string, len(merges))
	for i, m := range merges {
		out[i] = m.parts
	}
	return out
}

// number returns an integer of any width.
func number(value any) (int64, bool) {
	v := reflect.ValueOf(value)
	switch {
	case v.CanInt():
		return v.Int(), true
	case v.CanUint():
		return int64(v.Uint()), true
	}
	return 0, false
}
