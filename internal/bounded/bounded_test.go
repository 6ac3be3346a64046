package bounded_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"surprisal.dev/internal/bounded"
)

func tooLarge(err error) bool {
	e, ok := errors.AsType[*bounded.TooLargeError](err)
	return ok && e.Error() == "it is larger than 5 B"
}

// Content of exactly the limit is read, and longer content is an error.
func TestReadAll(t *testing.T) {
	if data, err := bounded.ReadAll(strings.NewReader("12345"), 5); string(data) != "12345" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	if data, err := bounded.ReadAll(strings.NewReader("123456"), 5); data != nil || !tooLarge(err) {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"five": "12345", "six": "123456"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := os.DirFS(dir)
	if data, err := bounded.ReadFile(files, "five", 5); string(data) != "12345" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	if data, err := bounded.ReadFile(files, "six", 5); data != nil || !tooLarge(err) {
		t.Errorf("got %q, %v", data, err)
	}
	if data, err := bounded.ReadFile(files, "pipe", 5); data != nil || err == nil || !strings.HasPrefix(err.Error(), "not a regular file") {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", 100)
	in := bufio.NewReaderSize(strings.NewReader("a\n"+long+"\nend"), 16)
	for _, want := range []struct {
		line string
		err  error
	}{{"a\n", nil}, {long + "\n", nil}, {"end", io.EOF}} {
		if line, err := bounded.ReadLine(in, 101); string(line) != want.line || !errors.Is(err, want.err) {
			t.Errorf("got %q, %v, want %q, %v", line, err, want.line, want.err)
		}
	}
	if line, err := bounded.ReadLine(bufio.NewReaderSize(strings.NewReader(long), 16), 5); line != nil || !tooLarge(err) {
		t.Errorf("got %q, %v", line, err)
	}
}
