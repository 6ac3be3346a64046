package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/workspace"
)

// app is the state that all commands share.
type app struct {
	stdout, stderr *output
	// pipe is stdout without a buffer, for protocols with another program.
	pipe io.Writer
	// terminal is stderr if it is a terminal, and nil otherwise.
	terminal *os.File
	// screen reports whether stdout is a terminal.
	screen   bool
	builtins workspace.Builtins

	asJSON bool
	// remember is set by commands that may write to the state directory.
	remember bool
	// unpinned lets a plan pass what is not pinned.
	unpinned bool
	// values is set by commands that compare the fields of specifications.
	values   bool
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
	if exitCode(err) == exitCanceled {
		err = interrupted(command, err)
	}
	if flushErr := a.stdout.Flush(); err == nil {
		err = flushErr
	}
	printError(a.stderr, err)
	// An error of writing to stderr cannot be reported anywhere.
	_ = a.stderr.Flush()
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "runner",
		Short: "Run perplexity experiments that are written in CUE",
		Long: `runner runs perplexity experiments that are written in CUE. It plans the actions of a specification, materializes
datasets, trains and scores models, and compares them in bits per byte. Results go to standard output; logs,
warnings and progress go to standard error.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Example: `  runner init mine     # create a small experiment that runs as it is
  runner plan mine     # validate it and preview the run
  runner run mine      # execute it and print the results`,
		Annotations: runExits,
		Args:        subcommand,
		RunE:        func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		problem := flagProblem(c, err)
		if strings.HasSuffix(problem, "?") {
			return usage("%s See %s --help", problem, c.CommandPath())
		}
		return usage("%s; see %s --help", problem, c.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.BoolVar(&a.asJSON, "json", false, "print the result as JSON")
	flags.StringVarP(&a.dir, "dir", "C", ".", "experiment directory; the same as the argument `DIR`")
	flags.StringVar(&a.store, "store", "", "store of artifacts, `DIR|URL` (s3://, gs://); default .surprisal/store in the experiment directory")
	flags.StringVar(&a.state, "state", "", "directory `DIR` of journals, logs, reports and caches; default .surprisal in the experiment directory")
	flags.StringArrayVarP(&a.inject, "inject", "t", nil, "set a field of the specification that has a @tag attribute, as `NAME=VALUE`")
	flags.StringArrayVar(&a.plugins, "plugins", nil, "additional plugin directory `DIR`, searched before that of this program and PATH")
	flags.StringVar(&a.logLevel, "log-level", "warn", "lowest `LEVEL` of log lines to print: debug, info, warn or error")
	a.specFlags(root)
	root.AddCommand(
		a.initCommand(), a.schemaCommand(), a.pinCommand(), a.baselineCommand(), a.planCommand(), a.runCommand(), a.ciCommand(),
		a.statusCommand(), a.logsCommand(), a.execCommand(), a.explainCommand(), a.showCommand(), a.diffCommand(),
		a.verifyCommand(), a.exportCommand(), a.serveCommand(), a.tagCommand(), a.untagCommand(), a.gcCommand(), a.pluginCommand(), a.doctorCommand(), a.versionCommand(), a.evaluateCommand(),
	)
	root.SetHelpCommand(helpCommand())
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { printHelp(c) })
	root.InitDefaultCompletionCmd()
	a.completions(root)
	return root
}

// subcommand rejects the arguments of a command that only has subcommands.
func subcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	names := subcommands(c)
	return usage("%s has no command %q; commands are %s%s", c.CommandPath(), args[0], strings.Join(names, ", "), didYouMean(args[0], names))
}

// subcommands returns the names of the visible commands below a command.
func subcommands(c *cobra.Command) (names []string) {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// didYouMean suggests the name that is nearest to a mistyped one, or returns "".
func didYouMean(found string, names []string) string {
	if near := spec.Nearest(found, names); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	return ""
}

// flagProblem describes an error of a flag: an unknown one with the nearest flag, and a bad value with the expected
// type.
func flagProblem(c *cobra.Command, err error) string {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := spec.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			return fmt.Sprintf("%v; did you mean --%s?", err, near)
		}
	}
	types := map[string]string{
		"bool": "true or false", "duration": "a duration such as 720h", "int": "an integer", "int64": "an integer", "uint64": "an integer of 0 or more",
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if want := types[bad.GetFlag().Value.Type()]; want != "" {
			return fmt.Sprintf("--%s: expected %s, got %q", bad.GetFlag().Name, want, bad.GetValue())
		}
	}
	return err.Error()
}

// directory returns the experiment directory: the argument of a command, or the value of -C.
func (a *app) directory(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return a.dir
}

// oneDirectory accepts the experiment directory as the only argument, unless -C is given.
func oneDirectory(c *cobra.Command, args []string) error {
	if len(args) > 0 && c.Flags().Changed("dir") {
		return usage("%s: the experiment directory is given both as the argument %q and with -C; remove one", c.CommandPath(), args[0])
	}
	return maxArgs(1)(c, args)
}

// after removes the experiment directory from the arguments of a command that also names actions. That is the first
// argument if it is a directory with an experiment and -C is not given. At least least arguments must remain.
func (a *app) after(c *cobra.Command, args []string, least int) ([]string, error) {
	rest := args
	if len(args) > 0 && !c.Flags().Changed("dir") && holdsExperiment(args[0]) {
		a.dir, rest = args[0], args[1:]
	}
	return rest, minArgs(least)(c, rest)
}

// between is after for a command with at most most arguments.
func (a *app) between(c *cobra.Command, args []string, least, most int) ([]string, error) {
	rest, err := a.after(c, args, least)
	if err != nil {
		return nil, err
	}
	return rest, maxArgs(most)(c, rest)
}

func holdsExperiment(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return e.Name() == ".surprisal" || filepath.Ext(e.Name()) == ".cue"
	})
}

// pluginDirectories returns the directories that are searched for plugins before PATH: those of --plugins, then the one
// of this program.
func (a *app) pluginDirectories() []string {
	program, err := os.Executable()
	if err != nil {
		return a.plugins
	}
	return append(slices.Clone(a.plugins), filepath.Dir(program))
}

// level returns the value of --log-level.
func (a *app) level() (hclog.Level, error) {
	level := hclog.LevelFromString(a.logLevel)
	if level == hclog.NoLevel {
		return level, usage("invalid --log-level %q: use debug, info, warn or error", a.logLevel)
	}
	return level, nil
}

// logger returns a logger to stderr at the level of --log-level.
func (a *app) logger() (hclog.Logger, error) {
	level, err := a.level()
	if err != nil {
		return nil, err
	}
	return hclog.New(&hclog.LoggerOptions{Name: "runner", Level: level, Output: a.stderr, DisableTime: true}), nil
}

// open opens the workspace of a directory, calls work with it and closes it.
func (a *app) open(ctx context.Context, dir string, work func(*workspace.Workspace) error) (err error) {
	log, err := a.logger()
	if err != nil {
		return err
	}
	for _, dir := range a.plugins {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return usage("--plugins %s: no such directory; pass a directory with programs named runner-provider-NAME or runner-backend-NAME", dir)
		}
	}
	evaluator, err := a.evaluator()
	if err != nil {
		return err
	}
	w, err := workspace.Open(ctx, workspace.Options{
		Evaluator: evaluator, Confine: a.confinement(dir), Remember: a.remember, Values: a.values,
		Dir: dir, Store: a.store, State: a.state, Inject: a.inject, PluginDirs: a.pluginDirectories(), Builtins: a.builtins,
		Fetching: a.fetching(), Unpinned: a.unpinned, Log: log,
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
