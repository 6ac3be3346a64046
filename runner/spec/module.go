package spec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"

	language "surprisal.dev/cue"
)

const (
	languageModule  = "surprisal.dev"
	languagePackage = languageModule + "/experiment"
	// languageDir is where CUE looks for packages that a module carries along.
	languageDir = "cue.mod/pkg/" + languageModule
	moduleFile  = "cue.mod/module.cue"
	// pluginsFile ties the configurations of plugins to the language. A module's copy of the language has no such file.
	pluginsFile  = "experiment/plugins.cue"
	moduleSource = "module: %q\nlanguage: version: \"v0.17.0\"\n"
)

// Schema is what a spec needs to know of a plugin.
type Schema struct {
	// CUE is CUE source that defines #Config, the plugin's configuration.
	CUE string
	// Trains is true for a backend that makes its models from the datasets named by the field train.
	Trains bool
	// Problem says why the plugin cannot be used, if it cannot. That is a mistake only of a spec that uses it.
	Problem string
}

// CheckSchema says what is wrong with the CUE source of a plugin's schema.
func CheckSchema(source string) error {
	_, err := pluginSource(source)
	return err
}

// WriteSchema writes the definitions of the spec language, of its sections and of the configurations of the plugins that can
// be used, as CUE source.
func WriteSchema(w io.Writer, o Options) error {
	files, err := languageFiles(o)
	if err != nil {
		return err
	}
	for i, name := range slices.Sorted(maps.Keys(files)) {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(w, "// %s\n\n%s", path.Join(languageModule, name), files[name]); err != nil {
			return err
		}
	}
	return nil
}

// languageFiles returns the spec language with the plugins' schemas as the packages below it, by file name.
func languageFiles(o Options) (map[string][]byte, error) {
	files, err := plainLanguageFiles(o.Sections)
	if err != nil {
		return nil, err
	}
	var imports, fields bytes.Buffer
	add := func(kind, definition string, plugins map[string]Schema) error {
		for i, name := range slices.Sorted(maps.Keys(plugins)) {
			if plugins[name].Problem != "" {
				// What it allows is not known, and using it is refused.
				continue
			}
			source, err := pluginSource(plugins[name].CUE)
			if err != nil {
				return fmt.Errorf("the schema of %s %s is not valid CUE; it is a mistake of the plugin: %w", kind, name, err)
			}
			dir := kind + "s/" + name
			files[dir+"/config.cue"] = source
			fmt.Fprintf(&imports, "\t%s%d \"%s/%s:config\"\n", kind, i, languageModule, dir)
			fmt.Fprintf(&fields, "%s: %q?: %s%d.#Config\n", definition, name, kind, i)
		}
		return nil
	}
	if err := errors.Join(add("provider", "#Source", o.Providers), add("backend", "#Backend", o.Backends)); err != nil {
		return nil, err
	}
	if fields.Len() > 0 {
		files[pluginsFile] = fmt.Appendf(nil, "package experiment\n\nimport (\n%s)\n\n%s", &imports, &fields)
	}
	return files, nil
}

// plainLanguageFiles returns the spec language without plugins, by file name.
func plainLanguageFiles(sections []Section) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, s := range sections {
		files["experiment/"+s.Kind+".cue"] = s.CUE
	}
	names, err := fs.Glob(language.Module, "experiment/*.cue")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if files[name], err = language.Module.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// pluginSource checks a plugin's schema and returns it as a file of package config.
func pluginSource(source string) ([]byte, error) {
	file, err := parser.ParseFile("schema.cue", source, parser.ParseComments)
	if err != nil {
		return nil, plainCUEError(err)
	}
	v := cuecontext.New().BuildFile(file)
	if err := v.Err(); err != nil {
		return nil, plainCUEError(err)
	}
	if !v.LookupPath(cue.ParsePath("#Config")).Exists() {
		return nil, errors.New("it defines no #Config")
	}
	file.Decls = slices.DeleteFunc(file.Decls, func(d ast.Decl) bool { _, is := d.(*ast.Package); return is })
	text, err := format.Node(file)
	if err != nil {
		return nil, err
	}
	return append([]byte("package config\n\n"), text...), nil
}

func plainCUEError(err error) error {
	return errors.New(strings.TrimSpace(cueerrors.Details(err, &cueerrors.Config{Cwd: "/"})))
}

// tree is the CUE module that a spec is in, with the spec language in it, whatever copy of it the module carries.
type tree struct {
	// root and dir are the absolute paths of the module and of the spec's folder.
	root, dir string
	// files are read in place of, or besides, what is on disk, by absolute path.
	files map[string][]byte
	// stale is a file of the module's copy of the spec language that differs from the program's, or "".
	stale string
}

// revisionRoot is where the files of an fs.FS appear to be. Nothing is there on disk.
const revisionRoot = "/surprisal.revision"

// newTree finds the module that dir is in. A folder in no module is a module of its own.
func newTree(dir string, fsys fs.FS, language map[string][]byte) (*tree, error) {
	t := &tree{files: map[string][]byte{}}
	var info fs.FileInfo
	var err error
	if fsys == nil {
		if t.dir, err = filepath.Abs(dir); err == nil {
			info, err = os.Stat(t.dir)
		}
	} else {
		t.dir = path.Join(revisionRoot, filepath.ToSlash(dir))
		if info, err = fs.Stat(fsys, path.Clean(filepath.ToSlash(dir))); err == nil {
			err = t.readAll(fsys)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, Errors{{Message: fmt.Sprintf("no folder %q; a spec is a folder with a CUE package, and `runner init DIR` makes one", dir)}}
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, Errors{{Message: fmt.Sprintf("%q is a file; a spec is the folder of a CUE package, here %q", dir, filepath.Dir(dir))}}
	}
	var inModule bool
	if t.root, inModule = moduleRoot(t.dir, t.exists); !inModule {
		t.files[filepath.Join(t.root, moduleFile)] = fmt.Appendf(nil, moduleSource, "experiment.example")
	}
	if fsys == nil {
		if err := t.cover(); err != nil {
			return nil, err
		}
	}
	return t, t.addLanguage(language)
}

// moduleRoot returns the root of the CUE module around dir, or dir itself if there is none.
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

func (t *tree) exists(file string) bool {
	_, ok := t.files[file]
	return ok || existsOnDisk(file)
}

// readAll takes the CUE files of fsys.
func (t *tree) readAll(fsys fs.FS) error {
	return fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".cue" {
			return err
		}
		t.files[path.Join(revisionRoot, name)], err = fs.ReadFile(fsys, name)
		return err
	})
}

// cover keeps from the CUE loader what it would open and cannot read: of every folder from the spec's to the module's root
// it opens all that is no folder, data too, and a named pipe blocks it. What is not CUE it then takes for an empty file.
func (t *tree) cover() error {
	var problems Errors
	for dir := t.dir; ; dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			file := filepath.Join(dir, entry.Name())
			if entry.Type().IsRegular() || entry.IsDir() {
				continue
			}
			info, err := os.Stat(file)
			switch {
			case err == nil && info.Mode().IsRegular():
			case filepath.Ext(file) != ".cue":
				t.files[file] = nil
			case err == nil:
				problems = append(problems, t.unreadable(file, fmt.Errorf("it is no regular file (%s)", info.Mode())))
			default:
				problems = append(problems, t.unreadable(file, err))
			}
		}
		if dir == t.root {
			break
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

func (t *tree) unreadable(file string, err error) Error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	if target, linkErr := os.Readlink(file); linkErr == nil && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("it is a link to %q, which does not exist", target)
	}
	p := place{dir: t.dir}
	return Error{Pos: Position{File: p.relative(file)}, Message: fmt.Sprintf("cannot be read: %v; remove or replace it", err)}
}

// addLanguage serves the spec language in place of the copy that the module may carry, and notes whether that is stale.
func (t *tree) addLanguage(language map[string][]byte) error {
	own := maps.Clone(language)
	maps.DeleteFunc(own, func(name string, _ []byte) bool { return path.Dir(name) != "experiment" || name == pluginsFile })
	folder := filepath.Join(t.root, languageDir, "experiment")
	carried, err := filepath.Glob(filepath.Join(folder, "*.cue"))
	if err != nil {
		return err
	}
	for file := range t.files {
		if filepath.Dir(file) == folder {
			carried = append(carried, file)
		}
	}
	slices.Sort(carried)
	if len(carried) > 0 && len(carried) < len(own) {
		t.stale = folder
	}
	for _, file := range carried {
		data, ok := t.files[file]
		if !ok {
			if data, err = os.ReadFile(file); err != nil {
				return err
			}
		}
		want, known := own["experiment/"+filepath.Base(file)]
		if !bytes.Equal(data, want) {
			t.stale = file
		}
		if !known {
			// What a copy has more would be unified with the language.
			t.files[file] = []byte("package experiment\n")
		}
	}
	for name, data := range language {
		t.files[filepath.Join(t.root, languageDir, name)] = data
	}
	return nil
}

// overlay returns the files as the CUE loader takes them.
func (t *tree) overlay() map[string]load.Source {
	overlay := map[string]load.Source{}
	for file, data := range t.files {
		overlay[file] = load.FromBytes(data)
	}
	return overlay
}

// offline is the registry of a loader that never asks the network.
type offline struct{}

var errOffline = errors.New("modules are not fetched from a registry; copy the package to cue.mod/pkg")

func (offline) ModFile(_ context.Context, m module.Version) (*modfile.File, error) {
	if m.BasePath() == languageModule {
		return modfile.Parse(fmt.Appendf(nil, moduleSource, m.Path()), moduleFile)
	}
	return nil, errOffline
}

// Fetch finds nothing for the spec language, which the module carries along.
func (offline) Fetch(_ context.Context, m module.Version) (module.SourceLoc, error) {
	if m.BasePath() == languageModule {
		return module.SourceLoc{}, nil
	}
	return module.SourceLoc{}, errOffline
}

func (offline) ModuleVersions(context.Context, string) ([]string, error) { return nil, nil }
