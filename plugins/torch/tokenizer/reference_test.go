//go:build torch && python

package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// reference is the directory of the scripts that run the Python library.
const reference = "../../../testdata/torch/tokenizer"

// environment returns a variable that `just test-tokenizer` sets.
func environment(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set; run `./just test-tokenizer`", name)
	}
	return value
}

// python runs a script of the reference and returns its output.
func python(t *testing.T, input []byte, script string, arguments ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), environment(t, "SURPRISAL_PYTHON"),
		append([]string{filepath.Join(reference, script)}, arguments...)...)
	command.Stdin = bytes.NewReader(input)
	var errors bytes.Buffer
	command.Stderr = &errors
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, errors.String())
	}
	return output
}

// goroot is the directory of the Go installation, which contains real text.
func goroot(t *testing.T) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "env", "GOROOT")
	// A downloaded toolchain lacks doc/.
	command.Dir, command.Env = "/", append(os.Environ(), "GOTOOLCHAIN=local")
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(output))
}

// answers returns the ids that the Python library gives each text, with special tokens as text and parsed.
func answers(t *testing.T, file string, texts []string) [][2][]int32 {
	t.Helper()
	var input bytes.Buffer
	encoder := json.NewEncoder(&input)
	for _, text := range texts {
		if err := encoder.Encode(text); err != nil {
			t.Fatal(err)
		}
	}
	var all [][2][]int32
	decoder := json.NewDecoder(bytes.NewReader(python(t, input.Bytes(), "reference.py", file)))
	for decoder.More() {
		var answer [2][]int32
		if err := decoder.Decode(&answer); err != nil {
			t.Fatal(err)
		}
		all = append(all, answer)
	}
	if len(all) != len(texts) {
		t.Fatalf("reference.py answered %d of %d texts", len(all), len(texts))
	}
	return all
}

// files returns the tokenizer files from packages and those that variants.py makes, by name.
func files(t *testing.T) map[string]string {
	t.Helper()
	directory := environment(t, "SURPRISAL_TOKENIZERS")
	made := t.TempDir()
	python(t, nil, "variants.py", made, filepath.Join(directory, "gpt2"), filepath.Join(goroot(t), "doc", "go_spec.html"))
	found := map[string]string{}
	for pattern, name := range map[string]func(string) string{
		filepath.Join(directory, "*", "tokenizer.json"): func(path string) string { return filepath.Base(filepath.Dir(path)) },
		filepath.Join(made, "*.json"):                   func(path string) string { return strings.TrimSuffix(filepath.Base(path), ".json") },
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			found[name(path)] = path
		}
	}
	return found
}

// hostile returns texts that are difficult for tokenizers, then random combinations of their parts.
func hostile(t *testing.T) []string {
	t.Helper()
	parts := []string{
		"", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\t\t\t", "a", " a", "a ", "Hello, world!", " Hello", "I'm you're WE'LL it's",
		"camelCaseHTTPRequest", "McDonald'Sn O'Neill'd", "ÉCOLEécole ǅungla ʰaʰ", "a/b//c/\n/d",
		"0", "12345678901234567890", "3.14159", "1,000,000", "x1y2z3", "\x00", "a\x00b", "\x04", "a\x04b", "!\x04!", "\x06\x13\x14\x16\x1d\x7f",
		"é", "e\u0301", "a\u030a\u0323", "ﬁ", "Å", "\u212b", "㍿", "①", "ｆｕｌｌ", "Straße", "İstanbul", "ΑΣ", "한국어", "\u1112\u1161\u11ab", "日本語のテキスト。",
		"中文，没有空格的句子。", "हिन्दी में", "العربية", "עברית", "ไทย", "👍", "👍🏽", "👩‍👩‍👧‍👦", "🇩🇪", "\u200d", "\u200b", "\ufeff", "\u00a0", "\u2028", "\u3000", "\ufffd",
		"\U000e0041", "\U0010ffff", "\U00040000", "\U00080001", "\ue000", "▁", "▁▁", "▁a", "a▁b", " ▁ ", "Ġ", "ĠHello", "Ċ", "<0x0A>", "<0xFF>",
		"<|endoftext|>", "<|im_start|>user\n", "<|begin_of_text|>", "<|eot_id|>", "<s>", "</s>", "<unk>", "[UNK]", "<bos>", "<eos>", "<pad>", "<mask>",
		"<start_of_turn>", "<unused5>", "<filename>", "<think>", "<tool_call>", "<|start|>", "<table><tr><td>", "</td></tr></table>",
		"func main() {\n\tfmt.Println(\"hi\")\n}\n", "{\"a\": [1, 2.5e-10, null]}", "https://example.org/?q=%20a&b=c#d", "aaaaaaaaaaaaaaaaaaaa",
		strings.Repeat(" ", 100), strings.Repeat("\n", 70), strings.Repeat("\t", 40), strings.Repeat("=", 90), strings.Repeat("ab", 200), "\u0301", "a\u0301\u0301\u0301",
	}
	texts := slices.Clone(parts)
	random := rand.New(rand.NewPCG(4, 2026))
	for range 1500 {
		var text strings.Builder
		for range random.IntN(12) + 1 {
			if random.IntN(4) == 0 {
				// A character of any plane; surrogates are not characters.
				if r := rune(random.Uint32() >> (11 + random.IntN(14))); utf8.ValidRune(r) {
					text.WriteRune(r)
				}
				continue
			}
			text.WriteString(parts[random.IntN(len(parts))])
		}
		texts = append(texts, text.String())
	}
	root := goroot(t)
	for _, name := range []string{"doc/go_spec.html", "src/testdata/Isaac.Newton-Opticks.txt", "src/unicode/utf8/utf8_test.go", "src/encoding/json/encode.go"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, strings.ToValidUTF8(string(data), "\ufffd"))
	}
	return texts
}

// addedTokens returns texts that contain the added tokens of a file, each between words.
func addedTokens(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		AddedTokens []struct{ Content string } `json:"added_tokens"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for tokens := range slices.Chunk(f.AddedTokens, 16) {
		var text strings.Builder
		for _, token := range tokens {
			fmt.Fprintf(&text, "see %s here,%s;", token.Content, token.Content)
		}
		texts = append(texts, text.String())
	}
	return texts
}

func load(t *testing.T, path string) *Tokenizer {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tokenizer, err := FromJSON(data)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	t.Cleanup(tokenizer.Close)
	return tokenizer
}

// compare encodes the texts, checks that the ids agree with the Python library's and that ranges tile, and returns the
// numbers of tokens, of inexact tokens and of unscored bytes.
func compare(t *testing.T, tokenizer *Tokenizer, file string, texts []string) (tokens, inexact, unscored int) {
	t.Helper()
	texts = slices.Concat(texts, addedTokens(t, file))
	expected := answers(t, file, texts)
	input := make([][]byte, len(texts))
	for i, text := range texts {
		input[i] = []byte(text)
	}
	for parse := range 2 {
		encodings, err := tokenizer.Encode(input, parse == 1)
		if err != nil {
			t.Fatal(err)
		}
		differing := 0
		for i, e := range encodings {
			if want := expected[i][parse]; !slices.Equal(e.IDs, want) {
				if differing++; differing <= 3 {
					t.Errorf("special tokens parsed: %v: %.200q\nhas the ids  %v\nin Python    %v", parse == 1, texts[i],
						e.IDs[:min(50, len(e.IDs))], want[:min(50, len(want))])
				}
			}
			if err := tiles(input[i], e); err != nil {
				t.Errorf("%.200q: %v", texts[i], err)
			}
			tokens += len(e.IDs)
			inexact += e.Inexact
			for _, u := range e.Unscored {
				unscored += int(u.End - u.Start)
			}
		}
		if differing > 0 {
			t.Errorf("special tokens parsed: %v: the ids of %d of %d texts differ", parse == 1, differing, len(texts))
		}
	}
	return tokens, inexact, unscored
}

func TestPythonAgrees(t *testing.T) {
	texts := hostile(t)
	for name, path := range files(t) {
		t.Run(name, func(t *testing.T) {
			tokens, inexact, unscored := compare(t, load(t, path), path, texts)
			t.Logf("%d tokens, %d inexact, %d bytes unscored", tokens, inexact, unscored)
		})
	}
}
