package source

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"surprisal.dev/plugins/sdk"
)

// listed is how many names a message lists; nameBytes is how much of each.
const (
	listed    = 8
	nameBytes = 60
)

// Candidates lists names for a message, most similar to the missing name first. If the first is another name and very
// similar, it asks whether that name was meant.
func Candidates(missing string, names []string) string {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	if len(sorted) > 1000 || len(sorted) == 0 { // comparing a longer list takes too long
		return list(sorted)
	}
	slices.SortStableFunc(sorted, func(a, b string) int {
		return cmp.Or(-compareBool(strings.EqualFold(missing, a), strings.EqualFold(missing, b)), cmp.Compare(distance(missing, a), distance(missing, b)))
	})
	text := list(sorted)
	first := sorted[0]
	if missing != first && (strings.EqualFold(missing, first) || distance(missing, first) <= min(2, len(missing)/3)) {
		text += "; did you mean " + list(sorted[:1]) + "?"
	}
	return text
}

// advise adds todo to a list of candidates that does not already ask a question.
func advise(candidates, todo string) string {
	if strings.HasSuffix(candidates, "?") {
		return candidates
	}
	return candidates + "; " + todo
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	var b strings.Builder
	for i, name := range names[:min(len(names), listed)] {
		if i > 0 {
			b.WriteString(", ")
		}
		if len(name) > nameBytes {
			name = name[:nameBytes] + "…"
		}
		fmt.Fprintf(&b, "%q", name)
	}
	if more := len(names) - listed; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

// distance is the Levenshtein distance of a and b in bytes, of at most their first nameBytes.
func distance(a, b string) int {
	a, b = a[:min(len(a), nameBytes)], b[:min(len(b), nameBytes)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// SplitField splits a dotted path into names. A backslash makes the next character literal: "meta\.title" is one name.
func SplitField(field string) ([]string, error) {
	var parts []string
	var part strings.Builder
	for i := 0; i <= len(field); i++ {
		switch {
		case i == len(field) || field[i] == '.':
			if part.Len() == 0 {
				return nil, sdk.Invalid(`field %q has an empty name; expected names joined by dots, as in "meta.title"`, field)
			}
			parts = append(parts, part.String())
			part.Reset()
		case field[i] == '\\' && i+1 < len(field):
			i++
			part.WriteByte(field[i])
		default:
			part.WriteByte(field[i])
		}
	}
	return parts, nil
}

// JoinField returns the field that SplitField splits into names.
func JoinField(names []string) string {
	escape := strings.NewReplacer(`\`, `\\`, ".", `\.`)
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = escape.Replace(name)
	}
	return strings.Join(parts, ".")
}
