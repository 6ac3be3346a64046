//go:build torch && models

package backend

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

const (
	// modelsVariable names the directory of examples/torch/models.py.
	modelsVariable = "SURPRISAL_MODELS"
	// documentsVariable names the output of testdata/torch/agree.py, for a machine that cannot run the script.
	documentsVariable = "SURPRISAL_DOCUMENTS"
)

// reference is the part of transformers' answers that testdata/torch/agree.py keeps.
type reference struct {
	Documents []struct {
		ID string
		// Text and Tokens are SHA-256; Losses are float64 in little-endian order.
		Text, Tokens string
		Losses       []byte
	}
}

// TestRealModels compares two real models with transformers, token by token, on 40 documents of mixed kinds. It also
// compares the answers to documents alone, together and in another order with each other.
func TestRealModels(t *testing.T) {
	texts := mixed(t)
	for _, test := range []struct{ file, reference string }{{"smollm2.gguf", "smollm2.json"}, {"gemma3-270m.gguf", "gemma3.json"}} {
		for _, dtype := range []string{"float32", "bfloat16"} {
			t.Run(test.file+" "+dtype, func(t *testing.T) {
				m := opened(t, real(t, test.file, dtype))
				together := score(t, m, protocol.Settings{}, texts...)
				if dtype == "float32" {
					agrees(t, read(t, test.reference), texts, together)
				}
				independent(t, m, batchTolerance(dtype), texts, together)
			})
		}
	}
}

// TestRealModelsPathological checks that the tokens of real tokenizers tile pathological texts of 1 MB.
func TestRealModelsPathological(t *testing.T) {
	for _, file := range []string{"smollm2.gguf", "gemma3-270m.gguf"} {
		m := opened(t, real(t, file, "bfloat16")).(*model)
		m.decoder = constantComputer{m.decoder}
		tilesPathological(t.Context(), t, m, protocol.Settings{}, 1_000_000)
	}
}

func mixed(t *testing.T) []string {
	t.Helper()
	path := os.Getenv(documentsVariable)
	if path == "" {
		path = filepath.Join(t.TempDir(), "documents.jsonl")
		if out, err := exec.Command("python3", "../../../testdata/torch/agree.py", "documents", path).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for lines := json.NewDecoder(bytes.NewReader(data)); ; {
		var d struct{ Text string }
		if err := lines.Decode(&d); err == io.EOF {
			return texts
		} else if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, d.Text)
	}
}

func real(t testing.TB, file, dtype string) protocol.Model {
	t.Helper()
	path := filepath.Join(os.Getenv(modelsVariable), file)
	f, err := os.Open(path)
	if err != nil {
		t.Fatalf("%v; run ./just test-models", err)
	}
	digest := sha256.New()
	if _, err := io.Copy(digest, f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return protocol.Model{
		Config: json.RawMessage(strings.Replace(defaults, "float32", dtype, 1)),
		Files:  []protocol.ModelFile{{Name: file, Path: path, Digest: fmt.Sprintf("sha256:%x", digest.Sum(nil))}},
	}
}

func read(t *testing.T, name string) (r reference) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../../testdata/torch/real", name))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// agrees compares answers with those of transformers in float32. The limits are a hundredth of the difference between
// its own float32 and bfloat16.
func agrees(t *testing.T, r reference, texts []string, answers []protocol.ScoredDocument) {
	const maxMean, maxToken, maxBPB = 5e-5, 2e-3, 1e-5
	if len(r.Documents) != len(texts) {
		t.Fatalf("%d documents, and %d in the reference", len(texts), len(r.Documents))
	}
	var sum, greatest, worst float64
	tokens := 0
	for i, want := range r.Documents {
		got := answers[i]
		var list strings.Builder
		for j, id := range got.TokenIDs {
			fmt.Fprintf(&list, "%d %d %d\n", id, got.TokenStarts[j], got.TokenEnds[j])
		}
		if hex(texts[i]) != want.Text {
			t.Fatalf("%s: not the text that the reference was made of; another Go may carry another text", want.ID)
		}
		if hex(list.String()) != want.Tokens {
			t.Errorf("%s: other ids or spans", want.ID)
			continue
		}
		var nats float64
		for j, nll := range got.TokenNLL {
			delta := nll - math.Float64frombits(binary.LittleEndian.Uint64(want.Losses[8*j:]))
			nats += delta
			sum += math.Abs(delta)
			greatest = max(greatest, math.Abs(delta))
		}
		tokens += len(got.TokenNLL)
		worst = max(worst, math.Abs(nats)/math.Ln2/float64(len(texts[i])))
	}
	mean := sum / float64(tokens)
	t.Logf("against transformers: %d tokens, mean %.2g and at most %.2g nats per token, at most %.2g bits per byte", tokens, mean, greatest, worst)
	if mean > maxMean || greatest > maxToken || worst > maxBPB {
		t.Errorf("more than %g, %g and %g", maxMean, maxToken, maxBPB)
	}
}

func hex(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

// independent scores each document alone, and all in another order.
func independent(t *testing.T, m sdk.Model, tolerance float64, texts []string, together []protocol.ScoredDocument) {
	greatest := 0.0
	compare := func(i int, got protocol.ScoredDocument) {
		for j, nll := range got.TokenNLL {
			greatest = max(greatest, math.Abs(nll-together[i].TokenNLL[j]))
		}
	}
	for i, text := range texts {
		compare(i, score(t, m, protocol.Settings{}, text)[0])
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(len(texts))
	shuffled := make([]string, len(texts))
	for to, from := range order {
		shuffled[to] = texts[from]
	}
	for to, got := range score(t, m, protocol.Settings{}, shuffled...) {
		compare(order[to], got)
	}
	t.Logf("alone, together and in another order: at most %g nats per token", greatest)
	if greatest > tolerance {
		t.Errorf("more than %g", tolerance)
	}
}

// peakVariable makes the test binary print its peak memory after scoring with the model whose file, type and ranks it
// names: a long text, or rows with the same prompt.
const peakVariable = "SURPRISAL_PEAK"

// TestMemory compares the planned memory with that of a process, for models of three sizes.
func TestMemory(t *testing.T) {
	if which := os.Getenv(peakVariable); which != "" {
		printPeak(t, which)
		return
	}
	for _, file := range []string{"tiny", "smollm2.gguf", "gemma3-270m.gguf"} {
		for _, how := range []string{"float32 1", "bfloat16 1", "float32 2", "float32 1 prompts"} {
			which := file + " " + how
			t.Run(which, func(t *testing.T) {
				estimate, err := New().Plan(t.Context(), sized(t, which), protocol.Settings{})
				if err != nil {
					t.Fatal(err)
				}
				c := exec.Command(os.Args[0], "-test.run", "^TestMemory$", "-test.v")
				c.Env = append(os.Environ(), peakVariable+"="+which)
				out, err := c.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				_, rest, _ := strings.Cut(string(out), "VmHWM:")
				var peak int64
				if _, err := fmt.Sscan(rest, &peak); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				peak <<= 10
				ratio := float64(estimate.MemoryBytes) / float64(peak)
				t.Logf("planned %d MB, taken %d MB: %.2f", estimate.MemoryBytes>>20, peak>>20, ratio)
				if ratio < 0.85 || ratio > 1.15 {
					t.Error("more than 15% off")
				}
			})
		}
	}
}

func sized(t *testing.T, which string) protocol.Model {
	t.Helper()
	fields := strings.Fields(which)
	file, dtype, ranks := fields[0], fields[1], fields[2]
	m := tiny(t)
	if file != "tiny" {
		m = real(t, file, dtype)
	}
	m.Config = json.RawMessage(strings.NewReplacer("float32", dtype, `"tensorParallel": 1`, `"tensorParallel": `+ranks).Replace(defaults))
	return m
}

func printPeak(t *testing.T, which string) {
	m := opened(t, sized(t, which))
	text := strings.Repeat("The train was late because it had snowed for three days. ", 470) // two windows of 4,096 tokens with the real models
	texts := []string{text}
	if strings.HasSuffix(which, "prompts") {
		texts = nil
		for i := range 400 {
			texts = append(texts, fmt.Sprintf("%s Row %d: %s", text[:3000], i*i, strings.Repeat("snow ", i%40)))
		}
	}
	// The answers are not kept: the runner's process has them.
	err := m.Score(t.Context(), protocol.Settings{}, always(documents(texts...)), func(protocol.ScoredDocument) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s\n", status)
}
