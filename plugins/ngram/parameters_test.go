package ngram

import (
	"os"
	"path/filepath"
	"testing"

	"surprisal.dev/plugins/protocol"
)

// The parameters of a trained model are its distinct n-grams, counted by hand.
func TestParameters(t *testing.T) {
	for config, want := range map[string]int64{
		// a, b and the end of the text.
		`{"order": 1}`: 3,
		// The beginning of a text counts as a symbol of histories, and "begin a", "a b", "b a", "a end" are new.
		`{"order": 2}`: 8,
		// The piece "aba" and the end; the spelling of "aba", of order 5, has 4, 3, 2 and 1 n-grams of 1 to 4 symbols.
		`{"order": 1, "tokens": "words"}`: 12,
	} {
		path := filepath.Join(t.TempDir(), "model")
		if err := os.WriteFile(path, file(t, config, "aba"), 0o644); err != nil {
			t.Fatal(err)
		}
		m := protocol.Model{Config: []byte(config), Files: []protocol.ModelFile{{Path: path}}}
		got, err := New().Plan(t.Context(), m, protocol.Settings{})
		if err != nil || got.Parameters != want {
			t.Errorf("%s: got %d parameters, %v; want %d", config, got.Parameters, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "model")
	if err := os.WriteFile(path, []byte("surprisal n-gram, but not a model of it: 0123456789 0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	m := protocol.Model{Config: []byte(`{}`), Files: []protocol.ModelFile{{Path: path}}}
	if _, err := New().Plan(t.Context(), m, protocol.Settings{}); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("got %v for a damaged file", err)
	}
}
