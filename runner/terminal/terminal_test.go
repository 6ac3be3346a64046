package terminal_test

import (
	"strings"
	"testing"

	"surprisal.dev/runner/terminal"
)

// A column is as wide as its longest cell has characters, however many bytes these take.
func TestColumns(t *testing.T) {
	var b strings.Builder
	terminal.Columns(&b, [][]string{{"name", "documents", "note"}, {"é…≤", "≤10", "x"}, {"b", "-", ""}})
	want := "name  documents  note\né…≤   ≤10        x\nb     -\n"
	if b.String() != want {
		t.Errorf("found %q, wanted %q", b.String(), want)
	}
}
