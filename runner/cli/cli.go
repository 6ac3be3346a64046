package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"surprisal.dev/runner/workspace"
)

// app is what all commands share.
type app struct {
	stdout, stderr *output
	// pipe is stdout without a buffer, for what talks to another program.
	pipe io.Writer
	// terminal is the file that stderr is a terminal of, nil if it is none.
	terminal *os.File
	// screen is whether stdout is a terminal.
	screen   bool
	builtins workspace.Builtins

	asJSON bool
	// remember is set by commands that may write to the state directory.
	remember bool
	dir      string
	store    string
	state    string
	inject   []string
	plugins  []string
	logLevel string

	confine    string
	specTime   time.Duration
	specMemory string
}

// Main runs the command with the arguments of the process and returns its exit code.
func Main(ctx context.Context, builtins workspace.Builtins) int {
	return Run(ctx, os.Args[1:], os.Stdout, os.Stderr, builtins)
}

// Run runs the command and returns its exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, builtins workspace.Builtins) int {
	a := &app{
		stdout:   newOutput(bufio.NewWriterSize(stdout, 1<<16), colors(stdout)),
		stderr:   newOutput(stderr, colors(stderr)),
		screen:   isTerminal(stdout),
		pipe:     stdout,
		builtins: builtins,
	}
	if isTerminal(stderr) {
		a.terminal = stderr.(*os.File)
	}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout.data())
	root.SetErr(a.stderr)
	release := func() {}
	root.PersistentPreRun = func(c *cobra.Command, _ []string) { release = interruptible(c) }
	command, err := root.ExecuteContextC(ctx)
	release()
	if exitCode(err) == exitCancelled {
		err = interrupted(command, err)
	}
	if flushErr := a.stdout.Flush(); err == nil {
		err = flushErr
	}
	printError(a.stderr, err)
	// There is nowhere to tell that the standard error cannot be written to.
	_ = a.stderr.Flush()
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
		Example: `  runner init mine     # write a small experiment that runs as it is
  runner plan mine     # check it, and say what a run would do
  runner run mine      # do it, and print the result`,
		Args: subcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%v; see %s --help", err, c.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.BoolVar(&a.asJSON, "json", false, "print the result as JSON")
	flags.StringVarP(&a.dir, "dir", "C", ".", "the experiment's `directory`, where no argument names it")
	flags.StringVar(&a.store, "store", "", "where artifacts are kept: a `directory` or a URL (s3://, gs://); default .surprisal/store in the experiment's directory")
	flags.StringVar(&a.state, "state", "", "the `directory` of journals, logs, reports and caches; default .surprisal in the experiment's directory")
	flags.StringArrayVarP(&a.inject, "inject", "t", nil, "set a field of the spec that has a @tag attribute, as `key=value`")
	flags.StringArrayVar(&a.plugins, "plugins", nil, "a `directory` to look for plugins in, besides that of this program and the PATH")
	flags.StringVar(&a.logLevel, "log-level", "warn", "the lowest `level` of log lines to print: debug, info, warn or error")
	a.specFlags(root)
	root.AddCommand(
		a.initCommand(), a.schemaCommand(), a.pinCommand(), a.planCommand(), a.runCommand(),
		a.statusCommand(), a.logsCommand(), a.execCommand(), a.explainCommand(), a.showCommand(), a.diffCommand(),
		a.verifyCommand(), a.exportCommand(), a.gcCommand(), a.pluginCommand(), a.doctorCommand(), a.versionCommand(), a.evaluateCommand(),
	)
	root.SetHelpCommand(helpCommand())
	a.completions(root)
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

// directory returns a command's directory: its argument, or the -C flag.
func (a *app) directory(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return a.dir
}

// oneDirectory accepts a directory as the only argument, unless -C names it.
func oneDirectory(c *cobra.Command, args []string) error {
	if len(args) > 0 && c.Flags().Changed("dir") {
		return usage("%s: the directory is given twice, as %q and with -C; give it once", c.CommandPath(), args[0])
	}
	return maxArgs(1)(c, args)
}

// after takes the experiment's directory off the arguments of a command that names actions: the first one, if it is a directory
// that holds an experiment and -C does not name another. least is how many arguments must be left.
func (a *app) after(c *cobra.Command, args []string, least int) ([]string, error) {
	rest := args
	if len(args) > 0 && !c.Flags().Changed("dir") && holdsExperiment(args[0]) {
		a.dir, rest = args[0], args[1:]
	}
	return rest, minArgs(least)(c, rest)
}

func holdsExperiment(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return e.Name() == ".surprisal" || filepath.Ext(e.Name()) == ".cue"
	})
}

// pluginDirectories returns where plugins are looked for before the PATH: the directories that were named, and that of this program, in which
// those that are built with it lie.
func (a *app) pluginDirectories() []string {
	program, err := os.Executable()
	if err != nil {
		return a.plugins
	}
	return append(slices.Clone(a.plugins), filepath.Dir(program))
}

// level returns the lowest level of log lines to print.
func (a *app) level() (hclog.Level, error) {
	level := hclog.LevelFromString(a.logLevel)
	if level == hclog.NoLevel {
		return level, usage("--log-level %q is not debug, info, warn or error", a.logLevel)
	}
	return level, nil
}

// logger returns what prints log lines, as far as --log-level allows.
func (a *app) logger() (hclog.Logger, error) {
	level, err := a.level()
	if err != nil {
		return nil, err
	}
	return hclog.New(&hclog.LoggerOptions{Name: "runner", Level: level, Output: a.stderr, DisableTime: true}), nil
}

// open opens the workspace of a directory and hands it to work.
func (a *app) open(ctx context.Context, dir string, work func(*workspace.Workspace) error) (err error) {
	log, err := a.logger()
	if err != nil {
		return err
	}
	for _, dir := range a.plugins {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return usage("--plugins %s: no such directory; give the one that holds programs called runner-provider-NAME or runner-backend-NAME", dir)
		}
	}
	evaluator, err := a.evaluator()
	if err != nil {
		return err
	}
	w, err := workspace.Open(ctx, workspace.Options{
		Evaluator: evaluator, Confine: a.confinement(dir), Remember: a.remember,
		Dir: dir, Store: a.store, State: a.state, Inject: a.inject, PluginDirs: a.pluginDirectories(), Builtins: a.builtins,
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
