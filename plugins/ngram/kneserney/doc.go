// Package kneserney estimates n-gram models by interpolated modified Kneser-Ney smoothing.
//
// Counts counts the n-grams of sequences of symbols and writes them; Read makes a Model from the written counts. A
// symbol is a small integer whose meaning belongs to the caller. The estimator is that of S. F. Chen and J. Goodman,
// "An empirical study of smoothing techniques for language modeling", Computer Speech and Language 13 (1999), section
// 3. It has the uniform distribution below the unigrams, so that no symbol has probability zero.
//
// Both types are tries of n-grams in which each node links to its suffix: the n-gram without its first symbol. The link
// leads from one history to the next and to the shorter one, so that neither counting nor scoring looks up an n-gram
// from its beginning.
//
// The package imports only the standard library.
package kneserney
