package unicode17_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"unicode"

	"surprisal.dev/plugins/unicode17"
)

func TestClassOf(t *testing.T) {
	for _, test := range []struct {
		runes string
		want  unicode17.Class
	}{
		{"azAZªºéжα中あ한", unicode17.Letter},
		// Letters since Unicode 15.1, 16 and 17.
		{"\U0002ebf0\ua7cb\ua7d2\U00016ea0\U000323b0", unicode17.Letter},
		{"\u0301\ufe0f\u0903\u20dd\u0897\u1acf\U00011b60", unicode17.Mark},
		{"09½Ⅷ٣１²\U00011de0", unicode17.Number},
		{" \t\n\v\f\r\u0085\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000", unicode17.Space},
		// Not white space: separators that Python treats as such, a Mongolian vowel separator, zero-width characters.
		{"\x1c\x1f\u180e\u200b\ufeff", unicode17.Other},
		// Not assigned, for private use, or a letter only since Unicode 18.
		{"_-+$’🙂\x00\u0378\ue000\u0558\U0010ffff", unicode17.Other},
	} {
		for _, r := range test.runes {
			if got := unicode17.ClassOf(r); got != test.want {
				t.Errorf("%U: found class %d, want %d", r, got, test.want)
			}
			if got := unicode17.IsSpace(r); got != (test.want == unicode17.Space) {
				t.Errorf("%U: found IsSpace %v", r, got)
			}
		}
	}
	for _, r := range []rune{-1, unicode.MaxRune + 1, 0x7fffffff, 0xd800} {
		if got := unicode17.ClassOf(r); got != unicode17.Other {
			t.Errorf("%#x: found class %d, want %d", r, got, unicode17.Other)
		}
	}
}

// Stored results depend on every entry of the tables. Whoever changes one changes this digest, and raises the schema of
// each kind of action and the version of each plugin that imports the package.
func TestUnchanged(t *testing.T) {
	all := make([]byte, unicode.MaxRune+1)
	for r := range all {
		all[r] = byte(unicode17.ClassOf(rune(r)))
	}
	const want = "95c4c98fa2d8115d925403db3603892a3dbee72f2977c4bb4620ddbd25043e1e"
	if sum := sha256.Sum256(all); hex.EncodeToString(sum[:]) != want || unicode17.Version != "17.0.0" {
		t.Errorf("found classes with digest %x of Unicode %s, want %s of 17.0.0", sum, unicode17.Version, want)
	}
	for r := range all {
		all[r] = 0
		if unicode17.IsHidden(rune(r)) {
			all[r] = 1
		}
	}
	const wantHidden = "19647ec961f0ead356cea6b3b80358e6b1545147b7146bd2103bb706fa487049"
	if sum := sha256.Sum256(all); hex.EncodeToString(sum[:]) != wantHidden {
		t.Errorf("found hidden code points with digest %x, want %s", sum, wantHidden)
	}
	for _, r := range []rune{-1, unicode.MaxRune + 1, 0x7fffffff} {
		if unicode17.IsHidden(r) {
			t.Errorf("%#x is hidden", r)
		}
	}
}
