package gap

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/statistics"
)

// pages are documents of clusters, each a page of a book.
func pages(n int) (docs []artifact.ScoredDocument) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		text := strings.Repeat("page of a book ", 1+r.IntN(20))
		docs = append(docs, artifact.ScoredDocument{
			Shard: "s", Row: int64(i), Cluster: fmt.Sprint("book ", r.IntN(50)), Text: text, ScoreEnd: int32(len(text)),
			TokenIDs: []int32{1}, TokenEnds: []int32{int32(len(text))},
		})
	}
	return docs
}

// scoredBy writes the table of a model with losses of tokens, or with one that differs by book.
func scoredBy(t *testing.T, name string, docs []artifact.ScoredDocument, nll ...float64) Side {
	t.Helper()
	path := filepath.Join(t.TempDir(), artifact.ScoredFile)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := artifact.NewScoredWriter(f)
	for _, d := range docs {
		if d.TokenNLL = nll; nll == nil {
			d.TokenNLL = []float64{lossOf(name, d)}
		}
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return Side{Name: name, Datasets: []Table{{Dataset: "pages", ScoredPath: path}}}
}

func lossOf(name string, d artifact.ScoredDocument) float64 {
	r := rand.New(rand.NewPCG(uint64(name[0]), uint64(d.Row)))
	book := rand.New(rand.NewPCG(uint64(name[0]), sumOfBytes(d.Cluster)))
	return (1 + r.Float64() + 3*book.Float64()) * float64(len(d.Text))
}

func sumOfBytes(s string) (sum uint64) {
	for _, c := range []byte(s) {
		sum = 31*sum + uint64(c)
	}
	return sum
}

// The units are the clusters that documents name, also if their documents do not follow each other, and whatever the
// order of the tables.
func TestClustersOfAField(t *testing.T) {
	docs := pages(400)
	var want statistics.Clusters
	for _, d := range docs {
		want.Add(d.Cluster, (lossOf("a", d)-lossOf("b", d))/0.6931471805599453, float64(len(d.Text)))
	}
	e, _ := want.Sums().Estimate()
	shuffled := append([]artifact.ScoredDocument(nil), docs...)
	rand.New(rand.NewPCG(2, 2)).Shuffle(len(docs), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for _, other := range [][]artifact.ScoredDocument{docs, shuffled} {
		s := compare(t, scoredBy(t, "a", docs), scoredBy(t, "b", other))
		for _, r := range []Row{s.Overall, s.Datasets[0], s.Buckets[0]} {
			if r.Units != 50 {
				t.Errorf("%s: %d units, want 50", r.Name, r.Units)
			}
		}
		o := s.Overall
		got := statistics.Estimate{
			Value: *o.GapBPB, Error: *o.Error, Low: *o.Low, High: *o.High, P: *o.P, Detectable: *o.Detectable, Effective: *o.Effective,
		}
		if diff := cmp.Diff(e, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]Clustered{{"pages", spec.ClusterField, 50}}, s.Clustered); diff != "" {
			t.Error(diff)
		}
	}
}

// Documents whose clusters follow each other keep the order of their rows.
func TestAdjacentClusters(t *testing.T) {
	docs := pages(30)
	for i := range docs {
		docs[i].Cluster = fmt.Sprint("book ", 9-i/10)
	}
	a, b := scoredBy(t, "a", docs), scoredBy(t, "b", docs)
	x, _, err := arrange(t.Context(), a, b, t.TempDir())
	if err != nil || x.Datasets[0].ScoredPath != a.Datasets[0].ScoredPath {
		t.Errorf("got %+v, %v", x.Datasets, err)
	}
	if s := compare(t, a, b); s.Overall.Units != 3 {
		t.Errorf("got %d units, want 3", s.Overall.Units)
	}
}

// An imported table names no clusters: those of the other side count, unless they would change the order of the rows.
func TestClustersOfOneSide(t *testing.T) {
	for _, adjacent := range []bool{true, false} {
		docs := pages(30)
		for i := range docs {
			docs[i].Cluster = fmt.Sprint("book ", i%10)
			if adjacent {
				docs[i].Cluster = fmt.Sprint("book ", i/10)
			}
		}
		without := append([]artifact.ScoredDocument(nil), docs...)
		for i := range without {
			without[i].Cluster = ""
		}
		a, b := scoredBy(t, "a", docs), scoredBy(t, "b", without)
		s, err := Compare(t.Context(), a, b, t.TempDir(), Options{})
		switch {
		case adjacent && (err != nil || s.Overall.Units != 3):
			t.Errorf("got %+v, %v", s, err)
		case !adjacent && (protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), "sort the source by the field of the cluster")):
			t.Errorf("got the error %v", err)
		}
	}
}

// Documents of one row in different clusters are not compared.
func TestDifferentClusters(t *testing.T) {
	docs := pages(2)
	docs[0].Cluster, docs[1].Cluster = "x", "y"
	other := append([]artifact.ScoredDocument(nil), docs...)
	other[1].Cluster = "z"
	_, err := Compare(t.Context(), scoredBy(t, "a", docs), scoredBy(t, "b", other), t.TempDir(), Options{})
	if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), `row 1: the clusters differ: "y" for model "a" and "z" for "b"`) {
		t.Errorf("got the error %v", err)
	}
}
