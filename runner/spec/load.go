package spec

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/load"
	"cuelang.org/go/cue/token"
)

// Options are the options of reading a spec.
type Options struct {
	// Tags are values for fields with a @tag attribute, as "name=value".
	Tags []string
	// Providers and Backends are the plugins that the spec may use, by name.
	Providers, Backends map[string]Schema
	// Sections are the parts of the language that kinds of actions define. Bounded leaves them to Serve.
	Sections []Section `json:"-"`
	// Setting is the name of a baseline that is about to be set, or "". References to it are not checked.
	Setting string
	// Confine, if set, is a directory that contains the spec. Files outside of it, after links are followed, are not
	// read, and it is an error if the spec names one.
	Confine string
	// Values asks for Experiment.Values.
	Values bool
}

// Load reads the experiment in directory dir in this process, without bounds on time and memory. It returns all
// mistakes of the spec as Errors, together with the parts of the experiment that have none. The experiment is nil if
// CUE cannot build the package.
func Load(ctx context.Context, dir string, o Options) (*Experiment, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	files, err := languageFiles(o)
	if err != nil {
		return nil, err
	}
	t, err := newTree(dir, o.Confine, files)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(virtualRoot, t.root)
	p := &place{dir: filepath.Join(virtualRoot, t.dir), language: filepath.Join(root, languageDir) + string(filepath.Separator)}
	config := &load.Config{
		Dir: p.dir, ModuleRoot: root, Overlay: t.overlay(), Tags: o.Tags, Registry: offline{}, Env: []string{},
	}
	experiment, language, err := p.packages(config)
	if err != nil {
		return nil, err
	}
	if wrong := p.badExponents(experiment, map[*build.Instance]bool{language: true}); len(wrong) > 0 {
		return nil, tidy(wrong)
	}
	c := cuecontext.New()
	schema := c.BuildInstance(language)
	if err := schema.Err(); err != nil {
		return nil, fmt.Errorf("the spec language: %w", plainCUEError(err))
	}
	definition := schema.LookupPath(cue.MakePath(cue.Def("#Experiment")))
	user := c.BuildInstance(experiment)
	if _, err := user.Fields(); err != nil {
		return nil, p.buildErrors(experiment, config, err)
	}
	// An embedded definition does not close the package that embeds it, so that unknown fields are allowed. Unify
	// closes it.
	d := &decoder{place: p, language: schema, context: c, root: user.Unify(definition), options: o}
	lock, err := ReadLock(dir, o.Confine)
	if _, damaged := errors.AsType[Errors](err); damaged {
		d.lockDamaged, d.lockDir, lock = true, dir, &Lock{}
	} else if err != nil {
		return nil, err
	}
	e := d.experiment(lock)
	d.checkConfined(e, t.dir)
	d.checkAddresses(e)
	d.warnOfRelativePaths(e)
	d.lint(e)
	e.Dir = dir
	if len(d.errors) > 0 {
		d.discard(e)
		return e, tidy(d.errors)
	}
	if o.Values {
		if e.Values, err = values(d.root); err != nil {
			return nil, err
		}
	}
	if t.stale != "" {
		d.warn(Position{File: relativeTo(t.dir, t.stale)}, "", "this copy of the specification language differs from that of this "+
			"program, which is used instead; `runner init --refresh` updates the copy for `cue vet`")
	}
	for _, w := range tidy(d.warnings) {
		e.Warnings = append(e.Warnings, Warning(w))
	}
	return e, nil
}

// packages loads the package of the spec and that of the spec language, and sets p.start.
func (p *place) packages(config *load.Config) (experiment, language *build.Instance, err error) {
	instances := load.Instances([]string{".", languagePackage}, config)
	if err := instances[0].Err; err != nil {
		return nil, nil, p.buildErrors(instances[0], config, err)
	}
	if len(instances) < 2 {
		return nil, nil, fmt.Errorf("package %s is not served", languagePackage)
	}
	if err := instances[1].Err; err != nil {
		return nil, nil, fmt.Errorf("the spec language: %w", plainCUEError(err))
	}
	for _, f := range instances[0].Files {
		if f.PackageName() != "" {
			p.start = f.Pos()
			break
		}
	}
	return instances[0], instances[1], nil
}

// place converts positions of CUE to positions relative to the experiment directory.
type place struct {
	// dir is the path of the spec's directory in the loader. language is that of the spec language, with a trailing
	// separator.
	dir, language string
	// start is the beginning of the first file of the spec.
	start token.Pos
}

// own reports whether pos is in a file of the spec or of a package that it imports, not in the spec language.
func (p *place) own(pos token.Pos) bool {
	return pos.IsValid() && pos.Filename() != "" && !strings.HasPrefix(pos.Filename(), p.language)
}

func (p *place) position(pos token.Pos) Position {
	if !pos.IsValid() {
		return Position{}
	}
	return Position{File: p.relative(pos.Filename()), Line: pos.Line(), Column: pos.Column()}
}

// relative returns a file's path from the spec's directory.
func (p *place) relative(file string) string { return relativeTo(p.dir, file) }

// better reports whether position a is a better location of a mistake than b: files in the experiment directory come
// first, then positions are ordered by file and offset.
func (p *place) better(a, b token.Pos) bool {
	if x, y := filepath.Dir(a.Filename()) == p.dir, filepath.Dir(b.Filename()) == p.dir; x != y {
		return x
	}
	return a.Compare(b) < 0
}

// of returns the position of v in the files of the spec.
func (p *place) of(v cue.Value) (token.Pos, bool) {
	best := token.NoPos
	for _, x := range p.conjuncts(v) {
		if pos := x.Pos(); !best.IsValid() || p.better(pos, best) {
			best = pos
		}
	}
	return best, best.IsValid()
}

// conjuncts returns the values that the files of the spec give for v, one per position.
func (p *place) conjuncts(v cue.Value) []cue.Value {
	op, parts := v.Expr()
	if op != cue.AndOp {
		if p.own(v.Pos()) {
			return []cue.Value{v}
		}
		return nil
	}
	var all []cue.Value
	for _, x := range parts {
		for _, y := range p.conjuncts(x) {
			if !slices.ContainsFunc(all, func(z cue.Value) bool { return z.Pos() == y.Pos() }) {
				all = append(all, y)
			}
		}
	}
	return all
}
