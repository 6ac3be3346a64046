package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
)

// cause is a root cause of changes: fields of descriptors that differ and do not merely follow from another change.
type cause struct {
	fields  []plan.Field
	actions []string
	follow  map[string]bool // actions that change only because of it
}

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
	for _, c := range causes(changes) {
		const most = 5
		for _, f := range c.fields[:min(len(c.fields), most)] {
			writef(out, "  cause: %s\n", f)
		}
		if n := len(c.fields) - most; n > 0 {
			writef(out, "  cause: and %s more\n", count(n, "field"))
		}
		writef(out, "    changes %s\n", terminal.Few(naturally(c.actions)))
		if n := len(c.follow); n > 0 {
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

// causes returns the root causes of changes in plan order, each with all actions that it changes.
func causes(changes []plan.Change) []*cause {
	changed := map[string]plan.Change{}
	for _, c := range changes {
		if c.What == "changed" {
			changed[c.Name] = c
		}
	}
	of := map[string][]*cause{} // the root causes of each action
	byFields := map[string]*cause{}
	var all []*cause
	for _, c := range changes {
		if c.What != "changed" {
			continue
		}
		var roots []*cause
		inherited := map[string]bool{}
		for _, f := range c.Fields {
			for _, r := range of[upstream(f)] {
				if !slices.Contains(roots, r) {
					roots = append(roots, r)
				}
				for _, f := range r.fields {
					inherited[sameField(f)] = true
				}
			}
		}
		var own []plan.Field
		for _, f := range c.Fields {
			if _, known := changed[upstream(f)]; !known && !inherited[sameField(f)] {
				own = append(own, f)
			}
		}
		for _, r := range roots {
			r.follow[c.Name] = true
		}
		if len(own) > 0 {
			id := fmt.Sprint(own)
			if byFields[id] == nil {
				byFields[id] = &cause{fields: own, follow: map[string]bool{}}
				all = append(all, byFields[id])
			}
			byFields[id].actions = append(byFields[id].actions, c.Name)
			roots = append(roots, byFields[id])
		}
		of[c.Name] = roots
	}
	return all
}

// upstream returns the name of the changed upstream action that a field refers to, or "".
func upstream(f plan.Field) string {
	name, ok := strings.CutPrefix(f.After, "changed ")
	if !ok || !strings.HasPrefix(f.Path, "inputs.") {
		return ""
	}
	return name
}

// sameField returns an identity of a field by its last name and its values. An action and its downstream actions may
// have the same field at different paths of their descriptors.
func sameField(f plan.Field) string {
	return fmt.Sprintf("%q", []string{f.Path[strings.LastIndexByte(f.Path, '.')+1:], f.Before, f.After})
}
