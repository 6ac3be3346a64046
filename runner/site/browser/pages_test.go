//go:build browser

package browser_test

import (
	"net/http"
	"strings"
	"testing"

	"surprisal.dev/runner/site/browser"
)

const gap = "#/pages/gap/byte-vs-word"

// TestPages exports a site of a real experiment, and uses its pages in a real browser as a person does.
func TestPages(t *testing.T) {
	f := newFixture(t)
	address := serve(t, http.FileServer(http.Dir(f.site)))
	for name, test := range map[string]func(t *testing.T, f *fixture, x *tab){
		"overview":  testOverview,
		"kinds":     testKinds,
		"drift":     testDrift,
		"certain":   testCertain,
		"units":     testUnits,
		"models":    testModels,
		"scaling":   testScaling,
		"direction": testDirection,
		"phone":     testPhone,
		"numbers":   testNumbers,
		"links":     testLinks,
		"search":    testSearch,
		"filter":    testFilter,
		"sort":      testSort,
		"keys":      testKeys,
		"copies":    testCopies,
		"compare":   testCompare,
		"theme":     testTheme,
		"sizes":     testSizes,
		"widths":    testWidths,
		"spans":     testSpans,
		"document":  testDocument,
		"hostile":   testHostile,
		"top":       testTopTokens,
		"positions": testPositions,
		"long":      testLong,
		"obstacles": testObstacles,
		"print":     testPrint,
		"first":     testFirstLoad,
	} {
		t.Run(name, func(t *testing.T) { test(t, f, f.open(t, address)) })
	}
	t.Run("without text", func(t *testing.T) { testWithoutText(t, f) })
	t.Run("outliers", func(t *testing.T) { testOutliers(t, f) })
	t.Run("servers", func(t *testing.T) { testServers(t, f) })
	t.Run("foreign", func(t *testing.T) { testForeign(t, f) })
}

func testOverview(t *testing.T, _ *fixture, x *tab) {
	x.visit("")
	x.contains("main", "Comparisons")
	x.contains("tbody", "byte-4gram")
	x.contains("main", "Experiment pages")
	if got := x.text("main .card:first-of-type li:first-of-type"); !strings.HasPrefix(got, "worse") {
		t.Errorf("the first card starts with %q, want the failed gate", got)
	}
	if !get[bool](x, `document.querySelector(".answer.fail").compareDocumentPosition(document.querySelector(".table")) === Node.DOCUMENT_POSITION_FOLLOWING`) {
		t.Error("the failed gate comes after the comparisons")
	}
	x.must(x.Click(".table tbody a"))
	x.must(x.Wait(`document.querySelector(".tabs") !== null`))
	if got := x.hash(); got != gap {
		t.Errorf("a click on the comparison leads to %s", got)
	}
}

// testKinds opens the pages of the other kinds, points at a plot, and reads a number of each.
func testKinds(t *testing.T, _ *fixture, x *tab) {
	x.visit("#/pages/gate/worse")
	x.contains(".lead", "fail")
	x.contains("thead", "one-sided 95% ends") // The gap's page has other ends.
	x.contains("tbody", "books/opticks")
	x.visit("#/pages/gate/better")
	x.contains(".lead", "pass")
	for _, page := range []string{"#/pages/series/checkpoints", "#/pages/scaling/order"} {
		x.visit(page)
		x.contains("tbody", "byte-2gram")
		x.must(x.Wait(`document.querySelector(".u-over") !== null`))
		if got := x.text(".u-legend"); strings.ContainsAny(got, "–:") {
			t.Errorf("%s: the legend is %q before anything is pointed at", page, got)
		}
		x.must(x.Do(`document.querySelector(".u-over").scrollIntoView({ block: "center" })`))
		x.must(x.PointAt(`document.querySelector(".u-over")`))
		x.must(x.Wait(`/\d/.test(document.querySelectorAll(".u-legend .u-value")[1].innerText)`))
	}
	x.visit("#/pages/series/checkpoints?list=datasets&slice=code%2Fgo")
	x.must(x.Wait(`document.querySelector("figcaption")?.innerText.includes("code/go")`))
	x.visit("#/pages/run/latest")
	x.contains("tbody", "score")
	x.visit("")
	x.must(x.Do(`[...document.querySelectorAll("main a")].find((a) => a.hash.startsWith("#/pages/sliding/")).click()`))
	x.must(x.Wait(`document.querySelector(".book") !== null`))
	if got := get[string](x, `document.querySelector(".book").textContent`); got != odd {
		t.Errorf("the text is %q, want %q", got, odd)
	}
	// The first character is in the prompt of the first window and in the continuation of none.
	x.contains("main", "that covers it, with its prompt or its continuation")
	if !get[bool](x, `/^p[1-8]/.test(document.querySelector(".book span").className)`) {
		t.Error("the first character has no color")
	}
}

// testLinks follows links, goes back and forward, and opens the same address in another tab.
func testLinks(t *testing.T, f *fixture, x *tab) {
	x.visit(gap)
	x.must(x.Click(`.tabs a[href$="/buckets"]`))
	x.must(x.Settle())
	x.must(x.Click(`th button.heading:not([title=""])`))
	x.must(x.Wait(`location.hash.includes("sort=")`))
	sorted := x.hash()
	x.must(x.Do(`history.back()`))
	x.must(x.Wait(`!location.hash.includes("sort=")`))
	x.must(x.Do(`history.back()`))
	x.must(x.Wait(`document.querySelector(".tabs a[aria-current]").innerText === "Summary"`))
	x.must(x.Do(`history.go(2)`))
	x.must(x.Wait(`location.hash.includes("sort=")`))
	x.visit(sorted)
	if got := get[string](x, `document.querySelector("[aria-sort=descending], [aria-sort=ascending]").innerText`); got == "" {
		t.Error("the link does not restore the sort")
	}
	other := f.open(t, x.address)
	other.visit(gap + "/documents?dataset=size%2Fmany&search=says+light&direction=all&min=30")
	other.contains("output", "of 10,000 documents")
	if got := get[string](other, `document.querySelector("input[type=search]").value`); got != "says light" {
		t.Errorf("the search of the link: %q", got)
	}
}

func testTheme(t *testing.T, _ *fixture, x *tab) {
	background := `getComputedStyle(document.documentElement).backgroundColor`
	x.must(x.Show(browser.Screen{Width: 1280, Height: 900, Dark: true}))
	x.visit("")
	dark := get[string](x, background)
	x.must(x.Press("t"))
	x.must(x.Wait(background + ` !== "` + dark + `"`))
	x.visit("") // The choice is remembered, against the system's.
	if got := get[string](x, background); got == dark {
		t.Errorf("the background is %s again", got)
	}
	x.must(x.Do(`localStorage.clear()`))
}

// everyPage returns the addresses of all pages of the site of the fixture, with a document and an address of nothing.
func everyPage(x *tab) []string {
	x.t.Helper()
	return append(pagesOf(x), gap+"/document?dataset=web%2Fodd&shard=odd.jsonl&row=0&at=5", "#/pages/gap/none")
}

// pagesOf returns the addresses of the pages of a site.
func pagesOf(x *tab) []string {
	x.t.Helper()
	x.must(x.Go(x.address))
	pages := []string{""}
	for _, page := range get[[]string](x, `[...document.querySelectorAll(".contents nav a")].map((a) => a.getAttribute("href")).slice(1)`) {
		x.move(page)
		tabs := get[[]string](x, `[...document.querySelectorAll(".tabs a")].map((a) => a.getAttribute("href"))`)
		if len(tabs) == 0 {
			tabs = []string{page}
		}
		pages = append(pages, tabs...)
	}
	return pages
}
