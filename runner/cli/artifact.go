package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
	"surprisal.dev/runner/workspace"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [DIR] KEY|ACTION",
		Short: "Explain why an action ran or was cached",
		Long: `explain shows why an action ran or was cached in the last run that it was part of, the parts of its cache key that
changed since the run before, its outputs, and all parts of its cache key. For an action that failed, it shows the error
and the path of the log.`,
		Example: `  runner explain mine train order-3
  runner explain mine 6e340b9cffb3`,
		RunE: func(c *cobra.Command, args []string) error {
			args, err := a.after(c, args, 1)
			if err != nil {
				return err
			}
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				x, err := w.Explain(c.Context(), strings.Join(args, " "))
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(x)
				}
				return a.printExplanation(x)
			})
		},
	}
}

func (a *app) printExplanation(x workspace.Explanation) error {
	writef(a.stdout, "%s\n", x.Action)
	if x.Key != "" {
		writef(a.stdout, "key     %s\n", x.Key)
	}
	if x.Why != "" {
		writef(a.stdout, "why     %s\n", x.Why)
	}
	if x.Error != "" {
		writef(a.stdout, "error   %s\n", block(x.Error))
	}
	if x.Log != "" {
		writef(a.stdout, "log     %s\n", x.Log)
	}
	if x.Record == nil {
		return nil
	}
	for _, f := range x.Changed {
		writef(a.stdout, "        %s\n", f)
	}
	writef(a.stdout, "ran     %s, %s\n", x.Record.Started.Format("2006-01-02 15:04:05Z07:00"),
		duration(x.Record.Finished.Sub(x.Record.Started).Seconds()))
	for _, f := range x.Record.Outputs {
		writef(a.stdout, "output  %s  %s  %s\n", f.Digest, f.Name, size(f.Bytes))
	}
	for _, warning := range x.Record.Warnings {
		writef(a.stdout, "warning %s\n", warning)
	}
	parts, err := plan.Diff([]byte("{}"), x.Record.Descriptor)
	if err != nil {
		return err
	}
	for _, f := range parts {
		if f.After != "" {
			writef(a.stdout, "part    %s = %s\n", f.Path, f.After)
		}
	}
	return nil
}

func (a *app) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff [DIR] KEY|ACTION KEY|ACTION",
		Short: "Compare the cache keys and the outputs of two actions",
		Long: `diff lists the parts in which the cache keys of two actions differ, and the outputs that differ. Quote the name of an
action that has spaces.`,
		Example: `  runner diff mine 'train order-1' 'train order-3'
  runner diff mine 6e340b9cffb3 'train order-3'`,
		RunE: func(c *cobra.Command, args []string) error {
			args, err := a.after(c, args, 2)
			if err != nil {
				return err
			}
			if len(args) != 2 {
				return usage("%s requires two keys or names of actions, got %s; quote a name that has spaces", c.CommandPath(), count(len(args), "argument"))
			}
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				x, err := w.Find(c.Context(), args[0])
				if err != nil {
					return err
				}
				y, err := w.Find(c.Context(), args[1])
				if err != nil {
					return err
				}
				return a.printDiff(x, y)
			})
		},
	}
}

func (a *app) printDiff(x, y *store.Record) error {
	fields, err := plan.Diff(x.Descriptor, y.Descriptor)
	if err != nil {
		return err
	}
	var outputs []plan.Field
	digests := func(r *store.Record, name string) string {
		if i := slices.IndexFunc(r.Outputs, func(f store.File) bool { return f.Name == name }); i >= 0 {
			return r.Outputs[i].Digest
		}
		return ""
	}
	for _, f := range append(slices.Clone(x.Outputs), y.Outputs...) {
		d := plan.Field{Path: f.Name, Before: digests(x, f.Name), After: digests(y, f.Name)}
		if d.Before != d.After && !slices.Contains(outputs, d) {
			outputs = append(outputs, d)
		}
	}
	if a.asJSON {
		return a.printJSON(map[string][]plan.Field{"parts": fields, "outputs": outputs})
	}
	for _, f := range fields {
		writef(a.stdout, "part    %s\n", f)
	}
	for _, f := range outputs {
		writef(a.stdout, "output  %s\n", f)
	}
	if len(fields)+len(outputs) == 0 {
		writef(a.stdout, "no difference\n")
	}
	return nil
}

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show [DIR] [KEY|ACTION [FILE]]",
		Short: "Show the results of an experiment, or an artifact",
		Long: `show prints the results that the store holds for an experiment, and the last run. With the key or the name of an
action, it prints the report or summary of that action. With a file name as the last argument, it prints that file.`,
		Example: `  runner show mine
  runner show mine gap word-vs-byte > report.md
  runner show mine score order-3 books/opticks summary.json`,
		RunE: func(c *cobra.Command, args []string) error {
			args, err := a.after(c, args, 0)
			if err != nil {
				return err
			}
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				if len(args) == 0 {
					return a.showHeadline(c, w)
				}
				r, file, err := w.FindFile(c.Context(), args)
				if err != nil {
					return err
				}
				if file != "" {
					return a.printFile(c, w, r, file)
				}
				if a.asJSON {
					return a.printJSON(r)
				}
				return a.printMain(c, w, r)
			})
		},
	}
}

func (a *app) showHeadline(c *cobra.Command, w *workspace.Workspace) error {
	p, s, err := w.Latest(c.Context())
	if err != nil {
		return err
	}
	last, err := workspace.LastRun(a.dir, a.state)
	if err != nil && protocol.KindOf(err) != protocol.InvalidInput {
		return err
	}
	if a.asJSON {
		return a.printJSON(struct {
			LastRun string            `json:"lastRun,omitempty"`
			Results workspace.Summary `json:"results"`
		}{last.Run, s})
	}
	writef(a.stdout, "experiment %s: the store holds %d of %s\n", p.Experiment, p.Count(plan.Cached), count(len(p.Actions)-p.Count(plan.Skipped), "action"))
	if last.Run != "" {
		writef(a.stdout, "last run %s\n", aboutRun(p, last))
	}
	writef(a.stdout, "\n")
	printSummary(a.stdout, s)
	return nil
}

// aboutRun describes a run, and how many results of a plan are not from that run.
func aboutRun(p *plan.Plan, last engine.Report) string {
	s := fmt.Sprintf("%s: %s", last.Run, last.State)
	if !last.Started.IsZero() {
		s += ", started " + last.Started.Format(time.RFC3339)
	}
	keys := map[string]string{}
	for _, e := range last.Entries {
		keys[e.Action] = e.Key
	}
	others := 0
	for _, a := range p.Actions {
		if key, ok := keys[a.Name]; a.State == plan.Cached && (!ok || key != a.Key) {
			others++
		}
	}
	if others > 0 {
		s += fmt.Sprintf("; %s below %s not from that run, which had other settings", count(others, "result"), map[bool]string{true: "is", false: "are"}[others == 1])
	}
	return s
}

// printMain prints the main file of an artifact, or lists its files if the main file is not text.
func (a *app) printMain(c *cobra.Command, w *workspace.Workspace, r *store.Record) error {
	if name := w.MainFile(r); isText(name) {
		return a.copyFile(c, w, r, name, a.stdout)
	}
	rows := [][]string{{"file", "size", "digest"}}
	for _, f := range r.Outputs {
		rows = append(rows, []string{f.Name, size(f.Bytes), f.Digest})
	}
	writef(a.stdout, "%s\n", r.Name)
	columns(a.stdout, rows)
	return nil
}

// isText reports whether a file of an artifact is text.
func isText(name string) bool { return slices.Contains([]string{".md", ".json"}, filepath.Ext(name)) }

// printFile writes the exact bytes of a file of an artifact. It refuses to write a binary file to a terminal.
func (a *app) printFile(c *cobra.Command, w *workspace.Workspace, r *store.Record, name string) error {
	switch {
	case !a.screen:
		return a.copyFile(c, w, r, name, a.stdout.data())
	case isText(name):
		return a.copyFile(c, w, r, name, a.stdout)
	}
	return usage("%s of %s is not text and is not printed to a terminal; redirect the output, or use `runner export`", name, r.Name)
}

// copyFile writes a file of an artifact.
func (a *app) copyFile(c *cobra.Command, w *workspace.Workspace, r *store.Record, name string, to io.Writer) (err error) {
	i := slices.IndexFunc(r.Outputs, func(f store.File) bool { return f.Name == name })
	if i < 0 {
		var names []string
		for _, f := range r.Outputs {
			names = append(names, f.Name)
		}
		return usage("%s has no file %q; its files are %s", r.Name, name, strings.Join(names, ", "))
	}
	in, err := w.Store.Open(c.Context(), r.Outputs[i].Digest)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	_, err = io.Copy(to, in)
	return err
}

func (a *app) exportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "export [DIR] KEY|ACTION OUTPUT",
		Short: "Write the files of an artifact to a new directory",
		Long: `export writes the files of an artifact to the directory OUTPUT, which must not exist or be empty, and a file .artifact
that records where they came from. Scores are written as Parquet files with the names of the dataset and its tags.

The documents of a dataset are also written as heldout.jsonl.gz, which the provider jsonl reads, and described in
heldout_metadata.json: source, revision, rows, counts, limits. OUTPUT may be a directory of a bucket, s3://BUCKET/DIRECTORY.`,
		Example: `  runner export mine score order-3 books/opticks scores
  runner export mine materialize books/opticks s3://bucket/heldout/opticks`,
		RunE: func(c *cobra.Command, args []string) error {
			args, err := a.after(c, args, 2)
			if err != nil {
				return err
			}
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				what, dir := strings.Join(args[:len(args)-1], " "), args[len(args)-1]
				r, err := w.Find(c.Context(), what)
				if err != nil {
					return err
				}
				names, err := w.Export(c.Context(), r, what, dir)
				if err != nil {
					return err
				}
				writef(a.stdout, "%s: %s in %s\n", r.Name, count(len(names), "file"), dir)
				return nil
			})
		},
	}
	c.AddCommand(a.exportSiteCommand())
	return c
}
