package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
)

func TestCandidates(t *testing.T) {
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("name%04d", i)
	}
	for _, test := range []struct {
		missing string
		names   []string
		want    string
	}{
		{"x", nil, "none"},
		{"text", []string{"id", "body", "id"}, `"body", "id"`},
		{"body", []string{"b", "boody", "a"}, `"boody", "b", "a"; did you mean "boody"?`},
		{"abc", []string{"abd"}, `"abd"; did you mean "abd"?`},
		{"abc", []string{"ade"}, `"ade"`},
		{"ab", []string{"ac"}, `"ac"`},
		{"abcdefghi", []string{"abcdefxyi"}, `"abcdefxyi"; did you mean "abcdefxyi"?`},
		{"abcdefghi", []string{"abcdwxyhi"}, `"abcdwxyhi"`},
		{"text", []string{"text", "tex"}, `"text", "tex"`},
		{"text", []string{"tex", "TEXT"}, `"TEXT", "tex"; did you mean "TEXT"?`},
		{"zzzz", []string{"h", "g", "f", "e", "d", "c", "b", "a"}, `"a", "b", "c", "d", "e", "f", "g", "h"`},
		{"zzzz", []string{"i", "h", "g", "f", "e", "d", "c", "b", "a"}, `"a", "b", "c", "d", "e", "f", "g", "h" and 1 more`},
		{"name0500", many, `"name0000", "name0001", "name0002", "name0003", "name0004", "name0005", "name0006", "name0007" and 993 more`},
		{"Name0500", many[:1000], `"name0500", "name0000", "name0100", "name0200", "name0300", "name0400", "name0501", "name0502" and 992 more; did you mean "name0500"?`},
		{"x", []string{strings.Repeat("y", nameBytes), strings.Repeat("z", nameBytes+1)},
			fmt.Sprintf("%q, %q", strings.Repeat("y", nameBytes), strings.Repeat("z", nameBytes)+"…")},
	} {
		given := slices.Clone(test.names)
		if got := Candidates(test.missing, test.names); got != test.want {
			t.Errorf("%q among %.100q: got %s, want %s", test.missing, test.names, got, test.want)
		}
		if !slices.Equal(given, test.names) {
			t.Errorf("the names are now %.100q", test.names)
		}
	}
	if got := advise(`"a"`, "check it"); got != `"a"; check it` {
		t.Errorf("advised %s", got)
	}
	if got := advise(`"a"; did you mean "a"?`, "check it"); got != `"a"; did you mean "a"?` {
		t.Errorf("advised %s", got)
	}
}

func TestDistance(t *testing.T) {
	long := strings.Repeat("x", nameBytes)
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"sitting", "kitten", 3}, {"abc", "abc", 0}, {"abc", "bc", 1},
		{"abc", "acb", 2}, {"abcd", "abxcd", 1}, {long + "a", long + "b", 0}, {long[1:] + "a", long[1:] + "b", 1},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%q and %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestSplitField(t *testing.T) {
	for field, want := range map[string][]string{
		"a": {"a"}, "a.b.c": {"a", "b", "c"}, `a\.b.c`: {"a.b", "c"}, `\a.b`: {"a", "b"}, `a\\.b`: {`a\`, "b"}, `a\`: {`a\`}, "é.ü": {"é", "ü"},
		"": nil, ".": nil, "a..b": nil, "a.": nil, ".a": nil,
	} {
		got, err := SplitField(field)
		if want == nil {
			if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), fmt.Sprintf("field %q has an empty name", field)) {
				t.Errorf("%q: found %q, %v", field, got, err)
			}
		} else if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v; want %q", field, got, err, want)
		}
	}
}

// Lines are split the same way, whether they fit into one read or not, and lines that are too long are counted.
func TestLines(t *testing.T) {
	const read = 1 << 20 // the size of the reader's buffer
	line := func(n int) string { return strings.Repeat("x", n) }
	for _, test := range []struct {
		name, text string
		most       int
		want       []string
	}{
		{"empty", "", 5, nil},
		{"ends", "a\nb\r\nc\rd\n\n\r\ne", 5, []string{`1 1 "\n"`, `2 1 "\r\n"`, `3 3 "\n"`, `4 0 "\n"`, `5 0 "\r\n"`, `6 1 ""`}},
		{"as long as may be", "12345\n12345\r\n12345", 5, []string{`1 5 "\n"`, `2 5 "\r\n"`, `3 5 ""`}},
		{"longer", "123456\n1\n123456\r\n12345\r", 5, []string{"1 long", `2 1 "\n"`, "3 long", "4 long"}},
		{"one read", line(read-1) + "\n" + line(read) + "\nb", 2 * read, []string{fmt.Sprintf(`1 %d "\n"`, read-1), fmt.Sprintf(`2 %d "\n"`, read), `3 1 ""`}},
		{"two reads", line(2*read) + "\r\n" + line(2*read) + "\nb", 2 * read, []string{fmt.Sprintf(`1 %d "\r\n"`, 2*read), fmt.Sprintf(`2 %d "\n"`, 2*read), `3 1 ""`}},
		{"two reads at the end", line(2 * read), 2 * read, []string{fmt.Sprintf(`1 %d ""`, 2*read)}},
		{"two reads, longer", line(2*read+1) + "\r\nb\n" + line(2*read+1), 2 * read, []string{"1 long", `2 1 "\n"`, "3 long"}},
		{"many reads, longer", line(5*read) + "\nb", read, []string{"1 long", `2 1 ""`}},
	} {
		var got []string
		lines := NewLines(strings.NewReader(test.text), test.most)
		for {
			l, err := lines.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if l.Long {
				if l.Text != nil {
					t.Errorf("%s: a line that is too long has %d bytes", test.name, len(l.Text))
				}
				got = append(got, fmt.Sprint(l.Number, " long"))
				continue
			}
			got = append(got, fmt.Sprintf("%d %d %q", l.Number, len(l.Text), l.End))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	errBroken := errors.New("broken")
	lines := NewLines(io.MultiReader(strings.NewReader("a\nhalf"), broken{errBroken}), 9)
	first, err := lines.Next()
	if err != nil || !bytes.Equal(first.Text, []byte("a")) {
		t.Errorf("found %q, %v", first.Text, err)
	}
	if half, err := lines.Next(); !errors.Is(err, errBroken) || half.Text != nil {
		t.Errorf("found %q, %v", half.Text, err)
	}
	// A premature end within the data is damage, even if it looks like the end.
	lines = NewLines(broken{fmt.Errorf("cut: %w", io.EOF)}, 9)
	if _, err := lines.Next(); err == nil || err.Error() != "cut: EOF" {
		t.Errorf("found %v", err)
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
