package site

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// bundle returns the files of the pages.
func bundle() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // The name is valid.
	}
	return files
}
