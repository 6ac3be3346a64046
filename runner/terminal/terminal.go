// Package terminal formats output for a terminal: aligned columns, and numbers with nouns and units.
//
// It imports no other package of this module.
package terminal

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/maruel/natural"
)

// Count returns a number with its noun: "1 document", "2 documents".
func Count[N int | int64](n N, noun string) string {
	s := humanize.Comma(int64(n)) + " " + noun
	if n != 1 {
		s += "s"
	}
	return s
}

// Few joins the first few of many names, and counts the others.
func Few(names []string) string {
	const most = 5
	if n := len(names) - most; n > 1 {
		return strings.Join(names[:most], ", ") + " and " + humanize.Comma(int64(n)) + " more"
	}
	return strings.Join(names, ", ")
}

// Size returns a number of bytes with a unit: "813 kB".
func Size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// Duration returns seconds with units: "1m3.5s".
func Duration(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}

// Compare compares names in natural order: "d2" before "d10".
func Compare(a, b string) int { return cmp.Or(natural.Compare(a, b), cmp.Compare(a, b)) }

// Columns prints rows in aligned columns. The first row is the header. A column, except the first, is right-aligned if
// every cell below the header starts with a digit, a sign or a dash.
func Columns(w io.Writer, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	widths := make([]int, len(rows[0]))
	numeric := make([]bool, len(rows[0]))
	for c := range widths {
		numeric[c] = c > 0
		for r, row := range rows {
			widths[c] = max(widths[c], utf8.RuneCountInString(row[c]))
			if r > 0 && row[c] != "" && !strings.ContainsAny(row[c][:1], "0123456789+-") {
				numeric[c] = false
			}
		}
	}
	spaces := strings.Repeat(" ", slices.Max(append(widths, 0)))
	var line []byte
	for _, row := range rows {
		line = line[:0]
		for c, cell := range row {
			pad := spaces[:widths[c]-utf8.RuneCountInString(cell)]
			if c > 0 {
				line = append(line, "  "...)
			}
			if numeric[c] {
				line = append(append(line, pad...), cell...)
			} else {
				line = append(append(line, cell...), pad...)
			}
		}
		line = append(bytes.TrimRight(line, " "), '\n')
		_, _ = w.Write(line) // the writer for the terminal keeps its error
	}
}
