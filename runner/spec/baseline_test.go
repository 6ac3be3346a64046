package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

var (
	someKey    = strings.Repeat("0a", 32)
	someDigest = "sha256:" + strings.Repeat("1b", 32)
)

// someBaseline returns a baseline with scores on two datasets.
func someBaseline(name string) Baseline {
	b := Baseline{Name: name, Model: "release-7", Backend: "ngram", Tag: "baseline." + name + ".0123"}
	for _, dataset := range []string{"books/one", "two"} {
		b.Scores = append(b.Scores, BaselineScore{
			Dataset: dataset, Kind: "score", Schema: 6, Key: someKey, Protocol: json.RawMessage(`{"prefix":"bos"}`),
			Documents: &BaselineDocuments{Digest: someDigest, Key: someKey, Documents: 3, Bytes: 40},
			Files:     map[string]string{"summary.json": someDigest},
		})
	}
	return b
}

func TestBaselinesInLock(t *testing.T) {
	dir := t.TempDir()
	imported := Baseline{Name: "imported", Model: "m", Tag: "baseline.t", Scores: []BaselineScore{
		{Kind: "import", Schema: 3, Key: someKey, Protocol: json.RawMessage(`{"imported":"<a>"}`), Files: map[string]string{"import.json": someDigest}},
	}}
	err := ChangeLock(t.Context(), dir, "", func(l *Lock) error {
		spaced := someBaseline("release")
		spaced.Scores[0].Protocol = json.RawMessage("{ \"prefix\": \"bos\" }")
		return errors.Join(l.SetBaseline(spaced), l.SetBaseline(imported), l.SetBaseline(someBaseline("gone")))
	})
	if err != nil {
		t.Fatal(err)
	}
	err = ChangeLock(t.Context(), dir, "", func(l *Lock) error {
		// Pinning sources keeps the baselines.
		l.Retain(&Experiment{})
		l.RemoveBaseline("gone")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ReadLock(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Baseline{imported, someBaseline("release")}, l.Baselines()); diff != "" {
		t.Error(diff)
	}
	release, _ := l.Baseline("release")
	if release.Score("two") == nil || release.Score("tw") != nil || release.Imported() || !imported.Imported() {
		t.Error("the datasets of baselines are not what was set")
	}
	if err := l.SetBaseline(Baseline{Name: "a b"}); err == nil {
		t.Error("a baseline with a bad name can be set")
	}
	failed := errors.New("stop")
	if err := ChangeLock(t.Context(), dir, "", func(l *Lock) error { l.RemoveBaseline("release"); return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if l, err = ReadLock(dir, ""); err != nil || len(l.Baselines()) != 2 {
		t.Errorf("a failed change was written: %v", err)
	}
}

// Concurrent changes do not lose each other.
func TestConcurrentChanges(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			err := ChangeLock(t.Context(), dir, "", func(l *Lock) error { return l.SetBaseline(someBaseline(fmt.Sprint("b", i))) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	l, err := ReadLock(dir, "")
	if err != nil || len(l.Baselines()) != 20 {
		t.Errorf("%d baselines of 20, %v", len(l.Baselines()), err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) != 1 {
		t.Errorf("left: %v, %v", files, err)
	}
}

func TestBadBaselinesInLock(t *testing.T) {
	dir := t.TempDir()
	l := &Lock{baselines: map[string]Baseline{"release": someBaseline("release")}}
	if err := l.Write(dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, LockFile))
	if err != nil {
		t.Fatal(err)
	}
	const remedy = "; restore the file, or remove the entry and run `runner baseline set`"
	tests := []struct{ name, old, new, want string }{
		{"name", `"name": "release"`, `"name": "a b"`, `surprisal.lock:6:1: invalid name "a b" of a baseline` + remedy},
		{"model", `"model": "release-7"`, `"model": ""`, `surprisal.lock:6:1: baseline "release" has no model` + remedy},
		{"tag", `"baseline.release.0123"`, `"../x"`, `surprisal.lock:9:1: baseline "release" has the invalid tag "../x"` + remedy},
		{"order", `"books/one"`, `"zoo"`, `surprisal.lock:30:1: baseline "release", dataset "two": duplicate, or not sorted by dataset` + remedy},
		{"duplicate", `"books/one"`, `"two"`, `surprisal.lock:30:1: baseline "release", dataset "two": duplicate, or not sorted by dataset` + remedy},
		{"kind", `"kind": "score"`, `"kind": ""`, `surprisal.lock:12:1: baseline "release", dataset "books/one": no kind` + remedy},
		{"key", someKey, "0A", `surprisal.lock:15:1: baseline "release", dataset "books/one": invalid key "0A": expected 64 lower-case hex digits` + remedy},
		{"protocol", `"scoringProtocol": {`, `"scoringProtocol": null, "kind": "score", "x": {`, `surprisal.lock:22:1: unknown field "x"; ` + lockAdvice},
		{"digest", someDigest, "sha256:12", `surprisal.lock:17:1: baseline "release", dataset "books/one": invalid digest "sha256:12" of the file "documents": ` +
			`expected "sha256:" and 64 lower-case hex digits` + remedy},
		{"schema", `"schema": 6`, `"schema": "6"`, `surprisal.lock:14:1: the field "baselines.scores.schema" has the wrong type: got string; ` + lockAdvice},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			lock := strings.Replace(string(data), test.old, test.new, 1)
			_, err := readLock(fstest.MapFS{LockFile: {Data: []byte(lock)}})
			if err == nil || err.Error() != test.want {
				t.Errorf("found %v\nwant  %s", err, test.want)
			}
		})
	}
	for _, entry := range []string{
		`{"name": "a", "model": "m", "tag": "baseline.t", "scores": []}`, `{"name": "a", "model": "m", "tag": "baseline.t"}`, `{}`, `null`,
		`{"name": "a", "model": "m", "tag": "baseline.t", "scores": [{}]}`,
		`{"name": "a", "model": "m", "tag": "baseline.t", "scores": [{"kind": "k", "key": "` + someKey + `"}]}`,
		`{"name": "a", "model": "m", "tag": "baseline.t", "scores": [{"kind": "k", "key": "` + someKey + `", "files": {"f": "` + someDigest + `"}, "scoringProtocol": []}]}`,
	} {
		_, err := readLock(fstest.MapFS{LockFile: {Data: []byte(`{"version": 1, "sources": [], "baselines": [` + entry + `]}`)}})
		if err == nil || !strings.HasSuffix(err.Error(), remedy) {
			t.Errorf("%s: %v", entry, err)
		}
	}
}
