//go:build browser

package browser_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"surprisal.dev/plugins/sdk"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/outliers"
)

func TestMain(m *testing.M) {
	actiontest.Main(m, map[string]sdk.Backend{"observing": actiontest.Observing{}})
}

// testOutliers looks at the pages of a report on outliers, for which the embedded backend gives no activations.
func testOutliers(t *testing.T, f *fixture) {
	l := actiontest.New(t, "observing")
	l.Text("texts", "four", "ten bytes.", "a document: 20 bytes")
	for i, name := range []string{"small", "middle", "large"} {
		l.Model(name, "observing", fmt.Sprintf(`{"Sites":4,"Hidden":%d,"Loss":%v,"Scale":%d}`, 6+2*i, 3-0.5*float64(i), 5+2*i))
	}
	l.Section("outliers", []outliers.Table{{
		Name: "t", Models: []string{"small", "middle", "large"}, Datasets: []string{"texts"}, Figure: outliers.Size{Width: 4, Height: 3, DPI: 50},
		Definition: outliers.Definition{Sequences: 100, SequenceLength: 8, Threshold: 6, LayerShare: 0.25, SequenceShare: 0.06},
	}})
	x := f.open(t, serve(t, http.FileServer(http.Dir(l.Site(l.MustRun(), action.TextNone).Dir))))
	const page = "#/test/outliers/t"
	x.visit(page)
	x.contains("figcaption", "Outlier dimensions by perplexity, with fitted curves")
	x.contains(`section[aria-label="models"] tbody`, "large")
	x.contains(`section[aria-label="curves"] tbody`, "Outlier dimensions")
	x.contains(`section[aria-label="largest activations"] thead`, "Norm")
	if got := get[int](x, `Math.max(...[...document.querySelectorAll(".scroll")].map((e) => e.scrollWidth - e.clientWidth))`); got > 0 {
		t.Errorf("a table is %d pixels too wide", got)
	}
	for tab, rows := range map[string]int{"dimensions": 9, "sites": 12, "sequences": 9, "occurrences": 27} {
		x.visit(page + "/" + tab)
		if got := get[int](x, `document.querySelectorAll(".scroll tbody tr").length`); got != rows {
			t.Errorf("%s: %d rows, want %d", tab, got, rows)
		}
	}
	x.visit(page + "/sequences?search=texts")
	if got := x.text("tbody"); strings.Contains(got, "ten bytes") {
		t.Errorf("the sequences quote the text: %s", got)
	}
	pages := pagesOf(x)
	checkSizes(x, pages)
	checkObstacles(x, pages)
	checkPrint(x, pages)
}
