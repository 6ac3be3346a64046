//go:build torch

package tokenizer

// #cgo golangci CFLAGS: -I${SRCDIR}
// #include "tokenizer.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"unicode/utf8"
	"unsafe"

	"surprisal.dev/plugins/protocol"
)

// callBytes bounds the text of one call of the engine.
const callBytes = 4 << 20

// Tokenizer is safe for concurrent use. Each call uses all processors, and calls wait for each other.
type Tokenizer struct {
	mutex      sync.RWMutex
	reply      *C.surprisal_reply
	vocabulary *vocabulary
	size       int
	bos, eos   int32
}

// maxID bounds allocations.
const maxID = 1<<24 - 1

// FromJSON reads a tokenizer.json. Whatever the file's settings, the tokenizer adds no special tokens, does not
// truncate or pad, and disables random behavior (dropout). BOS and EOS are those of the file's template.
func FromJSON(data []byte) (*Tokenizer, error) {
	s, err := parseSettings(data)
	if err != nil {
		return nil, err
	}
	reply, err := check(C.surprisal_tokenizer_load((*C.uint8_t)(unsafe.SliceData(data)), C.size_t(len(data)), C.size_t(runtime.GOMAXPROCS(0))))
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf("this tokenizer.json cannot be used: %v", err)}
	}
	t := &Tokenizer{reply: reply, bos: -1, eos: -1}
	tokens, err := t.tokens()
	if err != nil {
		t.Close()
		return nil, err
	}
	t.vocabulary = newVocabulary(s, tokens)
	t.size = len(t.vocabulary.pieces)
	before, after := template(s.PostProcessor)
	for _, token := range tokens {
		if before != "" && token.content == before {
			t.bos = token.id
		}
		if after != "" && token.content == after {
			t.eos = token.id
		}
	}
	return t, nil
}

// tokens returns the engine's tokens by id.
func (t *Tokenizer) tokens() ([]token, error) {
	list, err := check(C.surprisal_tokenizer_vocabulary(t.reply.tokenizer))
	if err != nil {
		return nil, err
	}
	defer C.surprisal_tokenizer_free(list)
	// The library's memory is freed; one copy of the contents is kept.
	contents := strings.Clone(unsafe.String((*byte)(list.bytes), list.bytes_size))
	ids, ends, kinds := view(list.ids, list.size), view(list.ends, list.size), view(list.counts, list.counts_size)
	tokens := make([]token, len(ids))
	start := int32(0)
	for i, end := range ends {
		content := contents[start:end]
		if ids[i] > maxID {
			return nil, &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(
				"this tokenizer.json cannot be used: %q has the id %d, and ids are at most %d", content, ids[i], maxID)}
		}
		tokens[i] = token{ids[i], content, kinds[i] == 1}
		start = end
	}
	return tokens, nil
}

// FromGGUF rebuilds the tokenizer of a GGUF file from its metadata: the keys tokenizer.ggml.* and general.architecture,
// with strings, integers, booleans, []string and []int32 as values. BOS and EOS are the file's.
func FromGGUF(metadata map[string]any) (*Tokenizer, error) {
	r, err := rebuild(metadata)
	if err != nil {
		return nil, err
	}
	s, err := parseSettings(r.json)
	if err != nil {
		return nil, err
	}
	vocabulary := make(chan *vocabulary, 1)
	go func() { vocabulary <- newVocabulary(s, r.found()) }()
	reply, err := r.build()
	t := &Tokenizer{reply: reply, vocabulary: <-vocabulary, size: len(r.tokens), bos: r.bos, eos: r.eos}
	if err != nil {
		return nil, unusable(err)
	}
	return t, nil
}

// build makes the engine.
func (r rebuilt) build() (*C.surprisal_reply, error) {
	contents := []byte(strings.Join(r.tokens, ""))
	ends := make([]C.size_t, len(r.tokens))
	end := 0
	for i, content := range r.tokens {
		end += len(content)
		ends[i] = C.size_t(end)
	}
	return check(C.surprisal_tokenizer_build((*C.uint8_t)(unsafe.SliceData(r.json)), C.size_t(len(r.json)),
		(*C.uint8_t)(unsafe.SliceData(contents)), unsafe.SliceData(ends), (*C.uint8_t)(unsafe.SliceData(r.flags)), C.size_t(len(r.tokens)),
		(*C.uint32_t)(unsafe.Pointer(unsafe.SliceData(r.merges))), C.size_t(2*len(r.merges)), C.size_t(runtime.GOMAXPROCS(0))))
}

// VocabularySize is one more than the largest id.
func (t *Tokenizer) VocabularySize() int { return t.size }

// Text returns the bytes that a token stands for in a text, which must not be modified. It is the name of a special
// token, and nil for an id without a token.
func (t *Tokenizer) Text(id int32) []byte { return t.vocabulary.text(id) }

// BOS returns the beginning-of-text token, if there is one.
func (t *Tokenizer) BOS() (id int32, ok bool) { return t.bos, t.bos >= 0 }

// EOS returns the end-of-text token, if there is one.
func (t *Tokenizer) EOS() (id int32, ok bool) { return t.eos, t.eos >= 0 }

// Close frees the engine and ends its threads.
func (t *Tokenizer) Close() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	C.surprisal_tokenizer_free(t.reply)
	t.reply = nil
}

// Encode tokenizes each text, which must be valid UTF-8. Text that looks like a special token is ordinary text unless
// parseSpecial is true. No special tokens are added.
func (t *Tokenizer) Encode(texts [][]byte, parseSpecial bool) ([]Encoding, error) {
	t.mutex.RLock()
	defer t.mutex.RUnlock()
	if t.reply == nil {
		return nil, errors.New("the tokenizer is closed")
	}
	encodings := make([]Encoding, len(texts))
	var parts []part
	for i, text := range texts {
		if len(text) > math.MaxInt32 {
			return nil, &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(
				"text %d has %d bytes, more than the maximum of %d; split it", i, len(text), math.MaxInt32)}
		}
		if !utf8.Valid(text) {
			return nil, &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf("text %d is not valid UTF-8", i)}
		}
		cuts, err := t.split(text, parseSpecial)
		if err != nil {
			return nil, err
		}
		for _, c := range cuts {
			c.text = i
			parts = append(parts, c)
		}
	}
	ranges := make([]ranges, len(texts))
	for len(parts) > 0 {
		n, bytes := 0, 0
		var call [][]byte
		for n < len(parts) && (n == 0 || bytes+parts[n].end-parts[n].start <= callBytes) {
			call = append(call, texts[parts[n].text][parts[n].start:parts[n].end])
			bytes += parts[n].end - parts[n].start
			n++
		}
		results, err := t.call(call, parseSpecial)
		if err != nil {
			return nil, err
		}
		for i, p := range parts[:n] {
			ranges[p.text].add(results[i], int32(p.start))
		}
		parts = parts[n:]
	}
	for i, r := range ranges {
		encodings[i] = t.vocabulary.align(texts[i], r.ids, r.starts, r.ends)
	}
	return encodings, nil
}

// ranges is a list of tokens with the engine's ranges.
type ranges struct {
	ids, starts, ends []int32
}

// add appends the tokens of a part of the text that begins at byte at.
func (r *ranges) add(part ranges, at int32) {
	r.ids = append(r.ids, part.ids...)
	for i := range part.ids {
		r.starts = append(r.starts, part.starts[i]+at)
		r.ends = append(r.ends, part.ends[i]+at)
	}
}

// call encodes texts in one call of the engine.
func (t *Tokenizer) call(texts [][]byte, parseSpecial bool) ([]ranges, error) {
	var joined []byte
	ends := make([]C.size_t, len(texts))
	for i, text := range texts {
		joined = append(joined, text...)
		ends[i] = C.size_t(len(joined))
	}
	var special C.int32_t
	if parseSpecial {
		special = 1
	}
	reply, err := check(C.surprisal_tokenizer_encode(t.reply.tokenizer, (*C.uint8_t)(unsafe.SliceData(joined)),
		unsafe.SliceData(ends), C.size_t(len(ends)), special))
	if err != nil {
		return nil, fmt.Errorf("tokenizing %d texts: %w", len(texts), err)
	}
	defer C.surprisal_tokenizer_free(reply)
	ids, from, to := view(reply.ids, reply.size), view(reply.starts, reply.size), view(reply.ends, reply.size)
	results := make([]ranges, len(texts))
	for i, count := range view(reply.counts, reply.counts_size) {
		results[i].add(ranges{ids[:count], from[:count], to[:count]}, 0)
		ids, from, to = ids[count:], from[count:], to[count:]
	}
	return results, nil
}

// check returns the reply, or its error.
func check(reply *C.surprisal_reply) (*C.surprisal_reply, error) {
	if reply.error_size == 0 {
		return reply, nil
	}
	defer C.surprisal_tokenizer_free(reply)
	return nil, errors.New(C.GoStringN(reply.error, C.int(reply.error_size)))
}

func view(data *C.int32_t, size C.size_t) []int32 {
	if size == 0 {
		// Rust's pointer to an empty array is not a valid address, and would crash Go's garbage collector.
		return nil
	}
	return unsafe.Slice((*int32)(data), size)
}

// found returns the tokens that texts can contain.
func (r rebuilt) found() []token {
	tokens := make([]token, 0, len(r.tokens))
	for id, content := range r.tokens {
		if f := r.flags[id]; f&present != 0 {
			tokens = append(tokens, token{int32(id), content, f&added != 0})
		}
	}
	return tokens
}
