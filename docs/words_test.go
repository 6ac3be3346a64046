package docs_test

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// rule forbids what matches pattern but does not match except.
type rule struct{ pattern, except, instead string }

// rules are the phrases that readers of the first documentation had to guess at.
var rules = []rule{
	{`\b(one|file|object|package|row|rows|test|entry|value|threads?|seconds|bits|nats|tokens|bytes) an? (byte|command|core|dataset|kind|line|rank|second|step|symbol|token|variant)\b`, ``, `"per"`},
	{`\b([Tt]here )?(is|are|was|were) no [a-z]+`, `(?i)^there |no (longer|more|less|fewer|need|way|such|other|one|doubt|default)\b`, `"is not a"`},
	{`\b[Mm]end(s|ed|ing)?\b`, ``, `"fix"`},
	{`\bin (other )?company\b`, ``, `"batch composition"`},
	{`\bbesides?\b`, ``, `"next to", "alongside", "in addition to"`},
	{`\b[Ff]olders?\b`, ``, `"directory"`},
	{`\bof (its|their|your|one's|his|ours|yours|my) own\b`, ``, `"its own", "separate"`},
	{`\b(is|are) there twice\b|\bfound twice\b`, ``, `"duplicate"`},
	{`\bwanted\b`, ``, `"expected"`},
	{`\b(goes|went|gone|going) on\b|\bgo on\b`, ``, `"continue", "resume"`},
	{`\bpassed over\b|\basks? no network\b`, ``, `"ignored", "does not access the network"`},
	{`\bnobody vouches\b|\bin the making\b|\bas good as none\b`, ``, `plain words`},
	{`(?i)\b(de)?(tokenis|quantis|materialis|normalis|optimis|initialis|serialis|synchronis)\w|(hon|col|behavi|neighb)our|\blicen[c]e\b|catalog[u]e`, ``, `American spelling`},
}

// TestWords checks the prose, the comments and the messages of the whole repository.
func TestWords(t *testing.T) {
	t.Parallel()
	type compiled struct {
		rule
		pattern, except *regexp.Regexp
	}
	var checks []compiled
	for _, r := range rules {
		c := compiled{rule: r, pattern: regexp.MustCompile(r.pattern)}
		if r.except != "" {
			c.except = regexp.MustCompile(r.except)
		}
		checks = append(checks, c)
	}
	for _, path := range written(t) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for n := 1; lines.Scan(); n++ {
			for _, c := range checks {
				for _, found := range c.pattern.FindAllString(lines.Text(), -1) {
					if c.except == nil || !c.except.MatchString(found) {
						t.Errorf("%s:%d: %q: write %s", strings.TrimPrefix(path, "../"), n, found, c.instead)
					}
				}
			}
		}
		if err := lines.Err(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// written returns the files of the repository that people wrote.
func written(t *testing.T) []string {
	t.Helper()
	kinds := []string{".go", ".md", ".cue", ".py", ".sh", ".proto", ".cpp", ".h", ".rs", ".ts", ".tsx", ".txtar", ".cff"}
	var files []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), "."), path == "../bin", d.Name() == "pluginpb", d.Name() == "node_modules", path == "../testdata/torch/golden":
			return fs.SkipDir
		case d.Type().IsRegular() && path != "../docs/words_test.go" && (slices.Contains(kinds, filepath.Ext(path)) || d.Name() == "justfile"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 300 {
		t.Fatalf("only %d files found", len(files))
	}
	return files
}

var sentenceEnd = regexp.MustCompile(`[.!?]["')]*(\s+|$)`)

// The sentences of the documentation are short: 18 words in the mean of a page, and at most 35.
func TestSentences(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		source, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		sentences, words := 0, 0
		for _, block := range prose(t, source) {
			for _, sentence := range sentenceEnd.Split(block, -1) {
				n := len(strings.Fields(sentence))
				if n == 0 {
					continue
				}
				sentences, words = sentences+1, words+n
				if n > 35 {
					t.Errorf("%s: a sentence of %d words: %s", page, n, sentence)
				}
			}
		}
		mean := float64(words) / float64(max(sentences, 1))
		t.Logf("%s: %.1f words in the mean sentence", page, mean)
		if mean > 18 {
			t.Errorf("%s: the mean sentence is longer than 18 words", page)
		}
	}
}

// prose returns the paragraphs and list items of a page without its code, tables and headings.
func prose(t *testing.T, source []byte) []string {
	t.Helper()
	document := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	var blocks []string
	err := ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n.Kind() {
		case ast.KindParagraph, ast.KindTextBlock:
		default:
			return ast.WalkContinue, nil
		}
		if !entering {
			return ast.WalkContinue, nil
		}
		var b strings.Builder
		for i := range n.Lines().Len() {
			line := n.Lines().At(i)
			b.Write(line.Value(source))
			b.WriteByte(' ')
		}
		blocks = append(blocks, b.String())
		return ast.WalkSkipChildren, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}
