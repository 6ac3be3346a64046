//go:build browser

package browser_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// testNumbers compares the table of datasets with summary.json.
func testNumbers(t *testing.T, f *fixture, x *tab) {
	data, err := os.ReadFile(filepath.Join(f.dir, ".surprisal/reports/gap/byte-vs-word/summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Name    string   `json:"name"`
		Bytes   int64    `json:"bytes"`
		ABPB    *float64 `json:"model_a_bpb"`
		GapBPB  *float64 `json:"gap_bpb"`
		Low     *float64 `json:"gap_low"`
		Bits    float64  `json:"delta_bits"`
		Q       *float64 `json:"gap_q"`
		Verdict string   `json:"verdict"`
	}
	var summary struct {
		Overall  row   `json:"overall"`
		Datasets []row `json:"datasets"`
		Groups   []row `json:"dataset_groups"`
		Buckets  []row `json:"pattern_buckets"`
	}
	if err := json.Unmarshal(data, &summary); err != nil {
		t.Fatal(err)
	}
	x.visit(gap)
	x.contains(".figures", fmt.Sprintf("%+.4f", *summary.Overall.GapBPB))
	for tab, rows := range map[string][]row{"datasets": summary.Datasets, "groups": summary.Groups, "buckets": summary.Buckets} {
		x.visit(gap + "/" + tab + "?small=1")
		header, lines := table(x)
		if len(lines) != len(rows) {
			t.Fatalf("%s: %d rows, want %d", tab, len(lines), len(rows))
		}
		for _, want := range rows {
			line := lines[want.Name]
			if line == nil {
				t.Errorf("%s: no row %s", tab, want.Name)
				continue
			}
			number := func(key string) float64 {
				v, err := strconv.ParseFloat(line[header[key]], 64)
				if err != nil {
					t.Errorf("%s: %s: %v", want.Name, key, err)
				}
				return v
			}
			if number("gap_bpb") != *want.GapBPB || number("model_a_bpb") != *want.ABPB || number("delta_bits") != want.Bits || number("bytes") != float64(want.Bytes) {
				t.Errorf("%s of %s: got %v, want %+v", want.Name, tab, line, want)
			}
			if want.Q != nil && number("gap_q") != *want.Q || line[header["verdict"]] != want.Verdict {
				t.Errorf("%s of %s: got %v, want q %v and %q", want.Name, tab, line, want.Q, want.Verdict)
			}
		}
	}
}

// table returns the table of the page as its CSV has it: the columns by key, and the lines by the name in the first one.
func table(x *tab) (header map[string]int, lines map[string][]string) {
	x.t.Helper()
	header, lines = map[string]int{}, map[string][]string{}
	for i, line := range strings.Split(strings.TrimSpace(copied(x, "CSV")), "\r\n") {
		cells := strings.Split(line, ",")
		if i > 0 {
			lines[cells[0]] = cells
			continue
		}
		for k, key := range cells {
			header[key] = k
		}
	}
	return header, lines
}

// copied returns what a copy of the table puts on the clipboard.
func copied(x *tab, form string) string {
	x.t.Helper()
	x.must(x.Do(`navigator.clipboard.writeText = async (text) => { window.copied = text }; window.copied = ""`))
	x.must(x.Do(fmt.Sprintf(`document.querySelector(".table .menu").open = true;
		[...document.querySelectorAll(".table .menu button")].find((b) => b.innerText === "Copy as %s").click()`, form)))
	x.must(x.Wait(`window.copied !== ""`))
	return get[string](x, `window.copied`)
}

func testCopies(t *testing.T, _ *fixture, x *tab) {
	x.visit(gap + "/datasets?search=opticks")
	if got := copied(x, "CSV"); !strings.HasPrefix(got, "name,gap_bpb,gap_low,gap_high,model_a_bpb,model_b_bpb,verdict,") || strings.Count(got, "\r\n") != 2 {
		t.Errorf("CSV: %s", got)
	}
	if got := copied(x, "Markdown"); !strings.HasPrefix(got, "| Dataset | Gap bits per byte |") || !strings.Contains(got, "| books/opticks |") {
		t.Errorf("Markdown: %s", got)
	}
	if got := copied(x, "LaTeX"); !strings.HasPrefix(got, `\begin{tabular}{lrr`) || !strings.Contains(got, "books/opticks & ") {
		t.Errorf("LaTeX: %s", got)
	}
	x.contains(".table .menu output", "Copied as LaTeX")
}

// testSearch types a search in a table of 10,000 rows, and measures a key.
func testSearch(t *testing.T, _ *fixture, x *tab) {
	x.visit(gap + "/documents?dataset=size%2Fmany")
	x.contains("output", "10,000 documents")
	x.must(x.Press("/"))
	x.must(x.Wait(`document.activeElement.name === "search"`))
	x.must(x.Do(`document.activeElement.value = ""`)) // The driver types the key itself, too, which a keyboard does not.
	x.must(x.Type("input[type=search]", ":99"))
	x.must(x.Wait(`document.querySelector(".controls > output").innerText === "111 of 10,000 documents"`))
	x.must(x.Do(`document.querySelector("input[name=regexp]").click()`))
	x.must(x.Wait(`location.hash.includes("regexp=1")`))
	x.visit(gap + "/documents?dataset=size%2Fmany&regexp=1&search=%3A(12%7C34)5%24")
	x.contains("output", "2 of 10,000 documents")
	x.visit(gap + "/documents?dataset=size%2Fmany&regexp=1&search=(")
	x.contains("output", "Not a regular expression")
	x.visit(gap + "/documents?dataset=size%2Fmany")
	worst := get[float64](x, `(async () => {
		const input = document.querySelector("input[type=search]");
		let worst = 0;
		for (const word of ["d", "do", "9", "98", "987", "zz", ""]) {
			const start = performance.now();
			input.value = word;
			input.dispatchEvent(new Event("input", { bubbles: true }));
			await new Promise((done) => setTimeout(done));
			worst = Math.max(worst, performance.now() - start);
		}
		return worst;
	})()`)
	t.Logf("the slowest key of a search in 10,000 rows took %.0f ms", worst)
	x.must(x.Do(`history.back()`))
	x.must(x.Wait(`document.querySelector(".controls > output").innerText === "10,000 documents"`))
}

func testFilter(t *testing.T, _ *fixture, x *tab) {
	x.visit(gap + "/datasets?small=1")
	all := get[int](x, `document.querySelectorAll("tbody tr").length`)
	x.must(x.Type("input[name=min]", "20k"))
	x.must(x.Wait(fmt.Sprintf(`document.querySelectorAll("tbody tr").length < %d`, all)))
	_, lines := table(x)
	for name, line := range lines {
		if n, err := strconv.Atoi(line[len(line)-4]); err == nil && n < 20_000 {
			t.Errorf("%s is shown with %d bytes", name, n)
		}
	}
	x.visit(gap + "/datasets?min=many")
	x.contains("output", "not a size")
	x.visit(gap + "/groups")
	x.must(x.Click("tbody a"))
	x.must(x.Wait(`location.hash.includes("group=")`))
	x.contains(".controls", "Only group")
}

func testSort(t *testing.T, _ *fixture, x *tab) {
	x.visit(gap + "/datasets?small=1&sort=bytes")
	order := func() []string {
		return get[[]string](x, `[...document.querySelectorAll("tbody th")].map((e) => e.title)`)
	}
	up := order()
	x.must(x.Do(`[...document.querySelectorAll("button.heading")].find((b) => b.innerText.startsWith("Bytes")).click()`))
	x.must(x.Wait(`location.hash.includes("sort=-bytes")`))
	down := order()
	if len(up) < 3 || strings.Join(up, " ") == strings.Join(down, " ") {
		t.Errorf("the order is %v both ways", up)
	}
	if got := get[string](x, `document.querySelector("[aria-sort=descending]").innerText`); !strings.HasPrefix(got, "Bytes") {
		t.Errorf("the sorted column is %q", got)
	}
	// Numbers in names are in the order of their values.
	x.visit(gap + "/documents?dataset=size%2Fmany&direction=all&sort=document")
	if got := strings.Join(order()[:4], " "); got != "many.jsonl:0 many.jsonl:1 many.jsonl:2 many.jsonl:3" {
		t.Errorf("the first documents are %s", got)
	}
}

// testKeys uses the site without a mouse.
func testKeys(t *testing.T, _ *fixture, x *tab) {
	x.visit(gap)
	x.must(x.Press("?"))
	x.must(x.Wait(`document.querySelector("dialog").open`))
	x.contains("dialog", "light or dark")
	x.must(x.Press(kb.Escape))
	x.must(x.Wait(`!document.querySelector("dialog").open`))
	x.must(x.Press("2"))
	x.must(x.Wait(`location.hash.endsWith("/datasets") && document.querySelector(".scroll") !== null`))
	x.must(x.Do(`document.querySelector(".scroll").focus()`))
	x.must(x.Press(kb.ArrowDown))
	x.must(x.Wait(`document.activeElement.closest("[data-row]")?.dataset.row === "0"`))
	x.must(x.Press(kb.ArrowDown))
	x.must(x.Wait(`document.activeElement.closest("[data-row]")?.dataset.row === "1"`))
	x.must(x.Press(kb.Enter))
	x.must(x.Wait(`location.hash.includes("/documents?dataset=")`))
	x.must(x.Settle())
	x.visit(gap + "/documents?dataset=size%2Fmany")
	x.must(x.Do(`document.querySelector(".scroll").focus()`))
	x.must(x.Press(kb.End))
	x.must(x.Wait(`document.activeElement.closest("[data-row]")?.dataset.row === "9999"`))
	if drawn := get[int](x, `document.querySelectorAll("tbody tr").length`); drawn > 120 {
		t.Errorf("%d rows of 10,000 are drawn", drawn)
	}
}
