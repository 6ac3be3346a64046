package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/dustin/go-humanize"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/terminal"
)

func count[N int | int64](n N, noun string) string { return terminal.Count(n, noun) }

// failure prefixes an error with the name of its action, unless the error already begins with it.
func failure(action, problem string) string {
	if strings.HasPrefix(problem, action+":") {
		return problem
	}
	return action + ": " + problem
}

func size(bytes int64) string { return terminal.Size(bytes) }

func duration(seconds float64) string { return terminal.Duration(seconds) }

// printJSON prints a result as JSON; see printJSONText.
func (a *app) printJSON(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	return a.printJSONText(b.Bytes())
}

// printJSONText prints JSON. It escapes hidden characters and commands to CI systems in strings; their values stay the
// same.
func (a *app) printJSONText(document []byte) error {
	_, err := a.stdout.data().Write(protocol.VisibleJSON(document))
	return err
}

// columns prints rows in aligned columns, as terminal.Columns does. The first row is the header.
func columns(w io.Writer, rows [][]string) {
	inHalves(len(rows), func(from, to int) {
		for _, row := range rows[from:to] {
			for c, cell := range row {
				row[c] = protocol.Visible(cell)
			}
		}
	})
	o, ok := w.(*output)
	if !ok {
		terminal.Columns(w, rows)
		return
	}
	b := bufio.NewWriterSize(safeWriter{o}, 1<<16)
	terminal.Columns(b, rows)
	_ = b.Flush() // The output keeps its error.
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
