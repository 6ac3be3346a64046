package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/workspace"
)

// completions sets the shell completions of arguments and of flag values.
func (a *app) completions(root *cobra.Command) {
	values := map[string][]string{
		"log-level": {"debug", "info", "warn", "error"},
		"graph":     {"dot", "svg"},
		"format":    {"text", markdownFormat},
		"kind":      {string(protocol.KindProvider), string(protocol.KindBackend)},
	}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		for flag, allowed := range values {
			if c.Flags().Lookup(flag) != nil || c.PersistentFlags().Lookup(flag) != nil {
				mustComplete(c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp)))
			}
		}
		switch {
		case strings.Contains(c.Use, "ACTION") || c.Name() == "diff":
			c.ValidArgsFunction = a.completeAction
		case strings.Contains(c.Use, "[DIR]"):
			c.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		case c.Name() == "completion":
			c.Short = "Print a completion script for a shell"
			c.Example = "  runner completion bash > ~/.local/share/bash-completion/completions/runner"
		case c.HasParent() && c.Parent().Name() == "completion":
			c.Example = fmt.Sprintf("  runner completion %s > runner.%[1]s", c.Name())
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(root)
	for _, flag := range []string{"dir", "state", "plugins", "store"} {
		mustComplete(root.MarkPersistentFlagDirname(flag))
	}
}

// mustComplete panics if a completion is registered for a flag that the command does not have.
func mustComplete(err error) {
	if err != nil {
		panic(err)
	}
}

// completeAction completes the names of the actions of the last run, and the first argument also with directories.
func (a *app) completeAction(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	rest, err := a.after(c, args, 0)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	last, err := workspace.LastRun(a.dir, a.state)
	if err != nil {
		// Nothing has run in this directory; the argument may be another one.
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	var names []string
	for _, e := range last.Entries {
		// A shell cannot show names with control characters, and a line break would end the name.
		if strings.HasPrefix(e.Action, toComplete) && protocol.Visible(e.Action) == e.Action {
			names = append(names, e.Action)
		}
	}
	if len(rest) == 0 && len(names) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return naturally(names), cobra.ShellCompDirectiveNoFileComp
}
