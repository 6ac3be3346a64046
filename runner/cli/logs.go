package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/workspace"
)

func (a *app) logsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logs [ACTION]",
		Short: "Print the log of the last run, plugins included",
		Long: `logs prints the log of the last run. With an action's name it prints the lines about that action. --json prints
the lines as they were written.`,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			log, err := workspace.OpenLog(a.dir)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, log.Close()) }()
			action := strings.Join(args, " ")
			if err := a.inLastRun(action); err != nil {
				return err
			}
			return a.printLog(log, action)
		},
	}
}

// inLastRun refuses the name of an action that the last run did not have; "" stands for all actions.
func (a *app) inLastRun(action string) error {
	if action == "" {
		return nil
	}
	r, err := workspace.LastRun(a.dir)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(r.Entries, func(e engine.Entry) bool { return e.Action == action }) {
		return usage("the last run got to no action called %q; runner status --json lists those it got to", action)
	}
	return nil
}

// printLog prints the lines of a log about an action, of all actions if its name is empty.
func (a *app) printLog(log io.Reader, action string) error {
	in := bufio.NewReader(log)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		fields := map[string]any{}
		if json.Unmarshal(line, &fields) != nil {
			// A killed run may leave half a line, which is shown as it is.
			fmt.Fprintf(a.stdout, "%s\n", strings.TrimRight(string(line), "\n"))
			continue
		}
		if action != "" && fields["action"] != action {
			continue
		}
		if a.asJSON {
			fmt.Fprintf(a.stdout, "%s\n", strings.TrimRight(string(line), "\n"))
			continue
		}
		fmt.Fprintf(a.stdout, "%v %-5v %v", fields["@timestamp"], fields["@level"], fields["@message"])
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			if !strings.HasPrefix(name, "@") {
				fmt.Fprintf(a.stdout, " %s=%v", name, fields[name])
			}
		}
		fmt.Fprintln(a.stdout)
	}
}
