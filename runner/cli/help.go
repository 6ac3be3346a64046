package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// exits are the meanings of the exit codes of a command. The annotations of a command, by exit code, replace or add to
// them.
var exits = map[string]string{
	"0":   "success",
	"1":   "failure",
	"2":   "invalid input; the message tells what to do",
	"130": "interrupted",
}

// runExits are the exit codes of the root command and of run.
var runExits = map[string]string{
	"1":   "failure, or the results could not be written",
	"2":   "invalid input, including actions that failed because of their input; the message tells what to do",
	"3":   "some actions failed for another reason; completed actions are kept",
	"4":   "a gate failed: a model is worse than its margin allows",
	"5":   "a gate is inconclusive, and its inconclusive is \"fail\"",
	"130": "canceled: the first Ctrl-C finishes running actions, the second stops at once",
}

// exitCodes returns the exit codes of a command, one per line.
func exitCodes(c *cobra.Command) string {
	all := maps.Clone(exits)
	maps.Copy(all, c.Annotations)
	order := func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return cmp.Compare(x, y)
	}
	var b strings.Builder
	for _, code := range slices.SortedFunc(maps.Keys(all), order) {
		fmt.Fprintf(&b, "  %-3s  %s\n", code, all[code])
	}
	return b.String()
}

// printHelp prints the help of a command. The global flags are only in the help of the root command.
func printHelp(c *cobra.Command) {
	c.InitDefaultHelpFlag()
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage:\n", strings.TrimSpace(cmp.Or(c.Long, c.Short)))
	if c.Runnable() && c.HasParent() {
		fmt.Fprintf(&b, "  %s\n", c.UseLine())
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND\n\nCommands:\n", c.CommandPath())
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-*s  %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
	}
	title := "Flags"
	if !c.HasParent() {
		title = "Global flags"
	}
	if flags := c.LocalFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(&b, "\n%s:\n%s", title, flags)
	}
	fmt.Fprintf(&b, "\nExit codes:\n%s", exitCodes(c))
	if c.HasParent() {
		fmt.Fprintf(&b, "\n`%s help` lists the global flags.\n", c.Root().Name())
	} else {
		fmt.Fprintf(&b, "\n`%s help COMMAND` describes a command.\n", c.Name())
	}
	// The output keeps its error.
	_, _ = io.WriteString(c.OutOrStdout(), b.String())
}

// helpCommand returns a help command that also writes manual pages. Unlike that of cobra, it rejects unknown topics.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...] | help man DIR",
		Short: "Show help for a command, or write manual pages to a directory",
		Example: `  runner help plan
  runner help man ~/.local/share/man/man1`,
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			of, _, err := c.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return subcommands(of), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] == "man" {
				return writeManual(c, args[1:])
			}
			of, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("no help for %q; `runner help` lists the commands%s", strings.Join(args, " "), didYouMean(args[0], subcommands(c.Root())))
			}
			return of.Help()
		},
	}
}

// writeManual writes a manual page for each command.
func writeManual(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("runner help man requires a directory for the manual pages, got %s", count(len(args), "argument"))
	}
	if err := os.Mkdir(args[0], 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	var describe func(*cobra.Command)
	describe = func(c *cobra.Command) {
		c.Long = fmt.Sprintf("%s\n\nExit codes:\n\n%s", cmp.Or(c.Long, c.Short), exitCodes(c))
		for _, sub := range c.Commands() {
			describe(sub)
		}
	}
	describe(c.Root())
	c.Root().DisableAutoGenTag = true
	return doc.GenManTree(c.Root(), &doc.GenManHeader{Section: "1", Source: "Surprisal"}, args[0])
}
