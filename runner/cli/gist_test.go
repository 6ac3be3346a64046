package cli

import (
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
)

// The summary of a long failure has its beginning and its end, which is the remedy.
func TestGist(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 200)
	for message, want := range map[string][]string{
		"it failed; fix it":                          {"it failed; fix it"},
		"a: " + long + "; fix it":                    {"a: long ", " ... ", "; fix it"},
		"a: 2 rows:\n  one\n  two\n  fix the rows\n": {"a: 2 rows: one ... fix the rows"},
		"a: 2 rows:\n  one":                          {"a: 2 rows: one"},
		long + "\n" + long + "\nfix it":              {"long ", " ... ", "fix it"},
		strings.Repeat("世界", 500) + "; fix it":       {"世界", " ... ", "界; fix it"},
	} {
		got := gist(message)
		rest := got
		for _, part := range want {
			_, after, found := strings.Cut(rest, part)
			if !found {
				t.Errorf("got %q, want %q", got, want)
			}
			rest = after
		}
		if rest != "" || strings.Contains(got, "\n") || runewidth.StringWidth(got) > 500 {
			t.Errorf("got %q of width %d, want one line that ends with the remedy", got, runewidth.StringWidth(got))
		}
	}
}
