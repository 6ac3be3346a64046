package ci

import (
	"net/url"
	"strings"
)

// Marker returns a hidden line of Markdown by which a job finds its earlier comment. what tells comments about the same
// experiment apart.
func Marker(what, experiment string) string {
	// A comment of HTML ends at "--", and a name may have any character.
	escaped := strings.ReplaceAll(url.PathEscape(experiment), "--", "-%2D")
	return "<!-- surprisal " + what + ": " + escaped + " -->"
}
