package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
	"surprisal.dev/runner/workspace"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain KEY|ACTION",
		Short: "Say why an action ran or was cached, and what its key is made of",
		Args:  minArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				x, err := w.Explain(c.Context(), strings.Join(args, " "))
				if err != nil {
					return err
				}
				if a.asJSON {
					return writeJSON(a.stdout, x)
				}
				fmt.Fprintf(a.stdout, "%s\nkey     %s\n", x.Record.Name, x.Record.Key)
				if x.Why != "" {
					fmt.Fprintf(a.stdout, "why     %s\n", x.Why)
				}
				for _, f := range x.Changed {
					fmt.Fprintf(a.stdout, "        %s\n", f)
				}
				fmt.Fprintf(a.stdout, "ran     %s, %s\n", x.Record.Started.Format("2006-01-02 15:04:05Z07:00"),
					duration(x.Record.Finished.Sub(x.Record.Started).Seconds()))
				for _, f := range x.Record.Outputs {
					fmt.Fprintf(a.stdout, "output  %s  %s  %s\n", f.Digest, f.Name, size(f.Bytes))
				}
				for _, warning := range x.Record.Warnings {
					fmt.Fprintf(a.stdout, "warning %s\n", warning)
				}
				parts, err := plan.Diff([]byte("{}"), x.Record.Descriptor)
				if err != nil {
					return err
				}
				for _, f := range parts {
					if f.After != "" {
						fmt.Fprintf(a.stdout, "part    %s = %s\n", f.Path, f.After)
					}
				}
				return nil
			})
		},
	}
}

func (a *app) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff KEY KEY",
		Short: "Say in what the keys of two actions differ, and which of their outputs do",
		Args:  minArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("%s takes two keys and got %d arguments; quote an action's name", c.CommandPath(), len(args))
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
		return writeJSON(a.stdout, map[string][]plan.Field{"parts": fields, "outputs": outputs})
	}
	for _, f := range fields {
		fmt.Fprintf(a.stdout, "part    %s\n", f)
	}
	for _, f := range outputs {
		fmt.Fprintf(a.stdout, "output  %s\n", f)
	}
	if len(fields)+len(outputs) == 0 {
		fmt.Fprintln(a.stdout, "no difference")
	}
	return nil
}

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show [KEY|ACTION [FILE]]",
		Short: "Print the result of the last run, or an artifact",
		Long: `show prints the headline table of the last run. With a key or an action's name it prints that action's report or
summary; with a file's name as the last argument, that file of it.`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				if len(args) == 0 {
					return a.showHeadline(c, w)
				}
				r, file, err := w.FindFile(c.Context(), args)
				if err != nil {
					return err
				}
				if a.asJSON && file == "" {
					return writeJSON(a.stdout, r)
				}
				if file == "" {
					file = w.MainFile(r)
				}
				return a.printFile(c, w, r, file)
			})
		},
	}
}

func (a *app) showHeadline(c *cobra.Command, w *workspace.Workspace) error {
	s, err := w.Latest(c.Context())
	if err != nil {
		return err
	}
	if a.asJSON {
		return writeJSON(a.stdout, s)
	}
	printSummary(a.stdout, s)
	return nil
}

func (a *app) printFile(c *cobra.Command, w *workspace.Workspace, r *store.Record, name string) (err error) {
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
	_, err = io.Copy(a.stdout, in)
	return err
}

func (a *app) exportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export KEY|ACTION FOLDER",
		Short: "Write the files of an artifact to a new folder",
		Args:  minArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				r, err := w.Find(c.Context(), strings.Join(args[:len(args)-1], " "))
				if err != nil {
					return err
				}
				dir := args[len(args)-1]
				if err := w.Store.Export(c.Context(), r, dir); err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "%s: %s in %s\n", r.Name, count(len(r.Outputs), "file"), dir)
				return nil
			})
		},
	}
}
