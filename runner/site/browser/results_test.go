//go:build browser

package browser_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"surprisal.dev/runner/site/browser"
)

// testDrift compares the page of a drift with summary.json.
func testDrift(t *testing.T, f *fixture, x *tab) {
	data, err := os.ReadFile(filepath.Join(f.dir, ".surprisal/reports/drift/both/summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var summary struct {
		Parts []struct {
			Name    string  `json:"name"`
			Change  float64 `json:"change"`
			Low     float64 `json:"low"`
			High    float64 `json:"high"`
			Verdict string  `json:"verdict"`
		} `json:"parts"`
		Measures []struct {
			Name   string  `json:"name"`
			Change float64 `json:"change"`
		} `json:"measures"`
	}
	if err := json.Unmarshal(data, &summary); err != nil {
		t.Fatal(err)
	}
	if len(summary.Parts) != 4 || len(summary.Measures) == 0 {
		t.Fatalf("%d parts and %d measures", len(summary.Parts), len(summary.Measures))
	}
	x.visit("#/pages/drift/both")
	x.contains(".lead", "Bits per byte changed by")
	x.contains("main", "Gate: fail")
	parts := strings.Join(strings.Fields(x.text(`section[aria-label="parts"] tbody`)), " ")
	for _, p := range summary.Parts {
		if want := fmt.Sprintf("%s %+.4f [%+.4f, %+.4f] %s", p.Name, p.Change, p.Low, p.High, p.Verdict); !strings.Contains(parts, want) {
			t.Errorf("no part %q in %q", want, parts)
		}
	}
	for _, m := range summary.Measures {
		x.contains(`section[aria-label="measures"] tbody`, m.Name)
		x.contains(`section[aria-label="measures"] tbody`, fmt.Sprintf("%+.4f", m.Change))
	}
}

// testCertain looks at rows too small to tell: their bits are said, and their gaps look like no finding.
func testCertain(t *testing.T, _ *fixture, x *tab) {
	x.visit(gap + "/datasets?small=1")
	header, lines := table(x)
	folded, all, n := 0.0, 0.0, 0
	for name, line := range lines {
		bits, err := strconv.ParseFloat(line[header["delta_bits"]], 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all += bits
		if line[header["verdict"]] == "too small to tell" {
			folded += bits
			n++
		}
	}
	grouped := func(v float64) string {
		return get[string](x, fmt.Sprintf(`(%v).toLocaleString("en-US", { maximumFractionDigits: 0, signDisplay: "always" })`, v))
	}
	x.contains(".table .hint", fmt.Sprintf("%d datasets too small to tell: %s bits of %s", n, grouped(folded), grouped(all)))
	if got := get[int](x, `document.querySelectorAll("tr.small").length`); got != n || n == 0 {
		t.Errorf("%d rows look small, want %d", got, n)
	}
	if got := get[int](x, `document.querySelectorAll("tr.small .worse, tr.small .better").length`); got != 0 {
		t.Errorf("%d gaps that cannot be told have the look of a certain one", got)
	}
	if got := get[int](x, `document.querySelectorAll("tr:not(.small) span.better").length`); got == 0 {
		t.Error("no certain gap has a color")
	}
}

// testUnits reads what intervals come from, where the units of a dataset are clusters.
func testUnits(t *testing.T, f *fixture, x *tab) {
	data, err := os.ReadFile(filepath.Join(f.dir, ".surprisal/reports/gap/byte-vs-word/summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var summary struct {
		Overall struct {
			Units      int64   `json:"units"`
			Detectable float64 `json:"detectable_gap"`
		} `json:"overall"`
	}
	if err := json.Unmarshal(data, &summary); err != nil {
		t.Fatal(err)
	}
	units := get[string](x, fmt.Sprintf(`"from " + (%d).toLocaleString("en-US") + " units"`, summary.Overall.Units))
	const sentence = "The units of web/hostile are 2 clusters of documents: a field of its rows names them. Intervals from fewer than 40 clusters are rough."
	x.visit(gap)
	x.contains(".figures", units)
	x.contains(".warnings", sentence)
	x.contains("main", fmt.Sprintf("A gap of %.4f bits per byte is detectable: a one-sided test at 5%% shows it in four of five samples of such units.", summary.Overall.Detectable))
	if got := get[string](x, `[...document.querySelectorAll(".figure")].find((e) => e.querySelector("dt").innerText === "p of no gap").innerText`); !strings.Contains(got, "two-sided test") || strings.Contains(got, "samples") {
		t.Errorf("the figure of p is %q", got)
	}
	x.visit(gap + "/provenance")
	x.contains("main", units)
	x.contains("main", sentence)
	x.visit(gap + "/datasets?small=1")
	header, lines := table(x)
	for name, want := range map[string]string{"web/hostile": "2", "web/odd": "2"} {
		if got := lines[name][header["units"]]; got != want {
			t.Errorf("%s has %q units, want %s", name, got, want)
		}
	}
	if got := get[[]string](x, `[...document.querySelectorAll("tbody tr")].filter((e) => e.innerText.includes("rough")).map((e) => e.querySelector("th").title)`); !slices.Equal(got, []string{"web/hostile"}) {
		t.Errorf("the rough intervals are those of %q", got)
	}
}

// testModels compares the row of all datasets with the ratio of sums.
func testModels(t *testing.T, _ *fixture, x *tab) {
	x.visit("#/pages/scores/all")
	header, lines := table(x)
	total := lines["all datasets"]
	if total == nil {
		t.Fatalf("no row of all datasets in %v", lines)
	}
	for _, model := range []string{"byte-2gram", "byte-4gram", "word-2gram"} {
		bits, bytes := 0.0, 0.0
		for name, line := range lines {
			if name == "all datasets" {
				continue
			}
			bpb, err := strconv.ParseFloat(line[header[model]], 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			n, err := strconv.ParseFloat(line[header["bytes"]], 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			bits, bytes = bits+bpb*n, bytes+n
		}
		if got, err := strconv.ParseFloat(total[header[model]], 64); err != nil || math.Abs(got-bits/bytes) > 1e-9 {
			t.Errorf("%s on all datasets: got %v (%v), want %v", model, got, err, bits/bytes)
		}
	}
	x.contains("tr.total", "±")
	if got := get[int](x, `[...document.querySelectorAll("tr.total td, tr.total td *")].filter((e) => !e.matches(".best") && getComputedStyle(e).fontWeight >= 600).length`); got != 0 {
		t.Errorf("%d cells of all datasets are bold without being the best", got)
	}
	x.visit("#/pages/scores/all/scores?search=web%2Fodd")
	x.contains("tbody", "too small")
}

func testScaling(t *testing.T, f *fixture, x *tab) {
	x.visit("#/pages/scaling/order")
	x.contains("thead", "95% interval")
	if got := x.text("thead"); strings.Count(got, "Parameters") != 1 || strings.Contains(got, "x\t") {
		t.Errorf("the columns are %q", got)
	}
	x.visit("#/pages/scaling/order/sentences")
	x.contains("output", "20 positions of sentences")
	if got := get[[]string](x, `[...document.querySelectorAll("tbody th")].slice(0, 3).map((e) => e.innerText)`); strings.Join(got, " ") != "1 2 3" {
		t.Errorf("the first positions are %v", got)
	}
	x.contains("thead", "sentences")
	x.visit("#/pages/scaling/order/buckets")
	x.contains("thead", "segments")
	testPointNames(t, x)
	testDesigns(t, x)
	testRanked(t, f, x)
	testOneDataset(t, f, x)
}

// testOneDataset opens the scaling of one dataset, whose numbers are not those of all datasets.
func testOneDataset(t *testing.T, f *fixture, x *tab) {
	data, err := os.ReadFile(filepath.Join(f.dir, ".surprisal/reports/scaling/order/summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var summary struct {
		Datasets []string `json:"datasets"`
		Gain     []string `json:"gain"`
		Models   []struct {
			Model     string    `json:"model"`
			BPB       []float64 `json:"bpbByDataset"`
			Intervals []*struct {
				Low float64 `json:"low"`
			} `json:"bpbIntervalByDataset"`
			Perplexity []float64 `json:"perplexityByDataset"`
		} `json:"models"`
	}
	if err := json.Unmarshal(data, &summary); err != nil {
		t.Fatal(err)
	}
	for i, dataset := range summary.Datasets {
		x.visit("#/pages/scaling/order?dataset=" + url.QueryEscape(dataset))
		header, lines := table(x)
		change := 0.0
		for _, m := range summary.Models {
			line := lines[m.Model]
			sameCell(t, m.Model+" on "+dataset, strconv.FormatFloat(m.BPB[i], 'g', -1, 64), line[header["bpb"]])
			sameCell(t, "the perplexity of "+m.Model+" on "+dataset, strconv.FormatFloat(m.Perplexity[i], 'g', -1, 64), line[header["perplexity"]])
			if dataset == "books/two" {
				if m.Intervals[i] == nil || line[header["bpb_low"]] != "" {
					t.Errorf("the interval of two documents is shown, or there is none: %q", line)
				}
			} else if m.Intervals[i] != nil {
				sameCell(t, "the interval of "+m.Model, strconv.FormatFloat(m.Intervals[i].Low, 'g', -1, 64), line[header["bpb_low"]])
			}
			switch m.Model {
			case summary.Gain[0]:
				change -= m.BPB[i]
			case summary.Gain[len(summary.Gain)-1]:
				change += m.BPB[i]
			}
		}
		x.contains("main", fmt.Sprintf("On %s, from %s to %s, bits per byte change by %+.4f.", dataset, summary.Gain[0], summary.Gain[len(summary.Gain)-1], change))
		x.contains("main", "On all datasets, from")
		x.contains("main", "of at least 32 bytes in all datasets")
	}
	x.visit("#/pages/scaling/order?dataset=books%2Ftwo")
	x.contains("main", "bytes of 2 documents of books/two.")
	x.visit("#/pages/scaling/order/datasets?search=books%2Ftwo")
	if got := x.text("tbody"); strings.Contains(got, "±") || !strings.Contains(got, "books/two") {
		t.Errorf("the row of too little text is %q", got)
	}
	x.visit("#/pages/scaling/order?dataset=typo")
	x.contains("main", "The dataset typo is not in this page.")
	if got := x.text("main"); strings.Contains(got, "bits per byte change") || get[int](x, `document.querySelectorAll("main table, main .chart").length`) != 0 {
		t.Errorf("a dataset that does not exist has numbers: %q", got)
	}
}

// testDesigns opens the scaling of a family and of models of other designs, which no line joins, and reads its axes.
func testDesigns(t *testing.T, x *tab) {
	x.visit("")
	x.must(x.Do(`window.written = new Set(); window.drawn = new Set();
		const canvas = CanvasRenderingContext2D.prototype, joined = new Set();
		const [write, to, stroke, fill] = [canvas.fillText, Path2D.prototype.lineTo, canvas.stroke, canvas.fill];
		const draw = (path, how) => { if (joined.has(path)) window.drawn.add(how) };
		canvas.fillText = function (text, ...rest) { window.written.add(text); return write.call(this, text, ...rest) };
		Path2D.prototype.lineTo = function (...at) { joined.add(this); return to.call(this, ...at) };
		canvas.stroke = function (...path) { draw(path[0], this.getLineDash().length > 0 ? "dashed" : "line"); return stroke.call(this, ...path) };
		canvas.fill = function (...path) { draw(path[0], "area"); return fill.call(this, ...path) }`))
	x.move("#/pages/scaling/designs")
	x.must(x.Wait(`window.written.has("word-2gram")`))
	for _, name := range []string{"bytes", "without a family", "power law of bytes"} {
		if got := get[int](x, fmt.Sprintf(`[...document.querySelectorAll(".u-legend th")].filter((e) => e.innerText === %q).length`, name)); got != 1 {
			t.Errorf("the legend %q has %d times %q", x.text(".u-legend"), got, name)
		}
	}
	if got := get[[]string](x, `[...window.drawn]`); !slices.Equal(got, []string{"dashed"}) {
		t.Errorf("points are joined by %q, want the dashed law only", got)
	}
	// The losses are between 1 and 10.
	marks := get[[]float64](x, `[...window.written].map(Number).filter((v) => v > 0 && v < 100)`)
	if len(marks) < 3 || slices.Max(marks) > 7 || slices.Min(marks) < 1.5 {
		t.Errorf("the axis of losses has %v", marks)
	}
}

// testPointNames looks at the names that are written next to points: a touch screen and paper show nothing else.
func testPointNames(t *testing.T, x *tab) {
	x.visit("")
	x.must(x.Do(`window.written = new Set();
		const write = CanvasRenderingContext2D.prototype.fillText;
		CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) { window.written.add(text); return write.call(this, text, ...rest) }`))
	for page, names := range map[string][]string{"#/pages/scaling/order": {"byte-2gram", "byte-4gram", "again"}, "#/pages/series/checkpoints": {"byte-2gram", "byte-4gram"}} {
		x.must(x.Do(`window.written.clear()`))
		x.move(page)
		for _, name := range names {
			if err := x.Wait(fmt.Sprintf(`window.written.has(%q)`, name)); err != nil {
				t.Errorf("%s: the point of %s has no name: %v", page, name, err)
			}
		}
	}
}

// testRanked compares the tables of documents, datasets and tokens with summary.json.
func testRanked(t *testing.T, f *fixture, x *tab) {
	data, err := os.ReadFile(filepath.Join(f.dir, ".surprisal/reports/scaling/order/summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	type document struct {
		Shard string    `json:"shard"`
		Row   int64     `json:"row"`
		BPB   []float64 `json:"bpb"`
		Text  string    `json:"text"`
	}
	var summary struct {
		Datasets []string `json:"datasets"`
		Models   []struct {
			Model string    `json:"model"`
			BPB   []float64 `json:"bpbByDataset"`
		} `json:"models"`
		Ranked struct {
			Hardest   []document `json:"hardest"`
			LeastGain []document `json:"leastGain"`
		} `json:"rankedDocuments"`
		Tokens []struct {
			Text string  `json:"text"`
			Nats float64 `json:"nats"`
		} `json:"hardestTokens"`
	}
	if err := json.Unmarshal(data, &summary); err != nil {
		t.Fatal(err)
	}
	same := func(what, got string, want float64) {
		if v, err := strconv.ParseFloat(got, 64); err != nil || v != want {
			t.Errorf("%s: got %q, want %v", what, got, want)
		}
	}
	for list, documents := range map[string][]document{"hardest": summary.Ranked.Hardest, "leastGain": summary.Ranked.LeastGain} {
		x.visit("#/pages/scaling/order/documents?list=" + list)
		header, lines := table(x)
		if len(lines) != len(documents) || len(lines) == 0 {
			t.Fatalf("%s: %d documents, want %d", list, len(lines), len(documents))
		}
		for i, d := range documents {
			name := fmt.Sprintf("%s:%d", d.Shard, d.Row)
			for k, m := range summary.Models {
				same(name+" under "+m.Model, lines[name][header[m.Model]], d.BPB[k])
			}
			if got := get[string](x, fmt.Sprintf(`document.querySelectorAll(".book")[%d].textContent`, i)); strings.TrimSuffix(got, "…") != d.Text {
				t.Errorf("%s begins with %q, want %q", name, got, d.Text)
			}
		}
	}
	x.must(x.Click("tbody a"))
	x.must(x.Wait(`document.querySelector(".heat canvas") !== null`)) // The comparison of the same models has the document.
	x.visit("#/pages/scaling/order/datasets")
	header, lines := table(x)
	for i, dataset := range summary.Datasets {
		for _, m := range summary.Models {
			same(dataset+" under "+m.Model, lines[dataset][header[m.Model]], m.BPB[i])
		}
	}
	x.visit("#/pages/scaling/order/tokens?sort=-nats")
	most := summary.Tokens[0].Nats
	for _, token := range summary.Tokens {
		most = max(most, token.Nats)
	}
	x.contains("tbody tr", get[string](x, fmt.Sprintf(`(%v).toLocaleString("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 })`, most)))
}

// testDirection opens a document with controls that would show its text in another order.
func testDirection(t *testing.T, _ *fixture, x *tab) {
	at := strings.Index(directions, "\u202e")
	x.visit(document("web/hostile", "hostile.jsonl", 2) + fmt.Sprintf("&at=%d", at))
	x.must(x.Wait(`document.querySelector(".current") !== null`))
	shown := get[string](x, `document.querySelector(".heat").textContent`)
	if want := "if access ⇠⇢// check admin⇡ ⇢ then {⇡ ok } \u05d0\u05d1 end"; shown != want {
		t.Errorf("the text is %q, want %q", shown, want)
	}
	x.contains(".inspector", "U+202E")
	// The positions on the screen have the order of the text.
	if got := get[bool](x, `(() => {
		const text = document.querySelector(".chunk").firstChild, range = document.createRange();
		let last = -1;
		for (let i = 0; i < text.data.indexOf("\u05d0"); i++) {
			range.setStart(text, i);
			range.setEnd(text, i + 1);
			const x = range.getBoundingClientRect().left;
			if (x < last) return false;
			last = x;
		}
		return true;
	})()`); !got {
		t.Error("the text is shown in another order")
	}
	// A copy has the text as it is.
	copied := get[string](x, `(() => {
		const text = document.querySelector(".chunk").firstChild;
		getSelection().setBaseAndExtent(text, 0, text, text.length);
		const data = new DataTransfer();
		document.querySelector(".heat").dispatchEvent(new ClipboardEvent("copy", { clipboardData: data, bubbles: true, cancelable: true }));
		return data.getData("text/plain");
	})()`)
	if copied != directions {
		t.Errorf("the copy is %q, want %q", copied, directions)
	}
}

// testPhone opens a document and the overview on a small screen.
func testPhone(t *testing.T, _ *fixture, x *tab) {
	x.must(x.Show(browser.Screen{Width: 390, Height: 844}))
	x.visit(document("books/opticks", "Isaac.Newton-Opticks.txt", 400))
	x.must(x.Wait(`document.querySelector(".heat canvas") !== null`))
	if !get[bool](x, `document.querySelector(".heat").getBoundingClientRect().bottom <= document.querySelector(".spans").getBoundingClientRect().top`) {
		t.Error("the text comes after its spans")
	}
	if got := x.text("main"); strings.Contains(got, "Keys") || strings.Contains(got, "step with keys") {
		t.Errorf("the page has advice about keys: %q", got)
	}
	x.visit("")
	if got := get[[]string](x, `[...document.querySelectorAll("thead th")].slice(0, 3).map((e) => e.innerText.split("\n")[0])`); strings.Join(got, " ") != "Comparison▲ Gap Verdict" {
		t.Errorf("the first columns are %v", got)
	}
	testWholeWords(t, x)
}

// testWholeWords looks for words of names that a small screen breaks.
func testWholeWords(t *testing.T, x *tab) {
	for _, page := range []string{gap + "/buckets?small=1", gap + "/datasets?small=1", "#/pages/scaling/order", "#/pages/scores/all"} {
		x.move(page)
		broken := get[[]string](x, `[...document.querySelectorAll("tbody th")].flatMap((cell) => {
			const nodes = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), found = [], range = document.createRange();
			while (nodes.nextNode()) {
				for (const word of nodes.currentNode.data.matchAll(/[a-z0-9]+/g)) {
					range.setStart(nodes.currentNode, word.index);
					range.setEnd(nodes.currentNode, word.index + word[0].length);
					if (new Set([...range.getClientRects()].map((r) => r.top)).size > 1) found.push(word[0]);
				}
			}
			return found;
		})`)
		if len(broken) > 0 {
			t.Errorf("%s breaks the words %q", page, broken)
		}
	}
}

// testWithoutText opens all pages of a site without text: what is not there on purpose is not an error.
func testWithoutText(t *testing.T, f *fixture) {
	dir := filepath.Join(t.TempDir(), "site")
	command(t, f.dir, f.runner, "export", "site", dir, "--text", "none")
	x := f.open(t, serve(t, http.FileServer(http.Dir(dir))))
	x.visit("")
	x.contains("main", "This site has numbers only")
	x.visit(gap)
	if got := x.text(".tabs"); strings.Contains(got, "Literals") || strings.Contains(got, "Segments") {
		t.Errorf("the tabs are %q", got)
	}
	for _, path := range everyPage(x) {
		if path == gap+"/document?dataset=web%2Fodd&shard=odd.jsonl&row=0&at=5" || path == "#/pages/gap/none" {
			continue // These do not exist, which they say.
		}
		x.move(path)
		if got := x.text(".notice"); got != "" {
			t.Errorf("%s: %s", path, got)
		}
	}
	x.visit("#/pages/scaling/order/documents")
	x.contains("main", "The text was not published with this site.")
	if got := x.text(".tabs"); strings.Contains(got, "Tokens") || get[int](x, `document.querySelectorAll(".book, tbody a").length`) != 0 {
		t.Errorf("the tabs are %q, and there are texts or links to them", got)
	}
	x.visit(gap + "/documents")
	if got := get[int](x, `document.querySelectorAll("tbody a").length`); got != 0 {
		t.Errorf("%d links lead to documents without text", got)
	}
	x.visit(gap + "/literals")
	x.contains("main", "not published with this site")
}
