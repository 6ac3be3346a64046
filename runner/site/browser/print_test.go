//go:build browser

package browser_test

import (
	"regexp"
	"strings"
	"testing"

	"surprisal.dev/runner/site/browser"
)

// paper is the width in pixels of a sheet of A4 across, without its margins.
const paper = 1032

// testPrint prints pages as a person who prefers dark colors sees them.
func testPrint(t *testing.T, _ *fixture, x *tab) {
	checkPrint(x, everyPage(x))
	testPrintedText(t, x)
	testPrintedRows(t, x)
}

// checkPrint prints pages, which are shown in dark colors.
func checkPrint(x *tab, pages []string) {
	x.t.Helper()
	x.must(x.Show(browser.Screen{Width: paper, Height: 700, Dark: true}))
	x.visit("")
	x.must(x.Paper(true))
	for _, path := range pages {
		x.move(path)
		x.must(x.Do(`dispatchEvent(new Event("beforeprint"))`))
		checkPaper(x, path)
		x.must(x.Do(`dispatchEvent(new Event("afterprint"))`))
	}
	x.must(x.Paper(false))
	if got := get[string](x, `document.documentElement.dataset.theme`); got != "dark" {
		x.t.Errorf("after printing, the colors are %s", got)
	}
}

// checkPaper fails if a page as it is printed has controls, dark colors or parts of a table that are out of sight.
func checkPaper(x *tab, path string) {
	x.t.Helper()
	if got := get[string](x, `document.documentElement.dataset.theme`); got != "light" {
		x.t.Errorf("%s is printed with %s colors", path, got)
	}
	controls := get[[]string](x, `[...document.querySelectorAll("input, select, summary, header, footer, nav, button:not(.heading)")].filter((e) => e.checkVisibility() && !e.closest("dialog, main details:not(.menu)")).map((e) => e.outerHTML.slice(0, 100))`)
	if len(controls) > 0 {
		x.t.Errorf("%s is printed with controls: %s", path, strings.Join(controls, "\n"))
	}
	if got := get[int](x, `document.scrollingElement.scrollWidth`); got > paper {
		x.t.Errorf("%s is %d pixels wide on a sheet of %d", path, got, paper)
	}
	hidden := get[[]string](x, `[...document.querySelectorAll(".scroll, .scroll td, .scroll th")].filter((e) => e.scrollHeight > e.clientHeight + 2 || e.scrollWidth > e.clientWidth + 2).map((e) => e.getAttribute("aria-label") ?? e.innerText)`)
	if len(hidden) > 0 {
		x.t.Errorf("%s is printed without parts of %q", path, hidden)
	}
	for _, rows := range get[[][2]int](x, `[...document.querySelectorAll(".scroll table")].map((t) => [t.tBodies[0].querySelectorAll("[data-row]").length, Number(t.getAttribute("aria-rowcount")) - 1])`) {
		if rows[0] != rows[1] {
			x.t.Errorf("%s is printed with %d of %d rows of a table", path, rows[0], rows[1])
		}
	}
}

// testPrintedText prints a document: its characters have the colors of the screen.
func testPrintedText(t *testing.T, x *tab) {
	x.visit(document("web/odd", "odd.jsonl", 0))
	x.must(x.Wait(`document.querySelector(".heat canvas") !== null`))
	before := get[string](x, `document.querySelector(".heat").textContent`)
	x.must(x.Do(`dispatchEvent(new Event("beforeprint"))`))
	if got := get[string](x, `document.querySelector(".heat .paper").textContent`); got != before {
		t.Errorf("the printed text is %q, want %q", got, before)
	}
	if got := get[int](x, `document.querySelectorAll(".heat .paper [class^=p], .heat .paper [class^=n]").length`); got == 0 {
		t.Error("the printed text has no colors")
	}
	x.must(x.Do(`dispatchEvent(new Event("afterprint"))`))
	if got := get[string](x, `document.querySelector(".chunk").firstChild.nodeName + document.querySelector(".heat").textContent`); got != "#text"+before {
		t.Errorf("after printing, the text is %q", got)
	}
}

var sheet = regexp.MustCompile(`/Type\s*/Page\b`)

// testPrintedRows prints a table of more rows than the screen draws at once.
func testPrintedRows(t *testing.T, x *tab) {
	x.visit(gap + "/documents?dataset=size%2Fmany&search=%3A9")
	x.contains("output", "1,111 of 10,000 documents")
	pdf, err := x.PDF()
	x.must(err)
	const most = 80 // rows of a sheet
	if got := len(sheet.FindAll(pdf, -1)); got < 1111/most {
		t.Errorf("1,111 rows are printed on %d sheets, want at least %d", got, 1111/most)
	}
	x.must(x.Wait(`document.querySelectorAll(".scroll tbody tr").length < 150`))
}
