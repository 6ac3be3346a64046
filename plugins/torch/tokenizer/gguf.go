package tokenizer

import (
	"encoding/json"
	"errors"
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

// object is a JSON object.
type object = map[string]any

// file is a tokenizer.json.
type file struct {
	Version      string `json:"version"`
	Normalizer   object `json:"normalizer"`
	PreTokenizer object `json:"pre_tokenizer"`
	Model        model  `json:"model"`
}

// model has the settings of a tokenizer.json's model. The tokens and merges are passed on without JSON.
type model struct {
	Type         string           `json:"type"`
	UnknownToken *string          `json:"unk_token"`
	FuseUnknown  bool             `json:"fuse_unk"`
	ByteFallback bool             `json:"byte_fallback"`
	IgnoreMerges bool             `json:"ignore_merges"`
	Vocabulary   map[string]int32 `json:"vocab"`
	Merges       [][2]string      `json:"merges"`
}

// byteLevelSteps describes the use of a byte-level vocabulary, by tokenizer.ggml.pre.
type byteLevelSteps struct {
	normalizer   object
	preTokenizer object
	// ignoreMerges makes a word that is a token that single token.
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
	case "olmo":
		// The steps of GPT-NeoX. The file does not record the normalizer.
		return byteLevelSteps{normalizer: object{"type": "NFC"}, preTokenizer: byteLevel(true)}, true
	case "smollm":
		digits := object{"type": "Digits", "individual_digits": true}
		return byteLevelSteps{preTokenizer: sequence(digits, byteLevel(true))}, true
	case "llama-bpe":
		return byteLevelSteps{preTokenizer: sequence(split(wordExpression(`\p{N}{1,3}`)), byteLevel(false)), ignoreMerges: true}, true
	case "dbrx":
		return byteLevelSteps{preTokenizer: sequence(split(wordExpression(`\p{N}{1,3}`)), byteLevel(false))}, true
	case "gpt-4o":
		expression := caseExpression(`(?i:'s|'t|'re|'ve|'m|'ll|'d)?`, `\p{N}{1,3}`)
		return byteLevelSteps{preTokenizer: sequence(split(expression), byteLevel(false))}, true
	case "tekken":
		return byteLevelSteps{preTokenizer: sequence(split(caseExpression("", `\p{N}`)), byteLevel(false)), ignoreMerges: true}, true
	case "qwen2":
		return byteLevelSteps{
			normalizer:   object{"type": "NFC"},
			preTokenizer: sequence(split(wordExpression(`\p{N}`)), byteLevel(false)),
		}, true
	}
	return byteLevelSteps{}, false
}

// supportedPre are the names that byteLevelPre knows.
const supportedPre = `"gpt-2", "olmo", "smollm", "llama-bpe", "dbrx", "gpt-4o", "tekken" and "qwen2"`

// wordExpression matches words as Llama 3, Phi-4 and Qwen 2 define them; they differ in the part for numbers.
func wordExpression(number string) string {
	return `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|` + number +
		`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
}

// caseExpression matches words as gpt-oss, Phi-4-mini and Mistral Nemo define them: a capital letter after a small one begins
// a word, which ends with the contraction. Letters and marks without case are in both parts of a word.
func caseExpression(contraction, number string) string {
	const (
		before   = `[^\r\n\p{L}\p{N}]?`
		capitals = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
		small    = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
	)
	return before + capitals + `*` + small + `+` + contraction + `|` + before + capitals + `+` + small + `*` + contraction +
		`|` + number + `| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
}

// gemmaSpecial are the special tokens of Gemma 3. Its GGUF files also mark unused tokens as control tokens, and mark
// the tokens that begin and end a turn as ordinary ones.
var gemmaSpecial = []string{
	"<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
	"<image_soft_token>",
}

// qwenOrdinary are tokens of Qwen 2 and 3 that look special, so that GGUF files mark them as control tokens, but that
// match in any text.
var qwenOrdinary = []string{
	"<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
}

// flags describe a token. rust/src has the same numbers.
type flags = uint8

const (
	present     flags = 1 << iota // texts can contain it
	added                         // it is found before the model sees the text
	special                       // as an added token, only if special tokens are parsed
	normal                        // ggufNormal
	stripsRight                   // as an added token, it takes the white space after it
)

// pair is two tokens, by id, that the model merges into one.
type pair struct{ left, right int32 }

// rebuilt is a tokenizer made from the metadata of a GGUF file.
type rebuilt struct {
	// json is a tokenizer.json without tokens and merges.
	json []byte
	// tokens and flags are the contents and flags of the tokens by id.
	tokens []string
	flags  []flags
	// merges are in order. None means that all ways to compose a token from two others are merges: those into a token
	// that is not ggufNormal first, longest left side first, then shortest right side; then the others by the id of the
	// composed token, whatever its score, longest left side first. Lengths are in characters.
	merges []pair
	// bos and eos are -1 for none.
	bos, eos int32
}

// CheckGGUF returns the error that FromGGUF has for the metadata, without the time and memory of the engine.
func CheckGGUF(metadata map[string]any) error {
	_, err := rebuild(metadata)
	return err
}

// rebuild makes a tokenizer from the metadata of a GGUF file.
func rebuild(metadata map[string]any) (rebuilt, error) {
	out, err := rebuildOf(metadata)
	if err != nil {
		return rebuilt{}, unusable(err)
	}
	return out, nil
}

func unusable(err error) error {
	return &protocol.Error{
		Kind: protocol.InvalidInput,
		Message: "the tokenizer in this GGUF file cannot be rebuilt: " + err.Error() +
			"; use the model's directory of safetensors and tokenizer.json instead",
	}
}

func rebuildOf(metadata map[string]any) (rebuilt, error) {
	kind, ok := metadata["tokenizer.ggml.model"].(string)
	if !ok {
		return rebuilt{}, errors.New(`the file has none: tokenizer.ggml.model is missing; supported are "gpt2" and "llama"`)
	}
	if kind != "gpt2" && kind != "llama" {
		return rebuilt{}, fmt.Errorf(`tokenizer.ggml.model is %q; supported are "gpt2" and "llama"`, kind)
	}
	b := builder{metadata: metadata, hasBOS: true}
	b.file = file{Version: "1.0", Model: model{Type: "BPE", Vocabulary: map[string]int32{}, Merges: [][2]string{}}}
	b.tokens, _ = metadata["tokenizer.ggml.tokens"].([]string)
	b.types, _ = metadata["tokenizer.ggml.token_type"].([]int32)
	if len(b.tokens) == 0 || len(b.types) != len(b.tokens) {
		return rebuilt{}, fmt.Errorf("tokenizer.ggml.tokens has %d strings and tokenizer.ggml.token_type %d numbers", len(b.tokens), len(b.types))
	}
	if err := b.byKind(kind); err != nil {
		return rebuilt{}, err
	}
	out := rebuilt{tokens: b.tokens, flags: b.flags(), merges: b.merges, bos: -1, eos: -1}
	for key, id := range map[string]*int32{"tokenizer.ggml.bos_token_id": &out.bos, "tokenizer.ggml.eos_token_id": &out.eos} {
		value, ok := number(metadata[key])
		if ok && (value < 0 || value >= int64(len(b.tokens))) {
			return rebuilt{}, fmt.Errorf("%s is %d, but there are %d tokens", key, value, len(b.tokens))
		}
		if ok && (id != &out.bos || b.hasBOS) {
			*id = int32(value)
		}
	}
	var err error
	out.json, err = json.Marshal(b.file)
	return out, err
}

// builder makes a tokenizer from the metadata of a GGUF file.
type builder struct {
	metadata map[string]any
	tokens   []string
	types    []int32
	file     file
	merges   []pair
	hasBOS   bool
	// special reports whether a token is a special token.
	special func(id int) bool
	// stripsRight reports whether an added token takes the white space after it; nil: none does.
	stripsRight func(id int) bool
}

// byKind rebuilds the tokenizer of a kind in tokenizer.ggml.model.
func (b *builder) byKind(kind string) error {
	if kind == "gpt2" {
		return b.byteLevel()
	}
	if architecture, _ := b.metadata["general.architecture"].(string); architecture == "gemma3" {
		return b.gemma()
	}
	return b.sentencePiece()
}

// flags returns the flags of the tokens by id.
func (b *builder) flags() []flags {
	all := make([]flags, len(b.tokens))
	for id, content := range b.tokens {
		t := b.types[id]
		if t == ggufUnused {
			continue
		}
		all[id] = present
		if t == ggufNormal {
			all[id] |= normal
		}
		switch {
		case content == "": // The engine ignores an added token without content.
		case b.special(id):
			all[id] |= added | special
		case t == ggufControl || t == ggufUserDefined:
			all[id] |= added
		}
		if all[id]&added != 0 && b.stripsRight != nil && b.stripsRight(id) {
			all[id] |= stripsRight
		}
	}
	return all
}

// byteLevel rebuilds a byte-level tokenizer, like that of GPT-2.
func (b *builder) byteLevel() error {
	pre, _ := b.metadata["tokenizer.ggml.pre"].(string)
	steps, ok := byteLevelPre(pre)
	if !ok {
		return fmt.Errorf("tokenizer.ggml.pre is %q; supported are "+supportedPre, pre)
	}
	if prefix, _ := b.metadata["tokenizer.ggml.add_space_prefix"].(bool); prefix {
		return errors.New("tokenizer.ggml.add_space_prefix is true; only false is supported")
	}
	b.special = func(id int) bool { return b.types[id] == ggufControl || b.types[id] == ggufUnknown }
	if pre == "qwen2" {
		b.special = func(id int) bool { return b.types[id] == ggufControl && !slices.Contains(qwenOrdinary, b.tokens[id]) }
		// Qwen's tokenizers have no such token. The file contains the id that config.json names for another use.
		b.hasBOS, _ = b.metadata["tokenizer.ggml.add_bos_token"].(bool)
	}
	f := &b.file
	f.Normalizer, f.PreTokenizer, f.Model.IgnoreMerges = steps.normalizer, steps.preTokenizer, steps.ignoreMerges
	ids, err := indexTokens(b.tokens, b.types)
	if err != nil {
		return err
	}
	merges, _ := b.metadata["tokenizer.ggml.merges"].([]string)
	if len(merges) == 0 {
		return errors.New("tokenizer.ggml.merges contains no strings")
	}
	return b.readMerges(merges, ids)
}

// readMerges reads pairs of tokens, in order. ids are the ids of the tokens.
func (b *builder) readMerges(merges []string, ids map[string]int32) error {
	for i, merge := range merges {
		// A space inside a token is written as another character, so the first space is the separator.
		left, right, found := strings.Cut(merge, " ")
		if !found {
			return fmt.Errorf("tokenizer.ggml.merges: entry %d is %q, without a space", i, merge)
		}
		var p pair
		for _, side := range []struct {
			content string
			id      *int32
		}{{left, &p.left}, {right, &p.right}} {
			if *side.id, found = ids[side.content]; !found {
				return fmt.Errorf("tokenizer.ggml.merges: entry %d is %q, but %q is not a token", i, merge, side.content)
			}
		}
		b.merges = append(b.merges, p)
	}
	return nil
}

// gemma rebuilds the tokenizer of Gemma 3, which falls back to bytes.
func (b *builder) gemma() error {
	if prefix, ok := b.metadata["tokenizer.ggml.add_space_prefix"].(bool); !ok || prefix {
		return fmt.Errorf("tokenizer.ggml.add_space_prefix is %v; only false is supported", b.metadata["tokenizer.ggml.add_space_prefix"])
	}
	b.tokens = slices.Clone(b.tokens)
	for i := range b.tokens {
		b.tokens[i] = strings.ReplaceAll(b.tokens[i], " ", string(lowLine))
	}
	f := &b.file
	if _, err := indexTokens(b.tokens, b.types); err != nil {
		return err
	}
	unknown, ok := number(b.metadata["tokenizer.ggml.unknown_token_id"])
	if !ok || unknown < 0 || unknown >= int64(len(b.tokens)) {
		return fmt.Errorf("tokenizer.ggml.unknown_token_id is %v, but there are %d tokens", b.metadata["tokenizer.ggml.unknown_token_id"], len(b.tokens))
	}
	f.Model.UnknownToken, f.Model.FuseUnknown, f.Model.ByteFallback = &b.tokens[unknown], true, true
	f.Normalizer = object{"type": "Replace", "pattern": object{"String": " "}, "content": string(lowLine)}
	b.special = func(id int) bool { return slices.Contains(gemmaSpecial, b.tokens[id]) }
	return nil
}

// indexTokens returns the ids of the tokens that a text can contain.
func indexTokens(tokens []string, types []int32) (map[string]int32, error) {
	ids := make(map[string]int32, len(tokens))
	for id, content := range tokens {
		if types[id] < ggufNormal || types[id] > ggufByte {
			return nil, fmt.Errorf("token %d, %q, is of type %d; supported are 1 to 6", id, content, types[id])
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
