package jsonl

import (
	"strings"
	"testing"

	"surprisal.dev/internal/golden"
	"surprisal.dev/providers/source/sourcetest"
)

// TestGolden reads lines with escapes, invalid bytes, paths into objects and arrays, clusters, and a bad row.
func TestGolden(t *testing.T) {
	dir := sourcetest.Dir(t, map[string]string{
		"a.jsonl": "\ufeff{\"a\": {\"b\": [1, \"\\u00e9\\ud83d\\ude00\\n\\\"\"]}, \"text\": \"one\"}\r\n\n \t\n{\"text\": \"two\xff\", \"a\": {\"b\": [{}, \"\"]}}",
		"b.jsonl": "{\"text\": 3}\n{\"text\": \"a\tb\"}\n{\"text\": \"\", \"x\": -1.5e+3, \"a\": {\"b\": [null, \"\\u0000\"]}}\n",
	})
	provider := New()
	description, err := provider.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	results := map[string][]byte{}
	for name, fields := range map[string][]string{"a field": {"text"}, "fields by paths": {"a.b.1", "text"}} {
		rows, err := sourcetest.Read(t, provider, sourcetest.Source(dir, `{"path": "*.jsonl"}`), 0, 0, fields...)
		if err != nil {
			t.Fatal(err)
		}
		results[name] = []byte(strings.Join(sourcetest.Format(rows), "\n"))
	}
	rows, err := sourcetest.ReadCluster(t, provider, sourcetest.Source(sourcetest.Dir(t, map[string]string{
		"c.jsonl": `{"text": "x", "book": 17}` + "\n" + `{"text": "y", "book": -0}` + "\n" + `{"text": "z", "book": "\u00e9"}` + "\n",
	}), `{"path": "c.jsonl"}`), "book", "text")
	if err != nil {
		t.Fatal(err)
	}
	results["a cluster"] = []byte(strings.Join(sourcetest.Format(rows), "\n"))
	golden.Check(t, description.Version, results)
}
