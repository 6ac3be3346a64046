// Command site takes pictures of the pages of a site: of each kind of page, light and dark, on a phone and on a small and a
// large screen. OUT/index.html shows all of them.
//
//	go run ./docs/picture/site [-only WORD] [-all] [-window] SITE OUT
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"surprisal.dev/runner/site/browser"
)

func main() {
	var c camera
	flag.StringVar(&c.only, "only", "", "take only pictures whose names contain this")
	flag.BoolVar(&c.all, "all", false, "take all pages, not only two of each kind in an experiment")
	flag.BoolVar(&c.window, "window", false, "take what a window shows, not whole pages")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./docs/picture/site [-only WORD] [-all] [-window] SITE OUT")
		os.Exit(2)
	}
	c.out = flag.Arg(1)
	if err := c.take(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

// view is a page of the site, and what is done on it before the picture.
type view struct{ name, path, script string }

// camera takes pictures of a site.
type camera struct {
	only, out   string
	all, window bool

	page *browser.Page
	url  string
}

var widths = []int64{390, 1280, 2560}

// perKind is the number of pages of a kind in an experiment: the others look like these.
const perKind = 2

func (c *camera) take(site string) error {
	server := httptest.NewServer(http.FileServer(http.Dir(site)))
	defer server.Close()
	c.url = server.URL + "/"
	b, err := browser.Start(context.Background())
	if err != nil {
		return err
	}
	defer b.Close()
	if c.page, err = b.Open(browser.Screen{Width: 1280, Height: 900}); err != nil {
		return err
	}
	defer c.page.Close()
	views, err := c.discover()
	if err != nil {
		return err
	}
	var names []string
	for _, v := range views {
		for _, width := range widths {
			for _, dark := range []bool{false, true} {
				name := fmt.Sprintf("%s-%d-%s.png", v.name, width, map[bool]string{false: "light", true: "dark"}[dark])
				if !strings.Contains(name, c.only) {
					continue
				}
				if err := c.picture(v, browser.Screen{Width: width, Height: 900, Dark: dark}, filepath.Join(c.out, name)); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				names = append(names, name)
			}
		}
	}
	return c.index(names)
}

func (c *camera) picture(v view, s browser.Screen, path string) error {
	p := c.page
	if err := errors.Join(p.Show(s), p.Go(c.url+v.path)); err != nil {
		return err
	}
	if v.script != "" {
		if err := errors.Join(p.Do(v.script), p.Settle()); err != nil {
			return err
		}
	}
	take := p.WholePicture
	if c.window {
		take = p.Picture
	}
	png, err := take()
	if err != nil {
		return err
	}
	if problems := p.Problems(); len(problems) > 0 {
		return fmt.Errorf("the page has problems: %s", strings.Join(problems, "\n"))
	}
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, png, 0o644))
}

var contacts = template.Must(template.New("index").Parse(`<!doctype html>
<meta charset="utf-8">
<title>Pages of the site</title>
<style>
  body { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; background: #777; color: #fff; font: 14px sans-serif; }
  a { color: inherit; } img { width: 100%; height: 22rem; object-fit: cover; object-position: top; display: block; }
</style>
{{range .}}<a href="{{.}}"><img src="{{.}}" alt="" loading="lazy">{{.}}</a>
{{end}}`))

// index writes a page with all pictures.
func (c *camera) index(names []string) (err error) {
	f, err := os.Create(filepath.Join(c.out, "index.html"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return contacts.Execute(f, names)
}

// discover returns the views of a site: the overview, each tab of the entries, and a document of each gap.
func (c *camera) discover() ([]view, error) {
	if err := c.page.Go(c.url); err != nil {
		return nil, err
	}
	views := []view{{name: "overview"}}
	pages, err := browser.Evaluate[[]string](c.page, `[...document.querySelectorAll(".contents nav a")].map(a => a.getAttribute("href")).slice(1)`)
	if err != nil {
		return nil, err
	}
	seen := map[string]int{}
	for _, page := range pages {
		kind := strings.Join(strings.SplitN(page, "/", 4)[:3], "/")
		if seen[kind]++; seen[kind] > perKind && !c.all {
			continue
		}
		of, err := c.tabs(page)
		if err != nil {
			return nil, err
		}
		views = append(views, of...)
	}
	return views, nil
}

// tabs returns the views of an entry.
func (c *camera) tabs(page string) ([]view, error) {
	if err := c.page.Go(c.url + page); err != nil {
		return nil, err
	}
	tabs, err := browser.Evaluate[[]string](c.page, `[...document.querySelectorAll(".tabs a")].map(a => a.getAttribute("href"))`)
	if err != nil {
		return nil, err
	}
	if len(tabs) == 0 {
		tabs = []string{page}
	}
	var views []view
	for _, tab := range tabs {
		views = append(views, view{name: nameOf(tab), path: tab})
		if !strings.Contains(tab, "/gap/") || !strings.HasSuffix(tab, "/documents") {
			continue
		}
		document, err := documentOf(c.page, c.url+tab)
		if err != nil {
			return nil, err
		}
		if document != "" {
			views = append(views, view{nameOf(tab) + "-text", document, `
				dispatchEvent(new KeyboardEvent("keydown", { key: "n" }));
				await new Promise((done) => setTimeout(done, 500));
				if (innerWidth > 900) scrollTo(0, 0);
				await new Promise((done) => setTimeout(done, 500));`})
		}
	}
	return views, nil
}

// nameOf returns the name of a picture of an address within the site.
func nameOf(address string) string {
	name := strings.TrimPrefix(address, "#/")
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	return strings.NewReplacer("/", "-", " ", "-").Replace(name)
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
