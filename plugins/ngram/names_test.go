package ngram

import (
	"testing"
)

// The texts of the tokens of a text are its bytes; the end of the text has none.
func TestTokenTexts(t *testing.T) {
	t.Parallel()
	for config, text := range map[string]string{
		`{"order": 2, "tokens": "bytes"}`: "na\u00efve text, and more\n",
		`{"order": 2, "tokens": "words"}`: "some words, some un\u00efque spelling",
	} {
		m := trained(t, config, "some words, some text, and some words")
		ids, starts := m.language.tokenize(text, nil, nil)
		texts, err := m.TokenTexts(t.Context(), append(ids, m.language.end()))
		if err != nil {
			t.Fatal(err)
		}
		starts = append(starts, int32(len(text)))
		for i := range ids {
			if want := text[starts[i]:starts[i+1]]; string(texts[i]) != want {
				t.Errorf("%s: token %d at byte %d has the text %q, want %q", config, ids[i], starts[i], texts[i], want)
			}
		}
		if end := texts[len(ids)]; len(end) > 0 {
			t.Errorf("%s: the end of the text has the text %q", config, end)
		}
	}
}
