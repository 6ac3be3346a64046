//go:build python

package unicode17_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unicode"

	"surprisal.dev/plugins/unicode17"
)

// Every code point has the class and the visibility that the regex package gives it, in which the reference of the gap
// report is written.
func TestAgainstRegex(t *testing.T) {
	interpreter := os.Getenv("SURPRISAL_PYTHON")
	if interpreter == "" {
		t.Fatal("SURPRISAL_PYTHON is not set; run `just test-python`, or set it to a Python with testdata/python/requirements.txt installed")
	}
	command := exec.Command(interpreter, filepath.Join("..", "..", "testdata", "unicode", "classes.py"))
	command.Stderr = os.Stderr
	want, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	const n = unicode.MaxRune + 1
	if len(want) != 2*(n+1) {
		t.Fatalf("got %d bytes, want two lines for %d code points", len(want), n)
	}
	for r := range rune(n) {
		if got := '0' + byte(unicode17.ClassOf(r)); got != want[r] {
			t.Errorf("%U: found class %c, want %c", r, got, want[r])
		}
		if got := unicode17.IsHidden(r); got != (want[n+1+r] == '1') {
			t.Errorf("%U: found IsHidden %v", r, got)
		}
	}
}
