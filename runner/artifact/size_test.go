package artifact_test

import (
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"surprisal.dev/runner/artifact"
)

// sources returns the text of this project's documentation and sources, up to a number of bytes.
func sources(t testing.TB, limit int) []string {
	t.Helper()
	var texts []string
	size := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, e fs.DirEntry, err error) error {
		if err != nil || size >= limit {
			return err
		}
		if ext := filepath.Ext(path); e.IsDir() || ext != ".go" && ext != ".md" {
			return nil
		}
		data, err := os.ReadFile(path)
		size += len(data)
		texts = append(texts, string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// A score of real text in tokens of four bytes takes at most three bytes per byte of text, although its losses are
// random and so cannot be compressed.
func TestSize(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	text := 0
	var documents []artifact.ScoredDocument
	for i, source := range sources(t, 2<<20) {
		d := artifact.ScoredDocument{Shard: "sources", Row: int64(i), Text: source, ScoreEnd: int32(len(source))}
		for at := 0; at < len(source); {
			n := min(1+r.IntN(7), len(source)-at)
			hash := fnv.New32a()
			hash.Write([]byte(source[at : at+n]))
			at += n
			d.TokenIDs = append(d.TokenIDs, int32(hash.Sum32()%50_000))
			d.TokenEnds = append(d.TokenEnds, int32(at))
			d.TokenNLL = append(d.TokenNLL, r.ExpFloat64())
		}
		text += len(source)
		documents = append(documents, d)
	}
	info, err := os.Stat(writeScored(t, documents...))
	if err != nil {
		t.Fatal(err)
	}
	perByte := float64(info.Size()) / float64(text)
	t.Logf("%.2f bytes for each of %d bytes of text", perByte, text)
	if perByte > 3 {
		t.Errorf("got %.2f bytes for each byte of text, want at most 3", perByte)
	}
}
