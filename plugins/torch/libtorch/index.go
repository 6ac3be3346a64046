package libtorch

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path"
	"regexp"
	"strings"
)

// defaultIndex is pip's default index.
const defaultIndex = "https://pypi.org/simple"

// find returns the URLs of wheels. The pages of pip's configured indexes identify them by their hash. If they do not,
// or if pip has other sources, find asks pip, which may have to download the wheels to answer.
func (i *Installer) find(ctx context.Context, wheels []wheel) ([]string, error) {
	i.Log("looking for torch in pip's index")
	urls, err := i.readIndexes(ctx, wheels)
	if err == nil || ctx.Err() != nil {
		return urls, ctx.Err()
	}
	i.Log(fmt.Sprintf("%v; asking pip, which may take as long as downloading it (%s)", err, size(wheels[0].size)))
	return i.askPip(ctx, wheels)
}

// readIndexes finds all wheels on the pages of indexes.
func (i *Installer) readIndexes(ctx context.Context, wheels []wheel) ([]string, error) {
	out, err := exec.CommandContext(ctx, i.Finder.Python, "-m", "pip", "config", "list", "--disable-pip-version-check").Output()
	if err != nil {
		return nil, fmt.Errorf("%s -m pip config list: %w", i.Finder.Python, err)
	}
	indexes, err := configured(string(out))
	if err != nil {
		return nil, err
	}
	urls := make([]string, len(wheels))
	for n, w := range wheels {
		for _, index := range indexes {
			if urls[n], err = i.readPage(ctx, index, w); urls[n] != "" {
				break
			}
		}
		if urls[n] == "" && err == nil {
			err = fmt.Errorf("no page of an index has %s", w.requirement())
		}
		if urls[n] == "" {
			return nil, err
		}
	}
	return urls, nil
}

var setting = regexp.MustCompile(`(?m)^(global|install|:env:)\.(index-url|extra-index-url|no-index)='(.*)'\s*$`)

// configured reads the indexes from the output of `pip config list`, which is sorted alphabetically.
func configured(settings string) ([]string, error) {
	index, extra := defaultIndex, ""
	found := setting.FindAllStringSubmatch(settings, -1)
	// Later sections of pip's configuration override earlier ones.
	for _, section := range []string{"global", "install", ":env:"} {
		for _, m := range found {
			switch {
			case m[1] != section:
			case m[2] == "index-url":
				index = m[3]
			case m[2] == "extra-index-url":
				extra = m[3]
			default:
				return nil, errors.New("pip is configured without an index")
			}
		}
	}
	// pip prints the spaces and line ends between several indexes either unchanged or escaped.
	return append([]string{index}, strings.Fields(strings.ReplaceAll(extra, `\n`, " "))...), nil
}

var link = regexp.MustCompile(`(?i)<a\s[^>]*href\s*=\s*["']([^"']+)["']`)

// readPage returns the URL of a wheel on an index's project page (PEP 503), or "" if it is not listed.
func (i *Installer) readPage(ctx context.Context, index string, w wheel) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, i.silence)
	defer cancel()
	page, err := url.Parse(strings.TrimSuffix(index, "/") + "/" + w.name + "/")
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "application/vnd.pypi.simple.v1+html, text/html;q=0.9")
	response, err := i.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: the server answered %s", page.Redacted(), response.Status)
	}
	const most = 64 << 20
	text, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err != nil {
		return "", fmt.Errorf("%s: %w", page.Redacted(), err)
	}
	for _, m := range link.FindAllSubmatch(text, -1) {
		target, err := response.Request.URL.Parse(html.UnescapeString(string(m[1])))
		if err != nil || target.Fragment != "sha256="+w.sha256 || path.Ext(target.Path) != ".whl" {
			continue
		}
		target.Fragment = ""
		if target.User == nil && target.Host == page.Host {
			target.User = page.User
		}
		return target.String(), nil
	}
	return "", nil
}
