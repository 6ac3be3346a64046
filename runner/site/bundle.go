package site

import (
	"embed"
	"io/fs"
)

// The bundle is written from the sources in app and in the directories of the kinds.
//
//go:generate go -C ../.. run ./runner/site/bundle runner/site/dist
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
