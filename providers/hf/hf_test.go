package hf

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"surprisal.dev/plugins/conformance"
	"surprisal.dev/plugins/hub"
	"surprisal.dev/plugins/hub/hubtest"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/source/sourcetest"
)

// The test binary also serves as the provider.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		sdk.ServeProvider(New())
		return
	}
	os.Exit(m.Run())
}

const id = "org/text"

// start returns a hub with an empty dataset. The environment is that of its clients, with an empty cache.
func start(t *testing.T) (*hubtest.Server, *hubtest.Repository) {
	t.Helper()
	s := hubtest.New()
	t.Cleanup(s.Close)
	for _, name := range hub.Environment {
		t.Setenv(name, "")
	}
	t.Setenv("HF_ENDPOINT", s.URL)
	t.Setenv("HF_HOME", t.TempDir())
	return s, s.Add("datasets", id, hubtest.Public)
}

type record struct {
	Text string `parquet:"text"`
	Note string `parquet:"note"`
}

// columns returns a Parquet file with n rows from a number on, in groups of size.
func columns(t *testing.T, from, n, size int) string {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	w := parquet.NewGenericWriter[record](&b, parquet.MaxRowsPerRowGroup(int64(size)), parquet.PageBufferSize(4<<10))
	for i := range n {
		note := make([]byte, 2000)
		for j := range note {
			note[j] = byte('a' + random.IntN(26))
		}
		if _, err := w.Write([]record{{fmt.Sprintf("row %d", from+i), string(note)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func compressed(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func jsonLines(from, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"text\": \"row %d\"}\n", from+i)
	}
	return b.String()
}

func configured(config string) protocol.Source {
	return protocol.Source{Config: json.RawMessage(config)}
}

func resolve(t *testing.T, p sdk.Provider, config string) protocol.Resolution {
	t.Helper()
	r, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: configured(config), Network: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, p sdk.Provider, pinned protocol.Resolution, from, to int64) []string {
	t.Helper()
	rows, err := sourcetest.ReadPinned(t, p, configured(`{"id": "org/text"}`), pinned, from, to, "text")
	if err != nil {
		t.Fatal(err)
	}
	return sourcetest.Format(rows)
}

// Every range of rows is a part of the whole, in every format, in parts and from the cache.
func TestRows(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"parquet": {"data/train-0.parquet": columns(t, 0, 5, 2), "data/train-1.parquet": columns(t, 5, 3, 3), "data/test-0.parquet": columns(t, 8, 1, 1)},
		"gzip":    {"train.jsonl.gz": compressed(t, jsonLines(0, 8))},
		"plain":   {"train-a.jsonl": jsonLines(0, 3), "train-b.jsonl": jsonLines(3, 5), "README.md": "no metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			_, repository := start(t)
			commit := repository.Commit("main", files)
			p := New()
			config := `{"id": "org/text"}`
			pinned := resolve(t, p, config)
			if pinned.Revision != commit || pinned.Local {
				t.Errorf("resolved to %+v, want the commit %s", pinned, commit)
			}
			for _, f := range pinned.Files {
				if f.Digest != "sha256:"+hubtest.SHA256(files[f.Name]) || f.Bytes != int64(len(files[f.Name])) || f.Compressed != hubtest.IsLarge(f.Name) {
					t.Errorf("file %+v", f)
				}
			}
			all := read(t, p, pinned, 0, 0)
			if len(all) != 8 || !strings.HasSuffix(all[7], `"row 7"`) {
				t.Fatalf("rows %q", all)
			}
			for from := range int64(9) {
				for to := from + 1; to <= 9; to++ {
					if diff := cmp.Diff(all[from:min(to, 8)], read(t, p, pinned, from, to)); from < 8 && diff != "" {
						t.Fatalf("rows [%d, %d) (-want +got):\n%s", from, to, diff)
					}
				}
			}
			repository.Commit("main", map[string]string{"train.jsonl": "{}"})
			if diff := cmp.Diff(all, read(t, New(), pinned, 0, 0)); diff != "" {
				t.Errorf("after another commit (-want +got):\n%s", diff)
			}
			download(t, pinned)
			t.Setenv("HF_HUB_OFFLINE", "1")
			if diff := cmp.Diff(all, read(t, New(), pinned, 0, 0)); diff != "" {
				t.Errorf("offline (-want +got):\n%s", diff)
			}
		})
	}
}

// download fills the cache.
func download(t *testing.T, pinned protocol.Resolution) {
	t.Helper()
	client, err := hub.FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range pinned.Files {
		r := hub.Repository{Kind: hub.Dataset, ID: id}
		described, err := client.Describe(t.Context(), r, pinned.Revision, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Download(t.Context(), r, pinned.Revision, described); err != nil {
			t.Fatal(err)
		}
	}
}

// The first rows of a large file need little of it.
func TestFirstRows(t *testing.T) {
	s, repository := start(t)
	files := map[string]string{"train-0.parquet": columns(t, 0, 10_000, 500), "train-1.parquet": columns(t, 0, 3, 3)}
	repository.Commit("main", files)
	p := New()
	pinned := resolve(t, p, `{"id": "org/text"}`)
	var sent atomic.Int64
	s.Requests()
	if rows := read(t, p, pinned, 0, 10); len(rows) != 10 {
		t.Fatalf("rows %q", rows)
	}
	for _, q := range s.Requests() {
		var from, to int64
		if _, err := fmt.Sscanf(q.Range, "bytes=%d-%d", &from, &to); err == nil {
			sent.Add(to - from + 1)
		}
		if strings.Contains(q.Path, "train-1") {
			t.Errorf("ten rows needed %+v", q)
		}
	}
	if all := int64(len(files["train-0.parquet"])); sent.Load() > 4<<20 || sent.Load() == 0 || all < 15<<20 {
		t.Errorf("ten rows needed %d of %d bytes", sent.Load(), all)
	}
}

// Config, split and files select the files, as the repository says or by their names.
func TestSelection(t *testing.T) {
	card := func(metadata string) string { return "---\nlicense: mit\n" + metadata + "---\n# Text\n" }
	const one = "configs:\n- config_name: en\n  data_files:\n  - split: train\n    path: [\"en/a*.jsonl\", en/x.parquet]\n  - split: test\n    path: en/t.jsonl\n"
	const two = one + "- config_name: de\n  default: true\n  data_dir: german\n  data_files: \"*.jsonl\"\n"
	declared := map[string]string{"README.md": card(two), "en/a1.jsonl": "", "en/a2.jsonl": "", "en/t.jsonl": "", "german/d.jsonl": "", "train.jsonl": ""}
	converted := map[string]string{"en/train/0000.parquet": "", "en/train/0001.parquet": "", "en/test/0000.parquet": "", "de/partial-train/0000.parquet": ""}
	for name, test := range map[string]struct {
		files  map[string]string
		config string
		want   string
	}{
		"declared":              {declared, `"config": "en"`, "en/a1.jsonl en/a2.jsonl"},
		"declared split":        {declared, `"config": "en", "split": "test"`, "en/t.jsonl"},
		"declared default":      {declared, ``, "german/d.jsonl"},
		"no such config":        {declared, `"config": "fr"`, `dataset org/text has no config "fr"; configs are "de", "en"`},
		"no such split":         {declared, `"config": "en", "split": "dev"`, `config "en" has no split "dev"; splits are test, train`},
		"converted":             {converted, `"config": "en"`, "en/train/0000.parquet en/train/0001.parquet"},
		"partly converted":      {converted, `"config": "de"`, "de/partial-train/0000.parquet"},
		"converted split":       {converted, `"config": "en", "split": "test"`, "en/test/0000.parquet"},
		"several configs":       {converted, ``, `has several configs; set config to one of "de", "en"`},
		"named":                 {map[string]string{"data/train-00000-of-00001.parquet": "", "data/test-00000-of-00001.parquet": "", "training.md": ""}, ``, "data/train-00000-of-00001.parquet"},
		"named in a directory":  {map[string]string{"c/train/x.jsonl.zst": "", "d/train/x.jsonl": "", "c/trained.jsonl": ""}, `"config": "c"`, "c/train/x.jsonl.zst"},
		"both formats":          {map[string]string{"train.jsonl": "", "train.parquet": ""}, ``, "train.parquet"},
		"unsplit":               {map[string]string{"a.jsonl": "", "b/c.json": "", "image.png": ""}, ``, "a.jsonl b/c.json"},
		"only a test":           {map[string]string{"test.jsonl": "", "image.png": ""}, ``, `no Parquet or JSON Lines file belongs to split "train"; it contains `},
		"another format":        {map[string]string{"train.csv": ""}, ``, `or read the hub's own conversion: revision: "refs/convert/parquet"`},
		"a glob":                {declared, `"files": "**/*1.jsonl"`, "en/a1.jsonl"},
		"a glob of others":      {declared, `"files": "*"`, `files "*" match README.md, which is neither Parquet nor JSON Lines`},
		"a glob of nothing":     {declared, `"files": "fr/*"`, `no file matches "fr/*"; it contains `},
		"a bad glob":            {declared, `"files": "{a"`, `path "{a"`},
		"a bad card":            {map[string]string{"README.md": card("configs: [}\n")}, ``, "the metadata of its README.md cannot be read"},
		"a bad list":            {map[string]string{"README.md": card("configs:\n- data_files: {a: b}\n")}, ``, "of its README.md: "},
		"a card names nothing":  {map[string]string{"README.md": card(one)}, ``, "its README.md names the files en/a*.jsonl, en/x.parquet for split"},
		"an unknown field":      {declared, `"name": "en"`, `unknown field "name"`},
		"a revision that isn't": {declared, `"revision": "v9"`, `it has no revision "v9"`},
		"a path":                {declared, `"revision": "../x"`, `revision "../x": expected a commit`},
	} {
		t.Run(name, func(t *testing.T) {
			_, repository := start(t)
			repository.Commit("main", test.files)
			r, err := New().Resolve(t.Context(), protocol.ResolveRequest{Source: configured(strings.TrimSuffix(`{"id": "org/text", `+test.config, ", ") + "}"), Network: true})
			var names []string
			for _, f := range r.Files {
				names = append(names, f.Name)
			}
			got := strings.Join(names, " ")
			if err != nil {
				got = err.Error()
			}
			if got != test.want && (err == nil || !strings.Contains(got, test.want) || protocol.KindOf(err) != protocol.InvalidInput) {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
		})
	}
}

// A source is pinned before it is read, and content that differs from the pinned one is refused.
func TestPinned(t *testing.T) {
	_, repository := start(t)
	repository.Commit("main", map[string]string{"train.parquet": columns(t, 0, 3, 3), "train.jsonl": jsonLines(0, 3)})
	p := New()
	_, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: configured(`{"id": "org/text"}`)})
	if protocol.KindOf(err) != protocol.NeedsNetwork || !strings.Contains(err.Error(), "runner pin") {
		t.Errorf("without the network: %v", err)
	}
	for _, files := range []string{"train.parquet", "train.jsonl"} {
		config := `{"id": "org/text", "files": "` + files + `"}`
		pinned := resolve(t, p, config)
		pinned.Files[0].Digest = protocol.Digest([]byte("something else"))
		if _, err := sourcetest.ReadPinned(t, p, configured(config), pinned, 0, 0, "text"); protocol.KindOf(err) != protocol.Changed {
			t.Errorf("%s with another digest: %v", files, err)
		}
		pinned.Revision = "main"
		if _, err := sourcetest.ReadPinned(t, p, configured(config), pinned, 0, 0, "text"); protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s pinned at a branch: %v", files, err)
		}
	}
}

// A storage that sends other content than the hub lists is found when a file is read to its end; a broken connection is
// not taken for damage.
func TestStorage(t *testing.T) {
	s, repository := start(t)
	content := compressed(t, jsonLines(0, 3))
	other := compressed(t, jsonLines(9, 3))
	repository.Commit("main", map[string]string{"train.jsonl.gz": content})
	p := New()
	config := `{"id": "org/text"}`
	pinned := resolve(t, p, config)
	s.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("signature") == "" {
			return false
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(content)-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write([]byte(other)[:len(content)])
		return true
	})
	if len(other) < len(content) {
		t.Fatalf("%d bytes are too few", len(other))
	}
	if _, err := sourcetest.ReadPinned(t, p, configured(config), pinned, 0, 0, "text"); protocol.KindOf(err) != protocol.Changed {
		t.Errorf("other content: %v", err)
	}
	var once sync.Once
	s.Fail(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("signature") != "" {
			once.Do(func() { panic(http.ErrAbortHandler) })
		}
		return false
	})
	if rows := read(t, p, pinned, 0, 0); len(rows) != 3 {
		t.Errorf("after a broken connection: %q", rows)
	}
	s.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("signature") == "" {
			return false
		}
		w.WriteHeader(http.StatusNotFound)
		return true
	})
	_, err := sourcetest.ReadPinned(t, p, configured(config), pinned, 0, 0, "text")
	if err == nil || strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("without the storage: %v", err)
	}
}

// A source of more files than a lock file should have is refused with their number, before any is read.
func TestTooManyFiles(t *testing.T) {
	s, r := start(t)
	s.PageSize = 200_000
	files := map[string]string{}
	for i := range 100_000 {
		files[fmt.Sprintf("train/%06d.jsonl", i)] = ""
	}
	r.Commit("main", files)
	source := protocol.Source{Config: json.RawMessage(`{"id":"org/text"}`)}
	_, err := New().Resolve(t.Context(), protocol.ResolveRequest{Source: source, Network: true})
	if err == nil || protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), `100000 files belong to split "train", and at most 50000 are read`) {
		t.Errorf("error %v", err)
	}
	if n := len(s.Requests()); n > 3 {
		t.Errorf("%d requests", n)
	}
}

func TestConformance(t *testing.T) {
	_, repository := start(t)
	repository.Commit("main", map[string]string{
		"data/train-0.parquet": columns(t, 0, 50, 7), "data/train-1.parquet": columns(t, 50, 50, 9),
		"large.jsonl":     `{"text": "` + strings.Repeat("x", 4<<20) + `"}`,
		"too-large.jsonl": `{"text": "` + strings.Repeat("x", protocol.MaxTextBytes+1) + `"}`,
	})
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	large, tooLarge := configured(`{"id": "org/text", "files": "large.jsonl"}`), configured(`{"id": "org/text", "files": "too-large.jsonl"}`)
	report, err := conformance.Run(t.Context(), []string{program, "serve"}, protocol.KindProvider, conformance.Case{
		Source: configured(`{"id": "org/text"}`), Fields: []string{"text"}, Large: &large, TooLarge: &tooLarge, LargeBytes: 4 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Passed() {
		if _, err := report.WriteTo(os.Stderr); err != nil {
			t.Error(err)
		}
		t.Fail()
	}
}

// FuzzCard parses hostile metadata: it ends with globs or an error.
func FuzzCard(f *testing.F) {
	f.Add("---\nconfigs:\n- config_name: a\n  data_files:\n  - split: train\n    path: x\n---\n")
	f.Add("---\na: &a [x, x]\nconfigs:\n- data_files: *a\n---\n")
	f.Fuzz(func(t *testing.T, card string) {
		s := selection{config: config{ID: id, Split: "train", Revision: "main"}, all: []hub.File{{Path: "x"}, {Path: "a/train/0000.parquet"}}}
		if files, err := s.choose(card); err == nil && len(files) == 0 {
			t.Error("neither files nor an error")
		}
	})
}
