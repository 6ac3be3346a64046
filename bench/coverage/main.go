// Command coverage simulates corpora whose true gap is known, and prints how often the 95% interval of a gap covers it,
// how often tests reject a gap of 0 that is true, and which share of discoveries is false. Equal flags give equal numbers.
//
//	go run ./bench/coverage -corpora 4000
package main

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"

	"gonum.org/v1/gonum/stat/distuv"

	"surprisal.dev/runner/statistics"
)

func main() {
	corpora := flag.Int("corpora", 4000, "corpora of each kind")
	reports := flag.Int("reports", 1000, "reports of 60 slices, for the rate of false discoveries")
	flag.Parse()
	if *corpora < 1 || *reports < 1 {
		fmt.Fprintf(os.Stderr, "-corpora %d -reports %d: expected numbers above 0\n", *corpora, *reports)
		os.Exit(2)
	}
	fmt.Println("| corpus | units | covered | by the usual interval | rejected by t | by signs |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: |")
	for i, k := range kinds() {
		r := k.simulate(uint64(i), *corpora)
		signs := "–"
		if k.units < fewUnits {
			signs = percent(r.signs, r.corpora)
		}
		fmt.Printf("| %s | %d | %s | %s | %s | %s |\n", k.name, k.units, percent(r.covered, r.corpora), percent(r.usual, r.corpora),
			percent(r.rejected, r.corpora), signs)
	}
	discovery(*reports)
}

func percent(n, of int) string { return fmt.Sprintf("%.1f%%", 100*float64(n)/float64(of)) }

// truth is the gap of all simulated corpora.
const truth = 0.01

// fewUnits is the number of units from which a gap has no test by signs.
const fewUnits = 200

// unit is a document or a cluster: the bits of a minus those of b, and bytes.
type unit struct{ bits, bytes float64 }

// kind is a kind of corpus.
type kind struct {
	name  string
	units int
	draw  func(r *rand.Rand) unit
}

func kinds() []kind {
	even := func(r *rand.Rand) float64 { return math.Ceil(1000 * (0.5 + r.Float64())) }
	// One document in a hundred has more than 30 times the median length.
	long := func(r *rand.Rand) float64 { return math.Ceil(math.Exp(6 + 1.5*r.NormFloat64())) }
	normal := func(r *rand.Rand) float64 { return 0.1 * r.NormFloat64() }
	heavy := func(r *rand.Rand) float64 { return 0.05 * distuv.StudentsT{Sigma: 1, Nu: 3, Src: r}.Rand() }
	return []kind{
		{"even lengths, normal gaps", 20, document(even, normal)},
		{"even lengths, normal gaps", 300, document(even, normal)},
		{"heavy-tailed lengths", 50, document(long, normal)},
		{"heavy-tailed lengths", 300, document(long, normal)},
		{"heavy-tailed gaps", 50, document(even, heavy)},
		{"heavy-tailed gaps", 300, document(even, heavy)},
		{"heavy-tailed lengths and gaps", 50, document(long, heavy)},
		{"heavy-tailed lengths and gaps", 300, document(long, heavy)},
		{"clusters of 1 to 19 documents", 20, cluster(10)},
		{"clusters of 1 to 19 documents", 40, cluster(10)},
		{"clusters of 1 to 19 documents", 150, cluster(10)},
	}
}

// document draws documents with lengths in bytes, and gaps in bits per byte around the truth.
func document(length, gap func(*rand.Rand) float64) func(*rand.Rand) unit {
	return func(r *rand.Rand) unit {
		w := length(r)
		return unit{w * (truth + gap(r)), w}
	}
}

// cluster draws clusters of 1 to 2 size - 1 documents that share half of their difference.
func cluster(size int) func(*rand.Rand) unit {
	return func(r *rand.Rand) (u unit) {
		shared := 0.05 * r.NormFloat64()
		for range 1 + r.IntN(2*size-1) {
			w := math.Ceil(math.Exp(6 + 0.8*r.NormFloat64()))
			u.bits, u.bytes = u.bits+w*(truth+shared+0.1*r.NormFloat64()), u.bytes+w
		}
		return u
	}
}

// result counts corpora: those whose interval covers the truth, those for which the usual interval does, and those on which
// a test rejects the true gap.
type result struct{ corpora, covered, usual, rejected, signs int }

func (r *result) add(other result) {
	r.corpora += other.corpora
	r.covered += other.covered
	r.usual += other.usual
	r.rejected += other.rejected
	r.signs += other.signs
}

// blocks is the number of parts of a simulation, each with a source of random numbers, so that results do not depend on
// the number of processors.
const blocks = 64

// simulate draws corpora of a kind.
func (k kind) simulate(seed uint64, corpora int) (sum result) {
	results := make([]result, blocks)
	parallel(blocks, func(block int) {
		r := rand.New(rand.NewPCG(seed, uint64(block)))
		for range (corpora + blocks - 1) / blocks {
			results[block].add(k.corpus(r))
		}
	})
	for _, r := range results {
		sum.add(r)
	}
	return sum
}

// corpus draws one corpus.
func (k kind) corpus(r *rand.Rand) result {
	var s, null statistics.Sums
	bits := make([]float64, k.units)
	for i := range k.units {
		u := k.draw(r)
		bits[i] = u.bits - truth*u.bytes
		s.Add(u.bits, u.bytes)
		null.Add(bits[i], u.bytes)
	}
	out := result{corpora: 1}
	if e, ok := s.Estimate(); ok && e.Low <= truth && truth <= e.High {
		out.covered = 1
	}
	if usual(s) {
		out.usual = 1
	}
	if e, ok := null.Estimate(); ok && e.P < 0.05 {
		out.rejected = 1
	}
	if k.units < fewUnits && statistics.SignFlip(bits) < 0.05 {
		out.signs = 1
	}
	return out
}

// usual reports whether the interval with n-1 degrees of freedom and the factor n/(n-1) covers the truth.
func usual(s statistics.Sums) bool {
	n, theta := float64(s.Units), s.D/s.W
	squares := s.DD - 2*theta*s.DW + theta*theta*s.WW
	half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile(0.975) * math.Sqrt(n/(n-1)*squares) / s.W
	return math.Abs(theta-truth) <= half
}

// Slices of a report: some differ, the others do not.
const (
	slices    = 60
	different = 15
)

// discovery prints the rate of false discoveries among slices with a q-value below 5%.
func discovery(reports int) {
	fmt.Println()
	fmt.Println("| slices of 100 documents with heavy-tailed lengths | false discoveries, on average | found of those that differ |")
	fmt.Println("| --- | ---: | ---: |")
	for i, name := range []string{"60 independent, of which 15 differ", "60 with a common part, of which 15 differ", "60, of which none differs"} {
		wrong, found := make([]float64, reports), make([]float64, reports)
		parallel(reports, func(report int) {
			r := rand.New(rand.NewPCG(uint64(100+i), uint64(report)))
			wrong[report], found[report] = discover(r, i == 1, i == 2)
		})
		shown := fmt.Sprintf("%.0f%%", 100*mean(found))
		if i == 2 {
			shown = "–"
		}
		fmt.Printf("| %s | %.1f%% | %s |\n", name, 100*mean(wrong), shown)
	}
}

// discover returns the share of false ones among the discoveries of a report, and that of the slices that were found.
func discover(r *rand.Rand, common, none bool) (wrong, found float64) {
	p := make([]float64, slices)
	shared := make([]float64, 100)
	for i := range shared {
		shared[i] = 0.1 * r.NormFloat64()
	}
	for i := range p {
		shift := 0.0
		if i < different && !none {
			shift = 0.04
		}
		var s statistics.Sums
		for j := range shared {
			w, gap := math.Ceil(math.Exp(6+1.5*r.NormFloat64())), 0.1*r.NormFloat64()
			if common {
				gap = (gap + shared[j]) / math.Sqrt2
			}
			s.Add(w*(shift+gap), w)
		}
		e, ok := s.Estimate()
		if p[i] = 1; ok {
			p[i] = e.P
		}
	}
	discoveries, errors := 0, 0
	for i, q := range statistics.FalseDiscovery(p) {
		if q < 0.05 {
			discoveries++
			if i >= different || none {
				errors++
			}
		}
	}
	return float64(errors) / float64(max(discoveries, 1)), float64(discoveries-errors) / different
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// parallel calls work for 0 to n-1 on all processors.
func parallel(n int, work func(int)) {
	next := make(chan int)
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := range next {
				work(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wait.Wait()
}
