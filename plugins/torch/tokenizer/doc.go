// Package tokenizer cuts text into a model's tokens and says which bytes each token stands for.
//
// The ids come from Hugging Face's own engine, the Rust crate under rust/, linked by cgo under the build tag torch. The
// byte ranges are ours: the engine's ranges overlap where several tokens share a character and are off where the
// normalizer changed the text. The bytes of each token are laid over the text one after the other; where that fails, for
// text that was normalized, tokens whose ranges of the engine overlap are laid over their common range alone; where that
// fails too, a byte belongs to the first token whose range has it, and the tokens are counted as inexact. Bytes that the
// vocabulary has no token for are listed.
//
// A tokenizer is read from a tokenizer.json, or rebuilt from the metadata of a GGUF file, for the vocabularies and
// pre-tokenizers that gguf.go lists; others are refused by name.
//
// build.sh builds the crate and prints the linker flags. The package imports plugins/protocol.
package tokenizer
