package ci

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/markdown"
)

// Limits of Markdown texts in bytes.
const (
	// MaxComment is the limit of a comment on GitHub, where it is one of characters. GitLab allows more.
	MaxComment = 65_536
	// MaxSummary is the limit of the summary of a step on GitHub.
	MaxSummary = 1 << 20
)

// section is a part of a Markdown text. If the text would be too long, rows at the end are left out and counted.
type section struct {
	head string
	rows []string
	foot string
}

// table returns a section with a table, or none if it has no rows.
func table(head string, heads []string, rows []string, foot string) []section {
	if len(rows) == 0 {
		return nil
	}
	return []section{{head + markdown.Head(heads), rows, "\n" + foot}}
}

// folded returns a section with a table that is folded until a reader opens it. The title is HTML without names.
func folded(title string, heads []string, rows []string) []section {
	return table("<details>\n<summary>"+title+"</summary>\n\n", heads, rows, "</details>\n\n")
}

// leftOut is the note on rows that do not fit. roomOfNote is at least its length.
func leftOut(rows, limit int) string {
	return fmt.Sprintf("\n%s more left out: this text is limited to %s bytes.\n", humanize.Comma(int64(rows)), humanize.Comma(int64(limit)))
}

const roomOfNote = 100

// render joins sections into a text of at most limit bytes. The first sections get their rows first. It returns "" if
// not even the first section fits.
func render(sections []section, limit int) string {
	fixed := make([]string, 0, len(sections))
	room := limit
	for _, s := range sections {
		// Nothing in the text is a command to a system that prints it into a log. A backslash makes it longer.
		head := protocol.TextWithoutCommands(s.head)
		if n := len(head) + len(s.foot) + roomOfNote; n <= room {
			room -= n
			fixed = append(fixed, head)
			continue
		}
		break
	}
	var out strings.Builder
	for i, head := range fixed {
		out.WriteString(head)
		rows := sections[i].rows
		n := 0
		for ; n < len(rows); n++ {
			row := protocol.TextWithoutCommands(rows[n])
			if len(row) > room {
				break
			}
			room -= len(row)
			out.WriteString(row)
		}
		if n < len(rows) {
			out.WriteString(leftOut(len(rows)-n, limit))
		} else {
			room += roomOfNote
		}
		out.WriteString(sections[i].foot)
	}
	if n := len(sections) - len(fixed); n > 0 && room >= roomOfNote && len(fixed) > 0 {
		out.WriteString(leftOut(n, limit))
	}
	return out.String()
}

// value returns a value of a spec as a code span of bounded length. In the middle of a long value, characters are left
// out and counted.
func value(s string) string { return markdown.Code(shortened(s, 200)) }

// shortened removes the middle of a text of more than most characters.
func shortened(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return fmt.Sprintf("%s...(%d characters)...%s", string(r[:most*3/4]), len(r)-most, string(r[len(r)-most/4:]))
}

// names joins the first few of many names as code spans, and counts the others.
func names(all []string) string {
	const most = 5
	var few []string
	for _, name := range all[:min(len(all), most)] {
		few = append(few, value(name))
	}
	text := strings.Join(few, ", ")
	if n := len(all) - most; n > 0 {
		text += fmt.Sprintf(" and %s more", humanize.Comma(int64(n)))
	}
	return text
}
