// Package markdown writes the parts of reports in which the text of datasets and specs may stand: code spans and tables.
//
// It imports plugins/protocol.
package markdown

import (
	"fmt"
	"strings"

	"surprisal.dev/plugins/protocol"
)

// Code returns text from a dataset or a spec as a code span. Nothing in it is Markdown, HTML, a link, a mention or an
// emoji in GitHub's flavor, and invisible characters are escaped. A report as a whole must also break up commands to
// CI systems; see protocol.TextWithoutCommands.
func Code(s string) string {
	s = protocol.Visible(s)
	if s == "" {
		return ""
	}
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	fence := strings.Repeat("`", longest+1)
	// Readers strip one space at both ends, unless the text consists of spaces.
	first, last := s[0], s[len(s)-1]
	if first == '`' || last == '`' || first == ' ' && last == ' ' && strings.Trim(s, " ") != "" {
		s = " " + s + " "
	}
	return fence + s + fence
}

// Table writes a section with a table of n rows, or "None." if n is 0. Heads and cells are Markdown; text of datasets and
// specs in them must come from Code.
func Table(out *strings.Builder, title string, heads []string, n int, row func(int) []string) {
	fmt.Fprintf(out, "## %s\n\n", title)
	if n == 0 {
		out.WriteString("None.\n\n")
		return
	}
	out.WriteString(Head(heads))
	for i := range n {
		out.WriteString(Row(row(i)))
	}
	out.WriteString("\n")
}

// Head returns the first two lines of a table.
func Head(heads []string) string {
	return Row(heads) + "|" + strings.Repeat(" --- |", len(heads)) + "\n"
}

// Row returns a row of a table. A bar ends a cell even inside a code span. No other character needs a backslash there.
func Row(cells []string) string {
	var out strings.Builder
	for _, cell := range cells {
		fmt.Fprintf(&out, "| %s ", strings.ReplaceAll(cell, "|", `\|`))
	}
	out.WriteString("|\n")
	return out.String()
}
