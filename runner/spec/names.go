package spec

import (
	"fmt"
	"strings"
)

// named is something whose name is also the path of a directory that is written for it.
type named struct {
	name string
	pos  Position
	path string
}

// checkNames returns what is wrong with names of the same kind ("gap") as paths of directories below one: each must stay
// below it, and none may be the directory of another, whose files would mix with its own. A name may be repeated.
func checkNames(what string, all []named) []Error {
	const longest = 200
	known := map[string]bool{}
	for _, n := range all {
		known[n.name] = true
	}
	var errs []Error
	fail := func(n named, format string, args ...any) {
		errs = append(errs, Error{n.pos, n.path, fmt.Sprintf(format, args...)})
	}
	for _, n := range all {
		for i, element := range strings.Split(n.name, "/") {
			switch {
			case strings.Trim(element, ".") == "":
				fail(n, "the %s %q cannot be the name of a directory: an element is %q; rename what it is named after", what, abbreviate(n.name, longest), element)
			case visible(element) != element || strings.Contains(element, "\\"):
				fail(n, "the %s %q cannot be the name of a directory: %q has a character that does not print, or a backslash; rename what it is named after",
					what, abbreviate(n.name, longest), abbreviate(element, longest))
			case len(element) > longest:
				fail(n, "the %s %q cannot be the name of a directory: %q has %d bytes, and at most %d are allowed; rename what it is named after",
					what, abbreviate(n.name, longest), abbreviate(element, longest/2), len(element), longest)
			}
			if i == 0 {
				continue
			}
			parent := strings.Join(strings.Split(n.name, "/")[:i], "/")
			if known[parent] {
				fail(n, "the %s %q would be kept inside of that called %q; rename one", what, abbreviate(n.name, longest), parent)
			}
		}
	}
	return errs
}

// checkGapNames checks the names under which the reports of gaps are written, those that matrices make included.
func (d *decoder) checkGapNames(gaps []Gap) {
	var all []named
	for _, g := range gaps {
		all = append(all, named{g.Name, g.Pos, FieldPath("gaps", g.Name)})
	}
	d.errors = append(d.errors, checkNames("gap", all)...)
}
