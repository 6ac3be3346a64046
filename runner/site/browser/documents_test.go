//go:build browser

package browser_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func document(dataset, shard string, row int) string {
	return fmt.Sprintf("%s/document?dataset=%s&shard=%s&row=%d", gap, strings.ReplaceAll(dataset, "/", "%2F"), shard, row)
}

func testDocument(t *testing.T, _ *fixture, x *tab) {
	x.visit(gap + "/documents?dataset=books%2Fopticks")
	x.must(x.Click("tbody a"))
	x.must(x.Wait(`document.querySelector(".heat canvas") !== null`))
	x.must(x.Press("n"))
	x.must(x.Wait(`location.hash.includes("at=") && document.querySelector(".current") !== null`))
	first := x.hash()
	x.contains(".inspector", "byte-4gram")
	x.must(x.Wait(`document.querySelector(".inspector").innerText.includes("rank")`))
	x.must(x.Press("n"))
	x.must(x.Wait(fmt.Sprintf("location.hash !== %q", first)))
	x.must(x.Press("p"))
	x.must(x.Wait(fmt.Sprintf("location.hash === %q", first)))
	x.must(x.Press("b"))
	x.must(x.Wait(`location.hash.includes("show=b")`))
	x.contains(".legend", "Bits per byte of word-2gram")
	x.must(x.Do(`document.querySelector(".chunk").scrollIntoView(); scrollBy(0, -100)`))
	x.must(x.PointAt(`(() => {
		const range = document.createRange(), text = document.querySelector(".chunk").firstChild;
		range.setStart(text, 2);
		range.setEnd(text, 3);
		return range;
	})()`))
	x.must(x.Wait(`document.querySelector(".inspector").innerText.includes("bytes 2 to 3")`))
	x.must(x.Press("]"))
	x.must(x.Wait(`!location.hash.includes("at=")`))
	x.must(x.Settle())
	x.visit(first) // The link restores the position.
	x.must(x.Wait(`document.querySelector(".current") !== null`))
	if got := get[bool](x, `(() => { const r = document.querySelector(".current").getBoundingClientRect(); return r.top > 0 && r.bottom < innerHeight })()`); !got {
		t.Error("the position of the link is not in sight")
	}
}

// testSpans looks at the list of spans: each has the text around it, which tells equal spans apart.
func testSpans(t *testing.T, _ *fixture, x *tab) {
	x.visit(document("books/opticks", "Isaac.Newton-Opticks.txt", 400))
	x.must(x.Wait(`document.querySelector(".spans li") !== null`))
	if got := get[int](x, `[...document.querySelectorAll(".spans li code")].filter((e) => e.querySelector("b").textContent !== "" && e.textContent.length > e.querySelector("b").textContent.length).length`); got < 10 {
		t.Errorf("%d spans have text around them", got)
	}
	// White space is shown by signs in the list only.
	if got := get[[]string](x, `(() => {
		const text = document.querySelector(".heat").textContent.replace(/\s/g, "␣");
		return [...document.querySelectorAll(".spans li code")].map((e) => e.textContent.replace(/[⏎⇥↵]/g, "␣")).filter((s) => !s.includes("…") && !text.includes(s));
	})()`); len(got) != 0 {
		t.Errorf("the text has no %q", got)
	}
}

// testTopTokens steps through the worst spans of a document under a model of words: the most probable words are named,
// though most of them are nowhere in the document.
func testTopTokens(t *testing.T, _ *fixture, x *tab) {
	x.visit(document("books/opticks", "Isaac.Newton-Opticks.txt", 400))
	x.must(x.Wait(`document.querySelector(".heat canvas") !== null`))
	words := map[string]bool{}
	for range 8 {
		before := x.hash()
		x.must(x.Press("n"))
		x.must(x.Wait(fmt.Sprintf(`location.hash !== %q && document.querySelector(".inspector").innerText.includes("first:")`, before)))
		for _, word := range get[[]string](x, `[...document.querySelector(".inspector").innerText.matchAll(/first:\s(.*?) \(/g)].map((m) => m[1])`) {
			words[word] = true
			// The end of the text is the only token without a text.
			if strings.HasPrefix(word, "#") && word != "#512" && word != "#256" {
				t.Errorf("a token is shown as %q", word)
			}
		}
	}
	if all := slices.Sorted(maps.Keys(words)); len(all) < 3 {
		t.Errorf("the most probable tokens are %q", all)
	}
}

// testHostile opens a document whose text is HTML and script.
func testHostile(t *testing.T, _ *fixture, x *tab) {
	x.visit(document("web/hostile", "hostile.jsonl", 0))
	x.must(x.Wait(`document.querySelector(".heat canvas") !== null`))
	if got := get[string](x, `document.querySelector(".heat").textContent`); got != script {
		t.Errorf("the text is %q", got)
	}
	for _, page := range []string{"/segments", "/literals", "/documents?dataset=web%2Fhostile", "/tokenizers"} {
		x.visit(gap + page)
	}
	if get[bool](x, `"stolen" in window`) {
		t.Error("a script of the dataset ran")
	}
}

// testPositions opens text whose positions in bytes and in characters differ.
func testPositions(t *testing.T, _ *fixture, x *tab) {
	x.visit(document("web/odd", "odd.jsonl", 0))
	x.must(x.Wait(`document.querySelector(".heat canvas") !== null`))
	if got := get[string](x, `document.querySelector(".heat").textContent`); got != odd {
		t.Errorf("the text is %q, want %q", got, odd)
	}
	at := strings.Index(odd, "\U0001f600")
	x.visit(document("web/odd", "odd.jsonl", 0) + fmt.Sprintf("&at=%d", at))
	x.must(x.Wait(`document.querySelector(".current") !== null`))
	x.contains(".inspector", fmt.Sprintf("\U0001f600 bytes %d to %d", at, at+4))
}

// testLong opens a document of 500 kB.
func testLong(t *testing.T, _ *fixture, x *tab) {
	x.visit(gap + "/datasets")
	x.must(x.Do(fmt.Sprintf(`window.began = performance.now(); location.hash = %q`, document("size/long", "long.txt", 0))))
	x.must(x.Wait(`document.querySelector(".heat canvas") !== null`))
	t.Logf("a document of 500 kB was shown after %.0f ms", get[float64](x, `performance.now() - window.began`))
	if n := get[int](x, `document.querySelector(".heat").textContent.length`); n < 490_000 {
		t.Errorf("the text has %d characters: a browser would not find the rest", n)
	}
	if got := get[int](x, `document.querySelectorAll(".heat canvas").length`); got > 20 {
		t.Errorf("%d chunks are drawn at once", got)
	}
	frames := get[[]float64](x, `new Promise((done) => {
		const times = [];
		let last = performance.now(), y = 0;
		const frame = (now) => {
			times.push(now - last);
			last = now;
			if (times.length === 120) return done(times.slice(2));
			scrollTo(0, y += 100);
			requestAnimationFrame(frame);
		};
		requestAnimationFrame(frame);
	})`)
	late := 0
	for _, frame := range frames {
		if frame > 34 {
			late++
		}
	}
	t.Logf("%d of %d frames were late while scrolling 100 pixels a frame", late, len(frames))
	for _, r := range x.Requests() {
		if r.Bytes > 1<<20+4096 {
			t.Errorf("a request for %s %s has %.0f bytes", r.URL, r.Range, r.Bytes)
		}
	}
}

// testFirstLoad weighs what the overview loads.
func testFirstLoad(t *testing.T, f *fixture, x *tab) {
	x.Requests()
	x.visit("")
	size := 0
	for _, r := range x.Requests() {
		path := strings.TrimPrefix(r.URL, x.address)
		if strings.HasPrefix(path, "data/") {
			t.Errorf("the overview loads %s", path)
		}
		content, err := os.ReadFile(filepath.Join(f.site, filepath.FromSlash(path)))
		if err != nil || path == "site.json" || path == "" {
			continue // Not a file of the bundle.
		}
		var compressed bytes.Buffer
		w := gzip.NewWriter(&compressed)
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		size += compressed.Len()
	}
	t.Logf("the first load has %d bytes of code, compressed", size)
	if size < 5000 || size > 100_000 {
		t.Errorf("the first load has %d bytes of code, compressed; at most 100,000 are allowed", size)
	}
}
