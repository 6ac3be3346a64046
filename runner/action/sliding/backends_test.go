//go:build !torch || !families

package sliding_test

import "surprisal.dev/plugins/sdk"

// addBackends adds no backend: TestFamilies is not part of this build.
func addBackends(map[string]sdk.Backend) {}
