package text

import (
	"fmt"
	"strings"
	"testing"

	"surprisal.dev/internal/golden"
	"surprisal.dev/providers/source/sourcetest"
)

// TestGolden reads files with every kind of row end.
func TestGolden(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{
		"a.txt": "\ufeffone\nline: two\r\n\r\n  \t\nthree\rfour: \xff\n\n\n",
		"b.txt": "no line end: é",
		"c.txt": "",
	})
	provider := New()
	description, err := provider.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	results := map[string][]byte{}
	for _, split := range []string{"file", "paragraphs", "lines"} {
		const pair = ": "
		for separator, fields := range map[string][]string{"": {"text"}, pair: {"input", "target"}} {
			config := fmt.Sprintf(`{"path": "*.txt", "split": %q, "separator": %q}`, split, separator)
			if separator == "" {
				config = fmt.Sprintf(`{"path": "*.txt", "split": %q}`, split)
			}
			rows, err := sourcetest.Read(t, provider, sourcetest.Source(dir, config), 0, 0, fields...)
			if err != nil {
				t.Fatal(err)
			}
			results[fmt.Sprintf("%s, separator %q", split, separator)] = []byte(strings.Join(sourcetest.Format(rows), "\n"))
		}
	}
	golden.Check(t, description.Version, results)
}
