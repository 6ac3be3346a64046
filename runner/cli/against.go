package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
)

// cause is a difference that changes actions of itself: what differs in their keys other than what other changes bring.
type cause struct {
	fields  []plan.Field
	actions []string
	follow  map[string]bool // actions that change because of it
}

// printChanges says what a plan adds, drops and changes against a revision: each cause once, with the actions that it
// changes and the number of those that follow.
func printChanges(out io.Writer, revision string, changes []plan.Change) {
	say(out, "\nagainst %s: ", revision)
	if len(changes) == 0 {
		say(out, "nothing changes\n")
		return
	}
	names := map[string][]string{}
	for _, c := range changes {
		names[c.What] = append(names[c.What], c.Name)
	}
	say(out, "%d added, %d dropped, %d changed\n", len(names["added"]), len(names["dropped"]), len(names["changed"]))
	for _, c := range causes(changes) {
		for _, f := range c.fields {
			say(out, "  %s\n", f)
		}
		say(out, "    changes %s\n", few(naturally(c.actions)))
		if n := len(c.follow); n > 0 {
			say(out, "    %s from this\n", map[bool]string{true: "1 action follows", false: count(n, "action") + " follow"}[n == 1])
		}
	}
	for _, what := range []string{"added", "dropped"} {
		if len(names[what]) > 0 {
			say(out, "  %-7s %s\n", what, few(naturally(names[what])))
		}
	}
}

// naturally sorts names, "d2" before "d10".
func naturally(names []string) []string {
	return slices.SortedFunc(slices.Values(names), terminal.Compare)
}

// causes groups changed actions by what differs in them that is not a consequence, in the order in which the plan has them.
func causes(changes []plan.Change) []*cause {
	changed := map[string]plan.Change{}
	for _, c := range changes {
		if c.What == "changed" {
			changed[c.Name] = c
		}
	}
	of := map[string][]*cause{} // by action, all that it follows from
	byFields := map[string]*cause{}
	var all []*cause
	for _, c := range changes {
		if c.What != "changed" {
			continue
		}
		var roots []*cause
		brought := map[string]bool{}
		for _, f := range c.Fields {
			for _, r := range of[upstream(f)] {
				if !slices.Contains(roots, r) {
					roots = append(roots, r)
				}
				for _, f := range r.fields {
					brought[sameField(f)] = true
				}
			}
		}
		var own []plan.Field
		for _, f := range c.Fields {
			if _, known := changed[upstream(f)]; !known && !brought[sameField(f)] {
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

// upstream names the changed action that a field comes from, "" if it comes from none.
func upstream(f plan.Field) string {
	name, ok := strings.CutPrefix(f.After, "changed ")
	if !ok || !strings.HasPrefix(f.Path, "inputs.") {
		return ""
	}
	return name
}

// sameField identifies a field that an action and what comes after it both hold, at different places of their keys.
func sameField(f plan.Field) string {
	return fmt.Sprintf("%q", []string{f.Path[strings.LastIndexByte(f.Path, '.')+1:], f.Before, f.After})
}
