//go:build python

package hub

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/hub/hubtest"
)

// published fills a hub, and returns the commits of org/tiny, of the head of org/text, and of its conversion.
func published(s *hubtest.Server) (model, head, converted string) {
	s.PageSize = 2
	model = s.Add("models", tiny.ID, hubtest.Public).Commit("main", map[string]string{
		"config.json": "{}", "model.safetensors": noise(3 << 20), "a/b/c.json": "[]", "empty.txt": "",
	})
	d := s.Add("datasets", text.ID, hubtest.Public)
	head = d.Commit("main", map[string]string{"README.md": "text", "data/train.jsonl": `{"text": "a"}`})
	converted = d.Commit("refs/convert/parquet", map[string]string{"default/train/0000.parquet": noise(1000)})
	s.Add("datasets", "org/more", hubtest.Public).Commit("main", map[string]string{"README.md": "more"})
	s.Add("datasets", "org/most", hubtest.Public).Commit("main", map[string]string{"README.md": "most"})
	s.Add("models", "org/gated", hubtest.Gated).Commit("main", map[string]string{"m.gguf": noise(100)})
	s.Add("models", "org/private", hubtest.Private).Commit("main", map[string]string{"m.gguf": "m"})
	return model, head, converted
}

// python runs the hub's own client.
func python(t *testing.T, what string, into any, environment ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Getenv("SURPRISAL_PYTHON"), "hubtest/client.py", what)
	// An empty variable is not the same as none there.
	set := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasSuffix(v, "=") })
	command.Env = slices.Concat(set, environment, []string{"TEST_TOKEN=" + hubtest.Token, "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1", "PYTHONDONTWRITEBYTECODE=1"})
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("huggingface_hub fails: %v", err)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
}

type downloads struct {
	Model, Dataset map[string]int64
	Gated          int64
	Paths          []string
}

func wantDownloads(t *testing.T, got downloads) {
	t.Helper()
	want := downloads{
		Model: map[string]int64{"config.json": 2, "model.safetensors": 3 << 20, "a/b/c.json": 2, "empty.txt": 0}, Gated: 100,
		Dataset: map[string]int64{"default/train/0000.parquet": 1000}, Paths: got.Paths,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("huggingface_hub's downloads (-want +got):\n%s", diff)
	}
}

// The hub's own client downloads from the test hub, and what it has downloaded is not downloaded again here.
func TestPythonDownloads(t *testing.T) {
	s, c := start(t)
	model, _, converted := published(s)
	var got downloads
	python(t, "download", &got)
	wantDownloads(t, got)
	files, err := c.Files(t.Context(), tiny, model)
	if err != nil {
		t.Fatal(err)
	}
	s.Requests()
	for _, f := range files {
		path, err := c.Download(t.Context(), tiny, model, f)
		if err != nil || !slices.Contains(got.Paths, path[:len(path)-len(f.Path)-1]) {
			t.Errorf("%s is at %s, error %v; huggingface_hub has %v", f.Path, path, err, got.Paths)
		}
	}
	if path, ok := c.Cached(text, converted, "default/train/0000.parquet"); !ok {
		t.Errorf("%s is not in the cache", path)
	}
	c.offline = true
	if commit, err := c.Commit(t.Context(), text, "refs/convert/parquet"); err != nil || commit != converted {
		t.Errorf("offline, the commit is %q, error %v", commit, err)
	}
	if requests := s.Requests(); len(requests) > 0 {
		t.Errorf("the second download sent %v", requests)
	}
}

// The hub's own client finds offline what was downloaded here.
func TestPythonFinds(t *testing.T) {
	s, c := start(t)
	published(s)
	for _, of := range []struct {
		Repository
		revision string
	}{{tiny, "main"}, {text, "refs/convert/parquet"}, {Repository{Model, "org/gated"}, "main"}} {
		c.token = hubtest.Token
		commit, err := c.Commit(t.Context(), of.Repository, of.revision)
		if err != nil {
			t.Fatal(err)
		}
		files, err := c.Files(t.Context(), of.Repository, commit)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if _, err := c.Download(t.Context(), of.Repository, commit, f); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Requests()
	var got downloads
	python(t, "download", &got, "HF_HUB_OFFLINE=1")
	wantDownloads(t, got)
	if requests := s.Requests(); len(requests) > 0 {
		t.Errorf("huggingface_hub sent %v", requests)
	}
	parts, err := filepath.Glob(filepath.Join(c.cache, "*", "blobs", "*.incomplete"))
	if err != nil || len(parts) > 0 {
		t.Errorf("the cache keeps %v, error %v", parts, err)
	}
}

// The hub's own client lists repositories, files and branches of the test hub, and knows its refusals.
func TestPythonListing(t *testing.T) {
	s, c := start(t)
	model, head, converted := published(s)
	type listing struct {
		Datasets, Files, Converts, Refusals []string
		SHA                                 string
		Tree                                map[string]string
	}
	var got listing
	python(t, "listing", &got)
	files, err := c.Files(t.Context(), tiny, model)
	if err != nil {
		t.Fatal(err)
	}
	want := listing{
		Datasets: []string{"org/more", "org/most", "org/text"}, Files: []string{"README.md", "data/train.jsonl"}, SHA: head,
		Converts: []string{converted}, Tree: map[string]string{},
		Refusals: []string{"GatedRepoError", "RepositoryNotFoundError", "RemoteEntryNotFoundError", "RevisionNotFoundError"},
	}
	for _, f := range files {
		want.Tree[f.Path] = f.Etag()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("huggingface_hub's listings (-want +got):\n%s", diff)
	}
}
