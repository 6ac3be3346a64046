//go:build browser

package browser_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"surprisal.dev/runner/site/browser"
)

// testCompare compares models in the page, which must give the numbers of the gap reports.
func testCompare(t *testing.T, _ *fixture, x *tab) {
	x.visit(gap + "/datasets?small=1")
	_, want := table(x)
	x.visit("#/pages/scores/all/compare?a=byte-4gram&b=word-2gram&small=1")
	header, got := table(x)
	testVerdicts(t, x, header, got["all datasets"])
	delete(got, "all datasets")
	if len(got) != len(want) || len(want) < 5 {
		t.Fatalf("%d datasets, want %d", len(got), len(want))
	}
	for name, line := range want {
		for key, i := range header {
			sameCell(t, key+" of "+name, line[i], got[name][i])
		}
	}
	testManyModels(t, x, header, got)
	x.visit("#/pages/scores/all/compare?a=byte-4gram&b=word-2gram&small=1")
	x.must(x.Do(`[...document.querySelectorAll("button")].find((b) => b.innerText === "Swap").click()`))
	x.must(x.Wait(`location.hash.includes("a=word-2gram")`))
	x.must(x.Settle())
	x.contains(".choose", "Swap")
}

// testVerdicts looks at a comparison of two models: verdicts have the names of the models, as in one of many.
func testVerdicts(t *testing.T, x *tab, header map[string]int, all []string) {
	t.Helper()
	if all == nil || all[header["gap_bpb"]] == "" {
		t.Fatalf("the row of all datasets is %q", all)
	}
	x.contains(".tabs", "Compare models")
	for _, selector := range []string{".figures", "tbody"} {
		if got := x.text(selector); !strings.Contains(got, "word-2gram is worse") || strings.Contains(got, "b is worse") {
			t.Errorf("the verdicts of %s are %q", selector, got)
		}
	}
}

// testManyModels adds a model to a comparison of two, whose numbers must not change, and then makes it the baseline.
func testManyModels(t *testing.T, x *tab, pair map[string]int, want map[string][]string) {
	choose := func(label, model string) {
		x.must(x.Do(fmt.Sprintf(`
			const select = [...document.querySelectorAll(".choose label")].findLast((l) => l.querySelector("span").innerText === %q).querySelector("select");
			select.value = %q;
			select.dispatchEvent(new Event("change"))`, label, model)))
		x.must(x.Settle())
	}
	choose("and", "byte-2gram")
	if got := x.hash(); !strings.Contains(got, "a=byte-4gram%2Cbyte-2gram&b=word-2gram") {
		t.Fatalf("the address is %s", got)
	}
	header, got := table(x)
	for name, line := range want {
		for column, key := range map[string]string{
			"byte-4gram_gap_bpb": "gap_bpb", "byte-4gram_gap_low": "gap_low", "byte-4gram_gap_high": "gap_high", "byte-4gram_bpb": "model_a_bpb",
			"baseline_bpb": "model_b_bpb", "byte-4gram_verdict": "verdict", "bytes": "bytes",
		} {
			sameCell(t, column+" of "+name, line[pair[key]], got[name][header[column]])
		}
	}
	if all := got["all datasets"]; all == nil || all[header["byte-2gram_gap_bpb"]] == "" {
		t.Errorf("the row of all datasets is %q", all)
	}
	if got := copied(x, "Markdown"); !strings.Contains(got, "byte-2gram gap and 95% interval") || strings.Contains(got, "verdict") {
		t.Errorf("Markdown: %s", got)
	}
	x.must(x.Do(`[...document.querySelectorAll("button.heading")].find((b) => b.innerText.startsWith("byte-2gram")).click()`))
	x.must(x.Wait(`location.hash.includes("sort=-byte-2gram_gap_bpb")`))
	choose("baseline", "byte-2gram")
	x.contains(".figures", "baseline: byte-2gram")
	header, got = table(x)
	again := x.hash()
	x.visit("#/pages/scores/all/compare?a=word-2gram&b=byte-2gram&small=1")
	pair, want = table(x)
	for name, line := range want {
		sameCell(t, name, line[pair["gap_low"]], got[name][header["word-2gram_gap_low"]])
	}
	x.must(x.Show(browser.Screen{Width: 390, Height: 844}))
	x.visit(again)
	if over := get[float64](x, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
		t.Errorf("the page is %v pixels wider than the screen", over)
	}
	x.must(x.Show(browser.Screen{Width: 1280, Height: 900}))
}

// sameCell compares two cells: numbers within rounding.
func sameCell(t *testing.T, what, want, got string) {
	t.Helper()
	a, errA := strconv.ParseFloat(want, 64)
	b, errB := strconv.ParseFloat(got, 64)
	if errA != nil || errB != nil {
		if want != got {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
		return
	}
	if math.Abs(a-b) > 1e-9*math.Max(math.Abs(a), 1e-6) {
		t.Errorf("%s: got %v, want %v", what, b, a)
	}
}
