package plan

import (
	"bytes"
	"slices"
)

// Same reports whether two actions do the same work, whatever their names: they have the same parameters and worker, and
// the same inputs. It is false for the results that a baseline pins unless they are one result.
func Same(x, y *Action) bool {
	if x == y {
		return true
	}
	if x.Pinned != nil || y.Pinned != nil {
		return x.Pinned != nil && y.Pinned != nil && x.Pinned.Score.Key == y.Pinned.Score.Key
	}
	worker := x.Worker == y.Worker || x.Worker != nil && y.Worker != nil && *x.Worker == *y.Worker
	return worker && x.Kind == y.Kind && bytes.Equal(x.Parameters, y.Parameters) && slices.EqualFunc(x.Inputs, y.Inputs, func(a, b Input) bool {
		return a.Role == b.Role && slices.Equal(a.Files, b.Files) && Same(a.Upstream, b.Upstream)
	})
}
