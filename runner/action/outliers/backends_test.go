//go:build !torch

package outliers_test

import (
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/runner/action/actiontest"
)

// backends are those of the test binary. With the build tag torch, the torch backend is another.
func backends() map[string]sdk.Backend {
	return map[string]sdk.Backend{"observing": actiontest.Observing{}}
}
