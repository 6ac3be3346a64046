package unicode17

// IsHidden reports whether a code point is invisible or changes how others are displayed: control characters, line and
// paragraph separators, format characters (categories Cc, Zl, Zp and Cf), and those with the property
// Other_Default_Ignorable_Code_Point. It excludes those with Prepended_Concatenation_Mark, which are signs of numbers
// and verses.
func IsHidden(r rune) bool {
	switch {
	case r < 0x7f:
		return 0 <= r && r < ' '
	case r < 0x200b:
		return r <= 0x9f || r == 0xad || r == 0x34f || r == 0x61c || r == 0x115f || r == 0x1160 || r == 0x17b4 || r == 0x17b5 || r == 0x180e
	case r < 0xe0000:
		return r <= 0x200f || between(r, 0x2028, 0x202e) || between(r, 0x2060, 0x206f) || r == 0x3164 || r == 0xfeff || r == 0xffa0 ||
			between(r, 0xfff0, 0xfffb) || between(r, 0x13430, 0x1343f) || between(r, 0x1bca0, 0x1bca3) || between(r, 0x1d173, 0x1d17a)
	}
	return r <= 0xe00ff || between(r, 0xe01f0, 0xe0fff)
}

func between(r, first, last rune) bool { return first <= r && r <= last }
