package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/workspace"
)

func (a *app) planCommand() *cobra.Command {
	var against, graph string
	c := &cobra.Command{
		Use:   "plan [FOLDER]",
		Short: "Check a spec and say what a run would do, what it would cost and what changes",
		Long: `plan checks everything that can be known before a run and prints what the run would do. It loads no model, writes
nothing and asks no network.

--against REV compares with the spec as it is at a git revision: which actions the working tree adds, drops or
changes, and which fields moved their keys.`,
		Args: maxArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if graph != "" && graph != "dot" && graph != "svg" {
				return usage("--graph %q is not dot or svg", graph)
			}
			if graph != "" && a.asJSON {
				return usage("--graph and --json: give one of them; the JSON holds the graph too")
			}
			return a.open(c.Context(), a.folder(args), func(w *workspace.Workspace) error {
				p, err := w.Plan(c.Context())
				if err != nil {
					return err
				}
				if err := w.Resolve(c.Context(), p); err != nil {
					return err
				}
				var changes []plan.Change
				if against != "" {
					base, err := w.PlanAt(c.Context(), against)
					if err != nil {
						return err
					}
					if changes, err = p.Against(base); err != nil {
						return err
					}
				}
				out := bufio.NewWriterSize(a.stdout, 1<<16)
				switch {
				case graph == "dot":
					err = p.WriteDOT(out)
				case graph == "svg":
					err = p.WriteSVG(out)
				case a.asJSON:
					err = writeJSON(out, p.Describe(changes))
				default:
					printPlan(out, p, w.Warnings(), against, changes)
				}
				return errors.Join(err, out.Flush())
			})
		},
	}
	c.Flags().StringVar(&against, "against", "", "compare with the spec at this git revision")
	c.Flags().StringVar(&graph, "graph", "", "print the graph of actions instead: dot or svg")
	return c
}

func printPlan(out io.Writer, p *plan.Plan, warnings []string, against string, changes []plan.Change) {
	fmt.Fprintf(out, "experiment %s: %s\n\n", p.Experiment, count(len(p.Actions), "action"))
	columns(out, planCounts(p))
	fmt.Fprintln(out)
	var rows [][]string
	rows = append(rows, []string{"state", "action", "documents", "bytes", "tokens", "memory", "time", "key"})
	for _, a := range p.Actions {
		rows = append(rows, planRow(a))
	}
	columns(out, rows)
	if waits := p.Count(plan.Waits); waits > 0 {
		fmt.Fprintf(out, "\n%s for what has not run yet; %s known then.\n", waitsPhrase(waits), map[bool]string{true: "its key is", false: "their keys are"}[waits == 1])
	}
	for _, a := range p.Actions {
		warnings = append(warnings, workspace.Warnings(a)...)
	}
	for _, w := range warnings {
		fmt.Fprintf(out, "\nwarning: %s\n", w)
	}
	if against == "" {
		return
	}
	fmt.Fprintf(out, "\nagainst %s: ", against)
	if len(changes) == 0 {
		fmt.Fprintln(out, "nothing changes")
		return
	}
	n := map[string]int{}
	for _, c := range changes {
		n[c.What]++
	}
	fmt.Fprintf(out, "%d added, %d dropped, %d changed\n", n["added"], n["dropped"], n["changed"])
	for _, c := range changes {
		fmt.Fprintf(out, "  %-8s %s\n", c.What, c.Name)
		for _, f := range c.Fields {
			fmt.Fprintf(out, "             %s\n", f)
		}
	}
}

func waitsPhrase(n int) string {
	if n == 1 {
		return "1 action waits"
	}
	return count(n, "action") + " wait"
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

func planRow(a *plan.Action) []string {
	dash := func(known bool, s string) string {
		if !known {
			return "-"
		}
		return s
	}
	c := a.Cost
	bound := ""
	if c.AtMost {
		bound = "≤"
	}
	key := a.Key
	if len(key) > 12 {
		key = key[:12]
	}
	switch a.State {
	case plan.Skipped:
		key = a.Reason
	case plan.Waits:
		key = "waits for " + strings.Join(waitsFor(a), ", ")
	}
	return []string{
		string(a.State), a.Name,
		dash(c.Documents > 0, bound+fmt.Sprint(c.Documents)), dash(c.Bytes > 0, bound+size(c.Bytes)),
		dash(c.Tokens > 0, bound+fmt.Sprint(c.Tokens)), dash(c.Memory > 0, size(c.Memory)),
		dash(c.Seconds > 0 && a.State != plan.Cached, bound+duration(c.Seconds)), key,
	}
}

// waitsFor names the inputs that an action waits for, the first few of them.
func waitsFor(a *plan.Action) []string {
	const most = 2
	var names []string
	for _, in := range a.Inputs {
		if s := in.Upstream.State; s != plan.Cached && s != plan.Done {
			if len(names) == most {
				return append(names, "...")
			}
			names = append(names, in.Upstream.Name)
		}
	}
	return names
}
