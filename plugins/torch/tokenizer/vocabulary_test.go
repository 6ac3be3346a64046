package tokenizer

import "testing"

// The text of a token is the bytes that it stands for, in each way in which tokenizers write them.
func TestText(t *testing.T) {
	for file, of := range map[string]struct {
		content, want string
	}{
		byteLevel: {"Ġyou", " you"}, sentencePiece: {"<0xE2>", "\xe2"}, metaspace: {"▁word", " word"}, characters: {"é", "é"},
	} {
		v := vocabularyOf(t, file, "first", of.content, "+<|end|>")
		for id, want := range []string{"first", of.want, "<|end|>", ""} {
			if got := string(v.text(int32(id))); got != want {
				t.Errorf("%s: token %d has the text %q, want %q", file, id, got, want)
			}
		}
	}
}
