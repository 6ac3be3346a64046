// Package cue holds the spec language: the CUE module surprisal.dev.
//
// It imports nothing: the source is embedded as it is, and package spec serves it to the CUE loader.
package cue

import "embed"

// Module is the file tree of the module surprisal.dev, cue.mod/module.cue included.
//
//go:embed cue.mod/module.cue experiment/*.cue
var Module embed.FS
