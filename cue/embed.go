package cue

import "embed"

// Module is the file tree of the module surprisal.dev, including cue.mod/module.cue.
//
//go:embed cue.mod/module.cue experiment/*.cue
var Module embed.FS
