package tokenizer

// Encoding is a tokenized text. Token i has the id IDs[i] and covers the bytes [Starts[i], Ends[i]) of the text. The
// tokens' ranges and the unscored ones together tile the text, both in order. A token that adds nothing to the text is
// empty.
type Encoding struct {
	IDs, Starts, Ends []int32
	// Unscored lists the bytes that have no token.
	Unscored []Range
	// Inexact counts the tokens whose range is a best guess.
	Inexact int
}

// Range is the bytes [Start, End) of a text.
type Range struct {
	Start, End int32
}
