package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/mod/modfile"
	"github.com/dustin/go-humanize"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/internal/confine"
)

const (
	// maxSource is the maximum total size of the CUE files of a spec in bytes.
	maxSource = 32 << 20
	// virtualRoot is the directory where the CUE loader finds all files. It does not exist on disk, so that the loader
	// does not open files by itself: it would open all files in a directory, including data and named pipes, and follow
	// every link.
	virtualRoot = "/surprisal.spec"
)

// tree is the CUE module of a spec. It has the files that the spec needs, which are read before CUE sees them. The spec
// language replaces any copy of it in the module.
type tree struct {
	// root and dir are the absolute paths of the module and of the spec's directory.
	root, dir string
	// confine is the directory that reading is confined to, an absolute path without links; "/" means no confinement.
	confine string
	// disk has the files in confine. opened is its root, or nil without confinement.
	disk   fs.FS
	opened *os.Root
	// files are the files for CUE, by absolute path.
	files map[string][]byte
	// stale is a file in the module's copy of the spec language that differs from that of the program, or "".
	stale string

	seen     map[string]bool // the directories that were read
	left     int64           // the number of bytes that may still be read
	problems []Error
}

// newTree reads the parts of the module around dir that the spec in dir needs. A directory outside of a module is a
// module itself. If confined is not "", no files outside of that directory are read.
func newTree(dir, confined string, language map[string][]byte) (_ *tree, err error) {
	t := &tree{confine: "/", files: map[string][]byte{}, seen: map[string]bool{}, left: maxSource}
	if t.dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	switch info, err := os.Stat(t.dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, Errors{{Message: fmt.Sprintf("no directory %q; `runner init DIR` creates an experiment", short(dir))}}
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, Errors{{Message: fmt.Sprintf("%q is a file; use the directory of the CUE package, %q", dir, filepath.Dir(dir))}}
	}
	if err := t.open(confined); err != nil {
		return nil, err
	}
	if t.opened != nil {
		defer func() { err = errors.Join(err, t.opened.Close()) }()
	}
	t.read(language)
	if len(t.problems) > 0 {
		return nil, tidy(t.problems)
	}
	return t, nil
}

// open opens the file system that the spec is read from.
func (t *tree) open(dir string) error {
	if dir == "" {
		t.disk = os.DirFS("/")
		return nil
	}
	real, err := filepath.Abs(dir)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return Errors{{Message: fmt.Sprintf("cannot read the directory %q of --confine: %v", dir, err)}}
	}
	if err := Confined(real, t.dir); err != nil {
		return Errors{{Message: err.Error()}}
	}
	if t.dir, err = filepath.EvalSymlinks(t.dir); err != nil {
		return err
	}
	if t.opened, err = os.OpenRoot(real); err != nil {
		return err
	}
	t.confine, t.disk = real, t.opened.FS()
	return nil
}

// read reads the module file, the package of the spec and all packages that it imports.
func (t *tree) read(language map[string][]byte) {
	var inModule bool
	t.root, inModule = moduleRoot(t.dir, func(file string) bool {
		name, ok := t.name(file)
		if !ok {
			return false
		}
		_, err := fs.Stat(t.disk, name)
		return err == nil
	})
	modulePath := "experiment.example"
	if module := filepath.Join(t.root, moduleFile); inModule {
		t.take(module)
		// The loader reports mistakes in it.
		if m, err := modfile.ParseNonStrict(t.files[module], moduleFile); err == nil {
			modulePath, _, _ = strings.Cut(m.Module, "@")
		}
	} else {
		t.files[module] = fmt.Appendf(nil, moduleSource, modulePath)
	}
	t.visit(t.dir, t.root, modulePath)
	t.addLanguage(language)
}

// visit reads the CUE files of a package and of the packages that it imports. CUE also includes the files of the parent
// directories up to base.
func (t *tree) visit(dir, base, modulePath string) {
	for at := dir; confine.Within(base, at) && !t.seen[at]; at = filepath.Dir(at) {
		t.seen[at] = true
		for _, file := range t.list(at) {
			if !t.take(file) {
				continue
			}
			// The loader reports mistakes in the file.
			syntax, err := parser.ParseFile(file, t.files[file], parser.ImportsOnly)
			if err != nil && syntax == nil {
				continue
			}
			for spec := range syntax.ImportSpecs() {
				t.visitImport(spec, modulePath)
			}
		}
	}
}

func (t *tree) visitImport(spec *ast.ImportSpec, modulePath string) {
	name, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return
	}
	name = ast.ParseImportPath(name).Path
	// The loader rejects a path that leaves its directory.
	if !fs.ValidPath(name) || name == languageModule || strings.HasPrefix(name, languageModule+"/") {
		return
	}
	if rest, ok := strings.CutPrefix(name, modulePath); ok && (rest == "" || rest[0] == '/') {
		t.visit(filepath.Join(t.root, filepath.FromSlash(rest)), t.root, modulePath)
	}
	for _, sub := range []string{"gen", "pkg", "usr"} {
		base := filepath.Join(t.root, "cue.mod", sub)
		t.visit(filepath.Join(base, filepath.FromSlash(name)), base, modulePath)
	}
}

// list returns the CUE files of a directory, including links and other entries with such a name.
func (t *tree) list(dir string) []string {
	name, ok := t.name(dir)
	if !ok {
		return nil
	}
	entries, err := fs.ReadDir(t.disk, name)
	if err != nil {
		t.note(dir, err)
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && path.Ext(e.Name()) == ".cue" {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

// take reads a file for CUE and reports whether it did. It ignores unreadable files whose name starts with a dot or an
// underscore, such as lock files of editors, because CUE does not use such files.
func (t *tree) take(file string) bool {
	data, err := t.fromDisk(file)
	if err == nil {
		t.files[file] = data
		return true
	}
	if base := filepath.Base(file); base[0] != '.' && base[0] != '_' {
		t.note(file, err)
	}
	return false
}

func (t *tree) fromDisk(file string) ([]byte, error) {
	name, ok := t.name(file)
	if !ok {
		return nil, fs.ErrNotExist
	}
	data, err := bounded.ReadFile(t.disk, name, t.left)
	if _, ok := errors.AsType[*bounded.TooLargeError](err); ok {
		return nil, fmt.Errorf("with it, the CUE files of the specification exceed the limit of %s; put text into datasets",
			humanize.IBytes(maxSource))
	}
	t.left -= int64(len(data))
	return data, err
}

// name returns the name of a file in disk. ok is false for a file that is not in confine.
func (t *tree) name(file string) (name string, ok bool) {
	if !confine.Within(t.confine, file) {
		return "", false
	}
	rel, err := filepath.Rel(t.confine, file)
	return filepath.ToSlash(rel), err == nil
}

// note records why an existing file or directory could not be read.
func (t *tree) note(file string, err error) {
	name, ok := t.name(file)
	if !ok {
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		target, linkErr := fs.ReadLink(t.disk, name)
		if linkErr != nil {
			return
		}
		err = fmt.Errorf("symbolic link to %q, which does not exist", target)
	}
	advice := "remove or replace it"
	if outside := Confined(t.confine, file); outside != nil {
		err, advice = outside, "move it into that directory, or change --confine"
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	t.problems = append(t.problems, Error{Pos: Position{File: relativeTo(t.dir, file)}, Message: fmt.Sprintf("cannot read the file: %v; %s", err, advice)})
}

// moduleRoot returns the root of the CUE module that contains dir, or dir itself if there is none.
func moduleRoot(dir string, exists func(file string) bool) (root string, inModule bool) {
	for at := dir; ; at = filepath.Dir(at) {
		if exists(filepath.Join(at, moduleFile)) {
			return at, true
		}
		if at == filepath.Dir(at) {
			return dir, false
		}
	}
}

func existsOnDisk(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// addLanguage adds the spec language in place of a copy in the module, and records whether that copy is stale.
func (t *tree) addLanguage(language map[string][]byte) {
	own := maps.Clone(language)
	maps.DeleteFunc(own, func(name string, _ []byte) bool { return path.Dir(name) != "experiment" || name == pluginsFile })
	dir := filepath.Join(t.root, languageDir, "experiment")
	carried := t.list(dir)
	if len(carried) > 0 && len(carried) < len(own) {
		t.stale = dir
	}
	for _, file := range carried {
		data, err := t.fromDisk(file)
		if err != nil || !bytes.Equal(data, own["experiment/"+filepath.Base(file)]) {
			t.stale = file
		}
	}
	for name, data := range language {
		t.files[filepath.Join(t.root, languageDir, name)] = data
	}
}

// overlay returns the files in the form that the CUE loader expects.
func (t *tree) overlay() map[string]load.Source {
	all := make(map[string]load.Source, len(t.files))
	for name, data := range t.files {
		all[filepath.Join(virtualRoot, name)] = load.FromBytes(data)
	}
	return all
}
