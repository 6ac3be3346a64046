package spec

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/parser"
)

//go:embed scaffold
var scaffold embed.FS

var experimentName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$`)

// Init writes a small experiment that runs as it is to directory dir, and returns the files that it wrote, relative to
// dir. If dir is not in a CUE module, it creates one. It does not overwrite files: before it writes anything, it
// returns an error if one of the files exists, or if dir has other CUE files.
func Init(dir, name string, sections []Section) ([]string, error) {
	if !experimentName.MatchString(name) {
		return nil, Errors{{Message: fmt.Sprintf("%q is not a valid name of an experiment; allowed are at most 100 letters, digits, "+
			"dots, underscores, hyphens and plus signs, beginning with a letter or digit; pass one with --name", abbreviate(name, 100))}}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(abs); err == nil && !info.IsDir() {
		return nil, Errors{{Message: fmt.Sprintf("%q is a file; use a directory", dir)}}
	}
	files := map[string][]byte{}
	if err := addScaffold(files, abs, name); err != nil {
		return nil, err
	}
	root, inModule := moduleRoot(abs, existsOnDisk)
	if !inModule {
		files[filepath.Join(root, moduleFile)] = fmt.Appendf(nil, moduleSource, domainLabel(name)+".example")
	}
	if _, err := os.Stat(filepath.Join(root, languageDir)); errors.Is(err, fs.ErrNotExist) {
		if err := addCopy(files, root, sections); err != nil {
			return nil, err
		}
	}
	var existing Errors
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if err := noLinks(root, filepath.Dir(file)); err != nil {
			return nil, err
		}
		if _, err := os.Lstat(file); err == nil {
			existing = append(existing, Error{Pos: Position{File: relativeTo(abs, file)},
				Message: "the file already exists and is not overwritten; use another directory, or move the file"})
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	entries, err := os.ReadDir(abs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		file := filepath.Join(abs, entry.Name())
		if _, ours := files[file]; !ours && filepath.Ext(file) == ".cue" {
			existing = append(existing, Error{Pos: Position{File: relativeTo(abs, file)},
				Message: "the directory already contains a CUE package; use another directory"})
		}
	}
	if len(existing) > 0 {
		return nil, existing
	}
	return writeAll(files, root, abs)
}

// Refresh updates the copy of the spec language in the CUE module that contains directory dir, and returns the files of
// the copy, relative to dir.
func Refresh(dir string, sections []Section) ([]string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, inModule := moduleRoot(abs, existsOnDisk)
	if !inModule {
		return nil, Errors{{Message: fmt.Sprintf("%q is not in a CUE module, so there is no copy of the specification language to update", dir)}}
	}
	if err := noLinks(root, filepath.Join(root, languageDir, "experiment")); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if err := addCopy(files, root, sections); err != nil {
		return nil, err
	}
	unused, err := setAside(root, files)
	if err != nil {
		return nil, err
	}
	written, err := writeAll(files, root, abs)
	for _, file := range unused {
		written = append(written, relativeTo(abs, file))
	}
	return written, err
}

// unusedSuffix is added to the names of CUE files that are not part of the language, so that CUE does not read them.
const unusedSuffix = ".unused"

// setAside renames the CUE files in the copy of the language in module root that are not among files, and returns their
// new names: they are of another version, or somebody's own. It returns an error if one of files is not a regular file.
func setAside(root string, files map[string][]byte) ([]string, error) {
	old, err := filepath.Glob(filepath.Join(root, languageDir, "experiment", "*.cue"))
	if err != nil {
		return nil, err
	}
	var renamed []string
	for _, file := range old {
		info, err := os.Lstat(file)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, Errors{{Pos: Position{File: relativeTo(root, file)}, Message: "not a regular file, and not replaced; remove it"}}
		}
		if _, keep := files[file]; keep {
			continue
		}
		if _, err := os.Lstat(file + unusedSuffix); err == nil {
			return nil, Errors{{Pos: Position{File: relativeTo(root, file)},
				Message: fmt.Sprintf("not part of the language, and a file with the name %s already exists; remove one of them", filepath.Base(file)+unusedSuffix)}}
		}
		renamed = append(renamed, file)
	}
	for i, file := range renamed {
		renamed[i] = file + unusedSuffix
		if err := os.Rename(file, renamed[i]); err != nil {
			return nil, err
		}
	}
	return renamed, nil
}

// noLinks returns an error if a directory below root is reached by a link, because its files may belong to somebody
// else.
func noLinks(root, dir string) error {
	for at := dir; at != root; at = filepath.Dir(at) {
		if target, err := os.Readlink(at); err == nil {
			return Errors{{Pos: Position{File: relativeTo(root, at)}, Message: fmt.Sprintf("symbolic link to %q, where files are not replaced; remove the link", target)}}
		}
	}
	return nil
}

// writeAll writes files below directory root and returns their paths relative to dir. Links do not lead out of root. An
// existing file is replaced, not written to, because it may have other names.
func writeAll(files map[string][]byte, root, dir string) ([]string, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	in, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var written []string
	for _, file := range slices.Sorted(maps.Keys(files)) {
		name, err := filepath.Rel(root, file)
		if err != nil {
			return nil, err
		}
		if err := in.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return nil, err
		}
		if err := replace(in, name, files[file]); err != nil {
			return nil, err
		}
		written = append(written, relativeTo(dir, file))
	}
	return written, nil
}

// replace writes a new file and gives it the name of the old one.
func replace(in *os.Root, name string, data []byte) error {
	temporary := name + ".new"
	if err := in.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := in.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = in.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, in.Remove(temporary))
	}
	return nil
}

func addCopy(files map[string][]byte, root string, sections []Section) error {
	language, err := plainLanguageFiles(sections)
	for name, data := range language {
		files[filepath.Join(root, languageDir, name)] = data
	}
	return err
}

func addScaffold(files map[string][]byte, dir, name string) error {
	return fs.WalkDir(scaffold, "scaffold", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := scaffold.ReadFile(file)
		if err != nil {
			return err
		}
		target := strings.TrimPrefix(file, "scaffold/")
		if path.Ext(file) == ".tmpl" {
			t, err := template.New(file).Parse(string(data))
			if err != nil {
				return err
			}
			var b bytes.Buffer
			if err := t.Execute(&b, map[string]string{"Name": name, "Package": identifier(name)}); err != nil {
				return err
			}
			data, target = b.Bytes(), strings.TrimSuffix(target, ".tmpl")
		}
		files[filepath.Join(dir, filepath.FromSlash(target))] = data
		return nil
	})
}

// identifier makes a CUE identifier from a name. It avoids identifiers that CUE predeclares: package true does not
// parse, and package string shadows a type in files that import it.
func identifier(name string) string {
	id := strings.Map(func(r rune) rune {
		if strings.ContainsRune(".+-", r) {
			return '_'
		}
		return r
	}, name)
	if !ast.IsValidIdent(id) || known(id) {
		id = "experiment_" + id
	}
	return id
}

// known reports whether CUE accepts an identifier without a declaration.
func known(id string) bool {
	// A quoted field does not declare a name, not even x.
	file, err := parser.ParseFile("name.cue", "package "+id+"\n\"x\": "+id)
	if err != nil {
		return true
	}
	err = cuecontext.New().BuildFile(file).Err()
	return err == nil || !strings.Contains(err.Error(), "reference")
}

// domainLabel makes the first element of a module path from a name.
func domainLabel(name string) string {
	label := strings.Map(func(r rune) rune {
		if strings.ContainsRune("._+", r) {
			return '-'
		}
		return r
	}, strings.ToLower(name))
	return strings.TrimRight(label, "-")
}

func relativeTo(dir, file string) string {
	rel, err := filepath.Rel(dir, file)
	if err != nil {
		return file
	}
	return filepath.ToSlash(rel)
}
