//go:build torch

package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"
)

// confidenceCase is a computation of confidence. All products and sums of its logits are exact in float32, before the
// soft cap, so that ties are the same in every order of operations.
type confidenceCase struct {
	vocabulary, columns int64
	// The logits are about that large.
	spread    float64
	softcap   float64
	reference bool
}

const confidenceRows, confidenceWidth = 24, 2

// testTopK is how many tokens the mass of the top tokens has in tests.
const testTopK = 40

// data returns hidden states and a head whose elements have few bits.
func (c confidenceCase) data() (hidden, head []float32) {
	random := rand.New(rand.NewPCG(uint64(c.vocabulary), 5))
	scale, spread := 1.0, c.spread
	if spread > 100 {
		scale, spread = spread, 1
	}
	for range confidenceRows * confidenceWidth {
		hidden = append(hidden, float32(random.IntN(17)-8)/8)
	}
	for range c.vocabulary * confidenceWidth {
		head = append(head, float32(math.Round(random.NormFloat64()*spread*64)/64*scale))
	}
	return hidden, head
}

func (c confidenceCase) head(s *Scope, rows []float32) Head {
	weights := New(s, rows, Float32, int64(len(rows))/confidenceWidth, confidenceWidth)
	return Head{Weights: s.Pieces(weights, c.columns), Softcap: c.softcap, Rows: 10, Reference: c.reference}
}

// logits returns the logits of each row. Those after a soft cap are taken from the losses: each token is a target.
func (c confidenceCase) logits(s *Scope, hidden, head []float32) [][]float64 {
	exact := dots(hidden, head, confidenceWidth)
	var logits [][]float64
	for i := range confidenceRows {
		row := exact[int64(i)*c.vocabulary:][:c.vocabulary]
		if c.softcap != 0 {
			targets := make([]int64, c.vocabulary)
			for j := range targets {
				targets[j] = int64(j)
			}
			in := slices.Repeat(hidden[i*confidenceWidth:][:confidenceWidth], int(c.vocabulary))
			row = s.Logits(New(s, in, Float32, c.vocabulary, confidenceWidth), c.head(s, head), targets).Logits
		}
		logits = append(logits, row)
	}
	return logits
}

// TestConfidences compares confidence with float64, for logits that are all equal, tied, close and far apart, with and
// without a soft cap, in one piece and several, and in one shard and several.
func TestConfidences(t *testing.T) {
	for _, vocabulary := range []int64{1, 2, 33, 513, 7001} {
		for _, columns := range []int64{vocabulary, vocabulary/3 + 1} {
			for _, spread := range []float64{0, 0.02, 1, 30, 0x1p+100} {
				for _, softcap := range []float64{0, 5} {
					for _, reference := range []bool{false, true} {
						c := confidenceCase{vocabulary, columns, spread, softcap, reference}
						if softcap == 0 || vocabulary < 1000 {
							t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) { testConfidences(t, c) })
						}
					}
				}
			}
		}
	}
}

func testConfidences(t *testing.T, c confidenceCase) {
	heap := NewHeap()
	s := heap.NewScope()
	data, rows := c.data()
	hidden, head := New(s, data, Float32, confidenceRows, confidenceWidth), c.head(s, rows)
	logits := c.logits(s, data, rows)
	targets := make([]int64, confidenceRows)
	for i := range targets {
		targets[i] = int64(i*i) % c.vocabulary
		if i%3 == 0 {
			targets[i] = int64(slices.Index(logits[i], slices.Max(logits[i])))
		}
	}
	plain := Losses(s.Logits(hidden, head, targets))
	p := s.ConfidentLogits(hidden, head, targets, ConfidenceOptions{TargetLogits: s.TargetLogits(hidden, head, targets), TopK: testTopK})
	got := Confidences(targets, p)
	if losses := Losses(p); !slices.Equal(losses, plain) {
		t.Errorf("confidence changes losses: %v, want %v", losses, plain)
	}
	// libtorch's tanh has other bits at other places of a tensor.
	tolerance := 0.0
	if c.reference && c.softcap != 0 {
		tolerance = 2e-6
	}
	for i, target := range targets {
		compareConfidence(t, logits[i], target, got.row(i), tolerance)
		if tolerance == 0 && (p.Preceding[i] == 0) != (int64(p.Tops[i]) == target) {
			t.Errorf("%v tokens precede %d, and the top is %v", p.Preceding[i], target, p.Tops[i])
		}
	}
	if c.vocabulary > 1 && tolerance == 0 {
		sharded := c.sharded(s, hidden, rows, targets)
		if !slices.Equal(sharded.Top, got.Top) || !slices.Equal(sharded.Ranks, got.Ranks) {
			t.Errorf("two shards have tops %v and ranks %v, want %v and %v", sharded.Top, sharded.Ranks, got.Top, got.Ranks)
		}
		for i, entropy := range sharded.Entropies {
			near(t, "entropy of two shards", entropy, got.Entropies[i], 2e-6)
			near(t, "mass in two shards", sharded.TopKMass[i], got.TopKMass[i], 2e-6)
		}
	}
	if err := s.Close(); err != nil || heap.Live() != 0 {
		t.Errorf("%v, %d tensors are left", err, heap.Live())
	}
}

// sharded computes confidence with the head in two shards.
func (c confidenceCase) sharded(s *Scope, hidden Tensor, rows []float32, targets []int64) Confidence {
	half := c.vocabulary / 2
	heads := []Head{c.head(s, rows[:half*confidenceWidth]), c.head(s, rows[half*confidenceWidth:])}
	heads[1].First = half
	logits := s.TargetLogits(hidden, heads[0], targets)
	for i, z := range s.TargetLogits(hidden, heads[1], targets) {
		logits[i] = max(logits[i], z)
	}
	var shards []Partial
	for _, head := range heads {
		shards = append(shards, s.ConfidentLogits(hidden, head, targets, ConfidenceOptions{TargetLogits: logits, TopK: testTopK}))
	}
	return Confidences(targets, shards...)
}

// row returns the confidence of row i alone.
func (c Confidence) row(i int) Confidence {
	return Confidence{Top: c.Top[i : i+1], TopNLL: c.TopNLL[i : i+1], Ranks: c.Ranks[i : i+1], Entropies: c.Entropies[i : i+1], TopKMass: c.TopKMass[i : i+1]}
}

// compareConfidence compares the confidence of one row with its logits. Logits that differ by at most a tolerance may
// have any order.
func compareConfidence(t *testing.T, logits []float64, target int64, got Confidence, tolerance float64) {
	t.Helper()
	greatest := slices.Max(logits)
	top, truth := slices.Index(logits, greatest), logits[target]
	least, most := int32(1), int32(1)
	sum, moment := 0.0, 0.0
	for v, z := range logits {
		e := math.Exp(z - greatest)
		sum += e
		if e > 0 {
			moment += e * (z - greatest)
		}
		if z > truth+tolerance || tolerance == 0 && z == truth && int64(v) < target {
			least, most = least+1, most+1
		} else if tolerance > 0 && z >= truth-tolerance && int64(v) != target {
			most++
		}
	}
	found := int(got.Top[0])
	if found != top && !(tolerance > 0 && logits[found] >= greatest-tolerance) {
		t.Errorf("top %d, want %d", found, top)
	}
	if rank := got.Ranks[0]; rank < least || rank > most || (rank == 1) != (int64(found) == target) {
		t.Errorf("target %d and top %d have rank %d, want %d to %d", target, found, rank, least, most)
	}
	near(t, "the NLL of top", got.TopNLL[0], math.Log(sum), 2e-6)
	near(t, "entropy", got.Entropies[0], math.Log(sum)-moment/sum, 2e-6)
	kept := slices.Sorted(slices.Values(logits))
	mass := 0.0
	for _, z := range kept[max(len(kept)-testTopK, 0):] {
		mass += math.Exp(z - greatest)
	}
	near(t, "the mass of the top tokens", got.TopKMass[0], math.Log(mass)-math.Log(sum), 2e-6)
}

// TestConfidenceOfRows checks that a row's confidence and its target's logit have the same bits whatever the other
// rows, and that TargetLogits returns the logits of losses. On a processor whose rows are not independent, they may
// differ by rounding.
func TestConfidenceOfRows(t *testing.T) {
	tolerance := 1e-5
	if IndependentRows() {
		tolerance = 0
	}
	equal := func(a, b float64) bool { return math.Abs(a-b) <= tolerance*max(math.Abs(b), 1) }
	const rows, width, vocabulary = 61, 96, 5000
	random := rand.New(rand.NewPCG(15, 16))
	data, weights, targets := bfloat16s(random, rows*width, 1), bfloat16s(random, vocabulary*width, 0.2), make([]int64, rows)
	for i := range targets {
		targets[i] = random.Int64N(vocabulary)
	}
	heap := NewHeap()
	for _, kind := range []Type{Float32, BFloat16} {
		s := heap.NewScope()
		hidden, head := s.To(New(s, data, Float32, rows, width), kind, CPU), Head{Softcap: 20, Rows: 48}
		for _, piece := range s.Pieces(s.To(New(s, weights, Float32, vocabulary, width), kind, CPU), 2048) {
			head.Weights = append(head.Weights, s.PackFloat32(piece))
		}
		compute := func(from, to int64) (Partial, []float64, Confidence) {
			part, some := s.Narrow(hidden, 0, from, to-from), targets[from:to]
			logits := s.TargetLogits(part, head, some)
			p := s.ConfidentLogits(part, head, some, ConfidenceOptions{TargetLogits: logits, TopK: testTopK})
			return p, logits, Confidences(some, p)
		}
		p, logits, all := compute(0, rows)
		if !slices.EqualFunc(p.Logits, logits, equal) {
			t.Errorf("type %d: the targets' logits alone are %v, want %v", kind, logits, p.Logits)
		}
		for _, size := range []int64{1, 2, 13, 31} {
			for from := int64(0); from < rows; from += size {
				_, _, some := compute(from, min(from+size, rows))
				for i := range some.Top {
					j := int(from) + i
					same := equal(some.TopNLL[i], all.TopNLL[j]) && equal(some.Entropies[i], all.Entropies[j]) && equal(some.TopKMass[i], all.TopKMass[j])
					if tolerance == 0 {
						same = same && some.Top[i] == all.Top[j] && some.Ranks[i] == all.Ranks[j]
					}
					if !same {
						t.Errorf("type %d, %d rows, row %d: %s, want %s", kind, size, j, fmt.Sprint(some.row(i)), fmt.Sprint(all.row(j)))
					}
				}
			}
		}
		if err := s.Close(); err != nil || heap.Live() != 0 {
			t.Errorf("%v, %d tensors are left", err, heap.Live())
		}
	}
}

// TestConfidenceAmongNaN checks that NaN does not become a token.
func TestConfidenceAmongNaN(t *testing.T) {
	nan := float32(math.NaN())
	for _, reference := range []bool{false, true} {
		s := NewHeap().NewScope()
		hidden, targets := New(s, []float32{1}, Float32, 1, 1), []int64{1}
		head := Head{Weights: s.Pieces(New(s, []float32{nan, nan, nan}, Float32, 3, 1), 2), Rows: 1, Reference: reference}
		p := s.ConfidentLogits(hidden, head, targets, ConfidenceOptions{TargetLogits: s.TargetLogits(hidden, head, targets), TopK: testTopK})
		c := Confidences(targets, p)
		if loss := Losses(p)[0]; !math.IsNaN(loss) || c.Top[0] != -1 || c.Ranks[0] == 1 || !math.IsNaN(c.Entropies[0]) {
			t.Errorf("reference %v: loss %v, %+v", reference, loss, c)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// cpuTime returns the processor time of this process, which other programs affect less than elapsed time.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkConfidence measures what confidence adds to the time of a head, on one thread. It computes losses with and
// without confidence and the mass of top tokens in turn, and reports the least times. Targets are spread over the vocabulary, the worst case.
func BenchmarkConfidence(b *testing.B) {
	SetThreads(1)
	for _, c := range []struct{ width, vocabulary int64 }{{576, 49152}, {640, 262144}} {
		for _, kind := range []Type{Float32, BFloat16} {
			b.Run(fmt.Sprint(c, kind), func(b *testing.B) {
				const rows = 2048
				random := rand.New(rand.NewPCG(1, 2))
				s := NewHeap().NewScope()
				hidden := s.To(New(s, bfloat16s(random, rows*c.width, 1), Float32, rows, c.width), kind, CPU)
				head := Head{Rows: rows}
				for from := int64(0); from < c.vocabulary; from += 2048 {
					piece := s.To(New(s, bfloat16s(random, 2048*c.width, 0.1), Float32, 2048, c.width), kind, CPU)
					head.Weights = append(head.Weights, s.PackFloat32(piece))
				}
				targets := make([]int64, rows)
				for i := range targets {
					targets[i] = random.Int64N(c.vocabulary)
				}
				var plain, first, second, third []time.Duration
				for b.Loop() {
					start := cpuTime(b)
					s.Logits(hidden, head, targets)
					computed := cpuTime(b)
					logits := s.TargetLogits(hidden, head, targets)
					found := cpuTime(b)
					s.ConfidentLogits(hidden, head, targets, ConfidenceOptions{TargetLogits: logits})
					reduced := cpuTime(b)
					s.ConfidentLogits(hidden, head, targets, ConfidenceOptions{TargetLogits: logits, TopK: testTopK})
					plain, first = append(plain, computed-start), append(first, found-computed)
					second, third = append(second, reduced-found), append(third, cpuTime(b)-reduced)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				without := float64(slices.Min(plain).Microseconds()) / 1000
				b.ReportMetric(without, "ms/losses")
				b.ReportMetric(float64(slices.Min(first).Microseconds())/10/without, "%/targets")
				b.ReportMetric(float64(slices.Min(second).Microseconds())/10/without-100, "%/reduction")
				b.ReportMetric(float64((slices.Min(third)-slices.Min(second)).Microseconds())/10/without, "%/topK")
			})
		}
	}
}
