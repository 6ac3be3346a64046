// Package tokenizer tokenizes text and maps tokens to byte ranges.
//
// The ids come from Hugging Face's own engine, the Rust crate under rust/, linked by cgo under the build tag torch.
// This package computes the byte ranges itself: the engine's ranges overlap where several tokens share a character, and
// are wrong where the normalizer changed the text. First, the bytes of the tokens are aligned with the text one after
// the other. If that fails, because the text was normalized, tokens with overlapping engine ranges are aligned only
// with their common range. If that also fails, a byte belongs to the first token whose range contains it, and the
// tokens are counted as inexact. Bytes without a token in the vocabulary are listed.
//
// A tokenizer is read from a tokenizer.json, or rebuilt from the metadata of a GGUF file, for the vocabularies and
// pre-tokenizers that gguf.go lists; others are rejected by name. GGUF files of SentencePiece's vocabularies, such as
// those of Llama 2 and Mistral, lack their merges, which follow from the scores of tokens. For Gemma's vocabulary the
// engine uses the model of rust/src/composed.rs.
//
// build.sh builds the crate and prints the linker flags. The package imports plugins/protocol.
package tokenizer
