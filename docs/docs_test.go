// Package docs_test runs the commands and specs of the documentation as they are written, and compares what they print.
package docs_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"surprisal.dev/plugins/hub/hubtest"
)

var update = flag.Bool("update", false, "write what the commands print into the pages")

// Each page is tested in an empty directory, from top to bottom:
//
//   - a code block with a language and a file's name writes that file;
//   - a block in the language console holds commands after "$ ", and below each its standard output; where it fails also
//     its standard error and its exit code. A line of three dots stands for any lines. A block that also has the word torch or python runs
//     where that is (see the variables below);
//   - an HTML comment that begins with "run:" holds commands that a reader needs not see;
//   - a block in the language sh holds commands that no test can run; unrun says why.
//
// Other blocks may hold anything but CUE: a spec is a file.
func TestPages(t *testing.T) {
	t.Parallel()
	bin := build(t)
	for _, page := range pages(t) {
		t.Run(strings.TrimPrefix(page, "../"), func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			r := &reader{t: t, page: page, dir: filepath.Join(t.TempDir(), "mine"), bin: bin, source: source}
			if page == "hub.md" {
				r.environment = serveHub(t)
			}
			if err := os.Mkdir(r.dir, 0o755); err != nil {
				t.Fatal(err)
			}
			r.read()
			if *update && !bytes.Equal(r.source, source) {
				if err := os.WriteFile(page, r.source, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// serveHub starts a hub with a few datasets, and returns the settings of its clients.
func serveHub(t *testing.T) []string {
	t.Helper()
	s := hubtest.New()
	t.Cleanup(s.Close)
	if err := s.AddFS(os.DirFS("testdata/hub")); err != nil {
		t.Fatal(err)
	}
	return []string{"HF_ENDPOINT=" + s.URL, "HF_HOME=" + t.TempDir(), "HF_TOKEN=", "HF_HUB_CACHE=", "HF_HUB_OFFLINE=", "HF_TOKEN_PATH="}
}

// Links lead to files that are there.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		source, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		document := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
		err = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			link, ok := n.(*ast.Link)
			if !ok || !entering || strings.Contains(string(link.Destination), "://") {
				return ast.WalkContinue, nil
			}
			path, anchor, _ := strings.Cut(string(link.Destination), "#")
			target := filepath.Join(filepath.Dir(page), path)
			if path == "" {
				target = page
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s: %v", page, link.Destination, err)
			} else if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s: the link %s: the page has no such heading", page, link.Destination)
			}
			return ast.WalkContinue, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// anchors returns the identifiers of a page's headings.
func anchors(t *testing.T, page string) (all []string) {
	t.Helper()
	source, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	document := goldmark.New(goldmark.WithParserOptions(parser.WithAutoHeadingID())).Parser().Parse(text.NewReader(source))
	for n := document.FirstChild(); n != nil; n = n.NextSibling() {
		if id, ok := n.AttributeString("id"); ok && n.Kind() == ast.KindHeading {
			all = append(all, string(id.([]byte)))
		}
	}
	return all
}

// pages returns the paths of README and of all pages.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	nested, err := filepath.Glob("*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat([]string{"../README.md"}, found, nested)
}

// build returns the directory of a runner.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "runner"), "../runner").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// reader does what a page shows.
type reader struct {
	t              *testing.T
	page, dir, bin string
	source         []byte
	// environment has further variables of the commands.
	environment []string
	// moved is by how many bytes updates moved what follows.
	moved int
}

func (r *reader) read() {
	r.t.Helper()
	document := goldmark.DefaultParser().Parse(text.NewReader(r.source))
	source := slices.Clone(r.source)
	err := ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.FencedCodeBlock:
			r.block(n, source)
		case *ast.HTMLBlock:
			comment := string(n.Lines().Value(source))
			if commands, ok := strings.CutPrefix(comment, "<!-- run:"); ok {
				commands, _, _ = strings.Cut(commands, "-->")
				r.command(commands)
			}
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *reader) block(n *ast.FencedCodeBlock, source []byte) {
	r.t.Helper()
	var info []string
	if n.Info != nil {
		info = strings.Fields(string(n.Info.Segment.Value(source)))
	}
	content := string(n.Lines().Value(source))
	switch {
	case len(info) == 0:
	case info[0] == "console":
		if slices.Contains(info, "torch") && os.Getenv(torchVariable) == "" || slices.Contains(info, "python") && os.Getenv(pythonVariable) == "" {
			return
		}
		r.console(content, n.Lines().At(0).Start)
	case info[0] == "sh":
		for line := range strings.Lines(content) {
			command, _, _ := strings.Cut(line, "#")
			if command = strings.TrimSpace(command); command != "" && unrun[command] == "" {
				r.t.Errorf("%s: no test runs %q; show it in a block of language console", r.page, command)
			}
		}
	case len(info) == 2:
		path := filepath.Join(r.dir, info[1])
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			r.t.Fatal(err)
		}
	case info[0] == "cue":
		r.t.Errorf("%s: a spec without a file's name is not tested:\n%s", r.page, content)
	}
}

// Blocks that have a word run where a variable is set.
const (
	// torchVariable names the directory of runner-backend-torch.
	torchVariable = "SURPRISAL_DOCS_TORCH"
	// pythonVariable names a directory with a python3 that has the packages of testdata/python.
	pythonVariable = "SURPRISAL_DOCS_PYTHON"
)

// unrun says why no test runs a command.
var unrun = map[string]string{
	`./just build`:                            "it builds what the test built",
	`./just torch`:                            "it builds what the recipe of the test built",
	`export PATH="$PWD/bin:$PATH"`:            "a command has no effect on the next one",
	`export SURPRISAL="$PWD"`:                 "the test sets it",
	`mkdir ../opticks && cd ../opticks`:       "the test is in an empty directory",
	`mkdir ../mine && cd ../mine`:             "the test is in an empty directory",
	`./just demo`:                             "continuous integration runs it",
	`./just test`:                             "it runs this test",
	`./just test-torch`:                       "it runs this test, of the pages that need the torch backend",
	`./just demo-torch`:                       "it takes minutes; the tutorial loads the same models",
	`./just test-models`:                      "it takes a quarter of an hour",
	`./just test-cuda DIR`:                    "it needs a GPU",
	`./just cuda-programs`:                    "its programs are for a machine with a GPU",
	`runner serve mine`:                       "it serves until it is interrupted; a test of the command does that",
	`rclone sync public bucket:results`:       "it needs a bucket",
	`git -C pages add . && git -C pages push`: "it needs a repository",
	`bin/runner doctor`:                       "what it prints depends on the machine",
}

// console runs the commands of a block, which begins at an offset of the page, and compares what they print.
func (r *reader) console(content string, at int) {
	r.t.Helper()
	var command, want strings.Builder
	var result strings.Builder
	flush := func() {
		if command.Len() == 0 {
			return
		}
		got := r.command(command.String())
		result.WriteString(got)
		if !*update && !same(want.String(), got) {
			r.t.Errorf("%s: %s(-page, +printed)\n%s", r.page, command.String(), cmp.Diff(settle(want.String()), settle(got)))
		}
		if *update && same(want.String(), got) {
			// What only varies stays as it is.
			kept := strings.TrimSuffix(result.String(), got) + want.String()
			result.Reset()
			result.WriteString(kept)
		}
		command.Reset()
		want.Reset()
	}
	continued := false
	for line := range strings.Lines(content) {
		switch next, isCommand := strings.CutPrefix(line, "$ "); {
		case isCommand:
			flush()
			command.WriteString(next)
			result.WriteString(line)
			continued = strings.HasSuffix(line, "\\\n")
		case continued:
			command.WriteString(line)
			result.WriteString(line)
			continued = strings.HasSuffix(line, "\\\n")
		default:
			want.WriteString(line)
		}
	}
	flush()
	if *update {
		from := at + r.moved
		r.source = slices.Concat(r.source[:from], []byte(result.String()), r.source[from+len(content):])
		r.moved += result.Len() - len(content)
	}
}

// home is what the pages call the directory that they are tested in.
const home = "/home/me/mine"

// command runs a command in the page's directory and returns what it prints.
func (r *reader) command(command string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "bash", "-c", command)
	cmd.Dir = r.dir
	root, err := filepath.Abs("..")
	if err != nil {
		r.t.Fatal(err)
	}
	path := r.bin + string(os.PathListSeparator) + os.Getenv("PATH")
	for _, variable := range []string{torchVariable, pythonVariable} {
		if dir := os.Getenv(variable); dir != "" {
			path = dir + string(os.PathListSeparator) + path
		}
	}
	cmd.Env = append(os.Environ(), "PATH="+path, "NO_COLOR=1", "SURPRISAL="+root)
	cmd.Env = append(cmd.Env, r.environment...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	printed := stdout.String()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		printed += fmt.Sprintf("%s(exit code %d)\n", &stderr, exit.ExitCode())
	} else if err != nil {
		r.t.Fatal(err)
	}
	return strings.ReplaceAll(printed, r.dir, home)
}

// varying is what differs from run to run, with what stands for it.
var varying = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b\d+(\.\d+)? ?(ms|s|min)\b`), "0 s"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`\b\d+ kB rehashed`), "0 kB rehashed"},
	{regexp.MustCompile(`\b\d{8}-\d{6}\.\d{3}-[0-9a-f]{8}\b`), "RUN"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "DIGEST"},
	{regexp.MustCompile(` {2,}`), "  "},
	// The memory of a score with the torch backend depends on the processor.
	{regexp.MustCompile(`(?m)^(\w+  score .*?)\b\d+\.\d GB`), "${1}0 GB"},
	{regexp.MustCompile(`(?m)^(failed  score .*: needs )\d+\.\d GiB`), "${1}0 GiB"},
}

func settle(s string) string {
	for _, v := range varying {
		s = v.pattern.ReplaceAllString(s, v.with)
	}
	return s
}

// same reports whether output is what a page shows, where a line of three dots stands for any lines.
func same(page, output string) bool {
	pattern := regexp.QuoteMeta(settle(page))
	pattern = strings.ReplaceAll("\n"+pattern, "\n"+regexp.QuoteMeta("...")+"\n", "\n(?s:.*)")
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString("\n" + settle(output))
}
