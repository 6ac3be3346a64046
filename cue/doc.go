// Package cue embeds the specification language, the CUE module surprisal.dev. Package spec serves it to the CUE
// loader.
package cue
