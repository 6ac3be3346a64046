package plan

import (
	"strconv"
	"strings"

	"surprisal.dev/runner/terminal"
)

// Sizes caches the texts of sizes. A plan has the size of a dataset once per model.
type Sizes map[int64]string

func (t Sizes) of(bytes int64) string {
	text, ok := t[bytes]
	if !ok {
		text = terminal.Size(bytes)
		t[bytes] = text
	}
	return text
}

// leastSeconds is the shortest time that terminal.Duration does not round to 0.
const leastSeconds = 0.05

// Heads are the heads of a table of actions.
func Heads() []string {
	return []string{"state", "action", "documents", "bytes", "tokens", "memory", "time", "key"}
}

// AppendCells appends the cells of the action's row in a table of actions.
func (a *Action) AppendCells(cells []string, sizes Sizes) []string {
	c := a.Cost
	bound := ""
	if c.AtMost {
		bound = "≤"
	}
	counted := func(n int64) string {
		if n <= 0 {
			return "-"
		}
		return bound + strconv.FormatInt(n, 10)
	}
	took, memory, bytes := "-", "-", "-"
	if c.Bytes > 0 {
		bytes = bound + sizes.of(c.Bytes)
		if c.SharedBytes > 0 {
			bytes += ", " + strconv.FormatInt(100*c.SharedBytes/c.Bytes, 10) + "% shared"
		}
	}
	if c.Memory > 0 {
		memory = sizes.of(c.Memory)
	}
	// A time that rounds to nothing would be a wrong bound, and says nothing.
	if c.Seconds >= leastSeconds && a.State != Cached {
		took = bound + terminal.Duration(c.Seconds)
	}
	key := a.Key
	if len(key) > 12 {
		key = key[:12]
	}
	switch a.State {
	case Skipped:
		key = a.Reason
	case Waits:
		key = "waits for " + strings.Join(waitsFor(a), ", ")
	}
	return append(cells, string(a.State), a.Name, counted(c.Documents), bytes, counted(c.Tokens), memory, took, key)
}

// waitsFor returns the names of the first few inputs that an action waits for.
func waitsFor(a *Action) []string {
	const most = 2
	var names []string
	for _, in := range a.Inputs {
		if s := in.Upstream.State; s != Cached && s != Done {
			if len(names) == most {
				return append(names, "...")
			}
			names = append(names, in.Upstream.Name)
		}
	}
	return names
}
