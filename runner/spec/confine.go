package spec

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"surprisal.dev/internal/address"
	"surprisal.dev/internal/confine"
)

// Confined returns an error if a file is outside of directory dir after all links are followed. A relative path starts
// in dir. A file that does not exist is where its nearest existing parent directory is.
func Confined(dir, file string) error { return confine.Check(dir, file) }

// checkConfined reports paths outside of the directory that an experiment is confined to: of weights, of imported
// tables, and of sources. The path of a source is its field path, the name that providers of files use. A glob is
// checked up to its first wildcard; whoever opens the files checks the matches.
func (d *decoder) checkConfined(e *Experiment, dir string) {
	root := d.options.Confine
	if root == "" {
		return
	}
	check := func(pos Position, path, file string, glob bool) {
		if rest, ok := strings.CutPrefix(file, "file://"); ok {
			file = rest
		} else if strings.Contains(file, "://") {
			return
		}
		if i := strings.IndexAny(file, "*?[{\\"); i >= 0 && glob {
			if slices.Contains(strings.Split(file[i:], "/"), "..") {
				d.errors = append(d.errors, Error{pos, path, fmt.Sprintf("%q has \"..\" after a wildcard and may lead outside of the directory %s of --confine; "+
					"remove the \"..\"", file, root)})
				return
			}
			file = file[:strings.LastIndex(file[:i], "/")+1]
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		if err := confine.Check(root, file); err != nil {
			d.errors = append(d.errors, Error{pos, path, err.Error()})
		}
	}
	eachPath(e, check)
}

// checkAddresses reports paths that look like mistyped URLs.
func (d *decoder) checkAddresses(e *Experiment) {
	eachPath(e, func(pos Position, path, file string, _ bool) {
		if begin := address.Mistyped(file); begin != "" {
			d.errors = append(d.errors, Error{pos, path, fmt.Sprintf("path %q: a URL begins with %s; put \"./\" before the path of a file",
				address.Printable(file), begin)})
		}
	})
}

// eachPath calls visit with the path or URL of each source, weights and imported table, and whether it may be a glob.
func eachPath(e *Experiment, visit func(pos Position, path, file string, glob bool)) {
	for _, x := range e.Datasets {
		for _, file := range SourceFiles(x.Source.Config) {
			visit(x.Source.Pos, FieldPath("datasets", x.Name, "source", x.Source.Provider), file, true)
		}
	}
	for _, m := range e.Models {
		if m.Weights != nil && !m.Weights.Remote() {
			visit(m.Weights.Pos, FieldPath("models", m.Name, "weights", m.Weights.Format), m.Weights.Path, false)
		}
		if m.Scores != nil {
			visit(m.Scores.Pos, FieldPath("models", m.Name, "scores", "path"), m.Scores.Path, false)
		}
	}
}

// warnOfRelativePaths warns if another package, such as an imported suite, has a source with a relative path. Like all
// relative paths, it starts at the directory of the experiment. There is one warning per directory.
func (d *decoder) warnOfRelativePaths(e *Experiment) {
	type first struct {
		dataset Dataset
		file    string
		more    int
	}
	packages := map[string]*first{}
	for _, x := range e.Datasets {
		dir := filepath.Dir(x.Source.Pos.File)
		for _, file := range SourceFiles(x.Source.Config) {
			if dir == "." || filepath.IsAbs(file) || strings.Contains(file, "://") {
				continue
			}
			if packages[dir] == nil {
				packages[dir] = &first{dataset: x, file: file, more: -1}
			}
			packages[dir].more++
		}
	}
	for dir, f := range packages {
		others := ""
		if f.more > 0 {
			others = fmt.Sprintf(", as do %d more paths of that package", f.more)
		}
		d.warn(f.dataset.Source.Pos, FieldPath("datasets", f.dataset.Name, "source", f.dataset.Source.Provider),
			"the path %q is in a package of the directory %s, but starts at the directory of the experiment%s; check that this is intended", f.file, dir, others)
	}
}

// SourceFiles returns the field path of a provider's configuration, a string or a list of strings. Providers of files
// use that name for the files that they read. SourceFiles returns nil if there is no such field.
func SourceFiles(config json.RawMessage) []string {
	var one struct {
		Path string `json:"path"`
	}
	if json.Unmarshal(config, &one) == nil {
		if one.Path == "" {
			return nil
		}
		return []string{one.Path}
	}
	var many struct {
		Path []string `json:"path"`
	}
	if json.Unmarshal(config, &many) == nil {
		return many.Path
	}
	return nil
}
