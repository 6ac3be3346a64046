// Package prefix merges the beginnings that sequences of tokens have in common, so that they are computed once.
//
// A token's hidden states depend on the tokens before it only. Sequences that begin with the same tokens therefore share
// the rows of these tokens, as the prompts of supervised rows do that contain the same examples.
package prefix
