//go:build torch

package backend

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
)

// ggufHeader is the size of what comes before the metadata; the number of pairs is its last 8 bytes.
const ggufHeader = 24

// pairs writes metadata of a GGUF file.
type pairs struct {
	written bytes.Buffer
	n       uint64
}

func (p *pairs) number(n uint64) { p.written.Write(binary.LittleEndian.AppendUint64(nil, n)) }

func (p *pairs) kind(n uint32) { p.written.Write(binary.LittleEndian.AppendUint32(nil, n)) }

func (p *pairs) text(s string) {
	p.number(uint64(len(s)))
	p.written.WriteString(s)
}

func (p *pairs) key(name string, kind uint32) {
	p.n++
	p.text(name)
	p.kind(kind)
}

func (p *pairs) addText(name, value string) {
	p.key(name, 8)
	p.text(value)
}

func addArray[T any](p *pairs, name string, kind uint32, values []T, write func(T)) {
	p.key(name, 9)
	p.kind(kind)
	p.number(uint64(len(values)))
	for _, value := range values {
		write(value)
	}
}

func (p *pairs) addTexts(name string, values []string) { addArray(p, name, 8, values, p.text) }

func (p *pairs) addIntegers(name string, values []int32) {
	addArray(p, name, 5, values, func(v int32) { p.kind(uint32(v)) })
}

// into returns the file with the metadata at its beginning. What follows stays aligned.
func (p *pairs) into(file []byte) []byte {
	const alignment = 32
	p.addText("padding", "")
	padding := (alignment - p.written.Len()%alignment) % alignment
	at := p.written.Len() - 8
	extra := p.written.Bytes()
	binary.LittleEndian.PutUint64(extra[at:], uint64(padding))
	extra = append(extra, make([]byte, padding)...)
	file = slices.Insert(slices.Clone(file), ggufHeader, extra...)
	count := file[ggufHeader-8 : ggufHeader]
	binary.LittleEndian.PutUint64(count, binary.LittleEndian.Uint64(count)+p.n)
	return file
}

// olmoe is a GGUF file of the golden OLMoE, whose tokenizer has tokens of single bytes and one for the word "It".
func olmoe(t *testing.T, pre string) []byte {
	t.Helper()
	file, err := os.ReadFile("../../../testdata/torch/gguf/olmoe.gguf")
	if err != nil {
		t.Fatal(err)
	}
	var p pairs
	p.addText("tokenizer.ggml.pre", pre)
	p.addTexts("tokenizer.ggml.tokens", append(byteAlphabet()[:255], "It"))
	p.addIntegers("tokenizer.ggml.token_type", slices.Repeat([]int32{1}, 256))
	p.addTexts("tokenizer.ggml.merges", []string{"I t"})
	p.key("tokenizer.ggml.bos_token_id", 4)
	p.kind(0)
	return ggufKind(t, p.into(file), "gpt2")
}

// ggufKind replaces the kind of the tokenizer, which is "none" in the golden files.
func ggufKind(t *testing.T, file []byte, kind string) []byte {
	t.Helper()
	at := bytes.Index(file, []byte("none"))
	if at < 0 || bytes.Count(file, []byte("none")) != 1 || len(kind) != len("none") {
		t.Fatalf("%d times none in the file", bytes.Count(file, []byte("none")))
	}
	file = slices.Clone(file)
	copy(file[at:], kind)
	return file
}

// TestTokenizerOfGGUF checks that the tokenizer of a GGUF file is found at planning and used, with the normalizer of OLMoE.
func TestTokenizerOfGGUF(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "model.gguf"), olmoe(t, "olmo"))
	m := planned(t, dir, "model.gguf")
	if _, err := New().Plan(t.Context(), m, protocol.Settings{}); err != nil {
		t.Fatal(err)
	}
	loaded := opened(t, m)
	for text, want := range map[string][]int32{"It": {255}, "Is": {'I', 's'}, "e\u0301": {0xc3, 0xa9}, "x\u0301": {'x', 0xcc, 0x81}} {
		if got := score(t, loaded, protocol.Settings{}, text)[0].TokenIDs; !slices.Equal(got, want) {
			t.Errorf("%q has the tokens %d, want %d", text, got, want)
		}
	}
}

// TestPlanFindsTokenizers checks that a tokenizer that cannot be read is an error of a plan, the same as that of loading.
func TestPlanFindsTokenizers(t *testing.T) {
	const supported = `; supported are "gpt2" and "llama"; use the model's directory of safetensors and tokenizer.json instead`
	good := olmoe(t, "olmo")
	gguf := func(file []byte) protocol.Model {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "model.gguf"), file)
		return planned(t, dir, "model.gguf")
	}
	files := []string{"config.json", "model.safetensors", "tokenizer.json"}
	broken, missing := filepath.Dir(tiny(t).Files[0].Path), filepath.Dir(tiny(t).Files[0].Path)
	write(t, filepath.Join(broken, "tokenizer.json"), []byte("version https://git-lfs.github.com/spec/v1\n"))
	if err := os.Remove(filepath.Join(missing, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		what  string
		model protocol.Model
		want  string
	}{
		{"another kind", gguf(bytes.Replace(good, []byte("gpt2"), []byte("bert"), 1)), `tokenizer.ggml.model is "bert"` + supported},
		{"none", gguf(bytes.Replace(good, []byte("tokenizer.ggml.model"), []byte("tokenizer.ggml.other"), 1)), "tokenizer.ggml.model is missing" + supported},
		{"another pre-tokenizer", gguf(olmoe(t, "deepseek-llm")), `tokenizer.ggml.pre is "deepseek-llm"; supported are "gpt-2", "olmo", `},
		{"a pointer to a file", planned(t, broken, files...), "this is not a tokenizer.json"},
		{"no tokenizer.json", planned(t, missing, files[:2]...), "tokenizer.json not found in the model directory"},
	} {
		_, atPlan := New().Plan(t.Context(), test.model, protocol.Settings{})
		loaded, atLoad := New().Load(t.Context(), test.model)
		if loaded != nil {
			t.Fatalf("%s: loaded", test.what)
		}
		for when, err := range map[string]error{"planning": atPlan, "loading": atLoad} {
			if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, %s: %v; want an invalid input with %q", test.what, when, err, test.want)
			}
		}
	}
}
