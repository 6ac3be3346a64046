package parquet

import (
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"surprisal.dev/internal/golden"
	"surprisal.dev/providers/source/sourcetest"
)

// TestGolden reads columns of all kinds, with nulls and empty lists, of two files.
func TestGolden(t *testing.T) {
	list := records(13)
	dir := sourcetest.Dir(t, map[string]string{
		"a.parquet": file(t, list[:9], 4, parquet.Compression(&parquet.Snappy)),
		"b.parquet": file(t, list[9:], 10, parquet.DataPageVersion(1), parquet.Compression(&parquet.Zstd)),
	})
	provider := New()
	description, err := provider.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	results := map[string][]byte{}
	for _, field := range []string{"text", "maybe", "language", "raw", `meta\.title`, "meta.source.url", "tags.1", "plain.0", "messages.1.content"} {
		rows, err := sourcetest.Read(t, provider, sourcetest.Source(dir, `{"path": "*.parquet"}`), 0, 0, field)
		if err != nil {
			t.Fatal(field, err)
		}
		results[field] = []byte(strings.Join(sourcetest.Format(rows), "\n"))
	}
	golden.Check(t, description.Version, results)
}
