package gap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/runner/artifact"
)

// byByte are the sums of cuts by bytes, without any iterator.
type byByte struct {
	bits  [2]float64 // of text that is cut differently, and alike
	bytes [2]int64
	cuts  map[string]float64 // bits by text and boundaries
	count map[string]int
}

// add adds a document.
func (n *byByte) add(x, y *artifact.ScoredDocument) {
	size := len(x.Text)
	var at [2]map[int]bool
	for i, d := range []*artifact.ScoredDocument{x, y} {
		at[i] = map[int]bool{0: true, size: true}
		last := int32(0)
		for j, end := range d.TokenEnds {
			start := last
			if len(d.TokenStarts) > 0 {
				start = d.TokenStarts[j]
			}
			at[i][int(max(start, 0))], at[i][int(max(end, 0))] = true, true
			last = end
		}
	}
	excluded := make([]bool, size)
	for _, d := range []*artifact.ScoredDocument{x, y} {
		for i, start := range d.UnscoredStarts {
			for b := start; b < d.UnscoredEnds[i]; b++ {
				excluded[b] = true
			}
		}
	}
	a, b := x.Losses(nil), y.Losses(nil)
	for start := 0; start < size; {
		end, key, differ := start+1, "", 0
		for ; !at[0][end] || !at[1][end]; end++ {
			if at[0][end] || at[1][end] {
				differ = 1
				key += fmt.Sprint(end-start, at[0][end], at[1][end], " ")
			}
		}
		bits, bytes := 0.0, int64(0)
		for i := max(start, int(x.ScoreStart)); i < min(end, int(x.ScoreEnd)); i++ {
			if !excluded[i] {
				bits, bytes = bits+(a[i]-b[i])*math.Log2E, bytes+1
			}
		}
		n.bits[1-differ] += bits
		n.bytes[1-differ] += bytes
		if differ == 1 && bytes > 0 && start >= int(x.ScoreStart) && end <= int(x.ScoreEnd) && end-start <= 32 {
			n.cuts[x.Text[start:end]+" "+key] += bits
			n.count[x.Text[start:end]+" "+key]++
		}
		start = end
	}
}

// The sums of text that is cut differently equal those by bytes, on fuzzed documents. The list is exact if all
// texts fit in memory, and else consists of lower bounds.
func TestCuts(t *testing.T) {
	for seed := range uint64(4) {
		a, b := hostile(t, t.TempDir(), seed, 40)
		want := byByte{cuts: map[string]float64{}, count: map[string]int{}}
		for i := range a.Datasets {
			each(t, a.Datasets[i].ScoredPath, b.Datasets[i].ScoredPath, want.add)
		}
		for _, limit := range []int{0, 4} {
			s, err := Compare(context.Background(), a, b, t.TempDir(), Options{Scratch: t.TempDir(), cuts: limit})
			if err != nil {
				t.Fatal(err)
			}
			k := s.Tokenizers
			for i, r := range []Row{k.Different, k.Alike} {
				if r.Bytes != want.bytes[i] || math.Abs(r.DeltaBits-want.bits[i]) > 1e-7 {
					t.Errorf("seed %d, %s: %d bytes and %v bits, want %d and %v", seed, r.Name, r.Bytes, r.DeltaBits, want.bytes[i], want.bits[i])
				}
			}
			if k.Different.Bytes+k.Alike.Bytes != s.Overall.Bytes || k.UnknownBytes != 0 {
				t.Errorf("seed %d: %d and %d bytes, %d of unknown tokens, of %d", seed, k.Different.Bytes, k.Alike.Bytes, k.UnknownBytes, s.Overall.Bytes)
			}
			if total := k.DifferentGap.Value + k.AlikeGap.Value; math.Abs(total-*s.Overall.GapBPB) > 1e-9 {
				t.Errorf("seed %d: the parts of the gap add up to %v, want %v", seed, total, *s.Overall.GapBPB)
			}
			if share := float64(want.bytes[0]) / float64(s.Overall.Bytes); math.Abs(k.DifferentShare.Value-share) > 1e-12 || !(k.DifferentShare.Low < share && share < k.DifferentShare.High) {
				t.Errorf("seed %d: the share %+v, want %v", seed, k.DifferentShare, share)
			}
			if limit > 0 {
				bounded(t, s)
				continue
			}
			var deltas []float64
			for _, bits := range want.cuts {
				if bits > 0 {
					deltas = append(deltas, bits)
				}
			}
			slices.Sort(deltas)
			slices.Reverse(deltas)
			if len(k.TopCuts.AWorse) != min(topLiterals, len(deltas)) {
				t.Errorf("seed %d: %d cuts, want %d", seed, len(k.TopCuts.AWorse), min(topLiterals, len(deltas)))
			}
			for i, c := range k.TopCuts.AWorse {
				if math.Abs(c.DeltaBits-deltas[i]) > 1e-7 {
					t.Errorf("seed %d, cut %d: %v bits, want %v", seed, i, c.DeltaBits, deltas[i])
				}
			}
		}
	}
}

// bounded checks that a list of few texts says which sums may lack occurrences.
func bounded(t *testing.T, s *Summary) {
	t.Helper()
	late := 0
	for _, c := range slices.Concat(s.Tokenizers.TopCuts.AWorse, s.Tokenizers.TopCuts.BWorse) {
		if c.LowerBound {
			late++
		}
	}
	if n := len(s.Tokenizers.TopCuts.AWorse) + len(s.Tokenizers.TopCuts.BWorse); n == 0 || n > 4 || late == 0 {
		t.Errorf("%d texts, of which %d are lower bounds", n, late)
	}
}

// each visits the documents of two tables.
func each(t *testing.T, pathA, pathB string, visit func(x, y *artifact.ScoredDocument)) {
	t.Helper()
	a, err := artifact.OpenScored(pathA)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := artifact.OpenScored(pathB)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for {
		var x, y artifact.ScoredDocument
		if err := errors.Join(a.Read(&x), b.Read(&y)); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		visit(&x, &y)
	}
}

// Two tokenizers by hand: "ab" is one token of a and two of b, and the space is a token of both.
func TestCutsByHand(t *testing.T) {
	docs := pages(3)
	for i := range docs {
		docs[i].Text, docs[i].ScoreEnd, docs[i].Cluster = "ab c", 4, ""
	}
	cut := func(ends ...int32) []artifact.ScoredDocument {
		out := slices.Clone(docs)
		for i := range out {
			out[i].TokenEnds, out[i].TokenIDs = ends, make([]int32, len(ends))
		}
		return out
	}
	s := compare(t, scoredBy(t, "a", cut(2, 3, 4), 3, 1, 1), scoredBy(t, "b", cut(1, 2, 3, 4), 1, 1, 1, 1))
	k := s.Tokenizers
	if k.Different.Bytes != 6 || math.Abs(k.Different.DeltaBits*math.Ln2-3) > 1e-12 || k.Alike.Bytes != 6 || k.Alike.DeltaBits != 0 || k.Different.Documents != 3 {
		t.Errorf("got %+v and %+v", k.Different, k.Alike)
	}
	if n := len(k.TopCuts.AWorse); n != 1 || len(k.TopCuts.BWorse) != 0 {
		t.Fatalf("%d cuts", n)
	}
	if c := k.TopCuts.AWorse[0]; c.Text != "ab" || c.Occurrences != 3 || c.ABoundaries != "|ab|" || c.BBoundaries != "|a|b|" {
		t.Errorf("got %+v", c)
	}
	var report strings.Builder
	k.report(&report)
	if !strings.Contains(report.String(), "cut 50.0% of the bytes differently") || !strings.Contains(report.String(), "| `\\|ab\\|` | `\\|a\\|b\\|` | 3 |") {
		t.Errorf("got\n%s", report.String())
	}
}
