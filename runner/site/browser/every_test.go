//go:build browser

package browser_test

import (
	"os"
	"testing"

	"surprisal.dev/runner/site/browser"
)

// testSizes looks at all pages on screens of all sizes.
func testSizes(_ *testing.T, _ *fixture, x *tab) { checkSizes(x, everyPage(x)) }

// checkSizes looks for pages that scroll sideways.
func checkSizes(x *tab, pages []string) {
	x.t.Helper()
	for _, width := range []int64{390, 768, 1280, 2560} {
		x.must(x.Show(browser.Screen{Width: width, Height: 844}))
		x.visit("")
		for _, path := range pages {
			x.move(path)
			if got := get[int64](x, `document.scrollingElement.scrollWidth`); got > width {
				x.t.Errorf("%s is %d pixels wide on a screen of %d", path, got, width)
			}
		}
	}
}

// testWidths looks for tables of few models that do not fit a screen of 1,280 pixels.
func testWidths(t *testing.T, _ *fixture, x *tab) {
	for _, path := range []string{
		"", "#/pages/scores/all/compare?a=byte-4gram&b=word-2gram", "#/pages/scores/all/compare?a=byte-4gram%2Cbyte-2gram&b=word-2gram",
		"#/pages/scaling/order/datasets", "#/pages/scaling/order/documents",
	} {
		x.visit(path)
		if got := get[int](x, `Math.max(...[...document.querySelectorAll(".scroll")].map((e) => e.scrollWidth - e.clientWidth))`); got > 0 {
			widths := get[[]string](x, `[...document.querySelectorAll("thead th")].map((e) => e.innerText + " " + e.offsetWidth)`)
			t.Errorf("a table of %q is %d pixels too wide: %q", path, got, widths)
		}
	}
}

// testObstacles looks for obstacles to people with disabilities on all pages.
func testObstacles(_ *testing.T, _ *fixture, x *tab) { checkObstacles(x, everyPage(x)) }

// checkObstacles runs axe-core on pages, light and dark, and on a phone, where colors are the same.
func checkObstacles(x *tab, pages []string) {
	x.t.Helper()
	axe, err := os.ReadFile("../app/node_modules/axe-core/axe.min.js")
	if err != nil {
		x.t.Fatalf("%v: run npm ci in runner/site/app", err)
	}
	for _, screen := range []browser.Screen{{Width: 1280, Height: 900}, {Width: 1280, Height: 900, Dark: true}, {Width: 390, Height: 844, Dark: true}} {
		x.must(x.Show(screen))
		x.visit("")
		x.must(x.Do(string(axe)))
		for _, path := range pages {
			x.move(path)
			for _, found := range get[[]string](x, `axe.run({ resultTypes: ["violations"] }).then((r) => r.violations.map((v) =>
				v.id + ": " + v.help + "\n" + v.nodes.slice(0, 4).map((n) => n.html.slice(0, 200) + " " + n.failureSummary).join("\n")))`) {
				x.t.Errorf("%s on %+v: %s", path, screen, found)
			}
		}
	}
}
