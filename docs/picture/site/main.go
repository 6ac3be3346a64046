// Command site takes pictures of the pages of a site.
//
//	go run ./docs/picture/site [-only WORD] SITE OUT
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"surprisal.dev/runner/site/browser"
)

func main() {
	only := flag.String("only", "", "take only pictures whose names contain this")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./docs/picture/site [-only WORD] SITE OUT")
		os.Exit(2)
	}
	if err := take(flag.Arg(0), flag.Arg(1), *only); err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

// view is a page of the site, and what is done on it before the picture.
type view struct{ name, path, script string }

var widths = []int64{390, 1280, 2560}

func take(site, out, only string) error {
	server := httptest.NewServer(http.FileServer(http.Dir(site)))
	defer server.Close()
	url := server.URL + "/"
	b, err := browser.Start(context.Background())
	if err != nil {
		return err
	}
	defer b.Close()
	p, err := b.Open(browser.Screen{Width: 1280, Height: 900})
	if err != nil {
		return err
	}
	defer p.Close()
	views, err := discover(p, url)
	if err != nil {
		return err
	}
	for _, v := range views {
		for _, width := range widths {
			for _, dark := range []bool{false, true} {
				name := fmt.Sprintf("%s-%d-%s.png", v.name, width, map[bool]string{false: "light", true: "dark"}[dark])
				if !strings.Contains(name, only) {
					continue
				}
				if err := picture(p, url, v, browser.Screen{Width: width, Height: 900, Dark: dark}, filepath.Join(out, name)); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	return nil
}

func picture(p *browser.Page, url string, v view, s browser.Screen, path string) error {
	if err := errors.Join(p.Show(s), p.Go(url+v.path)); err != nil {
		return err
	}
	if v.script != "" {
		if err := errors.Join(p.Do(v.script), p.Settle()); err != nil {
			return err
		}
	}
	png, err := p.Picture()
	if err != nil {
		return err
	}
	if problems := p.Problems(); len(problems) > 0 {
		return fmt.Errorf("the page has problems: %s", strings.Join(problems, "\n"))
	}
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, png, 0o644))
}

// discover returns the views of a site: the overview, each tab of each entry, and a document of each gap.
func discover(p *browser.Page, url string) ([]view, error) {
	if err := p.Go(url); err != nil {
		return nil, err
	}
	views := []view{{name: "overview"}}
	pages, err := browser.Evaluate[[]string](p, `[...document.querySelectorAll(".contents nav a")].map(a => a.getAttribute("href")).slice(1)`)
	if err != nil {
		return nil, err
	}
	for _, page := range pages {
		if err := p.Go(url + page); err != nil {
			return nil, err
		}
		tabs, err := browser.Evaluate[[]string](p, `[...document.querySelectorAll(".tabs a")].map(a => a.getAttribute("href"))`)
		if err != nil {
			return nil, err
		}
		if len(tabs) == 0 {
			tabs = []string{page}
		}
		for _, tab := range tabs {
			views = append(views, view{name: strings.ReplaceAll(strings.TrimPrefix(tab, "#/"), "/", "-"), path: tab})
			if !strings.HasSuffix(tab, "/documents") {
				continue
			}
			document, err := documentOf(p, url+tab)
			if err != nil {
				return nil, err
			}
			if document != "" {
				views = append(views, view{strings.ReplaceAll(strings.TrimPrefix(tab, "#/"), "/", "-") + "-text", document, `
					dispatchEvent(new KeyboardEvent("keydown", { key: "n" }));
					await new Promise((done) => setTimeout(done, 500));
					if (innerWidth > 900) scrollTo(0, 0);
					await new Promise((done) => setTimeout(done, 500));`})
			}
		}
	}
	return views, nil
}

// documentOf returns the address of a document of a gap: of the book, if the gap has it. It returns "" if there is none.
func documentOf(p *browser.Page, documents string) (document string, err error) {
	for _, address := range []string{documents + "?dataset=books%2Fopticks", documents} {
		if err := p.Go(address); err != nil {
			return "", err
		}
		document, err = browser.Evaluate[string](p, `document.querySelector("tbody a")?.getAttribute("href") ?? ""`)
		if document != "" || err != nil {
			return document, err
		}
	}
	return "", nil
}
