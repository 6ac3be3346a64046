package cue

import "embed"

// Module is the file tree of the module surprisal.dev, cue.mod/module.cue included.
//
//go:embed cue.mod/module.cue experiment/*.cue
var Module embed.FS
