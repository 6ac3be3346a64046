package spec

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"
)

// violation is a violation of the schema by a field, described in terms that do not require knowledge of CUE's
// evaluator.
type violation struct {
	path         []cue.Selector
	pos          token.Pos
	message      string
	unknownField bool
	// meant is the path of the field that an unknown field is most likely a misspelling of, if that field is not set.
	meant []cue.Selector
	// unset is true if a required field is not set.
	unset bool
}

// checkSchema reports violations of #Experiment and of the plugins' schemas.
func (d *decoder) checkSchema() {
	violations := d.violations(node{v: d.root}, d.language.LookupPath(cue.MakePath(cue.Def("#Experiment"))))
	for _, r := range violations {
		if len(r.meant) > 0 {
			// What follows from the missing field is not reported.
			d.misspelled[pathString(r.meant)] = true
		}
	}
	violations = slices.DeleteFunc(violations, func(r violation) bool { return r.unset && d.misspelled[pathString(r.path)] })
	for _, r := range violations {
		pos := d.position(r.pos)
		if !r.pos.IsValid() {
			pos = d.nearestPosition(r.path)
		}
		d.errors = append(d.errors, Error{pos, pathString(r.path), r.message})
	}
	for _, r := range violations {
		d.invalid[pathString(r.path)] = true
	}
}

// violations validates n and returns one violation per invalid field. CUE reports an invalid field several times, once per
// alternative.
func (d *decoder) violations(n node, schema cue.Value) []violation {
	var order []string
	byPath := map[string][]cueerrors.Error{}
	for _, e := range cueerrors.Errors(n.v.Validate(cue.Concrete(true), cue.Final())) {
		key := strings.Join(e.Path(), "\x00")
		if _, ok := byPath[key]; !ok {
			order = append(order, key)
		}
		byPath[key] = append(byPath[key], e)
	}
	var all []violation
	for _, key := range order {
		errs := byPath[key]
		all = append(all, d.violation(n, schema, selectors(errs[0].Path()), errs))
	}
	if len(all) > 0 {
		all = append(all, d.incomplete(n, schema, all)...)
	}
	return all
}

// incomplete returns the required fields that are not set, and the values that are not concrete. CUE does not report
// these if it found other errors.
func (d *decoder) incomplete(n node, schema cue.Value, known []violation) []violation {
	seen := map[string]bool{}
	for _, r := range known {
		seen[pathString(r.path)] = true
	}
	var all []violation
	var walk func(n node)
	walk = func(n node) {
		if seen[pathString(n.path)] {
			return
		}
		for _, x := range n.elements() {
			walk(x)
		}
		it, err := n.v.Fields(cue.Optional(true))
		if err != nil || n.v.IncompleteKind() != cue.StructKind {
			if x, _ := n.v.Default(); x.Err() == nil && !x.IsConcrete() {
				all = append(all, violation{path: n.path, message: d.noValue(n.v)})
			}
			return
		}
		for it.Next() {
			s := it.Selector()
			required := s.ConstraintType() == cue.RequiredConstraint
			child := node{v: it.Value(), path: append(n.path[:len(n.path):len(n.path)], cue.Str(s.Unquoted()))}
			switch {
			case required && !seen[pathString(child.path)]:
				all = append(all, violation{path: child.path, unset: true,
					message: "required and not set; " + d.expected(schemaAt(schema, child.path))})
			case s.ConstraintType() == 0 || s.ConstraintType()&cue.OptionalConstraint == 0:
				walk(child)
			}
		}
	}
	walk(n)
	return all
}

// noValue describes a field without a concrete value.
func (d *decoder) noValue(v cue.Value) string {
	constraint := short(fmt.Sprint(v))
	if written := d.conjuncts(v); len(written) > 0 {
		constraint = found(written[0])
		if _, ok := written[0].Default(); ok {
			return "no value: the default in " + constraint + " and a default of the schema cancel each other; set a value without *"
		}
	}
	return "no value, only the constraint " + constraint + "; set a value"
}

// selectors turns the path of a CUE error into selectors.
func selectors(path []string) []cue.Selector {
	var all []cue.Selector
	for _, s := range path {
		if strings.HasPrefix(s, "_") {
			all = append(all, cue.Hid(s, "_"))
			continue
		}
		if i, err := strconv.ParseUint(s, 10, 31); err == nil {
			all = append(all, cue.Index(int(i)))
			continue
		}
		p := cue.ParsePath(s)
		if p.Err() != nil {
			all = append(all, cue.Str(s))
			continue
		}
		all = append(all, p.Selectors()...)
	}
	return all
}

// violation combines errs, which are all errors of the field at path, into one message.
func (d *decoder) violation(n node, schema cue.Value, path []cue.Selector, errs []cueerrors.Error) violation {
	r := violation{path: path, pos: d.bestPosition(errs)}
	formats := make([]string, len(errs))
	for i, e := range errs {
		formats[i], _ = e.Msg()
	}
	has := func(prefixes ...string) bool {
		return slices.ContainsFunc(formats, func(f string) bool {
			return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(f, p) })
		})
	}
	allowed := schemaAt(schema, path)
	v := n.v.LookupPath(cue.MakePath(path...))
	switch {
	case has("field not allowed"):
		r.unknownField, r.meant = true, meant(n, schemaAt(schema, path[:len(path)-1]), path)
		r.message = d.unknownField(schemaAt(schema, path[:len(path)-1]), path)
		return r
	case has("field is required but not present"):
		r.pos, r.unset = token.NoPos, true
		r.message = "required and not set; " + d.expected(allowed)
		return r
	case has("incomplete value"):
		r.message = d.noValue(v)
		return r
	case !has("conflicting values", "invalid value %v (out of bound", "invalid value %s (does not satisfy", "incompatible"):
		r.message = ownWords(errs)
		return r
	}
	return d.mismatch(r, v, allowed, errs)
}

// meant returns the path of the field of parent that the unknown field at path is most likely a misspelling of. It
// returns nil if there is none, or if that field is set.
func meant(n node, parent cue.Value, path []cue.Selector) []cue.Selector {
	if _, _, ok := pattern(parent); ok {
		return nil
	}
	last := len(path) - 1
	near := nearest(labels(path)[last], fieldNames(parent))
	if near == "" {
		return nil
	}
	other := append(slices.Clone(path[:last]), cue.Str(near))
	if n.v.LookupPath(cue.MakePath(other...)).Exists() {
		return nil
	}
	return other
}

// mismatch describes a contradiction between files of the spec or, if there is none, the value and what the schema
// allows.
func (d *decoder) mismatch(r violation, v, allowed cue.Value, errs []cueerrors.Error) violation {
	written := d.conjuncts(v)
	slices.SortFunc(written, func(a, b cue.Value) int {
		if d.better(a.Pos(), b.Pos()) {
			return -1
		}
		return 1
	})
	for i := range written {
		if r.pos = written[0].Pos(); i > 0 && contradict(written[0], written[i]) {
			r.message = fmt.Sprintf("conflicting values: %s here and %s at %v; keep one",
				found(written[0]), found(written[i]), d.position(written[i].Pos()))
			return r
		}
	}
	var what, how string
	tag, tagged := d.injected(v)
	switch {
	case tag != "":
		what, how = found(tagged), " from the tag "+tag
	case len(written) > 0:
		what = found(written[0])
	case v.Exists() && v.Err() == nil:
		what = short(fmt.Sprint(v))
	default:
		what = mentioned(errs)
	}
	r.message = "invalid value " + what + how
	if allowed.Exists() {
		near := nearest(strings.Trim(what, `"`), quoted(expression(allowed)))
		r.message = "expected " + d.allowed(allowed) + ", got " + what + how
		if near != "" {
			r.message += "; did you mean " + strconv.Quote(near) + "?"
		}
	}
	return r
}

// injected returns the tag that gave a part of v, and that part. Such a value is in no file.
func (d *decoder) injected(v cue.Value) (tag string, given cue.Value) {
	op, parts := v.Expr()
	if op == cue.AndOp {
		for _, x := range parts {
			if tag, given = d.injected(x); tag != "" {
				break
			}
		}
		return tag, given
	}
	if !v.IsConcrete() || filepath.IsAbs(v.Pos().Filename()) {
		return "", v
	}
	for _, t := range d.options.Tags {
		if name, value, _ := strings.Cut(t, "="); value == strings.Trim(found(v), `"`) {
			return name, v
		}
	}
	return "", v
}

// bestPosition returns the best position in the files of the spec that errs mention.
func (d *decoder) bestPosition(errs []cueerrors.Error) token.Pos {
	best := token.NoPos
	for _, e := range errs {
		for _, pos := range append([]token.Pos{e.Position()}, e.InputPositions()...) {
			if d.own(pos) && (!best.IsValid() || d.better(pos, best)) {
				best = pos
			}
		}
	}
	return best
}
