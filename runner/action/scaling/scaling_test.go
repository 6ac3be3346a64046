package scaling_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/statistics"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

func TestMain(m *testing.M) { actiontest.Main(m, nil) }

// newLab has the datasets x and y of different lengths, and three models, of which the larger ones have lower losses.
func newLab(t *testing.T) *actiontest.Lab {
	l := actiontest.New(t)
	l.Text("corpus", "the cat sat on the mat", "the dog sat on the cat").TrainOnly = true
	l.Text("x", strings.Repeat("the cat ", 20))
	l.Text("y", "the dog", "sat|on `the` mat")
	for name, config := range map[string]string{"small": `{"order":1}`, "middle": `{"order":2}`, "large": `{"order":4}`} {
		l.Model(name, "ngram", config, "corpus")
	}
	l.Section("scaling", []scaling.Table{{Name: "t", Models: []string{"small", "middle", "large"}, Datasets: []string{"x", "y"}}})
	return l
}

func TestTable(t *testing.T) {
	l := newLab(t)
	p := l.MustRun()
	s := actiontest.JSON[scaling.Summary](l, p, "scaling t", artifact.SummaryFile)
	if len(s.Rows) != 3 || s.Documents != 3 || s.ScoredBytes != 160+7+16 {
		t.Fatalf("got %+v", s)
	}
	for i, r := range s.Rows {
		var nats, bytes, tokens float64
		for j, dataset := range s.Datasets {
			score := actiontest.JSON[artifact.ScoreSummary](l, p, "score "+r.Model+" "+dataset, artifact.SummaryFile)
			nats, bytes, tokens = nats+score.Nats, bytes+float64(score.ScoredBytes), tokens+float64(score.ScoredTokens)
			if r.ByDataset[j] != score.BPB {
				t.Errorf("%s on %s: got %v, want %v", r.Model, dataset, r.ByDataset[j], score.BPB)
			}
		}
		if want := nats / math.Ln2 / bytes; math.Abs(r.BPB-want) > 1e-12 || float64(r.Tokens) != tokens {
			t.Errorf("%s: got %v bpb, want the ratio of sums %v", r.Model, r.BPB, want)
		}
		if want := math.Exp(nats / tokens); math.Abs(*r.Perplexity.PerToken-want) > 1e-9 {
			t.Errorf("%s: got a perplexity of %v, want %v", r.Model, *r.Perplexity.PerToken, want)
		}
		if i > 0 && r.BPB >= s.Rows[i-1].BPB {
			t.Errorf("%s does no better than %s: %v", r.Model, s.Rows[i-1].Model, s.Rows)
		}
		if r.Parameters == nil || r.X == nil || *r.X != float64(*r.Parameters) || i > 0 && *r.X <= *s.Rows[i-1].X {
			t.Errorf("%s: got the parameters %v and x %v, want the number of its n-grams", r.Model, r.Parameters, r.X)
		}
	}

	checkDocuments(t, l.Path(p, "scaling t", "documents.csv"), s)
	report, err := os.ReadFile(l.Path(p, "scaling t", "report.md"))
	if err != nil || !strings.Contains(string(report), "| `large` | 86 |") || !strings.Contains(string(report), "183 scored bytes of 3 documents") {
		t.Errorf("got the report %s, %v", report, err)
	}
}

// The intervals are over the same units as those of scores and of a gap between the same models: documents, the clusters
// that a field names, or shards.
func TestIntervals(t *testing.T) {
	l := newLab(t)
	var rows []string
	for i := range 30 {
		rows = append(rows, fmt.Sprintf(`{"text": %q, "book": %d}`, strings.Repeat("the cat sat ", 1+i%4), i%7))
	}
	l.Write("z.jsonl", strings.Join(rows, "\n"))
	z := l.Dataset("z", "jsonl", `{"path":"z.jsonl"}`, "text")
	z.Cluster, z.ClusterPath = spec.ClusterField, "book"
	l.Text("w", "the dog", "a cat sat on it").Cluster = spec.ClusterShard
	datasets := []string{"w", "x", "y", "z"}
	l.Section("scaling", []scaling.Table{{Name: "t", Models: []string{"small", "middle", "large"}, Datasets: datasets}})
	l.Section("gap", []gap.Gap{{Name: "g", A: "large", B: "small", Datasets: datasets}})
	p := l.MustRun()
	s := actiontest.JSON[scaling.Summary](l, p, "scaling t", artifact.SummaryFile)
	g := actiontest.JSON[gap.Summary](l, p, "gap g", artifact.SummaryFile)
	c := s.Change
	if c == nil || c.Interval == nil || c.Interval.Units != g.Overall.Units || c.Interval.Units != 1+1+2+7 {
		t.Fatalf("found the change %+v; want the %d units of the gap", c, g.Overall.Units)
	}
	for _, of := range [][2]float64{{c.BPB, *g.Overall.GapBPB}, {c.Interval.Low, *g.Overall.Low}, {c.Interval.High, *g.Overall.High}} {
		if math.Abs(of[0]-of[1]) > 1e-12 {
			t.Errorf("found the change %+v in %+v; the gap is %v in [%v, %v]", c.BPB, c.Interval, *g.Overall.GapBPB, *g.Overall.Low, *g.Overall.High)
		}
	}
	for _, r := range s.Rows {
		var all statistics.Sums
		for j, dataset := range datasets {
			score := actiontest.JSON[artifact.ScoreSummary](l, p, "score "+r.Model+" "+dataset, artifact.SummaryFile)
			units := score.Units
			if dataset == "w" {
				units = score.Shards
			}
			all.Merge(units)
			if want := artifact.IntervalOf(units); !reflect.DeepEqual(r.IntervalByDataset[j], want) {
				t.Errorf("%s on %s: found the interval %+v, want %+v", r.Model, dataset, r.IntervalByDataset[j], want)
			}
			if r.UnitsByDataset[j] != units.Units {
				t.Errorf("%s on %s: found %d units of the interval, want %d", r.Model, dataset, r.UnitsByDataset[j], units.Units)
			}
		}
		if want := artifact.IntervalOf(all); want == nil || !reflect.DeepEqual(r.Interval, want) {
			t.Errorf("%s: found the interval %+v, want %+v", r.Model, r.Interval, want)
		}
	}
}

// checkDocuments checks that the documents of a model add up to its scores.
func checkDocuments(t *testing.T, path string, s scaling.Summary) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(f).ReadAll()
	if err := errors.Join(err, f.Close()); err != nil || len(records) != 1+3*3 {
		t.Fatalf("got %q, %v", records, err)
	}
	for _, r := range s.Rows {
		var nats float64
		var bytes, tokens int64
		for _, record := range records[1:] {
			if record[3] != r.Model {
				continue
			}
			b, errB := strconv.ParseInt(record[4], 10, 64)
			n, errN := strconv.ParseInt(record[5], 10, 64)
			x, errX := strconv.ParseFloat(record[6], 64)
			if err := errors.Join(errB, errN, errX); err != nil {
				t.Fatal(err)
			}
			bytes, tokens, nats = bytes+b, tokens+n, nats+x
		}
		if bytes != s.ScoredBytes || tokens != r.Tokens || math.Abs(nats-r.Nats) > 1e-9*r.Nats {
			t.Errorf("%s: documents have %d bytes, %d tokens and %v nats; the score %d, %d and %v", r.Model, bytes, tokens, nats, s.ScoredBytes, r.Tokens, r.Nats)
		}
	}
}

// A table contains only numbers that were measured under the same scoring protocol on the same bytes.
func TestRefuses(t *testing.T) {
	l := newLab(t)
	l.Models[0].Scoring.Prefix = protocol.PrefixNone
	_, failed := l.Run()
	if err := failed["scaling t"]; protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), "different scoring protocols") {
		t.Errorf("got %v", failed)
	}
}

// The key has the names, families and the axis of the spec; sizes are in the scores.
func TestParameters(t *testing.T) {
	l := newLab(t)
	l.Models[0].Family = "f"
	p := l.Plan()
	of := string(p.Action("scaling t").Parameters)
	if !strings.Contains(of, `"name":"small"`) || !strings.Contains(of, `"family":"f"`) || strings.Contains(of, "parameters") {
		t.Errorf("got %s", of)
	}
	if p.Action("scaling t").State != plan.Waits || len(p.Action("scaling t").Inputs) != 6 {
		t.Errorf("got %+v", p.Action("scaling t"))
	}
}
