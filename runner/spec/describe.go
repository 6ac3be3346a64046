package spec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/token"
)

// schemaAt returns the part of a definition for the field at path. The value does not exist if there is none.
func schemaAt(definition cue.Value, path []cue.Selector) cue.Value {
	for _, s := range path {
		if !definition.Exists() {
			break
		}
		var next cue.Value
		switch s.LabelType() {
		case cue.IndexLabel:
			next = definition.LookupPath(cue.MakePath(cue.AnyIndex))
		case cue.StringLabel:
			next = definition.LookupPath(cue.MakePath(s.Optional()))
			if _, value, ok := pattern(definition); !next.Exists() && ok {
				next = value
			}
		}
		definition = next
	}
	return definition
}

// pattern returns the pattern constraint of a struct: the constraint of its field names, and that of its fields.
func pattern(v cue.Value) (name, field cue.Value, ok bool) {
	it, err := v.Fields(cue.Optional(true), cue.Patterns(true))
	if err != nil {
		return name, field, false
	}
	for it.Next() {
		if it.Selector().ConstraintType() == cue.PatternConstraint {
			return it.Selector().Pattern(), it.Value(), true
		}
	}
	return name, field, false
}

// fieldNames returns the names of the fields that a definition allows, except for patterns.
func fieldNames(v cue.Value) []string {
	it, err := v.Fields(cue.Optional(true))
	if err != nil {
		return nil
	}
	var names []string
	for it.Next() {
		names = append(names, labels([]cue.Selector{it.Selector()})...)
	}
	return names
}

func (d *decoder) unknownField(parent cue.Value, path []cue.Selector) string {
	at := labels(path)
	name := at[len(at)-1]
	switch {
	case len(at) == 4 && at[0] == "datasets" && at[2] == "source":
		return fmt.Sprintf("no provider %q; %s", name, alternatives("providers", name, slices.Collect(maps.Keys(d.options.Providers))))
	case len(at) == 4 && at[0] == "models" && at[2] == "backend":
		return fmt.Sprintf("no backend %q; %s", name, alternatives("backends", name, slices.Collect(maps.Keys(d.options.Backends))))
	}
	if key, _, ok := pattern(parent); ok {
		return fmt.Sprintf("%q is not a valid name; allowed is %s", short(name), d.allowed(key))
	}
	return fmt.Sprintf("unknown field %q; %s", name, alternatives("fields", name, fieldNames(parent)))
}

// expected describes a field by its documentation, or else by its constraint.
func (d *decoder) expected(allowed cue.Value) string {
	if text := documentation(allowed); text != "" {
		return text
	}
	return "allowed is " + d.allowed(allowed)
}

// documentation returns the first sentence of a field's comment.
func documentation(v cue.Value) string {
	for _, group := range v.Doc() {
		text := strings.Join(strings.Fields(group.Text()), " ")
		first, _, _ := strings.Cut(text, ". ")
		return strings.TrimSuffix(first, ".")
	}
	return ""
}

// expression returns the syntax of a schema's value, or nil.
func expression(v cue.Value) ast.Expr {
	switch x := v.Source().(type) {
	case *ast.Field:
		return x.Value
	case ast.Expr:
		return x
	}
	return nil
}

// allowed describes the values that a schema allows.
func (d *decoder) allowed(v cue.Value) string {
	if x := expression(v); x != nil {
		return d.describe(x)
	}
	switch kind := v.IncompleteKind(); kind {
	case cue.StructKind, cue.ListKind:
		return "a " + kind.String()
	default:
		return kind.String()
	}
}

// describe describes the values that an expression of a schema allows.
func (d *decoder) describe(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return d.describe(x.X)
	case *ast.Ident:
		if text := d.definition(func(name string, _ ast.Expr) bool { return name == x.Name }); text != "" {
			return text
		}
		switch n := x.Node.(type) {
		case *ast.Field:
			return d.describe(n.Value)
		case ast.Expr:
			return d.describe(n)
		}
	case *ast.UnaryExpr:
		text := source(x)
		if text := d.definition(func(_ string, e ast.Expr) bool { return e != nil && source(e) == text }); text != "" {
			return text
		}
	case *ast.StructLit, *ast.SelectorExpr:
		return "a struct"
	case *ast.ListLit:
		least := 0
		for _, e := range x.Elts {
			if _, more := e.(*ast.Ellipsis); !more {
				least++
			}
		}
		switch least {
		case 0:
			return "a list"
		case 1:
			return "a list of at least one"
		}
		return fmt.Sprintf("a list of at least %d", least)
	case *ast.BinaryExpr:
		if x.Op == token.OR {
			all := d.choices(x)
			if len(all) == 1 {
				return all[0]
			}
			return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
		}
	}
	return source(x)
}

// definition describes the first definition of the language that is documented as "#Name is ..." and matches.
func (d *decoder) definition(match func(name string, x ast.Expr) bool) string {
	it, err := d.language.Fields(cue.Definitions(true))
	if err != nil {
		return ""
	}
	for it.Next() {
		name, x := it.Selector().String(), expression(it.Value())
		if text, ok := strings.CutPrefix(documentation(it.Value()), name+" is "); ok && match(name, x) {
			return text
		}
	}
	return ""
}

// choices describes the alternatives of a disjunction. It omits a default that is only one of many allowed values.
func (d *decoder) choices(x ast.Expr) []string {
	var all []string
	open := false
	for _, e := range disjuncts(x) {
		open = open || literal(e) == nil
	}
	for _, e := range disjuncts(x) {
		if literal(e) == nil || !open || !isDefault(e) {
			all = append(all, d.describe(unmarked(e)))
		}
	}
	return all
}

func disjuncts(x ast.Expr) []ast.Expr {
	switch y := x.(type) {
	case *ast.ParenExpr:
		return disjuncts(y.X)
	case *ast.BinaryExpr:
		if y.Op == token.OR {
			return append(disjuncts(y.X), disjuncts(y.Y)...)
		}
	}
	return []ast.Expr{x}
}

func isDefault(x ast.Expr) bool {
	u, ok := x.(*ast.UnaryExpr)
	return ok && u.Op == token.MUL
}

func unmarked(x ast.Expr) ast.Expr {
	if isDefault(x) {
		return x.(*ast.UnaryExpr).X
	}
	return x
}

func literal(x ast.Expr) *ast.BasicLit {
	l, _ := unmarked(x).(*ast.BasicLit)
	return l
}

// quoted returns the strings among the alternatives of an expression.
func quoted(x ast.Expr) []string {
	var all []string
	if x == nil {
		return nil
	}
	for _, e := range disjuncts(x) {
		if l := literal(e); l != nil && l.Kind == token.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil {
				all = append(all, s)
			}
		}
	}
	return all
}

func source(x ast.Node) string {
	text, err := format.Node(x)
	if err != nil {
		return "something else"
	}
	return short(string(text))
}

// short shortens text to one line of at most 80 characters.
func short(s string) string {
	if len(s) > 4096 {
		s = strings.ToValidUTF8(s[:4096], "")
	}
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) > 80 {
		return string(r[:77]) + "..."
	}
	return string(r)
}

// found describes a value in the files of the spec.
func found(v cue.Value) string {
	if e := v.Eval(); e.Err() == nil {
		return short(fmt.Sprint(e))
	}
	if x := expression(v); x != nil {
		return source(x)
	}
	return short(fmt.Sprint(v))
}

// contradict reports whether two values of a field exclude each other.
func contradict(a, b cue.Value) bool { return a.Unify(b).Err() != nil }

// mentioned returns the invalid value that a CUE error mentions.
func mentioned(errs []cueerrors.Error) string {
	for _, e := range errs {
		if _, args := e.Msg(); len(args) > 0 {
			return short(fmt.Sprint(args[0]))
		}
	}
	return "something else"
}

// ownWords returns the messages of CUE for one field, without repetition.
func ownWords(errs []cueerrors.Error) string {
	var all []string
	for _, e := range errs {
		text := strings.Join(strings.Fields(e.Error()), " ")
		if path := strings.Join(e.Path(), "."); path != "" {
			text = strings.TrimPrefix(text, path+": ")
		}
		text, _, _ = strings.Cut(text, ", found _|_")
		if text = abbreviate(text, 500); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, "; ")
}
