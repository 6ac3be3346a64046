package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"surprisal.dev/runner/workspace"
)

// app is what all commands share.
type app struct {
	stdout, stderr io.Writer
	builtins       workspace.Builtins

	asJSON   bool
	dir      string
	store    string
	inject   []string
	plugins  []string
	logLevel string
}

// Main runs the command with the arguments of the process and returns its exit code.
func Main(ctx context.Context, builtins workspace.Builtins) int {
	return Run(ctx, os.Args[1:], os.Stdout, os.Stderr, builtins)
}

// Run runs the command and returns its exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, builtins workspace.Builtins) int {
	a := &app{stdout: stdout, stderr: stderr, builtins: builtins}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintf(stderr, "%v\n", err)
	}
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "runner",
		Short: "Run perplexity experiments that are written down as CUE",
		Long: `runner runs perplexity experiments that are written down as CUE: it plans what a spec asks for, materialises
datasets, scores models on them to the last byte, and compares the scores in bits per byte. Results go to
stdout, logs and progress to stderr.

Exit codes: 0 done, 1 failed, 2 invalid input, 3 some actions failed, 130 cancelled.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%v; see %s --help", err, c.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.BoolVar(&a.asJSON, "json", false, "print the result as JSON")
	flags.StringVarP(&a.dir, "dir", "C", ".", "the spec's folder, for commands that take no folder as an argument")
	flags.StringVar(&a.store, "store", "", "where artifacts are kept: a folder or a URL (s3://, gs://); default .surprisal/store beside the spec")
	flags.StringArrayVarP(&a.inject, "inject", "t", nil, "set a field of the spec that has a @tag attribute, as key=value")
	flags.StringArrayVar(&a.plugins, "plugins", nil, "a folder to look for plugins in, besides that of this program and the PATH")
	flags.StringVar(&a.logLevel, "log-level", "warn", "which log lines to print: debug, info, warn or error")
	root.AddCommand(
		a.initCommand(), a.schemaCommand(), a.pinCommand(), a.planCommand(), a.runCommand(),
		a.statusCommand(), a.logsCommand(), a.execCommand(), a.explainCommand(), a.showCommand(), a.diffCommand(),
		a.verifyCommand(), a.exportCommand(), a.gcCommand(), a.pluginCommand(), a.doctorCommand(),
	)
	return root
}

// subcommand refuses the arguments of a command that only holds others.
func subcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	meant := ""
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		meant = fmt.Sprintf("; did you mean %s?", near[0])
	}
	return usage("%s has no command %q; commands are %s%s", c.CommandPath(), args[0], strings.Join(names, ", "), meant)
}

// folder returns a command's folder: its argument, or the -C flag.
func (a *app) folder(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return a.dir
}

// pluginFolders returns where plugins are looked for before the PATH: the folders that were named, and that of this program, in which
// those that are built with it lie.
func (a *app) pluginFolders() []string {
	program, err := os.Executable()
	if err != nil {
		return a.plugins
	}
	return append(slices.Clone(a.plugins), filepath.Dir(program))
}

// logger returns what prints log lines, as far as --log-level allows.
func (a *app) logger() (hclog.Logger, error) {
	level := hclog.LevelFromString(a.logLevel)
	if level == hclog.NoLevel {
		return nil, usage("--log-level %q is not debug, info, warn or error", a.logLevel)
	}
	return hclog.New(&hclog.LoggerOptions{Name: "runner", Level: level, Output: a.stderr, DisableTime: true}), nil
}

// open opens the workspace of a folder and hands it to work.
func (a *app) open(ctx context.Context, dir string, work func(*workspace.Workspace) error) (err error) {
	log, err := a.logger()
	if err != nil {
		return err
	}
	for _, folder := range a.plugins {
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			return usage("--plugins %s: no such folder; give the folder that holds programs called runner-provider-NAME or runner-backend-NAME", folder)
		}
	}
	w, err := workspace.Open(ctx, workspace.Options{
		Dir: dir, Store: a.store, Inject: a.inject, PluginDirs: a.pluginFolders(), Builtins: a.builtins,
		Log: log,
	})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := w.Close(); err == nil {
			err = closeErr
		}
	}()
	return work(w)
}
