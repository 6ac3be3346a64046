package store

import (
	"fmt"
	"slices"
	"strings"
)

// FileOf returns the file with a name among the files of an artifact.
func FileOf(files []File, name string) (File, error) {
	i := slices.IndexFunc(files, func(f File) bool { return f.Name == name })
	if i < 0 {
		names := make([]string, len(files))
		for i, f := range files {
			names[i] = f.Name
		}
		return File{}, fmt.Errorf("there is no file %q; the files are %s", name, strings.Join(names, ", "))
	}
	return files[i], nil
}
