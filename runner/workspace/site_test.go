package workspace_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/artifact/artifacttest"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/site"
	"surprisal.dev/runner/site/sitetest"
	"surprisal.dev/runner/statistics"
	"surprisal.dev/runner/store"
	"surprisal.dev/runner/workspace"
)

func exportTo(t *testing.T, dir string, o site.Options, workspaces ...*workspace.Workspace) *sitetest.Site {
	t.Helper()
	var experiments []site.Experiment
	for _, w := range workspaces {
		e, err := w.Site(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		experiments = append(experiments, e)
	}
	if o.Text == "" {
		o.Text = action.TextAll
	}
	if _, err := site.Export(t.Context(), dir, o, experiments); err != nil {
		t.Fatal(err)
	}
	return sitetest.Open(t, dir)
}

// newSiteDirectory returns an experiment with 40 documents of rare words in each of two datasets.
func newSiteDirectory(t *testing.T) *directory {
	f := newDirectory(t)
	f.replace(`gaps: "big-small"`, `datasets: "notes/secret": {source: text: _lines & {path: "secret.txt"}, tags: ["private", "kind:notes"]}
datasets: "books/a": tags: ["public"]
models: words: backend: ngram: {order: 2, tokens: "words", train: "corpus"}
scaling: sizes: models: ["small", "big"]
gaps: "words-big": {a: "words", b: "big"}
gaps: "big-small"`)
	var a, secret strings.Builder
	for i := range 40 {
		fmt.Fprintf(&a, "the cat number %d sat on the aardwolf%02d mat and the dog sat on the long cat of the house\n", i*i, i)
		fmt.Fprintf(&secret, "the dog number %d met zyzzyva%02d and the cat of the mat was with it for the whole long day\n", i*i, i)
	}
	f.write("a.txt", a.String())
	f.write("secret.txt", secret.String())
	return f
}

// Two exports of the same results have the same bytes, also if one replaces another site.
func TestSiteDeterministic(t *testing.T) {
	w, _ := newSiteDirectory(t).runs()
	first, second := filepath.Join(t.TempDir(), "site"), filepath.Join(t.TempDir(), "site")
	exportTo(t, first, site.Options{}, w)
	exportTo(t, second, site.Options{Text: action.TextNone}, w)
	exportTo(t, second, site.Options{}, w)
	if diff := cmp.Diff(sitetest.Everything(t, first), sitetest.Everything(t, second)); diff != "" {
		t.Error(diff)
	}
}

// An export over an earlier one takes from it what it would make again, and has the same bytes as one that makes all.
func TestSiteAgain(t *testing.T) {
	f := newSiteDirectory(t)
	w := f.openWith(workspace.Options{Remember: true})
	f.run(w)
	r, err := w.Find(t.Context(), "score words books/a")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.Outputs, func(f store.File) bool { return f.Name == artifact.ConfidenceFile })
	// export reports whether the table of confidence was read.
	export := func(dir string, text action.Text, change func(*site.Experiment)) (read bool) {
		e, err := w.Site(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		path := e.Path
		e.Path = func(ctx context.Context, digest string) (string, error) {
			read = read || digest == r.Outputs[i].Digest
			return path(ctx, digest)
		}
		change(&e)
		if _, err := site.Export(t.Context(), dir, site.Options{Text: text}, []site.Experiment{e}); err != nil {
			t.Fatal(err)
		}
		return read
	}
	asIs := func(*site.Experiment) {}
	another := func(e *site.Experiment) {
		e.Memory, e.Save = &site.Memory{Program: "another", Files: map[string]string{}}, func(*site.Memory) {}
	}
	first, second := filepath.Join(t.TempDir(), "site"), filepath.Join(t.TempDir(), "site")
	for _, of := range []struct {
		name, dir string
		text      action.Text
		change    func(*site.Experiment)
		read      bool
	}{
		{"the first export", first, action.TextAll, asIs, true},
		{"an export over it", first, action.TextAll, asIs, false},
		{"an export to another directory", second, action.TextAll, asIs, true},
		{"another program", second, action.TextAll, another, true},
		{"other rows", first, action.TextSampled, asIs, true},
		{"these rows again", first, action.TextSampled, asIs, false},
		{"all rows again", first, action.TextAll, asIs, true},
	} {
		if read := export(of.dir, of.text, of.change); read != of.read {
			t.Errorf("%s: the table of confidence was read: %v, want %v", of.name, read, of.read)
		}
	}
	damagePublished(t, f)
	if !export(first, action.TextAll, asIs) {
		t.Error("an export took tables by a damaged record")
	}
	if diff := cmp.Diff(sitetest.Everything(t, first), sitetest.Everything(t, second)); diff != "" {
		t.Error(diff)
	}
}

// damagePublished gives each table in the record of earlier exports the digest of the next one.
func damagePublished(t *testing.T, f *directory) {
	t.Helper()
	path := filepath.Join(f.dir, ".surprisal", "published.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var record struct {
		Sum    string      `json:"sha256"`
		Memory site.Memory `json:"memory"`
	}
	if err := json.Unmarshal(data, &record); err != nil || len(record.Memory.Files) < 2 {
		t.Fatalf("%v: %s", err, data)
	}
	keys := slices.Sorted(maps.Keys(record.Memory.Files))
	first := record.Memory.Files[keys[0]]
	for i, key := range keys[:len(keys)-1] {
		record.Memory.Files[key] = record.Memory.Files[keys[i+1]]
	}
	record.Memory.Files[keys[len(keys)-1]] = first
	if data, err = json.Marshal(record); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Without text, no file has a word of a document, or a token, and the table of documents still has all numbers.
func TestSiteWithoutText(t *testing.T) {
	w, _ := newSiteDirectory(t).runs()
	p := exportTo(t, filepath.Join(t.TempDir(), "site"), site.Options{Text: action.TextNone}, w)
	words := []string{"aardwolf", "zyzzyva", "the cat", " sat ", "mat and", "token_ids", "top_ids", "token_byte", "token_text"}
	if found := p.Leaks(words...); len(found) > 0 {
		t.Errorf("found %q", found)
	}
	e := p.Entry("test/gap/words-big")
	for _, role := range []string{"segments", "literals", "cuts"} {
		if f, ok := e.Files[role]; ok {
			t.Errorf("there is a table of %s: %v", role, f)
		}
	}
	if n := len(sitetest.Rows[gap.DocumentRow](p, e.Files["documents"])); n != 80 {
		t.Errorf("got %d documents, want 80", n)
	}
	// The search finds what is there.
	all := exportTo(t, filepath.Join(t.TempDir(), "site"), site.Options{}, w)
	for _, word := range words {
		if len(all.Leaks(word)) == 0 {
			t.Errorf("with all text, %q is in no file", word)
		}
	}
}

// A sample has the documents that a report names and some others, and no words of any other document.
func TestSiteSampled(t *testing.T) {
	f := newSiteDirectory(t)
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, "the cat sat on the mat with a quagga%03d and the dog\n", i)
	}
	f.write("a.txt", b.String())
	w, _ := f.runs()
	p := exportTo(t, filepath.Join(t.TempDir(), "site"), site.Options{Text: action.TextSampled}, w)
	texts := map[string]bool{}
	type datasetFiles struct {
		Name    string `parquet:"name"`
		ScoresA string `parquet:"model_a_scores"`
		ScoresB string `parquet:"model_b_scores"`
	}
	var counts []int
	for _, id := range []string{"test/gap/words-big", "test/gap/big-small"} {
		for _, d := range sitetest.Rows[datasetFiles](p, p.Entry(id).Files["datasets"]) {
			for _, path := range []string{d.ScoresA, d.ScoresB} {
				all, err := parquet.ReadFile[struct {
					Text string `parquet:"text"`
				}](filepath.Join(p.Dir, path))
				if err != nil {
					t.Fatal(err)
				}
				for _, row := range all {
					texts[row.Text] = true
				}
				counts = append(counts, len(all))
			}
		}
	}
	sampled := 0
	for i := range 400 {
		word := fmt.Sprintf("quagga%03d", i)
		inTexts := slices.ContainsFunc(slices.Collect(maps.Keys(texts)), func(text string) bool { return strings.Contains(text, word) })
		if inTexts {
			sampled++
		} else if found := p.Leaks(word); len(found) > 0 {
			t.Errorf("the document with %s is not in the sample, but %q", word, found)
		}
	}
	if sampled < 20 || sampled > 350 {
		t.Errorf("%d of 400 documents are in the sample; tables have %v", sampled, counts)
	}
}

// The pages have the texts of the tokens that a model found most probable in the published documents. Where the text is
// not published on which the experiment trained the model, a token tells no more than a character.
func TestSiteTopTokens(t *testing.T) {
	w, _ := newSiteDirectory(t).runs()
	for name, of := range map[string]struct {
		options site.Options
		words   bool
	}{
		"all": {site.Options{}, true}, "sampled": {site.Options{Text: action.TextSampled}, false}, "filter": {site.Options{Datasets: []string{"books/*"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := exportTo(t, filepath.Join(t.TempDir(), "site"), of.options, w)
			type dataset struct {
				Confidence string `parquet:"model_a_confidence"`
				TopTokens  string `parquet:"model_a_top_tokens"`
			}
			for _, d := range sitetest.Rows[dataset](p, p.Entry("test/gap/words-big").Files["datasets"]) {
				texts, longest := map[int32]string{}, 0
				for token, err := range artifact.ReadTable[struct {
					ID   int32  `parquet:"token_id"`
					Text string `parquet:"token_text"`
				}](filepath.Join(p.Dir, d.TopTokens)) {
					if err != nil {
						t.Fatal(err)
					}
					texts[token.ID] = token.Text
					longest = max(longest, len(token.Text))
				}
				used := map[int32]bool{}
				confidence, err := artifact.OpenConfidence(filepath.Join(p.Dir, d.Confidence))
				if err != nil {
					t.Fatal(err)
				}
				for row, err := range confidence.All() {
					if err != nil {
						t.Fatal(err)
					}
					for i, id := range row.TopIDs {
						used[id] = used[id] || row.Ranks[i] > 0
						if _, ok := texts[id]; of.words && row.Ranks[i] > 0 && !ok {
							t.Errorf("token %d has no text", id)
						}
					}
				}
				for id, text := range texts {
					if !used[id] {
						t.Errorf("token %d, %q, is in no published document", id, text)
					}
				}
				if err := confidence.Close(); err != nil || len(texts) == 0 || longest > 1 != of.words {
					t.Errorf("%d tokens, the longest of %d bytes (%v)", len(texts), longest, err)
				}
			}
		})
	}
}

// A filter leaves nothing of other datasets, and its numbers are those of a gap over the others alone.
func TestSiteFilter(t *testing.T) {
	f := newSiteDirectory(t)
	w, _ := f.runs()
	for name, o := range map[string]site.Options{
		"datasets": {Datasets: []string{"books/*"}}, "tags": {Tags: []string{"public"}},
		"both": {Datasets: []string{"*/*"}, Tags: []string{"public"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := exportTo(t, filepath.Join(t.TempDir(), "site"), o, w)
			if found := p.Leaks("zyzzyva", "secret", "notes", "private", "met "); len(found) > 0 {
				t.Errorf("found %q", found)
			}
			if slices.ContainsFunc(p.Entries, func(e sitetest.Entry) bool { return e.Kind == "scaling" }) {
				t.Error("there is a page of scaling, whose numbers are also about other datasets")
			}
			// A run of the same gap over the published dataset has these numbers.
			f.replace(`"words-big": {a: "words", b: "big"}`, `"words-big": {a: "words", b: "big", datasets: ["books/*"]}`)
			defer f.replace(`, datasets: ["books/*"]}`, `}`)
			alone, _ := f.runs()
			want := summaryOf(t, alone)
			var got struct{ Overall gap.Row }
			e := p.Entry("test/gap/words-big")
			p.JSON(e.Files["details"].Path, &got)
			if diff := cmp.Diff(want.Overall, got.Overall); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"public"}, e.Tags); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := site.Export(t.Context(), filepath.Join(t.TempDir(), "site"), site.Options{Datasets: []string{"[a"}, Text: action.TextAll}, nil); err == nil ||
		!strings.Contains(err.Error(), `"[a"`) {
		t.Errorf("a pattern that is not one: %v", err)
	}
}

// summaryOf returns the summary of the gap words-big.
func summaryOf(t *testing.T, w *workspace.Workspace) (s gap.Summary) {
	t.Helper()
	r, err := w.Find(t.Context(), "gap words-big")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.Outputs, func(f store.File) bool { return f.Name == artifact.SummaryFile })
	in, err := w.Store.Open(t.Context(), r.Outputs[i].Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// The numbers of the pages are those of the artifacts.
func TestSiteNumbers(t *testing.T) {
	w, _ := newSiteDirectory(t).runs()
	p := exportTo(t, filepath.Join(t.TempDir(), "site"), site.Options{}, w)
	want := summaryOf(t, w)
	e := p.Entry("test/gap/words-big")
	var details struct {
		gap.Summary
		Datasets int `json:"datasets"`
	}
	p.JSON(e.Files["details"].Path, &details)
	if diff := cmp.Diff(want.Datasets, sitetest.Rows[gap.Row](p, e.Files["datasets"])); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want.TopLiterals, directionsOf[gap.Literal](p, e.Files["literals"])); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want.TopSegments, directionsOf[gap.Segment](p, e.Files["segments"])); diff != "" {
		t.Error(diff)
	}
	got := details.Summary
	for _, of := range []*gap.Summary{&want, &got} {
		of.Protocols.A, of.Protocols.B = compact(t, of.Protocols.A), compact(t, of.Protocols.B)
	}
	got.Datasets, got.TopLiterals, got.TopSegments, want.Clustered = want.Datasets, want.TopLiterals, want.TopSegments, []gap.Clustered{}
	want.Tokenizers.TopCuts = gap.Directions[gap.Cut]{AWorse: []gap.Cut{}, BWorse: []gap.Cut{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func compact(t *testing.T, data json.RawMessage) json.RawMessage {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// directionsOf reads a table of ranked rows.
func directionsOf[T any](p *sitetest.Site, file action.PageFile) (d gap.Directions[T]) {
	type ranked struct {
		Direction string `parquet:"direction"`
		Rank      int32  `parquet:"rank"`
	}
	order, all := sitetest.Rows[ranked](p, file), sitetest.Rows[T](p, file)
	d.AWorse, d.BWorse = []T{}, []T{}
	for i, row := range all {
		to := &d.AWorse
		if order[i].Direction == "model_b_worse" {
			to = &d.BWorse
		}
		if *to = append(*to, row); int(order[i].Rank) != len(*to) {
			p.T.Errorf("%s: row %d has rank %d", file.Path, i, order[i].Rank)
		}
	}
	return d
}

// Documents lead to their rows in the tables of scores, whose losses add up to their numbers.
func TestSiteDocuments(t *testing.T) {
	w, _ := newSiteDirectory(t).runs()
	for _, text := range []action.Text{action.TextAll, action.TextSampled} {
		p := exportTo(t, filepath.Join(t.TempDir(), "site"), site.Options{Text: text}, w)
		e := p.Entry("test/gap/words-big")
		type document struct {
			gap.DocumentRow
			RowA *int64 `parquet:"model_a_table_row,optional"`
			RowB *int64 `parquet:"model_b_table_row,optional"`
		}
		type dataset struct {
			Name    string `parquet:"name"`
			ScoresA string `parquet:"model_a_scores"`
			ScoresB string `parquet:"model_b_scores"`
			First   int64  `parquet:"first_document_row"`
			Rows    int64  `parquet:"document_rows"`
		}
		documents := sitetest.Rows[document](p, e.Files["documents"])
		found := 0
		for _, d := range sitetest.Rows[dataset](p, e.Files["datasets"]) {
			before := math.Inf(1)
			for _, row := range documents[d.First : d.First+d.Rows] {
				if row.Dataset != d.Name || math.Abs(row.DeltaBits) > before {
					t.Errorf("the rows of %s have one of %s, or are not in order", d.Name, row.Dataset)
				}
				before = math.Abs(row.DeltaBits)
				if row.RowA == nil {
					continue
				}
				found++
				for _, side := range []struct {
					file string
					at   int64
					bpb  float64
				}{{d.ScoresA, *row.RowA, *row.ABPB}, {d.ScoresB, *row.RowB, *row.BBPB}} {
					r, err := artifact.OpenScored(filepath.Join(p.Dir, side.file))
					if err != nil {
						t.Fatal(err)
					}
					var scored artifact.ScoredDocument
					if err := errors.Join(r.SeekRow(side.at), r.Read(&scored), r.Close()); err != nil {
						t.Fatal(err)
					}
					sum := 0.0
					for _, loss := range scored.Losses(nil) {
						sum += loss / math.Ln2
					}
					if scored.Shard != row.Shard || scored.Row != row.Row || math.Abs(sum/float64(row.Bytes)-side.bpb) > 1e-9 {
						t.Errorf("%s %d leads to %s %d with %v bits per byte, want %v", row.Shard, row.Row, scored.Shard, scored.Row, sum/float64(row.Bytes), side.bpb)
					}
				}
			}
		}
		if found < 40 || text == action.TextAll && found != len(documents) {
			t.Errorf("text %s: %d of %d documents have text", text, found, len(documents))
		}
	}
}

// Any two models can be compared by the tables of scores and losses, with the interval of a gap report.
func TestSiteAnyTwo(t *testing.T) {
	w, _ := newSiteDirectory(t).runs()
	p := exportTo(t, filepath.Join(t.TempDir(), "site"), site.Options{Text: action.TextNone}, w)
	type score struct {
		Dataset string `parquet:"dataset"`
		Model   string `parquet:"model"`
		Same    int64  `parquet:"same_bytes"`
		Losses  string `parquet:"losses"`
		First   int64  `parquet:"first_loss_row"`
		Rows    int64  `parquet:"loss_rows"`
	}
	type loss struct {
		Unit  int64   `parquet:"unit"`
		Bytes int64   `parquet:"scored_bytes"`
		Bits  float64 `parquet:"bits"`
	}
	want := summaryOf(t, w)
	losses := func(model, dataset string) ([]loss, int64) {
		for _, s := range sitetest.Rows[score](p, p.Entry("test/scores/all").Files["scores"]) {
			if s.Model == model && s.Dataset == dataset {
				all, err := parquet.ReadFile[loss](filepath.Join(p.Dir, s.Losses))
				if err != nil {
					t.Fatal(err)
				}
				return all[s.First : s.First+s.Rows], s.Same
			}
		}
		t.Fatalf("no score of %s on %s", model, dataset)
		return nil, 0
	}
	for _, row := range want.Datasets {
		a, sameA := losses("words", row.Name)
		b, sameB := losses("big", row.Name)
		if sameA != sameB || len(a) != len(b) {
			t.Fatalf("%s: other bytes (%d and %d)", row.Name, sameA, sameB)
		}
		var sums statistics.Sums
		for i := range a {
			sums.Add(a[i].Bits-b[i].Bits, float64(a[i].Bytes))
		}
		e, ok := sums.Estimate()
		if !ok || math.Abs(e.Value-*row.GapBPB) > 1e-9 || math.Abs(e.Low-*row.Low) > 1e-9 || math.Abs(e.P-*row.P) > 1e-6**row.P {
			t.Errorf("%s: got %+v, want %v [%v, %v], p %v", row.Name, e, *row.GapBPB, *row.Low, *row.High, *row.P)
		}
	}
}

// safeName is the form of the names of a site's files.
var safeName = regexp.MustCompile(`^(data/[0-9a-f]{64}\.(json|parquet)|index\.html|site\.json|surprisal-site\.json|assets/[\w.-]+|licen[cs]es?[\w.-]*\.txt)$`)

// foreignTable writes a table of another tool: one row group, with an equal document in each dataset.
func foreignTable(t *testing.T, path string, datasets []string, text string) {
	t.Helper()
	var rows []artifacttest.ForeignRow
	start, end := int32(0), int32(len(text))
	for _, dataset := range datasets {
		for n := range int64(3) {
			losses := make([]float64, len(text))
			for i := range losses {
				losses[i] = float64(i%7) + float64(n)
			}
			rows = append(rows, artifacttest.ForeignRow{
				Dataset: dataset, Tags: []string{"t"}, Shard: dataset, Row: &n, Text: text, ScoreStart: &start, ScoreEnd: &end, NumBytes: &end,
				TokenIDs: []int32{1}, TokenStarts: []int32{0}, TokenEnds: []int32{end}, PerByteLoss: losses,
			})
		}
	}
	if err := parquet.WriteFile(path, rows); err != nil {
		t.Fatal(err)
	}
}

// Names and texts of any kind are data: they name no file, and a page gets them as they are.
func TestSiteHostile(t *testing.T) {
	f := newSiteDirectory(t)
	names := []string{`<img src=x onerror=alert(1)>`, "a b c%2f..?#&/" + `"'`, "ünï/日本語/\u202e", strings.Repeat("long", 50), "-rf", "site.json"}
	script := "<script>alert(document.cookie)</script></textarea><!-- the cat sat -->"
	foreignTable(t, filepath.Join(f.dir, "theirs.parquet"), names, script)
	f.replace("models: {", `models: theirs: {scores: {path: "theirs.parquet", protocol: "theirs"}}
models: others: {scores: {path: "theirs.parquet", protocol: "theirs"}}
gaps: hostile: {a: "theirs", b: "others"}
models: {`)
	w := f.open()
	if _, err := w.Pin(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.run(w)
	p := exportTo(t, filepath.Join(t.TempDir(), "site"), site.Options{}, w)
	for name := range sitetest.Everything(t, p.Dir) {
		if !safeName.MatchString(name) {
			t.Errorf("there is a file %q", name)
		}
	}
	e := p.Entry("test/gap/hostile")
	if found := p.Leaks(script); len(found) == 0 {
		t.Error("the text is not there as it is")
	}
	var got []string
	for _, row := range sitetest.Rows[gap.Row](p, e.Files["datasets"]) {
		got = append(got, row.Name)
	}
	slices.Sort(got)
	slices.Sort(names)
	if diff := cmp.Diff(names, got); diff != "" {
		t.Error(diff)
	}
	// JSON that is put into a page by mistake has no tags.
	for name, data := range sitetest.Everything(t, p.Dir) {
		if filepath.Ext(name) == ".json" && bytes.ContainsAny(data, "<>") {
			t.Errorf("%s has < or >", name)
		}
	}
}

// A page tells the earlier results of its comparison, and what changed.
func TestSiteVersions(t *testing.T) {
	f := newSiteDirectory(t)
	before, _ := f.runs()
	want := summaryOf(t, before)
	f.replace(`tokens: "words", train: "corpus"`, `tokens: "words", train: "corpus", order: 1`)
	f.replace(`ngram: {order: 2, tokens`, `ngram: {tokens`)
	w, _ := f.runs()
	p := exportTo(t, filepath.Join(t.TempDir(), "site"), site.Options{Text: action.TextNone}, w)
	e := p.Entry("test/gap/words-big")
	var versions []struct {
		Key, Run string
		Headline struct{ Overall gap.Row }
		Changed  []plan.Field
		Changes  int
	}
	p.JSON(e.Files["versions"].Path, &versions)
	if len(versions) != 1 || versions[0].Key == e.Key || versions[0].Run != p.Experiments[0].Runs[1].ID {
		t.Fatalf("got %+v", versions)
	}
	v := versions[0]
	if diff := cmp.Diff(want.Overall, v.Headline.Overall); diff != "" {
		t.Error(diff)
	}
	if !slices.ContainsFunc(v.Changed, func(f plan.Field) bool { return strings.HasPrefix(f.Path, "inputs.a/books/a/scored") }) || v.Changes < 4 {
		t.Errorf("got the changes %v", v.Changed)
	}
	numbers := sitetest.Rows[action.VersionRow](p, e.Files["version_rows"])
	for i, row := range want.Datasets {
		if numbers[i].Name != row.Name || *numbers[i].Value != *row.GapBPB {
			t.Errorf("got %+v, want %s %v", numbers[i], row.Name, *row.GapBPB)
		}
	}
	if f := p.Entry("test/gap/big-small").Files["versions"]; f.Path != "" {
		t.Errorf("an unchanged comparison has versions: %v", f)
	}
	hidden := exportTo(t, filepath.Join(t.TempDir(), "site"), site.Options{Datasets: []string{"books/*"}}, w)
	if found := hidden.Leaks("secret", "zyzzyva"); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}

// The page of a run tells what the latest run did, not that all results are in the store when they are exported.
func TestSiteRun(t *testing.T) {
	f := newSiteDirectory(t)
	w, _ := f.runs()
	stateOf := func() map[string]int {
		var details struct{ States map[string]int }
		p := exportTo(t, filepath.Join(t.TempDir(), "site"), site.Options{Text: action.TextNone}, w)
		p.JSON(p.Entry("test/run/latest").Files["details"].Path, &details)
		return details.States
	}
	if got, want := stateOf(), map[string]int{"done": countActions(t, w)}; !maps.Equal(got, want) {
		t.Errorf("after the first run: got %v, want %v", got, want)
	}
	f.replace(`scaling: sizes: models: ["small", "big"]`, `scaling: others: models: ["big", "small"]`)
	w, _ = f.runs()
	if got, want := stateOf(), map[string]int{"done": 1, "cached": countActions(t, w) - 1}; !maps.Equal(got, want) {
		t.Errorf("after another run: got %v, want %v", got, want)
	}
}

func countActions(t *testing.T, w *workspace.Workspace) int {
	t.Helper()
	p, err := w.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(p.Actions)
}
