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

// refusal is one field that CUE refuses, in words that do not need knowledge of CUE's evaluator.
type refusal struct {
	path         []cue.Selector
	pos          token.Pos
	message      string
	unknownField bool
}

// checkSchema reports what #Experiment and the plugins' schemas refuse.
func (d *decoder) checkSchema() {
	refusals := d.refusals(node{v: d.root}, d.language.LookupPath(cue.MakePath(cue.Def("#Experiment"))))
	for _, r := range refusals {
		pos := d.position(r.pos)
		if !r.pos.IsValid() {
			pos = d.nearestPosition(r.path)
		}
		d.errors = append(d.errors, Error{pos, pathString(r.path), r.message})
	}
	for _, r := range refusals {
		d.refused[pathString(r.path)] = true
	}
}

// refusals validates n and returns one refusal for each field that is wrong. CUE reports one wrong field several times,
// once for each alternative it could not take.
func (d *decoder) refusals(n node, schema cue.Value) []refusal {
	var order []string
	byPath := map[string][]cueerrors.Error{}
	for _, e := range cueerrors.Errors(n.v.Validate(cue.Concrete(true), cue.Final())) {
		key := strings.Join(e.Path(), "\x00")
		if _, ok := byPath[key]; !ok {
			order = append(order, key)
		}
		byPath[key] = append(byPath[key], e)
	}
	var all []refusal
	for _, key := range order {
		errs := byPath[key]
		all = append(all, d.refusal(n, schema, selectors(errs[0].Path()), errs))
	}
	if len(all) > 0 {
		all = append(all, d.undecided(n, schema, all)...)
	}
	return all
}

// undecided returns the required fields that are not set and the values that are not concrete. CUE does not mention these
// where it found worse.
func (d *decoder) undecided(n node, schema cue.Value, known []refusal) []refusal {
	seen := map[string]bool{}
	for _, r := range known {
		seen[pathString(r.path)] = true
	}
	var all []refusal
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
				all = append(all, refusal{path: n.path, message: d.noValue(n.v)})
			}
			return
		}
		for it.Next() {
			s := it.Selector()
			required := s.ConstraintType() == cue.RequiredConstraint
			child := node{v: it.Value(), path: append(n.path[:len(n.path):len(n.path)], cue.Str(s.Unquoted()))}
			switch {
			case required && !seen[pathString(child.path)]:
				all = append(all, refusal{path: child.path,
					message: "required and not set; " + d.expected(schemaAt(schema, child.path))})
			case s.ConstraintType() == 0 || s.ConstraintType()&cue.OptionalConstraint == 0:
				walk(child)
			}
		}
	}
	walk(n)
	return all
}

// noValue says that a field is still open.
func (d *decoder) noValue(v cue.Value) string {
	constraint := short(fmt.Sprint(v))
	if written := d.conjuncts(v); len(written) > 0 {
		constraint = found(written[0])
		if _, ok := written[0].Default(); ok {
			return "it has no value: the default in " + constraint + " and a default of the schema cancel each other; set one without *"
		}
	}
	return "it has no value, only the constraint " + constraint + "; set one"
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

// refusal says in one message what errs, all of the field at path, say.
func (d *decoder) refusal(n node, schema cue.Value, path []cue.Selector, errs []cueerrors.Error) refusal {
	r := refusal{path: path, pos: d.blamed(errs)}
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
		r.unknownField = true
		r.message = d.unknownField(schemaAt(schema, path[:len(path)-1]), path)
		return r
	case has("field is required but not present"):
		r.pos = token.NoPos
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

// mismatch says that the authors contradict each other or, if they do not, what they wrote and what the schema allows.
func (d *decoder) mismatch(r refusal, v, allowed cue.Value, errs []cueerrors.Error) refusal {
	written := d.conjuncts(v)
	slices.SortFunc(written, func(a, b cue.Value) int {
		if d.better(a.Pos(), b.Pos()) {
			return -1
		}
		return 1
	})
	for i := range written {
		if r.pos = written[0].Pos(); i > 0 && contradict(written[0], written[i]) {
			r.message = fmt.Sprintf("it is %s here and %s at %v; a field has one value",
				found(written[0]), found(written[i]), d.position(written[i].Pos()))
			return r
		}
	}
	var what, how string
	tag, tagged := d.injected(v)
	switch {
	case tag != "":
		what, how = found(tagged), ", given for the tag "+tag
	case len(written) > 0:
		what = found(written[0])
	case v.Exists() && v.Err() == nil:
		what = short(fmt.Sprint(v))
	default:
		what = mentioned(errs)
	}
	r.message = "found " + what + how
	if allowed.Exists() {
		near := nearest(strings.Trim(what, `"`), quoted(expression(allowed)))
		r.message += "; allowed is " + d.allowed(allowed)
		if near != "" {
			r.message += "; did you mean " + strconv.Quote(near) + "?"
		}
	}
	return r
}

// injected returns the tag that a part of v was given for, which stands in no file, and that part.
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

// blamed returns the best position that errs mention in the spec's own files.
func (d *decoder) blamed(errs []cueerrors.Error) token.Pos {
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
