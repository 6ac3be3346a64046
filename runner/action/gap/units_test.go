package gap

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"surprisal.dev/runner/statistics"
)

// corpus has documents of random words in two datasets, of three documents a shard. a is worse on numbers and on all
// documents of "y".
func corpus(r *rand.Rand) (docs []doc) {
	for _, dataset := range []string{"x", "y"} {
		for i := range 60 {
			var text strings.Builder
			var a, b []float64
			for range 5 + r.IntN(40) {
				word, more := []string{"one", "two", "12", " ", ", "}[r.IntN(5)], 0.0
				if word == "12" {
					more = 1
				}
				if dataset == "y" {
					more += 0.5
				}
				text.WriteString(word)
				for range len(word) {
					b = append(b, 1+r.Float64())
					a = append(a, b[len(b)-1]+more+0.3*r.NormFloat64()+0.3)
				}
			}
			docs = append(docs, doc{dataset: dataset, shard: string(rune('a' + i/3)), row: int64(i), text: text.String(), a: a, b: b})
		}
	}
	return docs
}

// The units of a row are its documents, or the shards of a clustered dataset.
func TestUnits(t *testing.T) {
	for _, clustered := range []bool{false, true} {
		docs := corpus(rand.New(rand.NewPCG(1, 2)))
		a, b := sides(t, docs...)
		for _, side := range []Side{a, b} {
			for i := range side.Datasets {
				side.Datasets[i].Clustered = clustered
			}
		}
		want := map[string]*statistics.Sums{}
		type cluster struct{ list, dataset, shard string }
		type sum struct{ bits, bytes float64 }
		sums := map[cluster]sum{}
		var order []cluster
		add := func(list string, d doc, id int, from, to int) {
			key := cluster{list, d.dataset, d.shard}
			if !clustered {
				key.shard += string(rune(id))
			}
			if _, ok := sums[key]; !ok {
				order = append(order, key)
			}
			s := sums[key]
			for i := from; i < to; i++ {
				s.bits += (d.a[i] - d.b[i]) / math.Ln2
			}
			s.bytes += float64(to - from)
			sums[key] = s
		}
		for id, d := range docs {
			add("overall", d, id, 0, len(d.text))
			add(d.dataset, d, id, 0, len(d.text))
			for at := 0; at < len(d.text); {
				next, kind := segmenter{d.text}.next(at)
				add(bucketNames[bucketOf(d.text[at:next], kind)], d, id, at, next)
				at = next
			}
		}
		for _, key := range order {
			if want[key.list] == nil {
				want[key.list] = &statistics.Sums{}
			}
			want[key.list].Add(sums[key].bits, sums[key].bytes)
		}
		s := compare(t, a, b)
		rows := append(append([]Row{s.Overall}, s.Datasets...), s.Buckets...)
		if len(rows) != len(want) {
			t.Errorf("got %d rows, want %d", len(rows), len(want))
		}
		for _, r := range rows {
			e, ok := want[r.Name].Estimate()
			if !ok || r.Units != want[r.Name].Units {
				t.Errorf("%s: %d units, want %d", r.Name, r.Units, want[r.Name].Units)
				continue
			}
			got := statistics.Estimate{
				Value: *r.GapBPB, Error: *r.Error, Low: *r.Low, High: *r.High, P: *r.P, Detectable: *r.Detectable, Effective: *r.Effective,
			}
			if diff := cmp.Diff(e, got, cmpopts.EquateApprox(1e-6, 1e-12)); diff != "" {
				t.Errorf("clustered %v, %s: %s", clustered, r.Name, diff)
			}
			if r.WonA+r.WonB != r.Units {
				t.Errorf("%s: %d and %d of %d units won", r.Name, r.WonA, r.WonB, r.Units)
			}
		}
		if s.Datasets[0].Name != "y" || s.Datasets[0].Verdict != VerdictA || s.Datasets[0].Q == nil {
			t.Errorf("got the dataset %+v", s.Datasets[0])
		}
	}
}

// The units of literals do not depend on how many of them fit in memory.
func TestUnitsOfLiterals(t *testing.T) {
	a, b := sides(t, corpus(rand.New(rand.NewPCG(1, 2)))...)
	var lists [2]Directions[Literal]
	for i, limit := range []int{0, 2} {
		s, err := Compare(t.Context(), a, b, t.TempDir(), Options{literals: limit})
		if err != nil {
			t.Fatal(err)
		}
		lists[i] = s.TopLiterals
	}
	if diff := cmp.Diff(lists[0], lists[1]); diff != "" {
		t.Error(diff)
	}
	for _, l := range lists[0].AWorse {
		if l.Units < 1 || l.Units > l.Documents || (l.Low == nil) != (l.Units < 2) || l.Low != nil && !(*l.Low < *l.GapBPB && *l.GapBPB < *l.High) {
			t.Errorf("%s: %d units of %d occurrences", l.Name, l.Units, l.Documents)
		}
	}
}

// A verdict needs enough units and bytes, a q-value below 5%, and a gap above the noise.
func TestVerdicts(t *testing.T) {
	row := func(name string, units, bytes int64, gap, p float64) Row {
		return Row{Name: name, Units: units, Bytes: bytes, GapBPB: &gap, DeltaBits: gap * float64(bytes), P: &p}
	}
	rows := []Row{
		row("a", 20, 2000, 0.1, 0.001), row("b", 20, 2000, -0.1, 0.001), row("few units", 19, 2000, 1, 0), row("few bytes", 20, 1999, 1, 0),
		row("chance", 20, 2000, 0.1, 0.2), row("noise", 20, 2000, 0.01, 0), row("one of many", 20, 2000, 0.1, 0.049), {Name: "no estimate", Bytes: 1 << 20},
	}
	judge(rows, 0.01)
	for i, want := range []string{VerdictA, VerdictB, VerdictSmall, VerdictSmall, VerdictOpen, VerdictOpen, VerdictOpen, VerdictSmall} {
		if r := rows[i]; r.Verdict != want || (r.Q == nil) != (want == VerdictSmall) {
			t.Errorf("%s: %s, want %s; q %v", r.Name, r.Verdict, want, r.Q)
		}
	}
	single := row("one of many", 20, 2000, 0.1, 0.049)
	if judgeOne(&single, 0); single.Verdict != VerdictA {
		t.Errorf("alone: %s", single.Verdict)
	}
}
