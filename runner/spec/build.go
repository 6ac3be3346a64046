package spec

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/token"
)

// buildErrors returns the mistakes because of which CUE cannot build a package.
func (p *place) buildErrors(instance *build.Instance, c *load.Config, err error) Errors {
	// Without files on disk, as in another revision, CUE reports that nothing matches the directory.
	if _, ok := errors.AsType[*load.NoFilesError](err); ok || strings.HasSuffix(err.Error(), "matched no packages") ||
		len(instance.Files) == 0 && strings.HasPrefix(err.Error(), "cannot find package") {
		return p.noFiles(instance)
	}
	if many, ok := errors.AsType[*load.MultiplePackageError](err); ok {
		return Errors{{Message: fmt.Sprintf("the directory contains several packages, %s in %s and %s in %s; keep each in a separate directory",
			many.Packages[0], filepath.Base(many.Files[0]), many.Packages[1], filepath.Base(many.Files[1]))}}
	}
	all := p.badImports(instance, c, map[string]bool{})
	for _, e := range cueerrors.Errors(err) {
		if len(all) > 0 && strings.HasPrefix(e.Error(), "import failed") {
			continue
		}
		all = append(all, p.buildError(instance, e))
	}
	return tidy(all)
}

func (p *place) buildError(instance *build.Instance, e cueerrors.Error) Error {
	x := Error{Path: pathString(selectors(e.Path())), Message: ownWords([]cueerrors.Error{e})}
	for _, pos := range append([]token.Pos{e.Position()}, e.InputPositions()...) {
		if pos.IsValid() && x.Pos.Line == 0 {
			x.Pos = p.position(pos)
		}
	}
	f, args := e.Msg()
	name := ""
	if len(args) == 1 {
		name = strings.Trim(fmt.Sprint(args[0]), `"`)
	}
	switch {
	case strings.Contains(x.Message, "import cycle"):
		var places []string
		for _, pos := range e.InputPositions() {
			places = append(places, p.position(pos).String())
		}
		x.Message = "import cycle: " + strings.Join(append(places, places[:min(1, len(places))]...), " -> ")
	case strings.HasPrefix(f, "reference %q not found"):
		if name == "experiment" {
			x.Message += fmt.Sprintf("; add import %q", languageModule+"/experiment")
		} else if near := nearest(name, declared(instance)); near != "" {
			x.Message += "; did you mean " + near + "?"
		}
	case strings.HasPrefix(f, "no tag for"):
		x.Message = fmt.Sprintf("no tag %q; a field needs the attribute @tag(%s) to use it", name, name)
	case strings.HasPrefix(f, "tag %q not used"):
		x.Message = fmt.Sprintf("the tag %q has no value; use %s=VALUE", name, name)
	}
	return x
}

// largestExponent is that of literals. CUE itself reads a number with an exponent above 100,000 as if it had none.
const largestExponent = 10000

// badExponents returns the literals with an exponent that CUE cannot read, in a package and those that it imports.
func (p *place) badExponents(instance *build.Instance, seen map[*build.Instance]bool) []Error {
	if seen[instance] {
		return nil
	}
	seen[instance] = true
	var all []Error
	visit := func(n ast.Node) bool {
		number, ok := n.(*ast.BasicLit)
		if !ok || number.Kind != token.FLOAT {
			return true
		}
		_, digits, _ := strings.Cut(strings.ToLower(number.Value), "e")
		exponent, err := strconv.Atoi(strings.ReplaceAll(digits, "_", ""))
		if digits != "" && (err != nil || exponent < -largestExponent || exponent > largestExponent) {
			all = append(all, Error{Pos: p.position(number.Pos()), Message: fmt.Sprintf("the exponent of %s is not between %d and %d; correct the number",
				short(number.Value), -largestExponent, largestExponent)})
		}
		return true
	}
	for _, f := range instance.Files {
		ast.Walk(f, visit, nil)
	}
	for _, imported := range instance.Imports {
		all = append(all, p.badExponents(imported, seen)...)
	}
	return all
}

// noFiles explains why a directory has no package.
func (p *place) noFiles(instance *build.Instance) Errors {
	var all Errors
	for _, f := range slices.Concat(instance.InvalidFiles, instance.IgnoredFiles, instance.OrphanedFiles) {
		if f.Encoding == build.CUE {
			message := "the file is excluded from the package: "
			if f.ExcludeReason != nil {
				message += f.ExcludeReason.Error()
			}
			if strings.HasSuffix(message, "no package name") {
				message = "the file has no package clause; add `package NAME` as its first line"
			}
			all = append(all, Error{Pos: Position{File: p.relative(f.Filename), Line: 1, Column: 1}, Message: message})
		}
	}
	if len(all) == 0 {
		return Errors{{Message: "no CUE files in the directory; `runner init DIR` creates an experiment"}}
	}
	return all
}

// badImports finds all imports of missing packages, including those in imported packages. CUE stops at the first one.
func (p *place) badImports(instance *build.Instance, c *load.Config, seen map[string]bool) Errors {
	var all Errors
	for _, file := range instance.Files {
		for spec := range file.ImportSpecs() {
			name, err := strconv.Unquote(spec.Path.Value)
			standard := !strings.Contains(strings.Split(name, "/")[0], ".")
			if err != nil || standard || seen[name] {
				continue
			}
			seen[name] = true
			imported := load.Instances([]string{name}, c)[0]
			switch {
			case imported.Err == nil:
			case len(imported.Files) > 0:
				all = append(all, p.badImports(imported, c, seen)...)
			default:
				all = append(all, Error{Pos: p.position(spec.Path.Pos()), Message: importMessage(instance, name)})
			}
		}
	}
	return all
}

func importMessage(instance *build.Instance, name string) string {
	module := strings.Split(instance.Module, "@")[0]
	within := ast.ParseImportPath(name).Path
	switch {
	case within == languageModule || strings.HasPrefix(within, languageModule+"/"):
		return fmt.Sprintf("no package %q; %s", name, alternatives("packages of the spec language", name, []string{languagePackage}))
	case strings.HasPrefix(within, module+"/"):
		return fmt.Sprintf("no package %q; the module has no CUE files in the directory %q", name, strings.TrimPrefix(within, module+"/"))
	}
	return fmt.Sprintf("no package %q; packages come from the module (%s) and its directory cue.mod/pkg, never from a registry", name, module)
}

// declared returns the names that references in a package can use.
func declared(instance *build.Instance) []string {
	var names []string
	for _, file := range instance.Files {
		ast.Walk(file, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.Field:
				if name, _, err := ast.LabelName(x.Label); err == nil {
					names = append(names, name)
				}
			case *ast.LetClause:
				names = append(names, x.Ident.Name)
			case *ast.Alias:
				names = append(names, x.Ident.Name)
			}
			return true
		}, nil)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
