package spec

import (
	"fmt"
	"strings"
	"testing"
)

func TestCheckNames(t *testing.T) {
	long := strings.Repeat("x", 201)
	tests := []struct {
		names []string
		want  []string
	}{
		{[]string{"g", "g2", "g.2", "h/g", "h/g2", "g", "all/a-vs-b@order=2,floor=0.1"}, nil},
		{[]string{"g/report.md", "g"}, []string{`the directory of the gap "g/report.md" would be inside that of "g"`}},
		{[]string{"a", "a/b/c"}, []string{`the directory of the gap "a/b/c" would be inside that of "a"`}},
		{[]string{"m/a@path=../../x-vs-b"}, []string{`it has the element ".."`}},
		{[]string{"m/a@path=/x", "."}, []string{`it has the element "."`}},
		{[]string{"m/.../x"}, []string{`it has the element "..."`}},
		{[]string{"m//x"}, []string{`it has the element ""`}},
		{[]string{"/etc"}, []string{`it has the element ""`}},
		{[]string{"m/a\nb"}, []string{"does not print"}},
		{[]string{"m/" + long}, []string{"has 201 bytes"}},
		{[]string{long[1:] + "/" + long[1:]}, nil},
		{[]string{`m/a\b`}, []string{"has a backslash or a character"}},
		{[]string{"a", "a/b", "a/b/c"}, []string{`"a/b" would be inside that of "a"`, `"a/b/c" would be inside that of "a"`, `"a/b/c" would be inside that of "a/b"`}},
	}
	for _, test := range tests {
		var all []Named
		for _, name := range test.names {
			all = append(all, Named{Name: name})
		}
		var got []string
		checkNames("gap", all, func(_ Node, format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) })
		if len(got) != len(test.want) {
			t.Errorf("%q: found %v; want %q", test.names, got, test.want)
			continue
		}
		for i, want := range test.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%q: found %v; want %s", test.names, got[i], want)
			}
		}
	}
}

func TestIdentifier(t *testing.T) {
	for _, name := range []string{"true", "string", "len", "2026"} {
		if id := identifier(name); id != "experiment_"+name {
			t.Errorf("the package of %s is %s", name, id)
		}
	}
}
