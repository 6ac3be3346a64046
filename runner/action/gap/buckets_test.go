package gap

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Segments that are clipped at the range have the bucket of what remains, as in a report.
func TestBucketsOfRange(t *testing.T) {
	type part struct {
		Bucket     string
		Start, End int
	}
	for name, test := range map[string]struct {
		text       string
		start, end int
		want       []part
	}{
		"whole":              {"it's 12.5 é\n", 0, 13, []part{{"text/word", 0, 4}, {"whitespace/single_space", 4, 5}, {"text/number", 5, 9}, {"whitespace/single_space", 9, 10}, {"text/non_ascii_word", 10, 12}, {"whitespace/newline", 12, 13}}},
		"clipped":            {"www.example.org  x", 4, 16, []part{{"text/punctuation", 4, 15}, {"whitespace/single_space", 15, 16}}},
		"inside a character": {"é", 1, 2, []part{{"whitespace/mixed", 1, 2}}},
		"empty":              {"a", 1, 1, nil},
	} {
		var got []part
		Buckets(test.text, test.start, test.end, func(bucket string, start, end int) { got = append(got, part{bucket, start, end}) })
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
