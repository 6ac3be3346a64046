package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
	"surprisal.dev/runner/workspace"
)

func (a *app) logsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logs [DIR] [ACTION]",
		Short: "Show the events and log lines of the last run",
		Long: `logs shows the last run in chronological order: the events of each action, and log lines of level info and above.
--log-level debug adds the output of plugins. With the name of an action, logs shows only that action. --json prints
the lines of the journal and the log as JSON.`,
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

// inLastRun returns the name of the action of the last run that has a name or the end of a name. For "", which means
// all actions, it returns "".
func (a *app) inLastRun(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	r, err := workspace.LastRun(a.dir, a.state)
	if err != nil {
		return "", err
	}
	var names, matches []string
	for _, e := range r.Entries {
		if e.Action == name {
			return name, nil
		}
		names = append(names, e.Action)
		if strings.HasSuffix(e.Action, " "+name) {
			matches = append(matches, e.Action)
		}
	}
	switch len(matches) {
	case 0:
		return "", usage("the last run did not reach an action named %q; `%s` lists those that it reached%s", name, a.command("status --json"), didYouMean(name, names))
	case 1:
		return matches[0], nil
	}
	return "", usage("%q matches %s; use a longer name", name, terminal.Few(naturally(matches)))
}

// logLine is a line of a journal or a log.
type logLine struct {
	raw []byte
	// time is the time of the line, or of the line before if it has none.
	time time.Time
	// fields is nil if the line is not JSON: a killed run may leave an incomplete line.
	fields map[string]any
}

// maxLogLine is the maximum length of a line of a journal or a log in bytes.
const maxLogLine = 16 << 20

// logLines reads a journal or a log line by line.
type logLines struct {
	in   *bufio.Reader
	next *logLine // nil at the end
	last time.Time
}

func newLogLines(r io.Reader) *logLines { return &logLines{in: bufio.NewReader(r)} }

// read sets next to the next line.
func (l *logLines) read() error {
	line, err := bounded.ReadLine(l.in, maxLogLine)
	if _, tooLarge := errors.AsType[*bounded.TooLargeError](err); tooLarge {
		return fmt.Errorf("a line of the journal or the log: %w; remove the directory of this run: this deletes its log, but no result", err)
	}
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

// printLogs prints the lines of a journal and a log in chronological order. If action is not empty, it prints only the
// lines of that action.
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
				writef(a.stdout, "incomplete line: %s\n", string(line.raw))
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

// printEntry prints an entry of a journal, except for the progress of running actions.
func (a *app) printEntry(line *logLine) {
	var e engine.Entry
	if json.Unmarshal(line.raw, &e) != nil {
		return
	}
	at := e.Time.Format(time.RFC3339)
	switch {
	case e.Run != "":
		writef(a.stdout, "%s run       %s of %s: %s\n", at, e.Run, e.Experiment, count(e.Actions, "action"))
	case e.Finished != "":
		writef(a.stdout, "%s run       %s\n", at, e.Finished)
	case e.Action == "" || e.State == plan.Running && e.Attempt == 0:
	case e.Error != "":
		writef(a.stdout, "%s %s %s\n", at, state(e.State), block(failure(e.Action, e.Error)))
	case e.State == plan.Done:
		writef(a.stdout, "%s %s %s  %.1f s\n", at, state(e.State), e.Action, e.Seconds)
	default:
		writef(a.stdout, "%s %s %s\n", at, state(e.State), strings.TrimSpace(e.Action+"  "+e.Reason))
	}
}

func (a *app) printLogLine(line *logLine, level hclog.Level) {
	text, _ := line.fields["@level"].(string)
	if of := hclog.LevelFromString(text); of != hclog.NoLevel && of < level {
		return
	}
	writef(a.stdout, "%s %-9s %v", line.time.Format(time.RFC3339), text, line.fields["@message"])
	for _, name := range slices.Sorted(maps.Keys(line.fields)) {
		if !strings.HasPrefix(name, "@") {
			writef(a.stdout, " %s=%v", name, line.fields[name])
		}
	}
	writef(a.stdout, "\n")
}
