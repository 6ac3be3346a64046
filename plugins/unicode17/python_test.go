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

// Every code point has the class that the regex package gives it, which the reference of the gap report is written in.
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
	if n := unicode.MaxRune + 1; len(want) != int(n)+1 {
		t.Fatalf("found classes of %d code points, wanted %d", len(want)-1, n)
	}
	for r := range rune(unicode.MaxRune + 1) {
		if got := '0' + byte(unicode17.ClassOf(r)); got != want[r] {
			t.Errorf("%U: found class %c, wanted %c", r, got, want[r])
		}
	}
}
