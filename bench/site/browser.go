package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"surprisal.dev/runner/site"
	"surprisal.dev/runner/site/browser"
)

// opened is a page that is opened as by someone who was never there: with an empty cache.
type opened struct {
	name, path string
	// ready is a JavaScript condition that holds when the page can be used.
	ready string
	// goal is in milliseconds.
	goal float64
	// then measures more of the open page.
	then func(p *browser.Page) error
}

const (
	comparison = "#/bench/gap/all/model-1-vs-model-2"
	// rows is true when a table has rows.
	rows = `document.querySelector("tbody th") !== null`
)

func pages() []opened {
	const long = comparison + "/document?dataset=family-00%2Fdataset-0000&shard=part-00000&row=0"
	return []opened{
		{name: "overview", path: "", ready: rows, goal: 1000},
		{name: "comparison", path: comparison, ready: `document.querySelector(".figures") !== null`, goal: 1000},
		{name: "its 1,000 datasets", path: comparison + "/datasets?small=1", ready: rows, goal: 1000, then: search},
		{name: "documents of a dataset", path: comparison + "/documents?dataset=family-01%2Fdataset-0001", ready: rows, goal: 1000},
		{name: "a document", path: comparison + "/document?dataset=family-01%2Fdataset-0001&shard=part-00000&row=100", ready: heat, goal: 1000},
		{name: "a document of 500 kB", path: long, ready: heat, goal: 1000, then: scroll},
		{name: "all scores", path: "#/bench/scores/all", ready: rows, goal: 1000},
		{name: "two models compared in the page", path: "#/bench/scores/all/compare?a=model-1&b=model-2&small=1", ready: rows, goal: 1000},
		{name: "five models compared in the page", path: "#/bench/scores/all/compare?a=model-1,model-2,model-3,model-4&b=model-5&small=1", ready: rows, goal: 1000},
	}
}

// heat is true when a heatmap is drawn.
const heat = `document.querySelector(".heat canvas") !== null`

// largest is the largest request that a page may make, with headers.
const largest = 1<<20 + 4096

// browse opens the pages of a site in Chromium, and prints how long each takes.
func browse(ctx context.Context, dir string) error {
	b, err := browser.Start(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	fmt.Printf("%-34s %8s %9s %8s %9s %9s\n", "page", "ms", "requests", "code", "data", "largest")
	for _, page := range pages() {
		if err := page.open(b, dir); err != nil {
			return fmt.Errorf("%s: %w", page.name, err)
		}
	}
	return nil
}

func (o opened) open(b *browser.Browser, dir string) error {
	// Another port is another origin, for which the browser has nothing in its cache.
	server := httptest.NewUnstartedServer(nil)
	handler, err := site.Handler(dir, server.Listener.Addr().String())
	if err != nil {
		return err
	}
	server.Config.Handler = http.Handler(handler)
	server.Start()
	defer server.Close()
	p, err := b.Open(browser.Screen{Width: 1280, Height: 900})
	if err != nil {
		return errors.Join(err, handler.Close())
	}
	defer p.Close()
	err = errors.Join(p.Go(server.URL+"/"+o.path), p.Wait(o.ready))
	if err != nil {
		return errors.Join(err, handler.Close())
	}
	took, err := browser.Evaluate[float64](p, `performance.now()`)
	if err != nil {
		return errors.Join(err, handler.Close())
	}
	sum := weigh(p.Requests())
	fmt.Printf("%-34s %8.0f %9d %8.0f %9.0f %9.0f%s\n", o.name, took, sum.requests, sum.code, sum.data, sum.largest, missed(took > o.goal || sum.largest > largest))
	if o.then != nil {
		err = o.then(p)
	}
	if problems := p.Problems(); len(problems) > 0 {
		err = errors.Join(err, errors.New(strings.Join(problems, "\n")))
	}
	return errors.Join(err, handler.Close())
}

func missed(is bool) string {
	if is {
		return "  misses its goal"
	}
	return ""
}

// weight is what a page requested: bytes as they came, which are not compressed in transit.
type weight struct {
	requests            int
	code, data, largest float64
}

func weigh(requests []browser.Request) (w weight) {
	for _, r := range requests {
		w.requests++
		if strings.Contains(r.URL, "/data/") || strings.HasSuffix(r.URL, "/site.json") {
			w.data += r.Bytes
		} else {
			w.code += r.Bytes
		}
		w.largest = max(w.largest, r.Bytes)
	}
	return w
}

// search types into the search of a table.
func search(p *browser.Page) error {
	keys, err := browser.Evaluate[[]float64](p, `(async () => {
		const input = document.querySelector("input[type=search]"), times = [];
		for (const word of ["d", "da", "dat", "data", "dataset-09", "zz", ""]) {
			const start = performance.now();
			input.value = word;
			input.dispatchEvent(new Event("input", { bubbles: true }));
			await new Promise((done) => setTimeout(done));
			times.push(performance.now() - start);
		}
		return times;
	})()`)
	if err != nil {
		return err
	}
	worst := 0.0
	for _, ms := range keys {
		worst = max(worst, ms)
	}
	fmt.Printf("    the slowest of %d keys of a search: %.0f ms%s\n", len(keys), worst, missed(worst > 30))
	return nil
}

// lateFrame is the time in ms of a frame that is late on a screen with 60 of them in a second.
const lateFrame = 34

// scroll scrolls through a document, 100 pixels a frame.
func scroll(p *browser.Page) error {
	frames, err := browser.Evaluate[[]float64](p, `new Promise((done) => {
		const times = [];
		let last = performance.now(), y = 0;
		const frame = (now) => {
			times.push(now - last);
			last = now;
			if (times.length === 242) return done(times.slice(2));
			scrollTo(0, y += 100);
			requestAnimationFrame(frame);
		};
		requestAnimationFrame(frame);
	})`)
	if err != nil {
		return err
	}
	late := 0
	for _, ms := range frames {
		if ms > lateFrame {
			late++
		}
	}
	fmt.Printf("    frames that were late while scrolling: %d of %d\n", late, len(frames))
	return nil
}
