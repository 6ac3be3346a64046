package outliers_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/outliers"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/site/sitetest"
)

// The page has the report's numbers and tables, and no text.
func TestPage(t *testing.T) {
	l := newLab(t)
	l.Section("outliers", []outliers.Table{table("t", "small", "middle", "plain")})
	p := l.MustRun()
	s := l.Site(p, action.TextNone)
	e := s.Entry("test/outliers/t")
	var got outliers.Summary
	s.JSON(e.Files["details"].Path, &got)
	want := actiontest.JSON[outliers.Summary](l, p, "outliers t", artifact.SummaryFile)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	occurrences := int64(0)
	for _, r := range want.Rows {
		occurrences += r.Occurrences
	}
	if rows := sitetest.Rows[artifact.Outlier](s, e.Files["occurrences"]); int64(len(rows)) != occurrences || rows[0].Model != "middle" {
		t.Errorf("got %d occurrences, want %d", len(rows), occurrences)
	}
	if found := s.Leaks("ten bytes", "a document"); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}
