package cli

import (
	"io"
	"slices"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
)

// printChanges prints what a plan adds, drops and changes compared with a revision. It prints each root cause once,
// with the actions that it changes and the number of downstream actions that follow.
func printChanges(out io.Writer, revision string, changes []plan.Change) {
	writef(out, "\nagainst %s: ", revision)
	if len(changes) == 0 {
		writef(out, "nothing changes\n")
		return
	}
	names := map[string][]string{}
	for _, c := range changes {
		names[c.What] = append(names[c.What], c.Name)
	}
	writef(out, "%d added, %d dropped, %d changed\n", len(names["added"]), len(names["dropped"]), len(names["changed"]))
	for _, c := range plan.Causes(changes) {
		const most = 5
		for _, f := range c.Fields[:min(len(c.Fields), most)] {
			writef(out, "  cause: %s\n", f)
		}
		if n := len(c.Fields) - most; n > 0 {
			writef(out, "  cause: and %s more\n", count(n, "field"))
		}
		writef(out, "    changes %s\n", terminal.Few(naturally(c.Actions)))
		if n := len(c.Follow); n > 0 {
			writef(out, "    and in consequence %s downstream\n", count(n, "action"))
		}
	}
	for _, what := range []string{"added", "dropped"} {
		if len(names[what]) > 0 {
			writef(out, "  %-7s %s\n", what, terminal.Few(naturally(names[what])))
		}
	}
}

// naturally sorts names in natural order: "d2" before "d10".
func naturally(names []string) []string {
	return slices.SortedFunc(slices.Values(names), terminal.Compare)
}
