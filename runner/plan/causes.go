package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Cause is a root cause of changes: fields of descriptors that differ and do not merely follow from another change.
type Cause struct {
	Fields []Field
	// Actions are the names of the actions with these fields, in plan order.
	Actions []string
	// Follow has the names of the actions that change only because of them.
	Follow map[string]bool
}

// Causes returns the root causes of changes in plan order, each with all actions that it changes.
func Causes(changes []Change) []*Cause {
	changed := map[string]Change{}
	for _, c := range changes {
		if c.What == "changed" {
			changed[c.Name] = c
		}
	}
	of := map[string][]*Cause{} // the root causes of each action
	byFields := map[string]*Cause{}
	var all []*Cause
	for _, c := range changes {
		if c.What != "changed" {
			continue
		}
		var roots []*Cause
		inherited := map[string]bool{}
		for _, f := range c.Fields {
			for _, r := range of[upstream(f)] {
				if !slices.Contains(roots, r) {
					roots = append(roots, r)
				}
				for _, f := range r.Fields {
					inherited[sameField(f)] = true
				}
			}
		}
		var own []Field
		for _, f := range c.Fields {
			if _, known := changed[upstream(f)]; !known && !inherited[sameField(f)] {
				own = append(own, f)
			}
		}
		for _, r := range roots {
			r.Follow[c.Name] = true
		}
		if len(own) > 0 {
			id := fmt.Sprint(own)
			if byFields[id] == nil {
				byFields[id] = &Cause{Fields: own, Follow: map[string]bool{}}
				all = append(all, byFields[id])
			}
			byFields[id].Actions = append(byFields[id].Actions, c.Name)
			roots = append(roots, byFields[id])
		}
		of[c.Name] = roots
	}
	return all
}

// upstream returns the name of the changed upstream action that a field refers to, or "".
func upstream(f Field) string {
	name, ok := strings.CutPrefix(f.After, "changed ")
	if !ok || !strings.HasPrefix(f.Path, "inputs.") {
		return ""
	}
	return name
}

// sameField returns an identity of a field by its last name and its values. An action and its downstream actions may
// have the same field at different paths of their descriptors.
func sameField(f Field) string {
	return fmt.Sprintf("%q", []string{f.Path[strings.LastIndexByte(f.Path, '.')+1:], f.Before, f.After})
}
