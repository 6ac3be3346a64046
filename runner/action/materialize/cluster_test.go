package materialize_test

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/spec"
)

func byBook(d *spec.Dataset) { d.Cluster, d.ClusterPath = spec.ClusterField, "book" }

// A document has the name of its cluster, and the metadata their number.
func TestCluster(t *testing.T) {
	m, err := objects([]string{"text"}, `{"text": "x", "book": "one"}`, `{"text": "", "book": "dropped"}`, `{"text": "y", "book": 2}`, `{"text": "z", "book": "one"}`).
		with(byBook).materialize(t)
	if err != nil {
		t.Fatal(err)
	}
	var clusters []string
	for _, d := range m.documents {
		clusters = append(clusters, d.Text+" "+d.Cluster)
	}
	if d := gocmp.Diff([]string{"x one", "y 2", "z one"}, clusters); d != "" || m.metadata.Counts.Clusters != 2 || m.metadata.Cluster != "book" {
		t.Errorf("got %d clusters of %q: %s", m.metadata.Counts.Clusters, m.metadata.Cluster, d)
	}
	if w := strings.Join(m.result.Warnings, ""); !strings.Contains(w, `the field "book" has 2 values`) || !strings.Contains(w, "fewer than 40 clusters are rough") {
		t.Errorf("got the warnings %q", w)
	}
}

// Both values of a pair come before the cluster.
func TestClusterOfPairs(t *testing.T) {
	m, err := pair(`{"in": "question ", "out": "answer", "book": "b"}`).with(byBook).materialize(t)
	if err != nil {
		t.Fatal(err)
	}
	if d := m.documents[0]; d.Text != "question answer" || d.ScoreStart != 9 || d.Cluster != "b" {
		t.Errorf("got %+v", d)
	}
}

// A row without the name of its cluster is a bad row.
func TestRowsWithoutCluster(t *testing.T) {
	rows := []string{`{"text": "x", "book": "one"}`, `{"text": "y"}`, `{"text": "z", "book": ""}`, `{"text": "z", "book": "` + strings.Repeat("n", 1025) + `"}`, "{\"text\": \"z\", \"book\": \"\xff\"}"}
	problems := []string{
		`f row 1: line 2: no field "book"; fields are "text"`, `f row 2: field "book" is empty`, `f row 3: field "book" has 1025 bytes; the name of a cluster has at most 1024`,
		`f row 4: field "book" is not valid UTF-8 at byte 0 (0xFF)`, `the field of its cluster, to fields that its rows have (now text, book)`,
	}
	_, err := objects([]string{"text"}, rows...).with(byBook).materialize(t)
	for _, want := range problems {
		if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
	m, err := objects([]string{"text"}, rows...).with(func(d *spec.Dataset) { byBook(d); d.BadRows, d.InvalidUTF8 = "skip", "replace" }).materialize(t)
	if err != nil || len(m.documents) != 1 || m.metadata.Dropped["bad row"].Rows != 4 {
		t.Errorf("got %d documents, %+v, %v", len(m.documents), m.metadata.Dropped, err)
	}
}

// The text provider has no field that names a cluster.
func TestClusterOfText(t *testing.T) {
	_, err := lines("x").with(byBook).materialize(t)
	if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), `no field "book"; the fields of text are "text"`) {
		t.Errorf("got the error %v", err)
	}
}

// There are at most artifact.MaxClusters clusters.
func TestManyClusters(t *testing.T) {
	rows := make([]string, artifact.MaxClusters+1)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"text": "x", "book": %d}`, i)
	}
	_, err := objects([]string{"text"}, rows...).with(byBook).materialize(t)
	if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), `f row 262144: field "book" has more than 262144 values`) {
		t.Errorf("got the error %v", err)
	}
}
