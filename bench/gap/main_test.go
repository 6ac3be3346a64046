package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A seed gives the same tables every time, of the size asked for, and they can be compared.
func TestGenerate(t *testing.T) {
	const size = 100_000
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		text, _, err := generate(dir, size, 7)
		if err != nil {
			t.Fatal(err)
		}
		if text < size || text > 3*size {
			t.Errorf("got %d bytes of text, want about %d", text, size)
		}
	}
	name := filepath.Join("b", "web", "scored_documents.parquet")
	x, errX := os.ReadFile(filepath.Join(first, name))
	y, errY := os.ReadFile(filepath.Join(second, name))
	if errX != nil || errY != nil || !bytes.Equal(x, y) {
		t.Errorf("two runs of one seed differ (%v, %v)", errX, errY)
	}
	if err := report(first); err != nil {
		t.Error(err)
	}
}
