package markdown

import (
	"bytes"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

// Text in heads and cells stays in its column and is shown as it is.
func TestTable(t *testing.T) {
	var out strings.Builder
	Table(&out, "T", []string{Code("a|b"), "c"}, 1, func(int) []string { return []string{Code("<b>`|`"), Code("x\n| y")} })
	Table(&out, "Empty", nil, 0, nil)
	var html bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert([]byte(out.String()), &html); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<th><code>a|b</code></th>\n<th>c</th>", "<td><code>&lt;b&gt;`|`</code></td>\n<td><code>x\\n| y</code></td>", "<p>None.</p>"} {
		if !strings.Contains(html.String(), want) {
			t.Errorf("got %s, want %s", html.String(), want)
		}
	}
}
