package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/ci"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
	"surprisal.dev/runner/workspace"
)

func (a *app) planCommand() *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan [DIR]",
		Short: "Validate a specification and preview its actions, cost and changes",
		Long: `plan validates the specification, its files and its settings, and prints the actions of a run with their cost. It
does not load models, write files or access the network. Memory and time that are not known yet are printed as "-".

With --unpinned, sources and weights that are not pinned yet are accepted. They are listed, and what a run would need
is estimated from the limits and from the sizes that the specification states. Such a plan cannot be run.

--against REV compares the working tree with a git revision. It lists the actions that are added, dropped or changed,
and for each root cause the actions that it changes and the number of actions that change in consequence.

--format markdown prints a comment for a pull request: the fields of the specification that changed, the consequences,
the cost, and a folded list of actions, in at most 65,536 bytes.`,
		Example: `  runner plan mine
  runner plan mine --against main
  runner plan mine --against main --format markdown > comment.md
  runner plan mine --graph svg > plan.svg`,
		Args: oneDirectory,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(c.Flags().Changed("against"), a.asJSON); err != nil {
				return err
			}
			a.values = o.format == markdownFormat
			return a.open(c.Context(), a.directory(args), func(w *workspace.Workspace) error { return a.plan(c.Context(), w, o) })
		},
	}
	c.Flags().StringVar(&o.against, "against", "", "compare with the specification at the git revision `REV`")
	c.Flags().StringVar(&o.graph, "graph", "", "print the graph of actions instead, in the `FORMAT` dot or svg")
	c.Flags().BoolVar(&a.unpinned, "unpinned", false, "plan sources and weights that are not pinned as far as possible, and list them")
	c.Flags().StringVar(&o.format, "format", "text", "`FORMAT` of the plan: text or markdown")
	return c
}

// planOptions are the flags of plan. The strings against and graph may be "".
type planOptions struct{ against, graph, format string }

const markdownFormat = "markdown"

func (o planOptions) check(againstGiven, asJSON bool) error {
	switch {
	case againstGiven && o.against == "":
		return usage("--against is empty; use a branch, a tag or a commit")
	case o.graph != "" && o.graph != "dot" && o.graph != "svg":
		return usage("invalid --graph %q: use dot or svg", o.graph)
	case o.format != "text" && o.format != markdownFormat:
		return usage("invalid --format %q: use text or markdown", o.format)
	case o.graph != "" && asJSON:
		return usage("--graph and --json are mutually exclusive; the JSON output includes the graph")
	case o.format == markdownFormat && (o.graph != "" || asJSON):
		return usage("--format markdown cannot be combined with --graph or --json; remove one")
	}
	return nil
}

// plan prints the plan, compared with a revision if there is one.
func (a *app) plan(ctx context.Context, w *workspace.Workspace, o planOptions) error {
	p, err := w.Plan(ctx)
	if err != nil {
		return err
	}
	if err := w.Resolve(ctx, p); err != nil {
		return err
	}
	if err := w.Available(ctx, p); err != nil {
		return err
	}
	var changes *ci.Changes
	if o.against != "" {
		base, err := w.PlanAt(ctx, o.against)
		if err != nil {
			return err
		}
		if changes, err = ci.Compare(ctx, p, base, o.against); err != nil {
			return err
		}
	}
	if err := untilDone(ctx, func() error { return a.printPlan(p, o, changes) }); err != nil {
		return err
	}
	if o.graph != "" || a.asJSON {
		return nil
	}
	if o.format != markdownFormat {
		printUnpinned(a.stdout, p, w.Unpinned())
	}
	advice, err := w.Advise(ctx, p)
	if err != nil {
		return err
	}
	a.warn(append(planWarnings(w, p), advice...))
	return nil
}

// untilDone returns the error of work, or that of the context as soon as it is done. It then leaves work behind, which
// must only print: sorting and formatting a large plan cannot be stopped.
func untilDone(ctx context.Context, work func() error) error {
	result := make(chan error, 1)
	go func() { result <- work() }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// printPlan prints a plan in the requested format.
func (a *app) printPlan(p *plan.Plan, o planOptions, changes *ci.Changes) error {
	switch {
	case o.graph == "dot":
		return p.WriteDOT(a.stdout.data())
	case o.graph == "svg":
		return p.WriteSVG(a.stdout.data())
	case o.format == markdownFormat:
		preview := ci.Preview{Plan: p, Ordered: inOrder(p.Actions), Changes: changes}
		_, err := io.WriteString(a.stdout.data(), preview.Markdown(ci.MaxComment))
		return err
	case a.asJSON && changes != nil:
		return a.printJSON(p.Describe(changes.Actions))
	case a.asJSON:
		return a.printJSON(p.Describe(nil))
	}
	printPlan(a.stdout, p)
	if changes != nil {
		printChanges(a.stdout, o.against, changes.Actions)
	}
	return nil
}

// warn prints warnings to stderr.
func (a *app) warn(warnings []string) {
	for _, w := range warnings {
		writef(a.stderr, "%s: %s\n", painted{yellow, "warning"}, block(w))
	}
}

// planWarnings returns the warnings of the spec and of the cached actions.
func planWarnings(w *workspace.Workspace, p *plan.Plan) []string {
	warnings := slices.Clone(w.Warnings())
	for _, a := range p.Actions {
		warnings = append(warnings, workspace.Warnings(a)...)
	}
	return warnings
}

func printPlan(out io.Writer, p *plan.Plan) {
	writef(out, "experiment %s: %s\n\n", p.Experiment, count(len(p.Actions), "action"))
	columns(out, planCounts(p))
	writef(out, "\n")
	head := plan.Heads()
	actions := inOrder(p.Actions)
	rows := make([][]string, 1+len(actions))
	rows[0] = head
	inHalves(len(actions), func(from, to int) {
		cells := make([]string, 0, (to-from)*len(head))
		sizes := plan.Sizes{}
		for i, a := range actions[from:to] {
			begin := len(cells)
			cells = a.AppendCells(cells, sizes)
			rows[1+from+i] = cells[begin:len(cells):len(cells)]
		}
	})
	columns(out, rows)
	if waits := p.Count(plan.Waits); waits > 0 {
		has := map[bool]string{true: "has a cache key that depends", false: "have cache keys that depend"}[waits == 1]
		writef(out, "\n%s %s on unfinished actions.\n", count(waits, "action"), has)
	}
}

// inOrder returns actions of a plan by kind and name, "d2" before "d10".
func inOrder(actions []*plan.Action) []*plan.Action {
	kinds := map[string]int{}
	for _, a := range actions {
		if _, ok := kinds[a.Kind]; !ok {
			kinds[a.Kind] = len(kinds)
		}
	}
	// Names are unique.
	order := func(x, y *plan.Action) int {
		if x.Kind != y.Kind {
			return cmp.Compare(kinds[x.Kind], kinds[y.Kind])
		}
		return terminal.Compare(x.Name, y.Name)
	}
	ordered := slices.Clone(actions)
	inHalves(len(ordered), func(from, to int) { slices.SortFunc(ordered[from:to], order) })
	return merge(ordered[:len(ordered)/2], ordered[len(ordered)/2:], order)
}

// inHalves calls do for both halves of n elements concurrently, because a plan may have 100,000 actions.
func inHalves(n int, do func(from, to int)) {
	var second sync.WaitGroup
	second.Go(func() { do(n/2, n) })
	do(0, n/2)
	second.Wait()
}

// merge returns the elements of two sorted slices in order.
func merge[E any](a, b []E, order func(x, y E) int) []E {
	merged := make([]E, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		from := &a
		if order(b[0], a[0]) < 0 {
			from = &b
		}
		merged = append(merged, (*from)[0])
		*from = (*from)[1:]
	}
	return append(append(merged, a...), b...)
}

// planCounts tabulates actions by kind and state.
func planCounts(p *plan.Plan) [][]string {
	states := []plan.State{plan.Pending, plan.Waits, plan.Cached, plan.Skipped}
	n := map[string]map[plan.State]int{}
	for _, a := range p.Actions {
		if n[a.Kind] == nil {
			n[a.Kind] = map[plan.State]int{}
		}
		n[a.Kind][a.State]++
	}
	head := []string{"kind"}
	for _, s := range states {
		head = append(head, string(s))
	}
	rows := [][]string{head}
	for _, k := range p.Kinds {
		if n[k] == nil {
			continue
		}
		row := []string{k}
		for _, s := range states {
			cell := "-"
			if n[k][s] > 0 {
				cell = fmt.Sprint(n[k][s])
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return rows
}
