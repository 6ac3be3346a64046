package spec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"

	language "surprisal.dev/cue"
)

const (
	languageModule  = "surprisal.dev"
	languagePackage = languageModule + "/experiment"
	// languageDir is the directory where CUE looks for a copy of the language in a module.
	languageDir = "cue.mod/pkg/" + languageModule
	moduleFile  = "cue.mod/module.cue"
	// pluginsFile adds the configurations of plugins to the language. The copy of the language in a module does not
	// have it.
	pluginsFile  = "experiment/plugins.cue"
	moduleSource = "module: %q\nlanguage: version: \"v0.17.0\"\n"
)

// Schema describes a plugin to a spec.
type Schema struct {
	// CUE is CUE source that defines #Config, the plugin's configuration.
	CUE string
	// Trains is true for a backend that trains its models on the datasets in the field train.
	Trains bool
	// Problem is the reason why the plugin cannot be used, or "". It is only an error in a spec that uses the plugin.
	Problem string
}

// CheckSchema returns an error if the CUE source of a plugin's schema is not valid.
func CheckSchema(source string) error {
	_, err := pluginSource(source)
	return err
}

// WriteSchema writes the definitions of the spec language, its sections, and the configurations of all usable plugins
// as CUE source.
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

// languageFiles returns the files of the spec language by name, with the schemas of plugins in packages below it.
func languageFiles(o Options) (map[string][]byte, error) {
	files, err := plainLanguageFiles(o.Sections)
	if err != nil {
		return nil, err
	}
	var imports, fields bytes.Buffer
	add := func(kind, definition string, plugins map[string]Schema) error {
		for i, name := range slices.Sorted(maps.Keys(plugins)) {
			if plugins[name].Problem != "" {
				// Its settings are unknown, and using it is an error.
				continue
			}
			source, err := pluginSource(plugins[name].CUE)
			if err != nil {
				return fmt.Errorf("the schema of %s %s is not valid CUE; this is a bug in the plugin: %w", kind, name, err)
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

// plainLanguageFiles returns the files of the spec language without plugins, by name.
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
		return nil, errors.New("#Config is not defined")
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

// offline is a module registry that does not access the network.
type offline struct{}

var errOffline = errors.New("modules are not fetched from a registry; copy the package to cue.mod/pkg")

func (offline) ModFile(_ context.Context, m module.Version) (*modfile.File, error) {
	if m.BasePath() == languageModule {
		return modfile.Parse(fmt.Appendf(nil, moduleSource, m.Path()), moduleFile)
	}
	return nil, errOffline
}

// Fetch returns no location for the spec language, because the module contains it.
func (offline) Fetch(_ context.Context, m module.Version) (module.SourceLoc, error) {
	if m.BasePath() == languageModule {
		return module.SourceLoc{}, nil
	}
	return module.SourceLoc{}, errOffline
}

func (offline) ModuleVersions(context.Context, string) ([]string, error) { return nil, nil }
