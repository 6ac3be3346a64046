package checkpoint_test

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// renamed returns a safetensors file with other names of its tensors.
func renamed(t *testing.T, path string, rename func(string) string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	length := binary.LittleEndian.Uint64(data)
	var header map[string]json.RawMessage
	if err := json.Unmarshal(data[8:8+length], &header); err != nil {
		t.Fatal(err)
	}
	changed := map[string]json.RawMessage{}
	for name, entry := range header {
		if name != "__metadata__" {
			name = rename(name)
		}
		changed[name] = entry
	}
	text, err := json.Marshal(changed)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text, data[8+length:])
}

// TestLlama4Images reads the text decoder of a multimodal checkpoint to the same graph and weights as that decoder alone.
func TestLlama4Images(t *testing.T) {
	const golden = "../../../testdata/torch/golden/llama4"
	text := open(t, golden)
	data, err := os.ReadFile(filepath.Join(golden, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{
		"model_type": "llama4", "text_config": json.RawMessage(data), "vision_config": map[string]any{"hidden_size": 8}, "boi_token_index": 200080,
	}
	weights := renamed(t, filepath.Join(golden, "model.safetensors"), func(name string) string { return "language_model." + name })
	whole := open(t, directory(t, map[string]any{"config.json": config, "model.safetensors": weights}))
	a := whole.Architecture()
	a.Family = text.Architecture().Family
	if !reflect.DeepEqual(a, text.Architecture()) || !slices.Equal(whole.Tensors(), text.Tensors()) {
		t.Errorf("the graph is %+v, want %+v", a, text.Architecture())
	}
	for _, name := range text.Tensors() {
		if !slices.Equal(elements(t, whole, name), elements(t, text, name)) {
			t.Errorf("%s differs", name)
		}
	}
	outside := renamed(t, filepath.Join(golden, "model.safetensors"), func(name string) string {
		return "language_model." + strings.Replace(name, "feed_forward.router", "feed_forward.gate", 1)
	})
	refused(t, directory(t, map[string]any{"config.json": config, "model.safetensors": outside}), `no tensor "language_model.model.layers.1.feed_forward.router.weight"`)
	delete(config, "text_config")
	refused(t, directory(t, map[string]any{"config.json": config, "model.safetensors": weights}), "no field text_config")
}
