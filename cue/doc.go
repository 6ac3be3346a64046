// Package cue holds the spec language: the CUE module surprisal.dev.
//
// It imports nothing: the source is embedded as it is, and package spec serves it to the CUE loader.
package cue
