package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
)

// Error is one mistake in a spec.
type Error struct {
	// Pos is where the mistake is; its File is "" if no single place is to blame.
	Pos Position
	// Path is the field in the experiment (datasets."web/x".source), or "" for a mistake outside of it.
	Path string
	// Message says what was found, what is allowed and what to do.
	Message string
}

func (e Error) Error() string { return line(e.Pos, e.Path, e.Message) }

// FieldPath writes the path of a field as Error.Path has it.
func FieldPath(names ...string) string {
	path := make([]cue.Selector, len(names))
	for i, name := range names {
		path[i] = cue.Str(name)
	}
	return pathString(path)
}

// Errors are all mistakes of a spec, sorted by place, without repetition.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, x := range e {
		lines[i] = x.Error()
	}
	return strings.Join(lines, "\n")
}

// tidy sorts errors and drops repetitions.
func tidy(all []Error) Errors {
	slices.SortFunc(all, CompareErrors)
	return slices.Compact(all)
}

// Warning is something in a spec that is allowed and probably not meant.
type Warning Error

func (w Warning) String() string { return line(w.Pos, w.Path, w.Message) }

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

func line(p Position, path, message string) string {
	parts := slices.DeleteFunc([]string{p.String(), path, message}, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

// CompareErrors orders errors by place, then by path and message.
func CompareErrors(a, b Error) int {
	return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line),
		cmp.Compare(a.Pos.Column, b.Pos.Column), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
}

// alternatives lists what could have been written instead of found, and the nearest of it: "models are a, b; did you mean
// a?". Long lists are cut.
func alternatives(what, found string, allowed []string) string {
	const most = 16
	if len(allowed) == 0 {
		return "there are no " + what
	}
	allowed = slices.Compact(slices.Sorted(slices.Values(allowed)))
	if len(allowed) == 1 {
		return "the only one is " + allowed[0]
	}
	s := what + " are " + strings.Join(allowed, ", ")
	if n := len(allowed) - most; n > 0 {
		s = fmt.Sprintf("%s are %s and %d more", what, strings.Join(allowed[:most], ", "), n)
	}
	if near := nearest(found, allowed); near != "" {
		s += "; did you mean " + near + "?"
	}
	return s
}

// nearest returns the name that is most likely meant by found, or "" if none is near: at most a third of its letters
// differ. The first of equals wins.
func nearest(found string, names []string) string {
	best, bestDistance := "", max(1, len([]rune(found))/3)+1
	for _, name := range names {
		if d := distance(strings.ToLower(found), strings.ToLower(name)); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is the optimal string alignment distance: how many letters must be inserted, deleted, replaced or swapped with
// their neighbour to make b of a.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
