package sliding_test

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/sliding"
	"surprisal.dev/runner/action/windows"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/site/sitetest"
)

// The page has the statistics, the windows, a strip that summarizes the characters, and the text in parts.
func TestPage(t *testing.T) {
	long := strings.Repeat("a quiet harbor, ünder the lamp ", 300)
	l := lab(t, []string{long, "zyzzyva and more of it, for one window at least"}, "{}")
	l.Section("sliding", entry(windows.Slicing{CursorUnit: windows.UnitCharacters, SliceLength: 40, CursorInc: 7, ChunkTokens: 12, PromptTokens: 6, TopK: 5}, nil))
	p := l.MustRun()
	s := l.Site(p, action.TextAll)
	e := s.Entry("test/sliding/s m texts")
	var got sliding.Statistics
	s.JSON(e.Files["details"].Path, &got)
	if want := actiontest.JSON[sliding.Statistics](l, p, "sliding s m texts", "statistics.json"); got.Windows != want.Windows || got.MaxLogP != want.MaxLogP || len(got.Passages) != len(want.Passages) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n := len(sitetest.Rows[artifact.Window](s, e.Files["windows"])); int64(n) != got.Windows {
		t.Errorf("got %d windows, want %d", n, got.Windows)
	}
	type part struct {
		Document int64    `parquet:"document"`
		Start    int64    `parquet:"start"`
		End      int64    `parquet:"end"`
		LogP     *float64 `parquet:"log_p,optional"`
	}
	strip, characters := sitetest.Rows[part](s, e.Files["strip"]), sitetest.Rows[artifact.CharacterMax](s, e.Files["characters"])
	if len(strip) <= 2048 || int64(len(characters)) != got.Characters {
		t.Fatalf("got %d parts of the strip and %d characters of %d", len(strip), len(characters), got.Characters)
	}
	for _, of := range strip {
		most := math.Inf(-1)
		for _, c := range characters {
			if c.Document == of.Document && c.Character >= of.Start && c.Character < of.End {
				most = max(most, c.LogP)
			}
		}
		if of.LogP == nil && !math.IsInf(most, -1) || of.LogP != nil && *of.LogP != most {
			t.Errorf("part %+v: the largest of its characters is %v", of, most)
		}
	}
	type text struct {
		Document int64  `parquet:"document"`
		Start    int64  `parquet:"start"`
		Text     string `parquet:"text"`
	}
	texts := map[int64]string{}
	for _, of := range sitetest.Rows[text](s, e.Files["text"]) {
		if n := int64(utf8.RuneCountInString(texts[of.Document])); n != of.Start || len([]rune(of.Text)) > 4096 {
			t.Errorf("a part of text %d begins at %d, after %d characters", of.Document, of.Start, n)
		}
		texts[of.Document] += of.Text
	}
	if texts[0] != long || !strings.HasPrefix(texts[1], "zyzzyva") || len(texts) != 2 {
		t.Errorf("got %d texts, the first of %d bytes", len(texts), len(texts[0]))
	}
	none := l.Site(p, action.TextNone)
	if found := none.Leaks("zyzzyva", "harbor", "quiet"); len(found) > 0 {
		t.Errorf("found %q", found)
	}
	if _, ok := l.Site(p, action.TextSampled).Entry("test/sliding/s m texts").Files["text"]; ok {
		t.Error("with sampled text there are whole texts")
	}
}
