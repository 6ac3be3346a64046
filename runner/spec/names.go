package spec

import (
	"strings"

	"surprisal.dev/plugins/protocol"
)

// Named is something whose name is also the path of a directory that is written for it, and where the spec says so.
type Named struct {
	Name string
	At   Node
}

// CheckNames reports what is wrong with names of the same kind ("gap") as paths of directories below one: each must stay
// below it, and none may be the directory of another, whose files would mix with its own. A name may be repeated.
func (s Decoding) CheckNames(what string, all []Named) {
	checkNames(what, all, s.Fail)
}

func checkNames(what string, all []Named, fail func(at Node, format string, args ...any)) {
	const longest = 200
	known := map[string]bool{}
	for _, n := range all {
		known[n.Name] = true
	}
	for _, n := range all {
		for i, element := range strings.Split(n.Name, "/") {
			switch {
			case strings.Trim(element, ".") == "":
				fail(n.At, "the %s %q cannot be the name of a directory: an element is %q; rename what it is named after", what, abbreviate(n.Name, longest), element)
			case protocol.Visible(element) != element || strings.Contains(element, "\\"):
				fail(n.At, "the %s %q cannot be the name of a directory: %q has a character that does not print, or a backslash; rename what it is named after",
					what, abbreviate(n.Name, longest), abbreviate(element, longest))
			case len(element) > longest:
				fail(n.At, "the %s %q cannot be the name of a directory: %q has %d bytes, and at most %d are allowed; rename what it is named after",
					what, abbreviate(n.Name, longest), abbreviate(element, longest/2), len(element), longest)
			}
			if i == 0 {
				continue
			}
			parent := strings.Join(strings.Split(n.Name, "/")[:i], "/")
			if known[parent] {
				fail(n.At, "the %s %q would be kept inside of that called %q; rename one", what, abbreviate(n.Name, longest), parent)
			}
		}
	}
}
