package gap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"surprisal.dev/internal/golden"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// scoredTable writes scored documents and returns the path.
func scoredTable(t *testing.T, documents ...artifact.ScoredDocument) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), artifact.ScoredFile)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := artifact.NewScoredWriter(f)
	for _, d := range documents {
		err = errors.Join(err, w.Write(d))
	}
	if err := errors.Join(err, w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// whole returns a document with integer losses in nats per byte, by token or by byte. Some bytes are unscored and some
// have a loss of zero.
func whole(r *rand.Rand, row int64, text string, start, end int) artifact.ScoredDocument {
	d := artifact.ScoredDocument{Shard: "s", Row: row, Text: text, ScoreStart: int32(start), ScoreEnd: int32(end)}
	perByte := r.IntN(3) == 0
	plain := r.IntN(2) == 0
	for at := 0; at < len(text); {
		size := min(1+r.IntN(9), len(text)-at)
		share := float64(r.IntN(5))
		if !plain && r.IntN(20) == 0 {
			d.UnscoredStarts, d.UnscoredEnds = append(d.UnscoredStarts, int32(at)), append(d.UnscoredEnds, int32(at+size))
			share = 0
		}
		at += size
		d.TokenIDs, d.TokenEnds = append(d.TokenIDs, 1), append(d.TokenEnds, int32(at))
		if perByte {
			d.PerByteLoss = append(d.PerByteLoss, slices.Repeat([]float64{share}, size)...)
		} else {
			d.TokenNLL = append(d.TokenNLL, share*float64(size))
		}
	}
	return d
}

// naive sums a document byte by byte.
func naive(a, b artifact.ScoredDocument, overall *aggregate, buckets map[string]*aggregate, zeros *Bytes) {
	lossA, lossB := a.Losses(nil), b.Losses(nil)
	left := make([]bool, len(a.Text))
	for _, d := range []artifact.ScoredDocument{a, b} {
		for i, start := range d.UnscoredStarts {
			for at := start; at < d.UnscoredEnds[i]; at++ {
				left[at] = true
			}
		}
	}
	overall.count++
	s := segmenter{a.Text}
	for from := 0; from < len(a.Text); {
		to, _ := s.next(from)
		var sum aggregate
		first, last := max(from, int(a.ScoreStart)), min(to, int(a.ScoreEnd))
		for i := first; i < last; i++ {
			if left[i] {
				continue
			}
			sum.add(lossA[i], lossB[i], 1, 0)
			for _, of := range []struct {
				zero bool
				n    *int64
			}{{lossA[i] == 0, &zeros.A}, {lossB[i] == 0, &zeros.B}, {lossA[i] == 0 || lossB[i] == 0, &zeros.Either}} {
				if of.zero {
					*of.n++
				}
			}
		}
		overall.add(sum.lossA, sum.lossB, sum.bytes, 0)
		if sum.bytes > 0 {
			name := bucketNames[clippedBucket(a.Text[first:last])]
			if buckets[name] == nil {
				buckets[name] = &aggregate{}
			}
			buckets[name].add(sum.lossA, sum.lossB, sum.bytes, 1)
		}
		from = to
	}
}

// Many documents, of every length around the size of the summed blocks, have the sums of their bytes.
func TestSumsByByte(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	letters := "ab c1.\n"
	var sides [2][]artifact.ScoredDocument
	var overall aggregate
	buckets := map[string]*aggregate{}
	var zeros Bytes
	add := func(n int, from, to int) {
		text := make([]byte, n)
		for i := range text {
			text[i] = letters[r.IntN(len(letters))]
		}
		row := int64(len(sides[0]))
		a, b := whole(r, row, string(text), from, to), whole(r, row, string(text), from, to)
		sides[0], sides[1] = append(sides[0], a), append(sides[1], b)
		naive(a, b, &overall, buckets, &zeros)
	}
	for _, n := range []int{0, 1, 7, 8, 9, 127, 128, 129, 135, 136, 137, 255, 256, 257, 263, 264, 272, 511, 513, 1000, 5000} {
		add(n, 0, n)
		from := r.IntN(n + 1)
		add(n, from, from+r.IntN(n-from+1))
	}
	for range 1200 { // more than two batches hold
		add(r.IntN(12), 0, 0)
		n := r.IntN(12)
		add(n, 0, n)
	}
	add(largeBytes+3, 2, largeBytes)
	add(5, 0, 5)
	a := Side{Name: "A", Datasets: []Table{{Dataset: "d", ScoredPath: scoredTable(t, sides[0]...)}}}
	b := Side{Name: "B", Datasets: []Table{{Dataset: "d", ScoredPath: scoredTable(t, sides[1]...)}}}
	out := t.TempDir()
	s, err := Compare(t.Context(), a, b, out, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(overall.row("overall"), s.Overall, near); d != "" {
		t.Error(d)
	}
	if s.ZeroLoss != zeros {
		t.Errorf("got %+v of zero loss, want %+v", s.ZeroLoss, zeros)
	}
	for _, row := range s.Buckets {
		if of := buckets[row.Name]; of == nil {
			t.Errorf("got the bucket %s", row.Name)
		} else if d := cmp.Diff(of.row(row.Name), row, near); d != "" {
			t.Errorf("%s: %s", row.Name, d)
		}
	}
	if len(s.Buckets) != len(buckets) {
		t.Errorf("got %d buckets, want %d", len(s.Buckets), len(buckets))
	}
	rows := readCSV(t, filepath.Join(out, "documents.csv"))
	if len(rows) != len(sides[0]) {
		t.Fatalf("got %d documents, want %d", len(rows), len(sides[0]))
	}
	for i, d := range sides[0] {
		var of aggregate
		naive(d, sides[1][i], &of, map[string]*aggregate{}, &Bytes{})
		want := of.row("")
		bpb := ""
		if want.ABPB != nil {
			bpb = fmt.Sprintf("%.9f", *want.ABPB)
		}
		got := rows[i]["model_a_bpb"]
		if got != "" {
			var v float64
			if _, err := fmt.Sscan(got, &v); err != nil {
				t.Fatal(err)
			}
			got = fmt.Sprintf("%.9f", v)
		}
		if rows[i]["row_index"] != fmt.Sprint(i) || rows[i]["bytes"] != fmt.Sprint(of.bytes) || got != bpb || rows[i]["score_byte_start"] != fmt.Sprint(d.ScoreStart) || rows[i]["score_byte_end"] != fmt.Sprint(d.ScoreEnd) {
			t.Errorf("row %d: got %v, want %d bytes and %s", i, rows[i], of.bytes, bpb)
		}
	}
}

// Sums equal those of NumPy to the last bit.
func TestSumsLikeNumpy(t *testing.T) {
	for n, want := range map[int]float64{
		7: 0x1.4be2be2be2be2p+1, 8: 0x1.5be2be2be2be2p+1, 9: 0x1.6a1ba1ba1ba1bp+1, 100: 0x1.4bfdfe4591243p+2, 128: 0x1.5bb8ae9541ca7p+2,
		129: 0x1.5c37b09149ba9p+2, 200: 0x1.7831a8b7c3adbp+2, 300: 0x1.92172a3e6965ap+2, 1000: 0x1.df11f45f4e61ap+2,
	} {
		d := artifact.ScoredDocument{Text: strings.Repeat("x", n), ScoreEnd: int32(n)}
		for i := range n {
			d.PerByteLoss = append(d.PerByteLoss, 1/float64(1+i))
		}
		twice := d
		twice.PerByteLoss = slices.Clone(d.PerByteLoss)
		for i := range twice.PerByteLoss {
			twice.PerByteLoss[i] *= 2
		}
		w := walk{a: newLosses(&d, nil), b: newLosses(&twice, nil)}
		blocks := 0
		if a, b := w.sum(n, func() { blocks++ }); a != want || b != 2*want || int(w.at) != n || blocks < (n+sumBlock-1)/sumBlock {
			t.Errorf("%d values: got %x and %x in %d blocks, want %x", n, a, b, blocks, want)
		}
	}
}

// A full list has the largest scores, sorted, for any order of insertion.
func TestTop(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		list := top[int]{limit: 5}
		var all [][2]int
		for i := range r.IntN(20) {
			score := r.IntN(6)
			all = append(all, [2]int{score, i})
			list.add(float64(score), func() int { return i })
		}
		slices.SortStableFunc(all, func(a, b [2]int) int { return b[0] - a[0] })
		var want []int
		for _, record := range all[:min(len(all), 5)] {
			want = append(want, record[1])
		}
		if !slices.Equal(list.rows, want) {
			t.Fatalf("got %v, want %v of %v", list.rows, want, all)
		}
	}
	list := top[string]{limit: 1}
	list.add(math.NaN(), func() string { return "NaN" })
	list.add(1, func() string { return "one" })
	if len(list.rows) != 1 {
		t.Errorf("got %q", list.rows)
	}
}

// An occurrence that cannot be stored is an error of the comparison.
func TestCounterFails(t *testing.T) {
	c := newCounter(newLiterals(filepath.Join(t.TempDir(), "missing"), 1), nil)
	for i := range 3 * occurrencesInFlight {
		c.add(occurrence{text: []string{"ab", "cd"}[(i+1)%3/2]}) // every third has no place, the last has one
	}
	if err := c.close(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
}

// The literals that differ most are listed up to a limit, the earliest of equal ones. Literals without a difference are
// not.
func TestTopLiterals(t *testing.T) {
	for _, held := range []int{1, 100} {
		l := newLiterals(t.TempDir(), held)
		for i, nats := range []float64{1, 3, -1, 0, 2, -3, 3, 1, -1} {
			if err := l.add(&occurrence{bucket: bucketWord, text: fmt.Sprintf("text%d", i), lossA: nats, bytes: 5, order: int64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		// The same text in another bucket is another literal.
		if err := l.add(&occurrence{bucket: bucketNumber, text: "text0", lossA: 9, bytes: 5, order: 9, place: place{1, 2, 3, 4}}); err != nil {
			t.Fatal(err)
		}
		positive, negative, _, err := l.top(4)
		if err != nil {
			t.Fatal(err)
		}
		names := func(list []literal) (s string) {
			for _, item := range list {
				s += fmt.Sprintf("%s %d %d; ", item.text, item.bucket, item.bytes)
			}
			return s
		}
		want := fmt.Sprintf("text0 %d 5; text1 %d 5; text6 %[2]d 5; text4 %[2]d 5; ", bucketNumber, bucketWord)
		if got := names(positive); got != want || positive[0].example != (place{1, 2, 3, 4}) {
			t.Errorf("%d held: got %s, want %s", held, got, want)
		}
		want = fmt.Sprintf("text5 %d 5; text2 %[1]d 5; text8 %[1]d 5; ", bucketWord)
		if got := names(negative); got != want {
			t.Errorf("%d held: got %s, want %s", held, got, want)
		}
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}
}

// scores writes the files of a score and adds them to the inputs of a task.
func scores(t *testing.T, inputs map[string]string, prefix, protocol string, docs ...artifact.ScoredDocument) {
	t.Helper()
	summary := filepath.Join(t.TempDir(), artifact.SummaryFile)
	if err := os.WriteFile(summary, []byte(`{"scoringProtocol":`+protocol+`}`), 0o644); err != nil {
		t.Fatal(err)
	}
	inputs[prefix+"/"+artifact.SummaryFile] = summary
	inputs[prefix+"/"+artifact.ScoredFile] = scoredTable(t, docs...)
}

// A side has the tables of its role, for the datasets of the gap, with the tags of the plan or of an imported table.
func TestReadSide(t *testing.T) {
	inputs := map[string]string{}
	scores(t, inputs, "a/x", `{"eos":true}`)
	scores(t, inputs, "a/y/z", `{"eos":false}`)
	scores(t, inputs, "b/x", `{}`)
	scores(t, inputs, "ab/x", `{}`)
	imported := filepath.Join(t.TempDir(), artifact.ImportFile)
	if err := artifact.WriteJSON(imported, artifact.Import{Datasets: []artifact.ImportedDataset{{Name: "x", Tags: []string{"theirs"}}}}); err != nil {
		t.Fatal(err)
	}
	x := Table{Dataset: "x", Tags: []string{"ours"}, ScoredPath: inputs["a/x/"+artifact.ScoredFile]}
	z := Table{Dataset: "y/z", ScoredPath: inputs["a/y/z/"+artifact.ScoredFile]}
	theirs := x
	theirs.Tags = []string{"theirs"}
	for _, test := range []struct {
		datasets []string
		imported bool
		want     []Table
	}{
		{nil, false, []Table{x, z}}, {[]string{"x"}, false, []Table{x}}, {[]string{"y/z", "x"}, true, []Table{theirs, z}}, {[]string{"other"}, false, nil},
	} {
		task := &action.Task{Name: "gap g", Inputs: map[string]string{}}
		for role, path := range inputs {
			task.Inputs[role] = path
		}
		if test.imported {
			task.Inputs["a/"+artifact.ImportFile] = imported
		}
		side, protocols, err := readSide(task, "a", "model", parameters{Datasets: test.datasets, Tags: map[string][]string{"x": {"ours"}}})
		if d := cmp.Diff(test.want, side.Datasets, cmpopts.IgnoreUnexported(Table{})); d != "" || err != nil || side.Name != "model" || len(protocols) != len(test.want) {
			t.Errorf("%q: %v, %d protocols: %s", test.datasets, err, len(protocols), d)
		}
		if len(test.want) > 0 && string(protocols["x"]) != `{"eos":true}` {
			t.Errorf("got the protocol %s", protocols["x"])
		}
	}
	delete(inputs, "a/x/"+artifact.SummaryFile)
	if _, _, err := readSide(&action.Task{Name: "gap g", Inputs: inputs}, "a", "m", parameters{}); err == nil || !strings.HasPrefix(err.Error(), "gap g has no input a/x/summary.json; inputs are ") {
		t.Errorf("got error %v", err)
	}
	inputs["a/"+artifact.ImportFile] = filepath.Join(t.TempDir(), "missing")
	if _, _, err := readSide(&action.Task{Inputs: inputs}, "a", "m", parameters{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
}

// Scores with different scoring protocols are compared only if the gap allows each field that differs.
func TestCheckProtocols(t *testing.T) {
	raw := func(text string) json.RawMessage { return json.RawMessage(text) }
	base := map[string]json.RawMessage{"x": raw(`{"dtype":"f32","eos":true}`), "y": raw(`{"dtype":"f32"}`)}
	for _, test := range []struct {
		other  map[string]json.RawMessage
		allow  []string
		forced bool
		err    string
	}{
		{base, nil, false, ""},
		{map[string]json.RawMessage{"x": base["x"], "z": raw(`{}`)}, nil, false, ""},
		{map[string]json.RawMessage{"x": base["x"], "y": raw(`{"dtype":"f16"}`)}, nil, false, `dataset "y": models "A" and "B" have different scoring protocols: dtype: "A" has "f32", "B" has "f16"; score both under the same one, or compare them anyway in an entry of gaps with allow: ["dtype"]`},
		{map[string]json.RawMessage{"x": base["x"], "y": raw(`{"dtype":"f16"}`)}, []string{"dtype"}, true, ""},
		{map[string]json.RawMessage{"y": raw(`{"dtype":"f16","arithmetic":"2 ranks"}`)}, []string{"dtype"}, true, ""},
		{map[string]json.RawMessage{"y": raw(`{"dtype":"f32","arithmetic":"2 ranks"}`)}, []string{"dtype"}, false, `dataset "y": models "A" and "B" have different scoring protocols: arithmetic: "A" has none, "B" has "2 ranks"; score both under the same one, or compare them anyway in an entry of gaps with allow: ["arithmetic", "dtype"]`},
		{map[string]json.RawMessage{"y": raw(`{"dtype":"f32","arithmetic":"2 ranks"}`)}, []string{"arithmetic"}, true, ""},
		{map[string]json.RawMessage{"x": raw(`{"dtype":"f16","eos":false}`)}, []string{"dtype"}, false, `dataset "x": models "A" and "B" have different scoring protocols: eos: "A" has true, "B" has false; score both under the same one, or compare them anyway in an entry of gaps with allow: ["dtype", "eos"]`},
		{map[string]json.RawMessage{"x": raw(`{"dtype":"f16","eos":true}`), "y": raw(`{"dtype":"f32","truncation":9}`)}, nil, false, `dataset "x": models "A" and "B" have different scoring protocols: dtype: "A" has "f32", "B" has "f16"; score both under the same one, with the same limits.bytes`},
		{map[string]json.RawMessage{"x": raw(`{"dtype":"f16","eos":true}`), "y": raw(`{"dtype":"f32","span":"even"}`)}, []string{"dtype"}, false, `dataset "y": models "A" and "B" have different scoring protocols: span: "A" has none, "B" has "even"; score both under the same one`},
		{map[string]json.RawMessage{"x": raw(`{"dtype":"f16","imported":"p"}`)}, []string{"dtype", "eos"}, false, `dataset "x": models "A" and "B" have different scoring protocols: "A" is not imported, "B" is imported with the protocol "p"; score both under the same one, or compare them anyway in an entry of gaps with allow: ["dtype", "eos", "imported"]`},
		{map[string]json.RawMessage{"x": raw(`{"dtype":"f16","imported":"p"}`)}, []string{"imported"}, true, ""},
		{map[string]json.RawMessage{"x": nil}, nil, false, "dataset x: a score has no recorded scoring protocol"},
	} {
		forced, err := checkProtocols([2]map[string]json.RawMessage{base, test.other}, [2]Side{{Name: "A"}, {Name: "B"}}, test.allow)
		if forced != test.forced || (err == nil) != (test.err == "") || err != nil && (err.Error() != test.err || protocol.KindOf(err) != protocol.InvalidInput) {
			t.Errorf("%s, allowed %q: got %t, %v, want %t, %s", test.other, test.allow, forced, err, test.forced, test.err)
		}
	}
	for side := range 2 {
		var sides [2]map[string]json.RawMessage
		sides[side], sides[1-side] = base, map[string]json.RawMessage{"x": nil}
		if _, err := checkProtocols(sides, [2]Side{}, nil); err == nil {
			t.Error("got no error for a side without a scoring protocol")
		}
	}
}

func TestProtocolDifferences(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want []string
	}{
		{"", "", []string{}},
		{`{"x":1}`, "", []string{`the scoring protocol is known only for model "A"`}},
		{"", `{"x":1}`, []string{`the scoring protocol is known only for model "B"`}},
		{`{"x":1,"y":2}`, `{"y":3,"z":4}`, []string{"x: a 1, b not set", "y: a 2, b 3", "z: a not set, b 4"}},
	} {
		got, err := protocolDifferences(Side{Name: "A", Protocol: []byte(test.a)}, Side{Name: "B", Protocol: []byte(test.b)})
		if d := cmp.Diff(test.want, got); d != "" || err != nil {
			t.Errorf("%s and %s: %v: %s", test.a, test.b, err, d)
		}
	}
}

// A gap without its own datasets compares the common ones. The summary has the equal fields of the sides' scoring
// protocols, and no other files are left.
func TestWork(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	of := func(row int64, text string) artifact.ScoredDocument { return whole(r, row, text, 0, len(text)) }
	inputs := map[string]string{}
	scores(t, inputs, "a/x", `{"eos":true,"truncation":1}`, of(0, "ab cd"), of(1, "ef"))
	scores(t, inputs, "a/y", `{"eos":true,"truncation":2}`, of(0, "abc"))
	scores(t, inputs, "a/only", `{"eos":true,"truncation":2}`, of(0, "abc"))
	scores(t, inputs, "b/x", `{"eos":true,"truncation":9}`, of(0, "ab cd"), of(1, "ef"))
	scores(t, inputs, "b/y", `{"eos":true,"truncation":2}`, of(0, "abc"))
	scores(t, inputs, "b/theirs", `{"eos":true,"truncation":2}`, of(0, "abc"))
	work := func(parameters string) (action.Result, string, error) {
		dir := t.TempDir()
		result, err := Kind{}.Work(t.Context(), &action.Task{Descriptor: plan.Descriptor{Kind: "gap", Parameters: json.RawMessage(parameters)}, Inputs: inputs, Dir: dir})
		return result, dir, err
	}
	result, dir, err := work(`{"a":"A","b":"B","allow":["truncation"],"datasets":null}`)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]float64{plan.MeasuredDocuments: 3, plan.MeasuredBytes: float64(10 - unscoredOf(t, dir))}, result.Measured); d != "" {
		t.Error(d)
	}
	var names []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if err != nil || !slices.Equal(names, result.Files) || len(names) != 15 || !slices.IsSorted(result.Files) {
		t.Errorf("got the files %q (%v), want %q", names, err, result.Files)
	}
	var s Summary
	if err := artifact.ReadJSON(filepath.Join(dir, artifact.SummaryFile), &s); err != nil {
		t.Fatal(err)
	}
	var a, b map[string]any
	if err := errors.Join(json.Unmarshal(s.Protocols.A, &a), json.Unmarshal(s.Protocols.B, &b)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]map[string]any{{"eos": true}, {"eos": true}}, []map[string]any{a, b}); d != "" || s.ModelA != "A" || s.ModelB != "B" || len(s.Datasets) != 2 {
		t.Errorf("got %+v: %s", s, d)
	}
	if _, _, err := work(`{"a":"A","b":"B","datasets":["x"]}`); protocol.KindOf(err) != protocol.InvalidInput || !strings.HasPrefix(err.Error(), `dataset "x": models "A" and "B" have different scoring protocols: truncation: "A" has 1, "B" has 9; score both under the same one, with the same limits.bytes`) {
		t.Errorf("got error %v", err)
	}
	if _, _, err := work(`{"a":"A","b":"B","datasets":["only"]}`); protocol.KindOf(err) != protocol.InvalidInput || !strings.HasPrefix(err.Error(), `the tables of models "A" and "B" have no dataset in common`) {
		t.Errorf("got error %v", err)
	}
	if _, _, err := work(`{"a":"A","b":"B","datasets":["only","y"]}`); protocol.KindOf(err) != protocol.InvalidInput || !strings.HasPrefix(err.Error(), `dataset "only" has scores of model "A" but not of model "B"`) {
		t.Errorf("got error %v", err)
	}
}

func unscoredOf(t *testing.T, dir string) int64 {
	t.Helper()
	var s Summary
	if err := artifact.ReadJSON(filepath.Join(dir, artifact.SummaryFile), &s); err != nil {
		t.Fatal(err)
	}
	return s.Unscored.Either
}

// The headline of a gap states which side is worse and by how much.
func TestHeadlines(t *testing.T) {
	files := map[string]string{
		"worse":  `{"overall":{"bytes":1500,"model_a_bpb":3.5,"model_b_bpb":2.25,"gap_bpb":1.25,"gap_low":1,"gap_high":1.5,"verdict":"a is worse"},"scoringProtocols":{"differences":["eos: a true, b false"]}}`,
		"better": `{"overall":{"bytes":7,"model_a_bpb":1,"model_b_bpb":2,"gap_bpb":-1,"gap_low":-1.5,"gap_high":-0.5,"verdict":"b is worse"},"datasets":[{"verdict":"b is worse"},{"verdict":"a is worse"},{"verdict":"cannot tell"},{"verdict":"a is worse"}],"scoringProtocols":{"differences":[]}}`,
		"open":   `{"overall":{"bytes":1500,"model_a_bpb":1.01,"model_b_bpb":1,"gap_bpb":0.01,"gap_low":-0.02,"gap_high":0.04,"verdict":"cannot tell"}}`,
		"small":  `{"overall":{"bytes":7,"model_a_bpb":2,"model_b_bpb":1,"gap_bpb":1,"verdict":"too small to tell"}}`,
		"equal":  `{"overall":{"bytes":7,"model_a_bpb":1,"model_b_bpb":1,"gap_bpb":0}}`,
		"empty":  `{"overall":{"bytes":0,"model_a_bpb":null,"model_b_bpb":null,"gap_bpb":null}}`,
	}
	read := func(_ context.Context, a *plan.Action, name string) ([]byte, error) {
		if text := files[a.Labels.Section]; name == artifact.SummaryFile && text != "" {
			return []byte(text), nil
		}
		return nil, os.ErrNotExist
	}
	actions := []*plan.Action{}
	for _, section := range []string{"worse", "better", "open", "small", "equal", "empty", "failed"} {
		a := &plan.Action{Name: "gap " + section, Labels: plan.Labels{Section: section}, Parameters: json.RawMessage(`{"a":"A","b":"B"}`)}
		if section != "failed" {
			a.Outputs = []store.File{{Name: artifact.SummaryFile}}
		}
		actions = append(actions, a)
	}
	report, err := Kind{}.Report(t.Context(), actions, read)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	report.Print(&out)
	want := `gap worse: +1.2500 [+1.0000, +1.5000] bits per byte over 1.5 kB: A is worse than B (3.5000 and 2.2500)
  the two sides have different scoring protocols; the report lists the differences
gap better: -1.0000 [-1.5000, -0.5000] bits per byte over 7 B: A is better than B (1.0000 and 2.0000)
  of 4 datasets: A is worse on 2, better on 1, and 1 cannot be told
gap open: +0.0100 [-0.0200, +0.0400] bits per byte over 1.5 kB: A and B cannot be told apart (1.0100 and 1.0000)
gap small: +1.0000 bits per byte over 7 B: too little text to tell A and B apart (2.0000 and 1.0000)
gap equal: +0.0000 bits per byte over 7 B: A equals B (1.0000 and 1.0000)
gap empty: A and B share no scored bytes
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
	text, err := json.Marshal(report.(Headlines)[:2])
	if want := `[{"name":"worse","a":"A","b":"B","aBpb":3.5,"bBpb":2.25,"gapBpb":1.25,"bytes":1500,"gapLow":1,"gapHigh":1.5,"verdict":"a is worse","datasetsWorse":0,"datasetsBetter":0,"datasetsOpen":0,"differences":["eos: a true, b false"]},` +
		`{"name":"better","a":"A","b":"B","aBpb":1,"bBpb":2,"gapBpb":-1,"bytes":7,"gapLow":-1.5,"gapHigh":-0.5,"verdict":"b is worse","datasetsWorse":2,"datasetsBetter":1,"datasetsOpen":1}]`; err != nil || string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
	if report, err := (Kind{}).Report(t.Context(), actions[6:], read); report != nil || err != nil {
		t.Errorf("got %v, %v of what failed", report, err)
	}
	actions[6].Outputs = actions[0].Outputs
	if _, err := (Kind{}).Report(t.Context(), actions, read); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
	actions[0].Parameters = json.RawMessage(`[]`)
	if _, err := (Kind{}).Report(t.Context(), actions[:1], read); err == nil || !strings.HasPrefix(err.Error(), "gap worse: ") {
		t.Errorf("got error %v", err)
	}
}

// The complete report of a comparison that was computed by hand.
func TestReportText(t *testing.T) {
	a, b := sides(t,
		doc{dataset: "x", shard: "s", row: 4, text: "ab 12|ab", a: []float64{2}, b: []float64{1, 1, 1, 1, 1, 5, 0}, tags: []string{"t"}, unscoredA: []int32{0, 1}},
		doc{dataset: "y", shard: "r", row: 7, text: strings.Repeat("long ", 300), a: []float64{1}, b: []float64{3}, tags: []string{"t"}},
	)
	a.Protocol, b.Protocol = []byte(`{"eos":true}`), []byte(`{"eos":false}`)
	out := t.TempDir()
	if _, err := Compare(t.Context(), a, b, out, Options{Force: true}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"report.md", "literals.csv", "worst_documents.jsonl"} {
		got, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		golden.File(t, name, got)
	}
}

func TestNumbersOfTheReport(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567"} {
		if got := number(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if count(1, "byte") != "1 byte" || count(0, "byte") != "0 bytes" || count(2000, "byte") != "2,000 bytes" {
		t.Error("a noun does not fit its number")
	}
	var nothing Summary
	if got := nothing.headline(); got != "Over 0 scored bytes of 0 documents in 0 datasets there is nothing to compare." {
		t.Errorf("got %q", got)
	}
}
