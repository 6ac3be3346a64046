package score

import (
	"fmt"
	"strconv"
	"strings"
)

// TokenCounts are the numbers of scored tokens of several models, in the order of a report.
type TokenCounts []TokenCount

// TokenCount is how many tokens a model has in a number of bytes.
type TokenCount struct {
	Model         string
	Tokens, Bytes int64
}

// others returns the quoted names of the models whose tokens are not those of the first, as far as their numbers tell.
func (c TokenCounts) others() []string {
	var names []string
	for _, of := range c {
		if of.Tokens != c[0].Tokens || of.Bytes != c[0].Bytes {
			names = append(names, strconv.Quote(of.Model))
		}
	}
	return names
}

// Note says which perplexities per token cannot be compared, or is empty if all can be.
func (c TokenCounts) Note() string {
	names := c.others()
	if len(names) == 0 {
		return ""
	}
	have := "has"
	if len(names) > 1 {
		have = "have"
	}
	return fmt.Sprintf("perplexities per token are comparable only between models with the same tokens, and %s %s others than %q; compare bits per byte",
		strings.Join(names, ", "), have, c[0].Model)
}

// Label is that of an axis of perplexities per token. It says if not all of them can be compared.
func (c TokenCounts) Label() string {
	const label = "perplexity per token"
	if len(c.others()) > 0 {
		return label + " (tokens differ between models)"
	}
	return label
}
