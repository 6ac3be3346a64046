//go:build python

package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"surprisal.dev/plugins/torch/checkpoint"
)

// TestAgainstGGUFPackage compares random blocks of each type, bit for bit, with the values that the gguf package reads.
func TestAgainstGGUFPackage(t *testing.T) {
	interpreter := os.Getenv("SURPRISAL_PYTHON")
	if interpreter == "" {
		t.Fatal("SURPRISAL_PYTHON is not set; run `just test-python`, or set it to a Python with testdata/python/requirements.txt installed")
	}
	dir := t.TempDir()
	command := exec.Command(interpreter, filepath.Join("testdata", "dequantize.py"), dir)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := open(t, filepath.Join(dir, "model.gguf"))
	types := []checkpoint.Type{
		checkpoint.F32, checkpoint.F16, checkpoint.BF16, checkpoint.Q8_0, checkpoint.Q4_0, checkpoint.Q4_1, checkpoint.Q5_0,
		checkpoint.Q4_K, checkpoint.Q5_K, checkpoint.Q6_K,
	}
	for n, typ := range types {
		want, err := os.ReadFile(filepath.Join(dir, string(typ)+".f32"))
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("layers.%d.mlp.up.weight", n)
		tensor, err := c.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		if tensor.Type != typ {
			t.Errorf("%s has type %s, want %s", name, tensor.Type, typ)
		}
		var got bytes.Buffer
		if err := binary.Write(&got, binary.LittleEndian, values(t, c, name)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: bits differ from the package's", typ)
		}
	}
}
