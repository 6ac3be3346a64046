package workspace

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
)

// served is a location of weights with one file.
type served struct {
	remoteWeights
	content []byte
}

func (s served) begin(_ context.Context, _ string, _ remoteFile, n int64) ([]byte, error) {
	return s.content[:min(n, int64(len(s.content)))], nil
}

// TestOutlineOfFiles checks what an outline has of files: of JSON everything, since a plan parses it, of GGUF the beginning.
func TestOutlineOfFiles(t *testing.T) {
	content := bytes.Repeat([]byte("x"), ggufBeginning+10)
	for name, want := range map[string]int{"tokenizer.json": len(content), "model.gguf": ggufBeginning} {
		to := filepath.Join(t.TempDir(), name)
		f := remoteFile{name: name, bytes: int64(len(content))}
		if err := new(Workspace).outlineFile(t.Context(), served{content: content}, "main", f, to); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(content) || bytes.Count(got, []byte("x")) != want {
			t.Errorf("%s: the outline has %d bytes of %d, in a file of %d; want %d", name, bytes.Count(got, []byte("x")), len(content), len(got), want)
		}
	}
}
