// Package browser drives a real Chromium: the tests and the pictures of the site use it.
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// names are the names of the program in distributions.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// Browser is a running Chromium without a window.
type Browser struct {
	context context.Context
	close   context.CancelFunc
}

// Start starts the Chromium of this machine.
func Start(ctx context.Context) (*Browser, error) {
	path, err := find()
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		// The sandbox does not work for root; the pages are ours.
		chromedp.Flag("no-sandbox", os.Geteuid() == 0),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("force-color-profile", "srgb"),
		chromedp.WSURLReadTimeout(time.Minute),
	)
	allocator, stop := chromedp.NewExecAllocator(ctx, options...)
	first, closeFirst := chromedp.NewContext(allocator)
	if err := chromedp.Do(first); err != nil {
		stop()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Browser{first, func() { closeFirst(); stop() }}, nil
}

func find() (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Chromium found: install it, in Debian and Ubuntu with apt-get install chromium")
}

// Close ends the browser.
func (b *Browser) Close() { b.close() }

// Page is a tab of the browser.
type Page struct {
	context context.Context
	// Close closes the tab.
	Close context.CancelFunc

	scheme, media string

	mutex    sync.Mutex
	problems []string
	requests []Request
	byID     map[network.RequestID]int
}

// Request is a request that a page made.
type Request struct {
	URL string
	// Range is the part that was asked for, and Status the answer's.
	Range  string
	Status int64
	// Bytes counts what the server sent, with headers.
	Bytes float64
}

// Screen is how a page is shown.
type Screen struct {
	Width, Height int64
	Dark          bool
	// Scale is the number of pixels of a picture for one of the page.
	Scale float64
}

// Open opens a tab.
func (b *Browser) Open(s Screen) (*Page, error) {
	tab, cancel := chromedp.NewContext(b.context)
	p := &Page{context: tab, Close: cancel, byID: map[network.RequestID]int{}}
	err := chromedp.Listen(tab, p.hear)
	if err == nil {
		_, err = chromedp.Call(tab, runtime.Enable, cdp.Empty{})
	}
	if err == nil {
		_, err = chromedp.Call(tab, log.Enable, cdp.Empty{})
	}
	if err == nil {
		_, err = chromedp.Call(tab, network.Enable, network.EnableParams{})
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return p, p.Show(s)
}

// Show changes how the page is shown.
func (p *Page) Show(s Screen) error {
	p.scheme = "light"
	if s.Dark {
		p.scheme = "dark"
	}
	if s.Scale == 0 {
		s.Scale = 1
	}
	_, err := chromedp.Call(p.context, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: s.Width, Height: s.Height, DeviceScaleFactor: s.Scale, Mobile: s.Width < 600,
	})
	if err != nil {
		return err
	}
	return p.emulate()
}

// Paper shows a page as it is printed, or again as on a screen. It keeps the colors of the screen.
func (p *Page) Paper(is bool) error {
	p.media = ""
	if is {
		p.media = "print"
	}
	return p.emulate()
}

// emulate sets the medium and the colors that the page is told.
func (p *Page) emulate() error {
	_, err := chromedp.Call(p.context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media:    p.media,
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: p.scheme}},
	})
	return err
}

// PDF prints the page.
func (p *Page) PDF() ([]byte, error) {
	ctx, cancel := context.WithTimeout(p.context, 3*patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.PrintToPDF(chromedp.PDFPreferCSSPageSize()))
}

// hear collects requests and what the browser complains of.
func (p *Page) hear(event any) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.problems = append(p.problems, text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			text, _ := json.Marshal(e.Args) // The arguments came as JSON.
			p.problems = append(p.problems, "console: "+string(text))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			p.problems = append(p.problems, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *network.EventRequestWillBeSent:
		part, _ := e.Request.Headers["Range"].(string)
		p.byID[e.RequestID] = len(p.requests)
		p.requests = append(p.requests, Request{URL: e.Request.URL, Range: part})
	case *network.EventResponseReceived:
		if i, ok := p.byID[e.RequestID]; ok {
			p.requests[i].Status = e.Response.Status
		}
	case *network.EventLoadingFinished:
		if i, ok := p.byID[e.RequestID]; ok {
			p.requests[i].Bytes = e.EncodedDataLength
		}
	}
}

// Problems returns the errors and warnings so far, such as violations of the Content-Security-Policy, and forgets them.
func (p *Page) Problems() []string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	all := p.problems
	p.problems = nil
	return all
}

// Requests returns the requests so far, and forgets them.
func (p *Page) Requests() []Request {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	all := p.requests
	p.requests, p.byID = nil, map[network.RequestID]int{}
	return all
}

const patience = 20 * time.Second

func (p *Page) do(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(p.context, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// Evaluate returns the value of a JavaScript expression, of its promise if it is one.
func Evaluate[T any](p *Page, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(p.context, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		return v, fmt.Errorf("%s: %w", expression, err)
	}
	return v, nil
}

// Go opens an address and waits until the page shows its content.
func (p *Page) Go(url string) error {
	// The address of an open page may differ after # only, which would not load it again.
	if err := p.do(chromedp.Navigate("about:blank"), chromedp.Navigate(url)); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return p.Settle()
}

// Settle waits until nothing is being loaded.
func (p *Page) Settle() error {
	return p.Wait(`document.querySelector("main, .notice") !== null && document.querySelector(".loading") === null`)
}

// Wait waits until a JavaScript expression is true.
func (p *Page) Wait(condition string) error {
	script := fmt.Sprintf(`new Promise((done) => {
		const look = () => { let is = false; try { is = %s } catch { /* not yet */ } is ? done(true) : setTimeout(look, 15) };
		requestAnimationFrame(() => requestAnimationFrame(look));
	})`, condition)
	if _, err := Evaluate[bool](p, script); err != nil {
		text, _ := Evaluate[string](p, `document.body.innerText.slice(0, 600)`) // Only to explain the error.
		return fmt.Errorf("not within %v: %s: %w\nthe page shows: %s", patience, condition, err, text)
	}
	return nil
}

// Do runs JavaScript.
func (p *Page) Do(script string) error {
	_, err := Evaluate[bool](p, "(async () => {"+script+"})().then(() => true)")
	return err
}

// Press types keys, such as "n" or kb.Enter.
func (p *Page) Press(keys string) error { return p.do(chromedp.KeyEvent(keys)) }

// Type types text into an input, one key at a time.
func (p *Page) Type(selector, text string) error {
	return p.do(chromedp.Focus(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Click clicks the first element that matches a selector.
func (p *Page) Click(selector string) error {
	if err := p.do(chromedp.Click(chromedp.CSS(selector))); err != nil {
		return fmt.Errorf("click %s: %w", selector, err)
	}
	return nil
}

// PointAt moves the mouse to the middle of what a JavaScript expression gives: an element or a range of text.
func (p *Page) PointAt(expression string) error {
	at, err := Evaluate[[2]float64](p, `(() => {
		const r = `+expression+`.getClientRects()[0];
		return [r.x + r.width / 2, r.y + r.height / 2];
	})()`)
	if err != nil {
		return err
	}
	return p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1]))
}

// Picture returns a PNG of the window.
func (p *Page) Picture() ([]byte, error) {
	ctx, cancel := context.WithTimeout(p.context, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}

// tallest is the height up to which a picture shows a whole page.
const tallest = 6000

// WholePicture returns a PNG of the page from its top to its bottom, or to a height of 6,000.
func (p *Page) WholePicture() ([]byte, error) {
	size, err := Evaluate[[2]float64](p, `(scrollTo(0, 0), [innerWidth, document.scrollingElement.scrollHeight])`)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(p.context, patience)
	defer cancel()
	beyond := true
	shot, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: &beyond,
		Clip:                  &page.Viewport{Width: size[0], Height: min(size[1], tallest), Scale: 1},
	})
	return shot.Data, err
}
