package materialize_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/jsonl"
	"surprisal.dev/providers/text"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/materialize"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

var providers = map[string]sdk.Provider{"jsonl": jsonl.New(), "text": text.New()}

// dataset is a file and its specification.
type dataset struct {
	provider, content string
	// split is how the text provider splits the file.
	split string
	spec.Dataset
}

// lines are the rows of a text.
func lines(rows ...string) *dataset {
	d := &dataset{provider: "text", content: strings.Join(rows, "\n"), split: "lines"}
	d.Fields, d.InvalidUTF8, d.BadRows = []string{"text"}, "error", "error"
	return d
}

// objects are the rows of a JSON Lines file.
func objects(fields []string, rows ...string) *dataset {
	d := &dataset{provider: "jsonl", content: strings.Join(rows, "\n")}
	d.Fields, d.InvalidUTF8, d.BadRows = fields, "error", "error"
	return d
}

func pair(rows ...string) *dataset { return objects([]string{"in", "out"}, rows...) }

func (d *dataset) with(set func(*spec.Dataset)) *dataset {
	set(&d.Dataset)
	return d
}

// made is the output of an action for a dataset.
type made struct {
	dir       string
	documents []artifact.Document
	metadata  artifact.Metadata
	result    action.Result
	progress  action.Progress
}

func (d *dataset) materialize(t testing.TB) (m made, err error) {
	t.Helper()
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "f"), []byte(d.content), 0o644); err != nil {
		t.Fatal(err)
	}
	config := map[string]string{"path": "f"}
	if d.split != "" {
		config["split"] = d.split
	}
	encoded, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	d.Name, d.Source = "key", spec.Source{Provider: d.provider, Config: encoded}
	resolved, err := providers[d.provider].Resolve(t.Context(), protocol.ResolveRequest{Source: protocol.Source{Config: encoded, Dir: source}})
	if err != nil {
		t.Fatal(err)
	}
	m.dir = t.TempDir()
	task := d.task(t, source, resolved)
	task.Dir, task.Advance = m.dir, m.progress.Add
	m.result, err = materialize.Kind{}.Work(t.Context(), task)
	if err != nil {
		return m, err
	}
	in, err := artifact.OpenDocuments(filepath.Join(m.dir, artifact.DocumentsFile))
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range in.All() {
		if err != nil {
			t.Fatal(err)
		}
		m.documents = append(m.documents, row)
	}
	if err := errors.Join(in.Close(), artifact.ReadJSON(filepath.Join(m.dir, artifact.MetadataFile), &m.metadata)); err != nil {
		t.Fatal(err)
	}
	m.check(t)
	return m, nil
}

// task returns the task of the dataset's plan.
func (d *dataset) task(t testing.TB, dir string, resolved protocol.Resolution) *action.Task {
	t.Helper()
	e := &spec.Experiment{Dir: dir, Datasets: []spec.Dataset{d.Dataset}}
	c := plan.Catalog{
		Providers: map[string]plan.Plugin{d.provider: {Worker: plan.Worker{Name: d.provider}}},
		Sources:   map[string]protocol.Resolution{d.Name: resolved},
	}
	p, err := plan.Build(t.Context(), e, c, []plan.Kind{materialize.Kind{}, reader{}})
	if err != nil {
		t.Fatal(err)
	}
	a := p.Actions[0]
	if _, err := a.SetKey(); err != nil {
		t.Fatal(err)
	}
	job, err := a.Job()
	if err != nil {
		t.Fatal(err)
	}
	return &action.Task{
		Descriptor: job.Descriptor, Name: job.Name, Labels: job.Labels, Machine: job.Machine, Plugins: plugins{d.provider},
	}
}

// reader is a kind that reads every dataset.
type reader struct{}

func (reader) Name() string { return "read" }
func (reader) Schema() int  { return 1 }
func (reader) Plan(b *plan.Builder) error {
	for i := range b.Experiment.Datasets {
		d := &b.Experiment.Datasets[i]
		if _, err := materialize.Documents(b, d, d.Limits); err != nil {
			return err
		}
	}
	return nil
}

// plugins gives a task a provider within this process.
type plugins struct{ provider string }

func (p plugins) Provider(context.Context) (action.Provider, error) {
	return providers[p.provider], nil
}
func (plugins) Backend(context.Context) (action.Backend, error) { return nil, errors.New("no backend") }
func (plugins) Model(context.Context, protocol.Model) (action.Model, func() error, error) {
	return nil, nil, errors.New("no model")
}
func (plugins) Estimate(context.Context, protocol.Model, protocol.Settings) (protocol.Estimate, error) {
	return protocol.Estimate{}, errors.New("no model")
}

// check compares the counts with the documents.
func (m made) check(t testing.TB) {
	t.Helper()
	var want artifact.Counts
	truncated := int64(0)
	clusters := map[string]bool{}
	for _, d := range m.documents {
		if d.Cluster != "" {
			clusters[d.Cluster] = true
			want.Clusters = int64(len(clusters))
		}
		if strings.Contains(d.Meta, `"truncatedFrom"`) {
			truncated++
		}
		want.Documents++
		want.Bytes += int64(len(d.Text))
		want.LargestDocument = max(want.LargestDocument, int64(len(d.Text)))
		want.ScoredBytes += int64(d.ScoreEnd - d.ScoreStart)
	}
	var counts artifact.Counts
	if err := artifact.ReadJSON(filepath.Join(m.dir, artifact.CountsFile), &counts); err != nil {
		t.Fatal(err)
	}
	if counts != m.metadata.Counts {
		t.Errorf("counts.json holds %+v, the metadata %+v", counts, m.metadata.Counts)
	}
	if counts.Words = 0; counts != want {
		t.Errorf("counted %+v, found %+v", counts, want)
	}
	if m.progress.Documents != want.Documents || m.progress.Bytes != want.Bytes {
		t.Errorf("told progress %+v of %+v", m.progress, want)
	}
	if got := m.result.Measured[plan.MeasuredBytes]; got != float64(want.Bytes) {
		t.Errorf("measured %v bytes of %d", got, want.Bytes)
	}
	if got := m.result.Measured["largestDocument"]; got != float64(want.LargestDocument) {
		t.Errorf("measured a largest document of %v bytes, found one of %d", got, want.LargestDocument)
	}
	if m.metadata.Truncated != truncated {
		t.Errorf("counted %d truncated documents of %d", m.metadata.Truncated, truncated)
	}
	rows := want.Documents
	for _, d := range m.metadata.Dropped {
		rows += d.Rows
	}
	if rows != m.metadata.RowsRead {
		t.Errorf("%d rows became documents or were dropped, of %d", rows, m.metadata.RowsRead)
	}
}

// show returns a document as INPUT[TARGET]REST, with its row and meta column.
func show(d artifact.Document) string {
	s := fmt.Sprintf("%d: %s[%s]%s", d.Row, d.Text[:d.ScoreStart], d.Text[d.ScoreStart:d.ScoreEnd], d.Text[d.ScoreEnd:])
	if d.Meta != "{}" {
		s += " " + d.Meta
	}
	return s
}

func (m made) shown() (all []string) {
	for _, d := range m.documents {
		all = append(all, show(d))
	}
	return all
}

// dropped lists the dropped rows: "REASON xROWS (EXAMPLES)".
func (m made) dropped() (all []string) {
	for reason, d := range m.metadata.Dropped {
		all = append(all, fmt.Sprintf("%s x%d %s", reason, d.Rows, d.Examples))
	}
	slices.Sort(all)
	return all
}

// straddling is the warning of rows whose input does not end where the target begins.
func straddling(rows, example string) string {
	return "in " + rows + " rows, the end of the input and the beginning of the target may be in one token (" + example +
		"), of whose loss only a part counts; end an input after a word or a sign and begin its target with the space that follows, or end the input after the last line break"
}

func TestDocuments(t *testing.T) {
	for _, test := range []struct {
		name     string
		dataset  *dataset
		want     []string
		dropped  []string
		warnings []string
	}{
		{
			"raw text is scored whole", lines("one", "two"),
			[]string{"0: [one]", "1: [two]"}, nil, nil,
		}, {
			"a pair is joined with nothing in between, and its target scored", pair(`{"in":"2+2=","out":"4"}`, `{"in":"","out":"all"}`),
			[]string{"0: 2+2=[4]", "1: [all]"}, nil, nil,
		}, {
			"empty rows make no document",
			objects([]string{"t"}, `{"t":""}`, `{"t":" "}`),
			[]string{"1: [ ]"}, []string{"empty x1 [f row 0]"}, nil,
		}, {
			"an empty target leaves nothing to score",
			pair(`{"in":"x:","out":""}`, `{"in":"x:","out":" y"}`),
			[]string{"1: x:[ y]"}, []string{"empty target x1 [f row 0]"},
			[]string{"1 of 2 rows skipped: empty target (f row 0)"},
		}, {
			"rows by ordinal, the first included and the last not",
			lines("0", "1", "2", "3").with(func(d *spec.Dataset) { d.Rows = spec.Range{From: 1, To: 3} }),
			[]string{"1: [1]", "2: [2]"}, nil, nil,
		}, {
			"a limit of documents counts documents, not rows",
			objects([]string{"t"}, `{"t":""}`, `{"t":"a"}`, `{"t":"b"}`, `{"t":"c"}`).with(func(d *spec.Dataset) { d.Limits.Documents = 2 }),
			[]string{"1: [a]", "2: [b]"}, []string{"empty x1 [f row 0]"}, nil,
		}, {
			"a limit of bytes cuts at the character boundary at or below it",
			lines("aé", "aéb", "éé", "abc").with(func(d *spec.Dataset) { d.Limits.Bytes = 3 }),
			[]string{"0: [aé]", `1: [aé] {"truncatedFrom":4}`, `2: [é] {"truncatedFrom":4}`, "3: [abc]"}, nil, nil,
		}, {
			"a cut target is scored as far as it goes; one cut away makes no document",
			pair(`{"in":"a:","out":" d"}`, `{"in":"ab:","out":"d"}`, `{"in":"abc:","out":"e"}`).with(func(d *spec.Dataset) { d.Limits.Bytes = 3 }),
			[]string{`0: a:[ ] {"truncatedFrom":4}`},
			[]string{"target beyond the byte limit x2 [f row 1 f row 2]"},
			[]string{"2 of 3 rows skipped: target beyond the byte limit (f row 1)"},
		}, {
			"invalid bytes become U+FFFD, each its own, input and target apart",
			pair("{\"in\":\"a\xff\xfe\",\"out\":\"b\xe2\x82\"}", `{"in":"é","out":"é"}`).with(func(d *spec.Dataset) { d.InvalidUTF8 = "replace" }),
			[]string{`0: a` + "\ufffd\ufffd" + `[b` + "\ufffd\ufffd" + `] {"replacedBytes":4}`, "1: é[é]"}, nil,
			[]string{
				"1 of 2 rows are not valid UTF-8; bytes that became U+FFFD: 4",
				straddling("2 of 2", "f row 0: \"a\ufffd\ufffd\" + \"b\ufffd\ufffd\""),
			},
		}, {
			"halves of a character do not join across input and target",
			pair("{\"in\":\"\xc3\",\"out\":\"\xa9\"}").with(func(d *spec.Dataset) { d.InvalidUTF8 = "replace" }),
			[]string{"0: \ufffd[\ufffd] {\"replacedBytes\":2}"}, nil,
			[]string{"1 of 1 rows are not valid UTF-8; bytes that became U+FFFD: 2", "in 1 of 1 rows the input already contains the target",
				straddling("1 of 1", "f row 0: \"\ufffd\" + \"\ufffd\"")},
		}, {
			"U+FFFD in a source is text", lines("a\ufffdb"),
			[]string{"0: [a\ufffdb]"}, nil, nil,
		}, {
			"bad rows are skipped if the spec allows it, counted and shown",
			objects([]string{"t"}, `{"t":"a"}`, `{"t":1}`, "{\"t\":\"\xff\"}").with(func(d *spec.Dataset) { d.BadRows = "skip" }),
			[]string{"0: [a]"},
			[]string{`bad row x2 [f row 1: line 2: field "t" is a number, not a string f row 2: field "t" is not valid UTF-8 at byte 0 (0xFF); set invalidUTF8: "replace" to read it with U+FFFD]`},
			[]string{`2 of 3 rows skipped: bad row (f row 1: line 2: field "t" is a number, not a string)`},
		}, {
			"short targets that three quarters of the inputs end with are reported",
			pair(`{"in":"the answer is 4","out":" 4"}`, `{"in":"5 is the answer","out":"5"}`, `{"in":"it is 6","out":" 6"}`, `{"in":"it is 7","out":" 7"}`),
			[]string{"0: the answer is 4[ 4]", "1: 5 is the answer[5]", "2: it is 6[ 6]", "3: it is 7[ 7]"}, nil,
			[]string{"in 3 of 4 rows the input already contains the target"},
		}, {
			"inputs may end with the last of the possible answers",
			pair(`{"in":"Rain: yes or no?\nyes or no","out":" no"}`, `{"in":"Snow: yes or no","out":" yes"}`),
			[]string{"0: Rain: yes or no?\nyes or no[ no]", "1: Snow: yes or no[ yes]"}, nil, nil,
		}, {
			"the last of the possible answers may be a sentence that little follows",
			pair(`{"in":"A. It rains a great deal.\nB. It snows a great deal.\nAnswer:","out":" It snows a great deal."}`, `{"in":"A. It rains a great deal.\nB. It snows a great deal.\nAnswer:","out":" It rains a great deal."}`),
			[]string{"0: A. It rains a great deal.\nB. It snows a great deal.\nAnswer:[ It snows a great deal.]", "1: A. It rains a great deal.\nB. It snows a great deal.\nAnswer:[ It rains a great deal.]"},
			nil, nil,
		}, {
			"a target near the end of its input is given away from 16 bytes on, if three quarters of the inputs have one",
			pair(`{"in":"<0123456789abcdef>","out":"0123456789abcdef"}`, `{"in":"<0123456789abcdef>","out":"0123456789abcdef"}`,
				`{"in":"<0123456789abcdef>","out":"0123456789abcdef"}`, `{"in":"<0123456789abcde>","out":"0123456789abcde"}`),
			[]string{"0: <0123456789abcdef>[0123456789abcdef]", "1: <0123456789abcdef>[0123456789abcdef]",
				"2: <0123456789abcdef>[0123456789abcdef]", "3: <0123456789abcde>[0123456789abcde]"}, nil,
			[]string{"in 3 of 4 rows the input already contains the target"},
		}, {
			"the second value of a pair may be at fault, and is named; nothing is wrong with an empty input",
			pair("{\"in\":\"x\",\"out\":\"ab\xff\"}", `{"in":"","out":"y"}`).with(func(d *spec.Dataset) { d.BadRows = "skip" }),
			[]string{"1: [y]"},
			[]string{`bad row x1 [f row 0: field "out" is not valid UTF-8 at byte 2 (0xFF); set invalidUTF8: "replace" to read it with U+FFFD]`},
			[]string{`1 of 2 rows skipped: bad row (f row 0: field "out" is not valid UTF-8 at byte 2 (0xFF); set invalidUTF8: "replace" to read it with U+FFFD)`},
		}, {
			"a text of a limit's size is whole, and one that is emptied by a limit makes no document",
			objects([]string{"t"}, `{"t":"abc"}`, `{"t":"abcd"}`).with(func(d *spec.Dataset) { d.Limits.Bytes = 3 }),
			[]string{"0: [abc]", `1: [abc] {"truncatedFrom":4}`}, nil, nil,
		}, {
			"truncated and replaced bytes are both reported",
			objects([]string{"t"}, "{\"t\":\"a\xffbcdefg\"}").with(func(d *spec.Dataset) { d.Limits.Bytes, d.InvalidUTF8 = 5, "replace" }),
			[]string{"0: [a\ufffdb] {\"truncatedFrom\":10,\"replacedBytes\":1}"}, nil,
			[]string{"1 of 1 rows are not valid UTF-8; bytes that became U+FFFD: 1"},
		}, {
			"a target beyond the limit is not reported as given away",
			pair(`{"in":"aa","out":"a"}`, `{"in":":","out":"1"}`).with(func(d *spec.Dataset) { d.Limits.Bytes = 2 }),
			[]string{"1: :[1]"}, []string{"target beyond the byte limit x1 [f row 0]"},
			[]string{"1 of 2 rows skipped: target beyond the byte limit (f row 0)"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := test.dataset.materialize(t)
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(test.want, m.shown()); d != "" {
				t.Error(d)
			}
			if d := gocmp.Diff(test.dropped, m.dropped()); d != "" {
				t.Error(d)
			}
			if d := gocmp.Diff(test.warnings, m.result.Warnings); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = "{}"
	}
	for _, test := range []struct {
		name    string
		dataset *dataset
		want    []string
	}{
		{
			"every bad row is listed", objects([]string{"t"}, `{"t":"a"}`, `{"t":1}`, `{`),
			[]string{"2 of the rows", "f row 1: line 2: ", "f row 2: line 3", `badRows: "skip"`},
		}, {
			"bad rows before a limit of documents", objects([]string{"t"}, `{}`, `{"t":"a"}`, `{}`).with(func(d *spec.Dataset) { d.Limits.Documents = 1 }),
			[]string{"1 of the rows", "f row 0"},
		}, {
			"not more than a page of them", objects([]string{"t"}, many...),
			[]string{"20 of the rows", "f row 19"},
		}, {
			"invalid UTF-8, with the place", lines("fine", "caf\xe9 au lait"),
			[]string{`f row 1: field "text" is not valid UTF-8 at byte 3 (0xE9)`, `invalidUTF8: "replace"`},
		}, {
			"nothing left", objects([]string{"t"}, `{"t":""}`, `{"t":""}`),
			[]string{"no documents from 2 rows: 2 empty"},
		}, {
			"nothing left for several reasons",
			pair(`{"in":"x","out":""}`, `{}`, `{"in":"xyz","out":"y"}`).with(func(d *spec.Dataset) { d.BadRows, d.Limits.Bytes = "skip", 2 }),
			[]string{"no documents from 3 rows: 1 bad row, 1 empty target, 1 target beyond the byte limit; check the source"},
		}, {
			"a page of them, and there may be more", objects([]string{"t"}, many[:20]...), []string{"at least 20 of the rows cannot be read"},
		}, {
			"no rows in the range", lines("a").with(func(d *spec.Dataset) { d.Rows.From = 7 }),
			[]string{"no documents from 0 rows: the range begins at row 7, and the source has 7 rows or fewer, counted from 0; check"},
		}, {
			"a limit smaller than the first character", lines("é").with(func(d *spec.Dataset) { d.Limits.Bytes = 1 }),
			[]string{"no documents from 1 rows"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.dataset.materialize(t)
			if protocol.KindOf(err) != protocol.InvalidInput {
				t.Fatalf("got error %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got error %v, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "f row 20") {
				t.Error("the list has no end")
			}
		})
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]int64{
		"It's 3.5 km – não?": 4, "...": 0, "snake_case x-y": 3, "½ Ⅷ": 2, "a🙂b": 2, "\ua7d2 \U00016ea0 \u0558": 2,
	} {
		m, err := lines(text).materialize(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.metadata.Counts.Words; got != want {
			t.Errorf("%q has %d words, want %d", text, got, want)
		}
	}
	m, err := pair(`{"in":"not these words ","out":"only these"}`).materialize(t)
	if err != nil || m.metadata.Counts.Words != 2 {
		t.Errorf("got %+v, %v; want the words of the target", m.metadata.Counts, err)
	}
}

func numbers(n int) (rows []string) {
	for i := range n {
		rows = append(rows, fmt.Sprintf("row %d", i))
	}
	return rows
}

func TestSample(t *testing.T) {
	sample := func(d *dataset, documents, seed int64) []string {
		t.Helper()
		m, err := d.with(func(d *spec.Dataset) { d.Sample = &spec.Sample{Documents: documents, Seed: seed} }).materialize(t)
		if err != nil {
			t.Fatal(err)
		}
		return m.shown()
	}
	all := lines(numbers(200)...)
	ten := sample(all, 10, 1)
	if len(ten) != 10 || !slices.IsSortedFunc(ten, func(x, y string) int {
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
	}) {
		t.Errorf("got %q, want 10 in the order of the source", ten)
	}
	if again := sample(all, 10, 1); !slices.Equal(again, ten) {
		t.Errorf("the same seed gave %q, then %q", ten, again)
	}
	if other := sample(all, 10, 2); slices.Equal(other, ten) {
		t.Errorf("another seed gave %q, too", other)
	}
	for _, row := range sample(all, 5, 1) {
		if !slices.Contains(ten, row) {
			t.Errorf("5 rows hold %q and 10 rows do not", row)
		}
	}
	// Added rows displace others but do not change them.
	for _, row := range sample(lines(numbers(300)...), 10, 1) {
		if number := strings.SplitN(row, ":", 2)[0]; len(number) < 3 || number < "200" {
			if !slices.Contains(ten, row) {
				t.Errorf("%q is taken of 300 rows and not of 200", row)
			}
		}
	}
	if few := sample(lines(numbers(3)...), 10, 1); len(few) != 3 {
		t.Errorf("got %q, want all there are", few)
	}
	// Rows that give no document do not displace others.
	empty := objects([]string{"t"}, append(slices.Repeat([]string{`{"t":""}`}, 30), `{"t":"a"}`, `{"t":"b"}`)...)
	if both := sample(empty, 2, 1); len(both) != 2 {
		t.Errorf("got %q among empty rows, want 2 documents", both)
	}
}

// All rows are equally likely in every shard: over many seeds, the counts of 20 rows in 4 shards follow a
// uniform distribution. The bound is the 0.999 quantile of chi-squared with 19 degrees of freedom.
func TestSampleIsFair(t *testing.T) {
	const shards, rows, seeds, documents = 4, 20, 400, 5
	var source fakeSource
	for i := range int64(rows) {
		source = append(source, protocol.Row{
			Shard: fmt.Sprintf("shard-%d", i*shards/rows), Number: i % (rows / shards), Ordinal: i, Values: [][]byte{fmt.Appendf(nil, "row %d", i)},
		})
	}
	counts := map[string]float64{}
	for seed := range int64(seeds) {
		for _, document := range source.materialize(t, &spec.Sample{Documents: documents, Seed: seed}) {
			counts[document.Text]++
		}
	}
	expected, chi := float64(seeds*documents)/rows, 0.0
	for _, n := range counts {
		chi += (n - expected) * (n - expected) / expected
	}
	if len(counts) != rows || chi > 43.8 {
		t.Errorf("chi squared is %v over %v", chi, counts)
	}
}

// The sampled rows of a shard do not depend on the previous shards, except that their rows displace others.
func TestSampleBehindOtherShards(t *testing.T) {
	var source fakeSource
	for i := range int64(80) {
		shard := []string{"a", "b"}[i/40]
		source = append(source, protocol.Row{Shard: shard, Number: i % 40, Ordinal: i, Values: [][]byte{fmt.Appendf(nil, "%s %d", shard, i%40)}})
	}
	alone := slices.Clone(source[40:])
	for i := range alone {
		alone[i].Ordinal = int64(i)
	}
	sample := &spec.Sample{Documents: 10, Seed: 1}
	taken := map[string]bool{}
	for _, document := range alone.materialize(t, sample) {
		taken[document.Text] = true
	}
	of := 0
	for _, document := range source.materialize(t, sample) {
		if document.Shard == "b" {
			of++
			if !taken[document.Text] {
				t.Errorf("%q is taken behind another shard and not alone", document.Text)
			}
		}
	}
	if len(taken) != 10 || of == 0 || of == 10 {
		t.Errorf("got %d rows of one shard, %d of both", len(taken), of)
	}
}

// A sample consists of the rows with the smallest hash of seed, number and shard.
func TestSampleHash(t *testing.T) {
	var source fakeSource
	type row struct {
		hash uint64
		text string
	}
	var rows []row
	for i := range int64(30) {
		shard, number := []string{"a", "b", "c"}[i/10], i%10
		text := fmt.Sprintf("%s %d", shard, number)
		source = append(source, protocol.Row{Shard: shard, Number: number, Ordinal: 7 * i, Values: [][]byte{[]byte(text)}})
		of := []byte("surprisal/sample/v1\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x00\x00\x00" + string(rune(number)) + shard)
		sum := sha256.Sum256(of)
		rows = append(rows, row{binary.BigEndian.Uint64(sum[:]), text})
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.hash, b.hash) })
	var want, got []string
	for _, r := range rows[:11] {
		want = append(want, r.text)
	}
	for _, d := range source.materialize(t, &spec.Sample{Documents: 11, Seed: 0x102}) {
		got = append(got, d.Text)
	}
	slices.Sort(want)
	if d := gocmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// asking is a provider that records its requests.
type asking struct {
	fakeSource
	requests *[]protocol.ReadRequest
	fail     error
}

func (a asking) Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error {
	*a.requests = append(*a.requests, r)
	return errors.Join(a.fakeSource.Read(ctx, r, emit), a.fail)
}

type askingPlugins struct {
	plugins
	asking
	none error
}

func (p askingPlugins) Provider(context.Context) (action.Provider, error) { return p.asking, p.none }

// A provider gets the files of the plan with their local paths. A sample makes the same request twice.
func TestRequest(t *testing.T) {
	files := []protocol.File{{Name: "f", Digest: "d1", Bytes: 3}, {Name: "g", Digest: "d2", Bytes: 4}}
	resolved := protocol.Resolution{Parameters: json.RawMessage(`{"split":"x"}`), Revision: "r", Local: true, Files: files}
	d := lines().with(func(d *spec.Dataset) {
		d.Name, d.Source = "key", spec.Source{Provider: "text", Config: json.RawMessage(`{"path":"f"}`)}
		d.Rows, d.Sample, d.Fields = spec.Range{From: 2, To: 9}, &spec.Sample{Documents: 3, Seed: 1}, []string{"in", "out"}
	})
	dir := t.TempDir()
	task := d.task(t, dir, resolved)
	var requests []protocol.ReadRequest
	a := asking{fakeSource: fakeSource{{Shard: "f", Number: 1, Values: [][]byte{[]byte("a"), []byte("b")}}}, requests: &requests}
	task.Dir, task.Advance, task.Plugins = t.TempDir(), func(action.Progress) {}, askingPlugins{asking: a}
	task.Descriptor.Worker = &plan.Worker{Name: "text", Version: "v", Protocol: 3, Digest: "d"}
	result, err := materialize.Kind{}.Work(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	request := protocol.ReadRequest{
		Source: protocol.Source{Config: json.RawMessage(`{"path":"f"}`), Dir: dir}, Pinned: resolved, Fields: []string{"in", "out"}, From: 2, To: 9,
	}
	if d := gocmp.Diff([]protocol.ReadRequest{request, request}, requests); d != "" {
		t.Error(d)
	}
	var m artifact.Metadata
	if err := artifact.ReadJSON(task.Path(artifact.MetadataFile), &m); err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(artifact.Plugin{Name: "text", Version: "v", Protocol: 3, Digest: "d"}, m.Provider); d != "" || m.Revision != "r" || fmt.Sprint(m.Rows) != "map[from:2 to:9]" ||
		len(m.Files) != 2 || !slices.Equal(m.Fields, []string{"in", "out"}) || result.Measured[plan.MeasuredDocuments] != 1 {
		t.Errorf("got %+v: %s", m, d)
	}
	// A row with other values than requested is bad.
	a.fakeSource = append(a.fakeSource, protocol.Row{Shard: "f", Number: 2, Values: [][]byte{[]byte("c")}})
	task.Plugins = askingPlugins{asking: a}
	if _, err := (materialize.Kind{}).Work(t.Context(), task); protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), "f row 2: has 1 values for the fields in, out") {
		t.Errorf("got error %v", err)
	}
	// An error is returned even if enough rows have been read.
	for _, documents := range []int64{0, 1} {
		a.fakeSource, a.fail = a.fakeSource[:1], errors.New("the line is dead")
		task.Plugins = askingPlugins{asking: a}
		task.Descriptor.Parameters = json.RawMessage(strings.Replace(string(task.Descriptor.Parameters), `"documents":3`, fmt.Sprintf(`"documents":%d`, documents+3), 1))
		if _, err := (materialize.Kind{}).Work(t.Context(), task); !errors.Is(err, a.fail) {
			t.Errorf("got error %v", err)
		}
	}
	task.Plugins = askingPlugins{asking: a, none: errors.New("no provider")}
	if _, err := (materialize.Kind{}).Work(t.Context(), task); err == nil || err.Error() != "no provider" {
		t.Errorf("got error %v", err)
	}
}

// Local files that differ from the plan are not read.
func TestOtherFiles(t *testing.T) {
	files := []protocol.File{{Name: "f", Digest: "d1"}, {Name: "g", Digest: "d2"}}
	for _, other := range [][]protocol.File{nil, files[:1], {files[1], files[0]}, {{Name: "f", Digest: "d1"}, {Name: "h", Digest: "d2"}}, {{Name: "f", Digest: "d1"}, {Name: "g", Digest: "d3"}}, append(slices.Clone(files), files[1])} {
		d := lines()
		d.Name, d.Source = "key", spec.Source{Provider: "text", Config: json.RawMessage("{}")}
		task := d.task(t, "/specs", protocol.Resolution{Files: files})
		moved := d.task(t, "/specs", protocol.Resolution{Files: other})
		var requests []protocol.ReadRequest
		task.Machine, task.Dir, task.Plugins = moved.Machine, t.TempDir(), askingPlugins{asking: asking{requests: &requests}}
		if _, err := (materialize.Kind{}).Work(t.Context(), task); err == nil || !strings.Contains(err.Error(), "are not those of the plan; run again") || len(requests) > 0 {
			t.Errorf("%+v: got error %v after %d requests", other, err, len(requests))
		}
	}
}

// A skipped dataset is listed with its reason. A dataset that two models read with the same limits is materialized
// once.
func TestPlan(t *testing.T) {
	e := &spec.Experiment{Datasets: []spec.Dataset{{Name: "b", Skip: "why b"}, {Name: "a", Skip: "why a"}, {Name: "c", Limits: spec.Limits{Bytes: 5}}}}
	c := plan.Catalog{Sources: map[string]protocol.Resolution{"c": {Parameters: json.RawMessage("{}")}}}
	p, err := plan.Build(t.Context(), e, c, []plan.Kind{materialize.Kind{}, limited{{Bytes: 5}, {Bytes: 6, Documents: 7}, {Bytes: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range p.Actions {
		got = append(got, a.Name+" "+a.Labels.Dataset+" "+string(a.State)+" "+a.Reason)
	}
	if d := gocmp.Diff([]string{"materialize a a skipped why a", "materialize b b skipped why b", "materialize c c waits ", "materialize c@documents=7,bytes=6 c waits "}, got); d != "" {
		t.Error(d)
	}
}

// limited is a kind that reads dataset c with limits.
type limited []spec.Limits

func (limited) Name() string { return "read" }
func (limited) Schema() int  { return 1 }
func (l limited) Plan(b *plan.Builder) error {
	for _, limits := range l {
		if _, err := materialize.Documents(b, b.Dataset("c"), limits); err != nil {
			return err
		}
	}
	return nil
}

// fakeSource is a provider of these rows.
type fakeSource []protocol.Row

func (s fakeSource) Read(_ context.Context, _ protocol.ReadRequest, emit func(protocol.Row) error) error {
	for _, row := range s {
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

// fakePlugins gives fakeSource to a task.
type fakePlugins struct {
	plugins
	source fakeSource
}

func (p fakePlugins) Provider(context.Context) (action.Provider, error) { return p.source, nil }

func (s fakeSource) materialize(t *testing.T, sample *spec.Sample) (documents []artifact.Document) {
	t.Helper()
	dir := t.TempDir()
	d := lines().with(func(d *spec.Dataset) { d.Sample = sample })
	d.Name, d.Source = "key", spec.Source{Provider: d.provider, Config: json.RawMessage("{}")}
	task := d.task(t, dir, protocol.Resolution{})
	task.Dir, task.Advance, task.Plugins = dir, func(action.Progress) {}, fakePlugins{source: s}
	if _, err := (materialize.Kind{}).Work(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	in, err := artifact.OpenDocuments(filepath.Join(dir, artifact.DocumentsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for row, err := range in.All() {
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, row)
	}
	return documents
}

// The metadata shows the first 20 of many bad rows and counts them all.
func TestExamples(t *testing.T) {
	rows := []string{`{"t":"a"}`}
	for range 25 {
		rows = append(rows, "{}")
	}
	m, err := objects([]string{"t"}, rows...).with(func(d *spec.Dataset) { d.BadRows = "skip" }).materialize(t)
	if err != nil {
		t.Fatal(err)
	}
	got := m.metadata.Dropped["bad row"]
	if got.Rows != 25 || len(got.Examples) != 20 || !strings.HasPrefix(got.Examples[19], "f row 20: ") {
		t.Errorf("got %d rows and the examples %q", got.Rows, got.Examples)
	}
}

// Rows that are not sampled are counted separately from bad and empty rows.
func TestSampleCountsBadRows(t *testing.T) {
	d := objects([]string{"t"}, `{"t":"a"}`, `{"t":""}`, `{}`, `{"t":"b"}`, `{"t":"c"}`).with(func(d *spec.Dataset) {
		d.BadRows, d.Sample = "skip", &spec.Sample{Documents: 2, Seed: 1}
	})
	m, err := d.materialize(t)
	if err != nil {
		t.Fatal(err)
	}
	got := m.dropped()
	if len(m.documents) != 2 || len(got) != 3 || !strings.HasPrefix(got[0], "bad row x1 [f row 2: line 3: ") ||
		!slices.Equal(got[1:], []string{"empty x1 [f row 1]", "not sampled x1 []"}) {
		t.Errorf("got %q and dropped %q", m.shown(), got)
	}
	d.BadRows = "error"
	if _, err := d.materialize(t); protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), "f row 2") {
		t.Errorf("a sample over a bad row: got error %v", err)
	}
}

func TestMetadata(t *testing.T) {
	m, err := lines("one", "three").with(func(d *spec.Dataset) {
		d.Limits, d.Sample = spec.Limits{Documents: 9, Bytes: 4}, &spec.Sample{Documents: 8, Seed: 7}
	}).materialize(t)
	if err != nil {
		t.Fatal(err)
	}
	got := m.metadata
	if len(got.Files) != 1 || got.Files[0].Digest != protocol.Digest([]byte("one\nthree")) || string(got.Source) == "" || got.Provider.Name != "text" {
		t.Errorf("got %+v", got)
	}
	if got.RowsRead != 2 || got.Truncated != 1 || !slices.Equal(got.Fields, []string{"text"}) {
		t.Errorf("got %+v", got)
	}
	if s := fmt.Sprint(got.Limits, got.Sample); s != "map[bytes:4 documents:9] map[documents:8 seed:7]" {
		t.Errorf("got %s", s)
	}
}

// A source that changed since planning is rejected.
func TestChangedSource(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	config := json.RawMessage(`{"path":"f","split":"lines"}`)
	if err := os.WriteFile(path, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	resolved, err := providers["text"].Resolve(t.Context(), protocol.ResolveRequest{Source: protocol.Source{Config: config, Dir: dir}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("after."), 0o644); err != nil {
		t.Fatal(err)
	}
	d := &dataset{provider: "text", Dataset: spec.Dataset{
		Name: "key", Source: spec.Source{Provider: "text", Config: config}, Fields: []string{"text"},
	}}
	task := d.task(t, dir, resolved)
	task.Dir, task.Advance = t.TempDir(), func(action.Progress) {}
	_, err = materialize.Kind{}.Work(t.Context(), task)
	if protocol.KindOf(err) != protocol.Changed {
		t.Errorf("got error %v", err)
	}
}

// Equal sources give equal bytes.
func TestSameBytes(t *testing.T) {
	digests := map[string]string{}
	for range 2 {
		m, err := pair(`{"in":"a","out":"b"}`, `{"in":"a","out":""}`, `{"in":"é","out":"éé"}`).with(func(d *spec.Dataset) { d.Limits.Bytes = 5 }).materialize(t)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range m.result.Files {
			data, err := os.ReadFile(filepath.Join(m.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			digest := protocol.Digest(data)
			if before, ok := digests[name]; ok && before != digest {
				t.Errorf("%s is %s, then %s", name, before, digest)
			}
			digests[name] = digest
		}
	}
	if len(digests) != 3 {
		t.Errorf("got the files %v", digests)
	}
}

// FuzzDocuments checks invariants of documents for any bytes and limits.
func FuzzDocuments(f *testing.F) {
	f.Add([]byte("a\nb"), int64(0), int64(0), false)
	f.Add([]byte("a\xff\xe2\x82\né"), int64(2), int64(1), true)
	f.Add([]byte("\n\n\xf0\x9f\x99\x82x"), int64(3), int64(0), true)
	f.Fuzz(func(t *testing.T, content []byte, limit, documents int64, replace bool) {
		d := lines().with(func(d *spec.Dataset) {
			d.Limits = spec.Limits{Documents: max(documents, 0), Bytes: max(limit, 0)}
			if replace {
				d.InvalidUTF8 = "replace"
			}
		})
		d.content = string(content)
		m, err := d.materialize(t)
		if err != nil {
			if protocol.KindOf(err) != protocol.InvalidInput {
				t.Fatal(err)
			}
			return
		}
		for _, document := range m.documents {
			if !utf8.ValidString(document.Text) || limit > 0 && int64(len(document.Text)) > limit || document.ScoreEnd == document.ScoreStart {
				t.Errorf("got %+v", document)
			}
		}
		if documents > 0 && int64(len(m.documents)) > documents {
			t.Errorf("got %d documents", len(m.documents))
		}
	})
}
