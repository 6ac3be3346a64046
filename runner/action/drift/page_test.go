package drift_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/drift"
	"surprisal.dev/runner/artifact"
)

// The page has the report's numbers, and no text.
func TestPage(t *testing.T) {
	l := newLab(t, two)
	p := l.MustRun()
	s := l.Site(p, action.TextNone)
	var got drift.Summary
	s.JSON(s.Entry("test/drift/d").Files["details"].Path, &got)
	if diff := cmp.Diff(actiontest.JSON[drift.Summary](l, p, "drift d", artifact.SummaryFile), got); diff != "" {
		t.Error(diff)
	}
	if found := s.Leaks("unheard", "the cat"); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}
