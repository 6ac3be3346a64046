package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"surprisal.dev/plugins/protocol"
)

// count writes a number with its noun: "1 document", "2 documents".
func count[N int | int64](n N, noun string) string {
	s := humanize.Comma(int64(n)) + " " + noun
	if n != 1 {
		s += "s"
	}
	return s
}

// failure puts the name of an action before its error, unless the error begins with it.
func failure(action, problem string) string {
	if strings.HasPrefix(problem, action) {
		return problem
	}
	return action + ": " + problem
}

func size(bytes int64) string { return humanize.Bytes(uint64(max(bytes, 0))) }

func duration(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}

// printJSON prints a result for programs: what others wrote is the same to them, and visible to people.
func (a *app) printJSON(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	return a.printJSONText(b.Bytes())
}

// printJSONText prints JSON with escapes, which JSON takes anywhere in a string, for hidden characters and commands.
func (a *app) printJSONText(document []byte) error {
	visible := commandInside.ReplaceAll(protocol.VisibleJSON(document), []byte(`#\u0023$1`))
	_, err := a.stdout.data().Write(visible)
	return err
}

// few joins names, the first few of many.
func few(names []string) string {
	const most = 5
	if n := len(names) - most; n > 1 {
		return fmt.Sprintf("%s and %s more", strings.Join(names[:most], ", "), humanize.Comma(int64(n)))
	}
	return strings.Join(names, ", ")
}

// columns prints rows in aligned columns; the first row is the head. Columns but the first are right-aligned where every
// cell below the head starts with a digit, a sign or a dash.
func columns(w io.Writer, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	for _, row := range rows {
		for c, cell := range row {
			row[c] = protocol.Visible(cell)
		}
	}
	widths := make([]int, len(rows[0]))
	numeric := make([]bool, len(rows[0]))
	for c := range widths {
		numeric[c] = c > 0
		for r, row := range rows {
			widths[c] = max(widths[c], len([]rune(row[c])))
			if r > 0 && row[c] != "" && !strings.ContainsAny(row[c][:1], "0123456789+-") {
				numeric[c] = false
			}
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for c, cell := range row {
			pad := strings.Repeat(" ", widths[c]-len([]rune(cell)))
			if c > 0 {
				b.WriteString("  ")
			}
			if numeric[c] {
				b.WriteString(pad + cell)
			} else {
				b.WriteString(cell + pad)
			}
		}
		say(w, "%s\n", strings.TrimRight(b.String(), " "))
	}
}

// parseSize reads a size such as "8GB"; "" is 0.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(s)
	if err != nil || n == 0 || n > 1<<62 {
		return 0, usage("invalid size %q: use a value such as 512MB or 8GiB", s)
	}
	return int64(n), nil
}
