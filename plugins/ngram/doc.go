// Package ngram is the embedded backend: n-gram models of bytes or of words, trained on datasets of an experiment.
//
// New returns the backend. A model is one file of n-gram counts; package kneserney turns them into probabilities. Two
// tokenizations of a text are offered, "bytes" and "words"; both cover every text, and every distribution over the token
// ids that can come next sums to one. The package imports plugins/sdk, plugins/protocol and its own subpackage.
//
// # Bytes
//
// A token is a byte, its id the byte's value; 256 is the end of the text.
//
// # Words
//
// The text is split into pieces: a run of letters and marks, of digits, of white space or of other characters, preceded
// by a single space if there is one, of at most 64 bytes. A piece that occurs at least twice in training is a word of
// the vocabulary and one token. Any other piece is spelled, one token per byte. The bytes have two ids each: b if more
// of the piece follows, 256+b for its last byte, so that spelled pieces need no token without bytes to close them. 512
// is the end of the text, and word w of the sorted vocabulary is 513+w.
//
// The model of words sees a spelled piece as one symbol, unknown; a model of order 5 over the byte ids, trained on the
// rare pieces, spells it. The probability of a spelled piece's first token is that of unknown times that of the byte.
//
// Each text has one sequence of tokens. The model gives some probability to sequences that the tokenizer never makes,
// such as a vocabulary word spelled out, so that the probabilities of all texts sum to less than one. That is a cost of
// the tokenization, as it is for subword models.
//
// # Histories
//
// A model of order n predicts from the previous n-1 symbols: bytes, or pieces and the beginning of a piece that is
// being spelled. A window is scored as if only its prefix preceded its first token, so its losses do not depend on text
// outside it. In training, each document begins with the beginning of the text and ends with its end. The whole text
// counts, including the part before the scored span, because a model of a task's targets needs to know its inputs.
package ngram
