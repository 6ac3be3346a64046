package ci

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"surprisal.dev/runner/markdown"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
)

// Changes are what a plan changes of a base plan.
type Changes struct {
	// Against is the revision of the base plan.
	Against string
	// New reports whether the revision does not have the spec.
	New bool
	// Fields are the fields of the spec that differ, and Actions the actions.
	Fields  []plan.Field
	Actions []plan.Change
}

// Compare returns what a plan changes of the plan at a revision.
func Compare(ctx context.Context, p, base *plan.Plan, against string) (_ *Changes, err error) {
	c := &Changes{Against: against, New: len(base.Actions) == 0 && base.Experiment == ""}
	if c.Actions, err = p.Against(ctx, base); err != nil {
		return nil, err
	}
	if !c.New {
		if c.Fields, err = p.SpecFields(base); err != nil {
			return nil, err
		}
		c.Fields = append(c.Fields, p.BaselineFields(base)...)
	}
	return c, nil
}

// sections returns the causes, then the consequences.
func (c *Changes) sections() []section {
	against := value(c.Against)
	switch {
	case c.New:
		return []section{{head: "### Causes\n\nThe specification is new: " + against + " does not have it.\n\n"}}
	case len(c.Actions) == 0 && len(c.Fields) == 0:
		return []section{{head: "### Causes\n\nNothing changes against " + against + ".\n\n"}}
	}
	all := []section{{head: "### Causes\n\nNo field of the specification changes. Files, pinned sources, baselines or programs do.\n\n"}}
	if len(c.Fields) > 0 {
		all = table("### Causes\n\n", []string{"field of the specification", against, "now"}, c.fields(), "")
	}
	if len(c.Actions) == 0 {
		return append(all, section{head: "### Consequences\n\nNone: no action changes.\n\n"})
	}
	counts := map[string]int{}
	for _, change := range c.Actions {
		counts[change.What]++
	}
	all = append(all, section{head: fmt.Sprintf("### Consequences\n\nActions: %d added, %d dropped, %d changed.\n\n", counts["added"], counts["dropped"],
		counts["changed"])})
	all = append(all, table("", []string{"kind", "added", "dropped", "changed"}, c.kinds(), "")...)
	return append(all, folded("The parts of definitions that change, and their consequences",
		[]string{"part of a definition", "changes", "and in consequence"}, c.causes())...)
}

// fields returns a row for each field of the spec that differs.
func (c *Changes) fields() (rows []string) {
	side := func(text string) string { return cmp.Or(value(text), "none") }
	for _, f := range c.Fields {
		rows = append(rows, markdown.Row([]string{value(f.Path), side(f.Before), side(f.After)}))
	}
	return rows
}

// kinds returns a row for each kind of action that changes.
func (c *Changes) kinds() (rows []string) {
	n := map[string]map[string]int{}
	var order []string
	for _, change := range c.Actions {
		if n[change.Kind] == nil {
			n[change.Kind] = map[string]int{}
			order = append(order, change.Kind)
		}
		n[change.Kind][change.What]++
	}
	for _, kind := range order {
		rows = append(rows, markdown.Row([]string{value(kind), number(n[kind]["added"]), number(n[kind]["dropped"]), number(n[kind]["changed"])}))
	}
	return rows
}

// causes returns a row for each root cause of changed actions.
func (c *Changes) causes() (rows []string) {
	for _, cause := range plan.Causes(c.Actions) {
		const most = 3
		var fields []string
		for _, f := range cause.Fields[:min(len(cause.Fields), most)] {
			fields = append(fields, value(f.String()))
		}
		if n := len(cause.Fields) - most; n > 0 {
			fields = append(fields, terminal.Count(n, "more field"))
		}
		follow := ""
		if n := len(cause.Follow); n > 0 {
			follow = terminal.Count(n, "action")
		}
		rows = append(rows, markdown.Row([]string{strings.Join(fields, ", "), names(cause.Actions), follow}))
	}
	return rows
}

// number is a cell of a count.
func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// Preview is a plan for a pull request.
type Preview struct {
	Plan *plan.Plan
	// Ordered are the plan's actions in the order of the list.
	Ordered []*plan.Action
	// Changes is nil if the plan was not compared.
	Changes *Changes
}

// Markdown returns the preview in at most limit bytes: the causes of changes, their consequences, the cost, and a folded
// list of all actions. Its first line is a hidden marker of the experiment; see Marker.
func (v Preview) Markdown(limit int) string {
	title := "## Plan of " + value(v.Plan.Experiment)
	if v.Changes != nil {
		title += " against " + value(v.Changes.Against)
	}
	_, total := v.needs()
	all := []section{{head: fmt.Sprintf("%s\n%s\n\n%s: %d to run, %d cached, %d skipped.\n\n", Marker("plan", v.Plan.Experiment), title,
		terminal.Count(len(v.Plan.Actions), "action"), total.runs, total.cached, total.skipped)}}
	if v.Changes != nil {
		all = append(all, v.Changes.sections()...)
	}
	all = append(all, v.cost()...)
	rows := make([]string, 0, len(v.Ordered))
	sizes := plan.Sizes{}
	for _, a := range v.Ordered {
		cells := a.AppendCells(nil, sizes)
		last := len(cells) - 1
		cells[1], cells[last] = value(a.Name), value(cells[last])
		rows = append(rows, markdown.Row(cells))
	}
	return render(append(all, folded(terminal.Count(len(rows), "action"), plan.Heads(), rows)...), limit)
}

// need is what the actions of a kind that are to run need together.
type need struct {
	runs, cached, skipped, timed int
	cost                         plan.Cost
}

func (n *need) add(a *plan.Action) {
	switch a.State {
	case plan.Cached:
		n.cached++
		return
	case plan.Skipped:
		n.skipped++
		return
	}
	n.runs++
	c := a.Cost
	n.cost.Documents += c.Documents
	n.cost.Bytes += c.Bytes
	n.cost.Tokens += c.Tokens
	n.cost.Seconds += c.Seconds
	n.cost.Memory = max(n.cost.Memory, c.Memory)
	n.cost.AtMost = n.cost.AtMost || c.AtMost
	if c.Seconds > 0 {
		n.timed++
	}
}

// needs returns the needs of each kind and their total.
func (v Preview) needs() (of map[string]*need, total need) {
	of = map[string]*need{}
	for _, a := range v.Plan.Actions {
		if of[a.Kind] == nil {
			of[a.Kind] = &need{}
		}
		of[a.Kind].add(a)
		total.add(a)
	}
	return of, total
}

// cost returns a table of the actions of each kind, and of what those that are to run need.
func (v Preview) cost() []section {
	of, total := v.needs()
	sizes := plan.Sizes{}
	var rows []string
	for _, kind := range v.Plan.Kinds {
		n := of[kind]
		if n == nil {
			continue
		}
		// The row of one action with the sums.
		sum := plan.Action{Cost: n.cost}
		cells := sum.AppendCells(nil, sizes)
		rows = append(rows, markdown.Row(append([]string{value(kind), number(n.runs), number(n.cached), number(n.skipped)}, cells[2:7]...)))
	}
	time := "The time is not known before a first run of the same models."
	if total.timed > 0 {
		time = fmt.Sprintf("Expected time of %d of %s, one after another: %s.", total.timed, terminal.Count(total.runs, "action"), terminal.Duration(total.cost.Seconds))
	}
	if total.runs == 0 {
		return []section{{head: "### Cost\n\nNone: nothing is to run.\n\n"}}
	}
	heads := append([]string{"kind", "to run", "cached", "skipped"}, plan.Heads()[2:7]...)
	return table("### Cost\n\n"+time+" Documents, bytes and tokens are sums over the actions to run; memory is the most that one action needs.\n\n",
		heads, rows, "")
}
