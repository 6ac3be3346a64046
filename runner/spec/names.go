package spec

import (
	"strings"

	"surprisal.dev/plugins/protocol"
)

// Named is a named entry of the spec, whose name is also the path of an output directory. At is its definition.
type Named struct {
	Name string
	At   Node
}

// CheckNames reports names of a kind ("gap") that are not valid as paths of output directories. A path must stay below
// the common parent directory, and must not be below the path of another name. A name may be repeated. The positions of
// the entries become Experiment.Positions.
func (s Decoding) CheckNames(what string, all []Named) {
	for _, n := range all {
		s.d.positions[what+" "+n.Name] = s.Position(n.At)
	}
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
				fail(n.At, "the %s %q is not a valid directory name: it has the element %q; rename it", what, abbreviate(n.Name, longest), element)
			case protocol.Visible(element) != element || strings.Contains(element, "\\"):
				fail(n.At, "the %s %q is not a valid directory name: %q has a backslash or a character that does not print; rename it",
					what, abbreviate(n.Name, longest), abbreviate(element, longest))
			case len(element) > longest:
				fail(n.At, "the %s %q is not a valid directory name: %q has %d bytes, more than the limit of %d; rename it",
					what, abbreviate(n.Name, longest), abbreviate(element, longest/2), len(element), longest)
			}
			if i == 0 {
				continue
			}
			parent := strings.Join(strings.Split(n.Name, "/")[:i], "/")
			if known[parent] {
				fail(n.At, "the directory of the %s %q would be inside that of %q; rename one", what, abbreviate(n.Name, longest), parent)
			}
		}
	}
}
