package gap

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/runner/statistics"
)

// The distribution of documents equals that of their rows, and the top 1% carries most if one document is far worse.
func TestDistribution(t *testing.T) {
	docs := corpus(rand.New(rand.NewPCG(1, 2)))
	docs[0].text = strings.Repeat("one large document ", 500)
	docs[0].a, docs[0].b = []float64{9}, []float64{1}
	a, b := sides(t, docs...)
	s := compare(t, a, b)
	d := s.Distribution
	var gaps, bits []float64
	wonA := int64(0)
	for _, doc := range docs {
		sum := 0.0
		for i := range len(doc.text) {
			sum += (doc.a[min(i, len(doc.a)-1)] - doc.b[min(i, len(doc.b)-1)]) / math.Ln2
		}
		if sum < 0 {
			wonA++
		}
		bits, gaps = append(bits, sum), append(gaps, sum/float64(len(doc.text)))
	}
	slices.Sort(gaps)
	slices.Sort(bits)
	median := (gaps[59] + gaps[60]) / 2
	if d.Documents != 120 || !d.Exact || math.Abs(d.Median.Value-median) > 1e-9 || !(d.Median.Low < median && median < d.Median.High) {
		t.Errorf("got %d documents and the median %+v, want %v", d.Documents, d.Median, median)
	}
	low, high := statistics.Wilson(wonA, 120)
	if d.ABetter != (Share{wonA, float64(wonA) / 120, low, high}) {
		t.Errorf("a is better on %+v, want %d", d.ABetter, wonA)
	}
	top := bits[119] + bits[118]
	if d.Top.Documents != 2 || math.Abs(d.Top.DeltaBits-top) > 1e-9*top || math.Abs(*d.Top.Share-top/s.Overall.DeltaBits) > 1e-9 || *d.Top.Share < 0.9 {
		t.Errorf("got the top %+v, want %v of %v bits", d.Top, top, s.Overall.DeltaBits)
	}
	if rest := (s.Overall.DeltaBits - top) / float64(s.Overall.Bytes-d.Top.Bytes); math.Abs(*d.Top.RestGapBPB-rest) > 1e-9 {
		t.Errorf("the gap of the rest is %v, want %v", *d.Top.RestGapBPB, rest)
	}
	if d.Effective > 10 {
		t.Errorf("got %v effective documents, although one has most bytes", d.Effective)
	}
}

// A row of fewer than 200 units has a p-value by signs, also the sum of two such rows.
func TestSigns(t *testing.T) {
	s := compare2(t, 60)
	for _, r := range append([]Row{s.Overall}, append(s.Datasets, s.Buckets...)...) {
		if r.PSigns == nil || *r.PSigns < 1e-4 || *r.PSigns > 1 {
			t.Errorf("%s: %d units have the p-value %v", r.Name, r.Units, r.PSigns)
		}
	}
	s = compare2(t, 150)
	if s.Overall.PSigns != nil || s.Datasets[0].PSigns == nil || s.Datasets[1].PSigns == nil {
		t.Errorf("%d units have the p-value %v", s.Overall.Units, s.Overall.PSigns)
	}
}

// compare2 compares two datasets of n documents.
func compare2(t *testing.T, n int) *Summary {
	r := rand.New(rand.NewPCG(1, 2))
	var docs []doc
	for i := range 2 * n {
		docs = append(docs, doc{
			dataset: []string{"x", "y"}[i%2], shard: "s", row: int64(i), text: "some words, and 12", a: []float64{1 + r.NormFloat64()/10}, b: []float64{1},
		})
	}
	a, b := sides(t, docs...)
	return compare(t, a, b)
}

// The q-value of a literal is that among all literals that are not too small.
func TestLiteralsQ(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var docs []doc
	for i := range 200 {
		var text strings.Builder
		var a []float64
		for range 100 {
			// a is worse on "worse" and equal on the 20 other words.
			word, more := "worse", 0.3
			if n := r.IntN(21); n > 0 {
				word, more = "word"+string(rune('a'+n)), 0
			}
			text.WriteString(word + " ")
			for range len(word) + 1 {
				a = append(a, 3+more+0.3*r.NormFloat64())
			}
		}
		docs = append(docs, doc{dataset: "d", shard: "s", row: int64(i), text: text.String(), a: a, b: []float64{3}})
	}
	a, b := sides(t, docs...)
	s := compare(t, a, b)
	var p []float64
	for _, l := range slices.Concat(s.TopLiterals.AWorse, s.TopLiterals.BWorse) {
		if l.Q != nil {
			p = append(p, *l.P)
		}
	}
	if int64(len(p)) != s.TestedLiterals || len(p) != 22 {
		t.Fatalf("%d literals were tested, %d are in the lists", s.TestedLiterals, len(p))
	}
	q := statistics.FalseDiscovery(p)
	i, worse := 0, []string{}
	for _, l := range slices.Concat(s.TopLiterals.AWorse, s.TopLiterals.BWorse) {
		if l.Q == nil {
			continue
		}
		if math.Abs(*l.Q-q[i]) > 1e-12 {
			t.Errorf("%s: q is %v, want %v", l.Name, *l.Q, q[i])
		}
		if l.Verdict == VerdictA {
			worse = append(worse, l.Name)
		}
		i++
	}
	if !slices.Contains(worse, "worse") || len(worse) > 4 {
		t.Errorf("a is worse on %q", worse)
	}
}
