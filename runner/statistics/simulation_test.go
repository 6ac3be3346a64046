package statistics

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// corpus draws a corpus whose true ratio is 0.01, cluster by cluster or document by document.
type corpus func(r *rand.Rand) Sums

const truth = 0.01

// lengths are heavy-tailed: one document in a hundred has more than 30 times the median length.
func lengths(r *rand.Rand) float64 { return math.Ceil(math.Exp(6 + 1.5*r.NormFloat64())) }

func documents(n int, length, gap func(*rand.Rand) float64) corpus {
	return func(r *rand.Rand) (s Sums) {
		for range n {
			w := length(r)
			s.Add(w*(truth+gap(r)), w)
		}
		return s
	}
}

func clustered(clusters, size int) corpus {
	return func(r *rand.Rand) (s Sums) {
		for range clusters {
			shared, d, w := 0.05*r.NormFloat64(), 0.0, 0.0
			for range 1 + r.IntN(2*size-1) {
				length := math.Ceil(math.Exp(6 + 0.8*r.NormFloat64()))
				d, w = d+length*(truth+shared+0.1*r.NormFloat64()), w+length
			}
			s.Add(d, w)
		}
		return s
	}
}

func corpora() map[string]corpus {
	even := func(r *rand.Rand) float64 { return math.Ceil(1000 * (0.5 + r.Float64())) }
	normal := func(r *rand.Rand) float64 { return 0.1 * r.NormFloat64() }
	heavy := func(r *rand.Rand) float64 { return 0.05 * distuv.StudentsT{Sigma: 1, Nu: 3, Src: r}.Rand() }
	return map[string]corpus{
		"20 documents":                  documents(20, even, normal),
		"heavy-tailed lengths":          documents(300, lengths, normal),
		"heavy-tailed gaps":             documents(300, even, heavy),
		"heavy-tailed lengths and gaps": documents(300, lengths, heavy),
		"clusters":                      clustered(60, 10),
		"few heavy-tailed lengths":      documents(50, lengths, normal),
	}
}

// The 95% interval covers the truth in 93 to 97% of corpora.
func TestCoverage(t *testing.T) {
	const n = 1000
	for name, draw := range corpora() {
		r := rand.New(rand.NewPCG(1, 2))
		covered := 0
		for range n {
			if e, ok := draw(r).Estimate(); ok && e.Low <= truth && truth <= e.High {
				covered++
			}
		}
		if share := float64(covered) / n; share < 0.93 || share > 0.97 {
			t.Errorf("%s: the interval covers the truth in %.1f%%", name, 100*share)
		} else {
			t.Logf("%s: %.1f", name, 100*share)
		}
	}
}

// Of the slices with a q-value below 10%, at most 10% have no difference in truth, on average over reports.
func TestFalseDiscovery(t *testing.T) {
	const reports, slices, different = 300, 60, 15
	r := rand.New(rand.NewPCG(3, 4))
	share, found := 0.0, 0
	for range reports {
		p := make([]float64, slices)
		for i := range p {
			shift := -truth
			if i < different {
				shift = 0.03
			}
			s := documents(100, lengths, func(r *rand.Rand) float64 { return shift + 0.1*r.NormFloat64() })(r)
			e, _ := s.Estimate()
			p[i] = e.P
		}
		discoveries, wrong := 0, 0
		for i, q := range FalseDiscovery(p) {
			if q < 0.1 {
				discoveries++
				if i >= different {
					wrong++
				}
			}
		}
		found += discoveries
		share += float64(wrong) / float64(max(discoveries, 1)) / reports
	}
	if share > 0.1 || found < reports {
		t.Errorf("%.3f of %d discoveries are false", share, found)
	}
}

// A difference of the detectable size is shown by about four of five samples, in a one-sided test at 5%.
func TestDetectable(t *testing.T) {
	even := func(r *rand.Rand) float64 { return 500 + 1000*r.Float64() }
	const samples = 2000
	r := rand.New(rand.NewPCG(5, 6))
	e, _ := documents(20000, even, func(r *rand.Rand) float64 { return 0.1 * r.NormFloat64() })(r).Estimate()
	size := e.Detectable * math.Sqrt(20000/200.)
	shown := 0
	for range samples {
		e, _ := documents(200, even, func(r *rand.Rand) float64 { return size - truth + 0.1*r.NormFloat64() })(r).Estimate()
		if e.Value > 0 && e.P < 0.10 {
			shown++
		}
	}
	if share := float64(shown) / samples; share < 0.76 || share > 0.84 {
		t.Errorf("%.3f of samples show a difference of the detectable size", share)
	}
}
