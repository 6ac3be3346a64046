package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cuelang.org/go/cue"

	"surprisal.dev/plugins/protocol"
)

// Error is one mistake in a spec.
type Error struct {
	// Pos is the position of the mistake. Its File is "" if there is no single position.
	Pos Position
	// Path is the field in the experiment (datasets."web/x".source), or "" for a mistake outside of it.
	Path string
	// Message describes the value that was found, the allowed values, and how to fix the mistake.
	Message string
}

func (e Error) Error() string { return line(e.Pos, e.Path, e.Message) }

// FieldPath returns the path of a field in the format of Error.Path.
func FieldPath(names ...string) string { return abbreviate(fieldPath(names...), longestPath) }

func fieldPath(names ...string) string {
	path := make([]cue.Selector, len(names))
	for i, name := range names {
		path[i] = cue.Str(name)
	}
	return pathString(path)
}

// Errors are all mistakes of a spec, sorted by place, without repetition.
type Errors []Error

// Merge returns the mistakes of e and others, sorted by place, without repetition.
func (e Errors) Merge(others ...Errors) Errors {
	return tidy(slices.Concat(append([]Errors{e}, others...)...))
}

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, x := range e {
		lines[i] = x.Error()
	}
	return strings.Join(lines, "\n")
}

// Errors quote values of a spec, which may be of any size. Longer paths and messages are shortened.
const (
	longestPath    = 300
	longestMessage = 3000
)

// tidy sorts errors, removes duplicates and shortens long texts.
func tidy(all []Error) Errors {
	for i := range all {
		all[i].Path = abbreviate(all[i].Path, longestPath)
		all[i].Message = abbreviate(all[i].Message, longestMessage)
	}
	slices.SortFunc(all, compareErrors)
	return slices.Compact(all)
}

// abbreviate removes the middle of a text of more than most bytes.
func abbreviate(s string, most int) string {
	if len(s) <= most {
		return s
	}
	head, tail := most*3/4, len(s)-most/4
	for head > 0 && !utf8.RuneStart(s[head]) {
		head--
	}
	for tail < len(s) && !utf8.RuneStart(s[tail]) {
		tail++
	}
	return fmt.Sprintf("%s...(%d bytes)...%s", s[:head], tail-head, s[tail:])
}

// Warning is a warning about a spec: something that is allowed and probably not intended.
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
	lines := strings.Split(strings.Join(parts, ": "), "\n")
	for i, text := range lines {
		lines[i] = protocol.Visible(text)
		if i > 0 && !strings.HasPrefix(text, "  ") {
			lines[i] = "    " + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

// compareErrors orders errors by position, then by path and message.
func compareErrors(a, b Error) int {
	return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line),
		cmp.Compare(a.Pos.Column, b.Pos.Column), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
}

// alternatives lists the allowed names, and the one that is nearest to found: "models are a, b; did you mean a?". Long
// lists are shortened.
func alternatives(what, found string, allowed []string) string {
	const most = 16
	if len(allowed) == 0 {
		return "there are no " + what
	}
	allowed = slices.Compact(slices.Sorted(slices.Values(allowed)))
	for i, name := range allowed {
		allowed[i] = abbreviate(name, 100)
	}
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

// Nearest returns the name that was most likely meant by a mistyped one, or "" if none is near.
func Nearest(found string, names []string) string { return nearest(found, names) }

// nearest returns the name that was most likely meant by found, or "" if none is near. A name is near if its edit
// distance is at most a third of the length of found, or if one is a prefix of the other. Of several names at the same
// distance, the one with the longest common prefix wins, then the first one.
func nearest(found string, names []string) string {
	const longest = 100
	letters := []rune(strings.ToLower(found))
	if len(letters) > longest {
		return ""
	}
	best, bestDistance, bestCommon := "", max(1, len(letters)/3)+1, 0
	for _, name := range names {
		if len(name) > 4*longest {
			continue
		}
		lower := strings.ToLower(name)
		d, common := distance(string(letters), lower), commonPrefix(letters, []rune(lower))
		if d < bestDistance || d == bestDistance && best != "" && common > bestCommon {
			best, bestDistance, bestCommon = name, d, common
		}
	}
	if best != "" {
		return best
	}
	for _, name := range names {
		lower := []rune(strings.ToLower(name))
		common := commonPrefix(letters, lower)
		if common > max(1, bestCommon) && (common == len(letters) || common == len(lower)) {
			best, bestCommon = name, common
		}
	}
	return best
}

// commonPrefix returns the length of the longest common prefix of a and b.
func commonPrefix(a, b []rune) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// distance is the optimal string alignment distance: the number of insertions, deletions, substitutions and
// transpositions of adjacent letters that turn a into b.
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
