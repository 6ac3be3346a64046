package ci

import (
	"fmt"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/terminal"
)

// maxAnnotations is how many annotations GitHub shows of a step.
const maxAnnotations = 10

// annotation is a message at a line of a file.
type annotation struct {
	level, title, message string
	at                    Position
}

// Annotations returns commands to GitHub Actions, one per line, that show errors and gates at their lines in the spec.
// There are at most ten.
func (r *Report) Annotations() string {
	var all []annotation
	for _, p := range r.Problems {
		title := "error"
		if p.Action != "" {
			title = p.Action
		}
		all = append(all, annotation{"error", title, p.Message, p.At})
	}
	for _, t := range r.having(action.Fail) {
		all = append(all, t.annotation("error"))
	}
	var warnings []annotation
	for _, t := range r.having(action.Inconclusive) {
		if t.Strict {
			all = append(all, t.annotation("error"))
		} else {
			warnings = append(warnings, t.annotation("warning"))
		}
	}
	all = append(all, warnings...)
	if n := len(all) - maxAnnotations; n > 0 {
		rest := annotation{level: "warning", title: r.Experiment, message: terminal.Count(n+1, "more annotation") + " left out; the summary has everything"}
		all = append(all[:maxAnnotations-1], rest)
	}
	var out strings.Builder
	for _, a := range all {
		out.WriteString(a.command())
	}
	return out.String()
}

// annotation returns what a test found, with its decisive cases.
func (t Test) annotation(level string) annotation {
	const most = 10
	message := t.finding(plain)
	n := 0
	for _, c := range t.Cases {
		if c.Answer != t.Answer {
			continue
		}
		if n++; n <= most {
			message += "\n" + caseText(c)
		}
	}
	if n > most {
		message += "\n" + terminal.Count(n-most, "more slice")
	}
	return annotation{level, t.Action + ": " + strings.ToUpper(string(t.Answer)), message, t.At}
}

// caseText describes a case in one line.
func caseText(c action.Case) string {
	parts := make([]string, 0, len(c.Measures))
	for _, m := range c.Measures {
		parts = append(parts, m.Name+" "+m.Value)
	}
	if c.Reason != "" {
		parts = append(parts, c.Reason)
	}
	return plain(c.Name) + ": " + strings.Join(parts, ", ")
}

// command returns the annotation as a command in a log.
func (a annotation) command() string {
	var properties []string
	if a.at.File != "" {
		properties = append(properties, "file="+escapeProperty(plain(a.at.File)))
		if a.at.Line > 0 {
			properties = append(properties, fmt.Sprintf("line=%d", a.at.Line))
		}
	}
	properties = append(properties, "title="+escapeProperty(plain(shortened(a.title, 200))))
	return fmt.Sprintf("::%s %s::%s\n", a.level, strings.Join(properties, ","), escapeData(visibleLines(a.message)))
}

// visibleLines is plain for text with several lines, of bounded length.
func visibleLines(text string) string {
	split := strings.Split(shortened(strings.TrimSpace(text), 3000), "\n")
	for i, line := range split {
		split[i] = plain(line)
	}
	return strings.Join(split, "\n")
}

// escapeData escapes the message of a command as GitHub does. Another command in it is broken up.
func escapeData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(protocol.TextWithoutCommands(s))
}

// escapeProperty escapes a property of a command as GitHub does.
func escapeProperty(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(escapeData(s))
}
