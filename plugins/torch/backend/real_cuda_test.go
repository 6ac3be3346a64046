//go:build torch && models && cuda

package backend

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"surprisal.dev/plugins/protocol"
)

// TestRealModelsCUDA repeats TestRealModels on a GPU, for the available models.
func TestRealModelsCUDA(t *testing.T) {
	texts := mixed(t)
	seen := 0
	for _, test := range []struct{ file, reference string }{{"smollm2.gguf", "smollm2.json"}, {"gemma3-270m.gguf", "gemma3.json"}} {
		if _, err := os.Stat(filepath.Join(os.Getenv(modelsVariable), test.file)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		seen++
		for _, c := range []struct {
			dtype string
			batch float64
		}{{"float32", 1e-5}, {"bfloat16", 0.5}} {
			t.Run(test.file+" "+c.dtype, func(t *testing.T) {
				model := real(t, test.file, c.dtype)
				model.Config = bytes.Replace(model.Config, []byte(`"cpu"`), []byte(`"cuda:0"`), 1)
				m := opened(t, model)
				together := score(t, m, protocol.Settings{}, texts...)
				if c.dtype == "float32" {
					agrees(t, read(t, test.reference), texts, together)
				}
				independent(t, m, c.batch, texts, together)
			})
		}
	}
	if seen == 0 {
		t.Errorf("none of the models is in %s", os.Getenv(modelsVariable))
	}
}
