package gap

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/runner/artifact"
)

// Of equal scores, a full list keeps the earliest.
func TestTopTies(t *testing.T) {
	list := top[string]{limit: 2}
	for _, name := range []string{"first", "second", "third"} {
		list.add(1, func() string { return name })
	}
	if want := []string{"first", "second"}; !slices.Equal(list.rows, want) {
		t.Errorf("got %q, want %q", list.rows, want)
	}
}

// A literal's example is the first of the occurrences that differ most, in either direction.
func TestLiteralExample(t *testing.T) {
	l := newLiterals(t.TempDir(), 10)
	for i, nats := range []float64{1, 2, -2, 2} {
		if err := l.add(&occurrence{bucket: bucketWord, text: "ab", lossA: nats, bytes: 2, order: int64(i), place: place{row: int64(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.each(func(found *literal) {
		if found.example.row != 1 || found.order != 0 || found.count != 4 {
			t.Errorf("got %+v, want the example of row 1", found)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// A literal has at most 32 bytes.
func TestLongestLiteral(t *testing.T) {
	longest, longer := strings.Repeat("x", 32), strings.Repeat("y", 33)
	a, b := sides(t, doc{dataset: "d", shard: "s", text: longest + " " + longer, a: []float64{2}, b: []float64{1}})
	var names []string
	for _, literal := range compare(t, a, b).TopLiterals.AWorse {
		names = append(names, literal.Name)
	}
	if want := []string{longest, "␠"}; !slices.Equal(names, want) {
		t.Errorf("got the literals %q, want %q", names, want)
	}
}

// A range inside a longer range of the other side excludes no byte twice. Excluded bytes do not count as bytes with a
// loss of zero.
func TestNestedUnscored(t *testing.T) {
	a, b := sides(t, doc{dataset: "d", shard: "s", text: "abcdefg", a: []float64{3}, b: []float64{1}, unscoredA: []int32{0, 5}, unscoredB: []int32{1, 2, 4, 6}})
	s := compare(t, a, b)
	if s.Overall.Bytes != 1 || s.Unscored != (Bytes{A: 5, B: 3, Either: 6}) || s.ZeroLoss != (Bytes{}) {
		t.Errorf("got %d scored bytes, %+v unscored, %+v of zero loss", s.Overall.Bytes, s.Unscored, s.ZeroLoss)
	}
}

// A comparison leaves no file open, whether it succeeds or fails.
func TestClosesFiles(t *testing.T) {
	count := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("the system does not list open files")
		}
		return len(files)
	}
	a, b := sides(t, doc{dataset: "d", shard: "s", text: "ab cd", a: []float64{2}, b: []float64{1}}, doc{dataset: "e", shard: "s", text: "x", a: []float64{2}, b: []float64{1}})
	c := &comparison{a: a, b: b}
	literals := []literal{{bucket: bucketWord, text: "ab", example: place{end: 2}}, {bucket: bucketWord, text: "x", example: place{dataset: 1, end: 1}}}
	before := count()
	for range 3 {
		compare(t, a, b)
		if _, _, err := c.examples(literals, nil); err != nil {
			t.Fatal(err)
		}
		missing := slices.Clone(literals)
		missing[1].example.row = 7
		if _, _, err := c.examples(missing, nil); err == nil {
			t.Error("got no error for a row that is not there")
		}
	}
	if after := count(); after != before {
		t.Errorf("got %d open files, want %d as before", after, before)
	}
}

// A side's common protocol has the fields that are equal in all its datasets.
func TestSharedProtocol(t *testing.T) {
	got, err := shared(map[string]json.RawMessage{"a": json.RawMessage(`{"bytes":1,"dtype":"f32","eos":true}`), "b": json.RawMessage(`{"bytes":2,"dtype":"f32"}`)})
	if err != nil || string(got) != `{"dtype":"f32"}` {
		t.Errorf("got %s, %v", got, err)
	}
}

// A walk yields the document's losses byte by byte, except excluded bytes.
func TestLosses(t *testing.T) {
	d := &artifact.ScoredDocument{
		Text: "0123456789", TokenEnds: []int32{2, 2, 5, 7, 9}, TokenNLL: []float64{2, 1, 5, 4, 6}, UnscoredStarts: []int32{5}, UnscoredEnds: []int32{7},
	}
	want := d.Losses(nil)
	want[1], want[2] = 0, 0
	got := make([]float64, len(want))
	for _, size := range []int{1, 3, 10} {
		l := newLosses(d, []span{{1, 3}})
		for at := 0; at < len(got); at += size {
			l.take(got[at:min(at+size, len(got))])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d at a time: got %v, want %v", size, got, want)
		}
	}
}

// Bytes outside the scored span do not count as bytes with a loss of zero.
func TestZeroLossOutside(t *testing.T) {
	for _, test := range []struct {
		doc  doc
		want Bytes
	}{
		{doc{text: "abcde", start: 2, end: 4, a: []float64{0, 0, 1, 1, 0}, b: []float64{0, 1, 0, 1, 0}}, Bytes{B: 1, Either: 1}},
		{doc{text: "abc", a: []float64{0, 0, 0}, b: []float64{1, 1, 1}, unscoredA: []int32{0, 1}}, Bytes{A: 2, Either: 2}}, // the byte right after counts
	} {
		test.doc.dataset, test.doc.shard = "d", "s"
		a, b := sides(t, test.doc)
		if got := compare(t, a, b).ZeroLoss; got != test.want {
			t.Errorf("%s: %+v of zero loss, want %+v", test.doc.text, got, test.want)
		}
	}
}

// A dataset's name that is the beginning of other names is a group that contains the dataset.
func TestGroupOfADatasetsName(t *testing.T) {
	a, b := sides(t, doc{dataset: "d", shard: "s", text: "ab", a: []float64{2}, b: []float64{1}}, doc{dataset: "d/e", shard: "s", text: "cd", a: []float64{4}, b: []float64{1}})
	if diff := cmp.Diff([]Row{row("d", 2, 4, 12, 4)}, compare(t, a, b).Groups, near); diff != "" {
		t.Error(diff)
	}
}

// A tag of either side makes a group.
func TestGroupOfOneSidesTag(t *testing.T) {
	for side := range 2 {
		a, b := sides(t, doc{dataset: "d", shard: "s", text: "ab", a: []float64{2}, b: []float64{1}})
		[]*Side{&a, &b}[side].Datasets[0].Tags = []string{"english"}
		if diff := cmp.Diff([]Row{row("english", 1, 2, 4, 2)}, compare(t, a, b).Groups, near); diff != "" {
			t.Errorf("side %d: %s", side, diff)
		}
	}
}

// The headline's percentage is relative to the better side.
func TestHeadline(t *testing.T) {
	for _, test := range []struct {
		a, b float64
		want string
	}{
		{3, 2, "**a is worse by 1.4427 (50.00%), on too little text to tell**"},
		{2, 3, "**b is worse by 1.4427 (50.00%), on too little text to tell**"},
		{2, 2, "**the two are equal**"},
	} {
		a, b := sides(t, doc{dataset: "d", shard: "s", text: "ab", a: []float64{test.a}, b: []float64{test.b}})
		if got := compare(t, a, b).headline(); !strings.Contains(got, test.want) {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
