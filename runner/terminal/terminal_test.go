package terminal_test

import (
	"slices"
	"strings"
	"testing"

	"surprisal.dev/runner/terminal"
)

// A column is as wide as its longest cell has characters, however many bytes these take.
func TestColumns(t *testing.T) {
	var b strings.Builder
	terminal.Columns(&b, [][]string{{"name", "documents", "note"}, {"é…≤", "≤10", "x"}, {"b", "-", ""}})
	want := "name  documents  note\né…≤   ≤10        x\nb     -\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// Numbers are right-aligned, empty cells among them, but for the first column and the head.
func TestAlignment(t *testing.T) {
	for want, rows := range map[string][][]string{
		"":       nil,
		"a  b\n": {{"a", "b"}},
		"\n":     {{}},
		"1      n  x    signed\n10  1000  1         5\n2     -1  b 2     +30\n3         -    -1,000\n": {
			{"1", "n", "x", "signed"}, {"10", "1000", "1", "5"}, {"2", "-1", "b 2", "+30"}, {"3", "", "-", "-1,000"},
		},
		"a  bcd\n   9e\n   x\n": {{"a", "bcd"}, {"", "9e"}, {"", "x"}},
	} {
		var b strings.Builder
		terminal.Columns(&b, rows)
		if b.String() != want {
			t.Errorf("got %q, want %q", b.String(), want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{terminal.Count(0, "document"), "0 documents"},
		{terminal.Count(1, "document"), "1 document"},
		{terminal.Count(int64(1234567), "byte"), "1,234,567 bytes"},
		{terminal.Size(0), "0 B"},
		{terminal.Size(-5), "0 B"},
		{terminal.Size(813_000), "813 kB"},
		{terminal.Duration(63.54), "1m3.5s"},
		{terminal.Duration(0.04), "0s"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

// Names are in the order in which people count; different names are never equal.
func TestCompare(t *testing.T) {
	names := []string{"a", "a1", "a01", "a2", "a10", "b"}
	slices.Reverse(names)
	slices.SortFunc(names, terminal.Compare)
	if got := strings.Join(names, " "); got != "a a01 a1 a2 a10 b" && got != "a a1 a01 a2 a10 b" {
		t.Errorf("got %s", got)
	}
	if terminal.Compare("a1", "a01") == 0 || terminal.Compare("a1", "a01") != -terminal.Compare("a01", "a1") || terminal.Compare("x", "x") != 0 {
		t.Error("names are not told apart")
	}
}

func TestFew(t *testing.T) {
	names := strings.Fields("a b c d e f g")
	for n, want := range map[int]string{0: "", 1: "a", 5: "a, b, c, d, e", 6: "a, b, c, d, e, f", 7: "a, b, c, d, e and 2 more"} {
		if got := terminal.Few(names[:n]); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
