package score

import (
	"strconv"

	"surprisal.dev/runner/plan"
)

// Contexts are the contexts of models that are known before anything runs: what their backends, which know the models'
// maximum, estimate for the scoring that the spec declares.
type Contexts struct {
	// Other is the first model whose context is not that of the first of the models, or "" if all known ones are equal.
	Other string
	// Field has the two contexts.
	Field plan.Field
	// Smallest is the smallest of all, which every model can have.
	Smallest int64
}

// ContextsOf returns the contexts of models. If that of the first is unknown, as that of a baseline is, no other differs.
func ContextsOf(b *plan.Builder, models []string) (c Contexts) {
	first := b.Catalog.Estimates[models[0]].Context
	for _, m := range models {
		n := b.Catalog.Estimates[m].Context
		if n == 0 || first == 0 {
			continue
		}
		if c.Smallest == 0 || n < c.Smallest {
			c.Smallest = n
		}
		if n != first && c.Other == "" {
			c.Other, c.Field = m, plan.Field{Path: "context", Before: strconv.FormatInt(first, 10), After: strconv.FormatInt(n, 10)}
		}
	}
	return c
}
