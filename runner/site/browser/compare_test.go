//go:build browser

package browser_test

import (
	"math"
	"strconv"
	"testing"
)

// testCompare compares two models in the page, which must give the numbers of the gap report.
func testCompare(t *testing.T, _ *fixture, x *tab) {
	x.visit(gap + "/datasets?small=1")
	_, want := table(x)
	x.visit("#/pages/scores/all/compare?a=byte-4gram&b=word-2gram&small=1")
	header, got := table(x)
	if len(got) != len(want) || len(want) < 5 {
		t.Fatalf("%d datasets, want %d", len(got), len(want))
	}
	for name, line := range want {
		for key, i := range header {
			a, errA := strconv.ParseFloat(line[i], 64)
			b, errB := strconv.ParseFloat(got[name][i], 64)
			if errA != nil || errB != nil {
				if line[i] != got[name][i] {
					t.Errorf("%s of %s: got %q, want %q", key, name, got[name][i], line[i])
				}
				continue
			}
			if math.Abs(a-b) > 1e-9*math.Max(math.Abs(a), 1e-6) {
				t.Errorf("%s of %s: got %v, want %v", key, name, b, a)
			}
		}
	}
	x.must(x.Do(`[...document.querySelectorAll("button")].find((b) => b.innerText === "Swap").click()`))
	x.must(x.Wait(`location.hash.includes("a=word-2gram")`))
	x.must(x.Settle())
	x.contains(".choose", "Swap")
}
