package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/workspace"
)

func (a *app) logsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logs [DIR] [ACTION]",
		Short: "Print what happened in the last run, and what it and its plugins logged",
		Long: `logs prints what happened in the last run, in the order of time: what became of each action, and log lines of level
info and above. --log-level debug adds what plugins print. With an action's name it prints what is about that action.
--json prints the lines of the journal and the log as they were written.`,
		Example: `  runner logs mine
  runner logs mine score order-3 books/opticks --log-level debug`,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if args, err = a.after(c, args, 0); err != nil {
				return err
			}
			level, err := a.level()
			if err != nil {
				return err
			}
			if !c.Flags().Changed("log-level") {
				level = hclog.Info
			}
			action, err := a.inLastRun(strings.Join(args, " "))
			if err != nil {
				return err
			}
			log, journal, err := workspace.OpenLog(a.dir, a.state)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, log.Close(), journal.Close()) }()
			return a.printLogs(newLogLines(journal), newLogLines(log), action, level)
		},
	}
}

// inLastRun returns the name of an action of the last run that a name or the end of one means, "" for "", which stands for
// all actions.
func (a *app) inLastRun(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	r, err := workspace.LastRun(a.dir, a.state)
	if err != nil {
		return "", err
	}
	var fits []string
	for _, e := range r.Entries {
		if e.Action == name {
			return name, nil
		}
		if strings.HasSuffix(e.Action, " "+name) {
			fits = append(fits, e.Action)
		}
	}
	switch len(fits) {
	case 0:
		return "", usage("the last run did not reach an action called %q; runner status --json lists those that it reached", name)
	case 1:
		return fits[0], nil
	}
	return "", usage("%q fits %s; use a longer name", name, strings.Join(naturally(fits), ", "))
}

// logLine is a line of a journal or a log.
type logLine struct {
	raw []byte
	// time is when it was written, that of the line before if it does not say.
	time time.Time
	// fields is nil if it is not JSON: a killed run may leave half a line.
	fields map[string]any
}

// logLines reads lines one by one.
type logLines struct {
	in   *bufio.Reader
	next *logLine // nil at the end
	last time.Time
}

func newLogLines(r io.Reader) *logLines { return &logLines{in: bufio.NewReader(r)} }

// read sets next to the next line.
func (l *logLines) read() error {
	line, err := l.in.ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if l.next = nil; len(line) == 0 {
		return nil
	}
	l.next = &logLine{raw: bytes.TrimRight(line, "\n")}
	if json.Unmarshal(line, &l.next.fields) != nil {
		l.next.fields = nil
	}
	for _, name := range []string{"time", "@timestamp"} {
		if text, ok := l.next.fields[name].(string); ok {
			if t, err := time.Parse(time.RFC3339, text); err == nil {
				l.last = t
			}
		}
	}
	l.next.time = l.last
	return nil
}

// printLogs prints the lines of a journal and a log in the order of time, those about an action if its name is not empty.
func (a *app) printLogs(journal, log *logLines, action string, level hclog.Level) error {
	if err := errors.Join(journal.read(), log.read()); err != nil {
		return err
	}
	for journal.next != nil || log.next != nil {
		from := journal
		if from.next == nil || log.next != nil && log.next.time.Before(from.next.time) {
			from = log
		}
		if line := from.next; action == "" || line.fields["action"] == action {
			switch {
			case a.asJSON && line.fields != nil:
				if err := a.printJSONText(append(line.raw, '\n')); err != nil {
					return err
				}
			case line.fields == nil:
				say(a.stdout, "half a line: %s\n", string(line.raw))
			case from == journal:
				a.printEntry(line)
			default:
				a.printLogLine(line, level)
			}
		}
		if err := from.read(); err != nil {
			return err
		}
	}
	return nil
}

// printEntry prints what a journal tells, but for how far a running action is.
func (a *app) printEntry(line *logLine) {
	var e engine.Entry
	if json.Unmarshal(line.raw, &e) != nil {
		return
	}
	at := e.Time.Format(time.RFC3339)
	switch {
	case e.Run != "":
		say(a.stdout, "%s run       %s of %s: %s\n", at, e.Run, e.Experiment, count(e.Actions, "action"))
	case e.Finished != "":
		say(a.stdout, "%s run       %s\n", at, e.Finished)
	case e.Action == "" || e.State == plan.Running && e.Attempt == 0:
	case e.Error != "":
		say(a.stdout, "%s %s %s\n", at, state(e.State), block(failure(e.Action, e.Error)))
	case e.State == plan.Done:
		say(a.stdout, "%s %s %s  %.1f s\n", at, state(e.State), e.Action, e.Seconds)
	default:
		say(a.stdout, "%s %s %s\n", at, state(e.State), strings.TrimSpace(e.Action+"  "+e.Reason))
	}
}

func (a *app) printLogLine(line *logLine, level hclog.Level) {
	text, _ := line.fields["@level"].(string)
	if of := hclog.LevelFromString(text); of != hclog.NoLevel && of < level {
		return
	}
	say(a.stdout, "%s %-9s %v", line.time.Format(time.RFC3339), text, line.fields["@message"])
	for _, name := range slices.Sorted(maps.Keys(line.fields)) {
		if !strings.HasPrefix(name, "@") {
			say(a.stdout, " %s=%v", name, line.fields[name])
		}
	}
	say(a.stdout, "\n")
}
