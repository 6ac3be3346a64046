package sliding

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// The number of tries equals that of testdata/sliding.py, and its logarithm is exact for probabilities that no float64 has.
func TestTries(t *testing.T) {
	data, err := os.ReadFile("testdata/sliding.json")
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Tries      []struct{ P, LogP, N float64 }
		Log10Tries []struct{ P, LogP, Log10 float64 }
	}
	if err := json.Unmarshal(data, &e); err != nil || len(e.Tries) == 0 || len(e.Log10Tries) == 0 {
		t.Fatal(err)
	}
	for _, c := range e.Tries {
		n, log10 := tries(c.P, c.LogP)
		if math.Abs(n-c.N) > 1e-14*c.N && c.N < exact || math.Abs(log10-math.Log10(c.N)) > 1e-12*max(1, log10) {
			t.Errorf("p %v, ln p_z %v: got %v and 10^%v, want %v", c.P, c.LogP, n, log10, c.N)
		}
	}
	for _, c := range e.Log10Tries {
		if n, log10 := tries(c.P, c.LogP); !math.IsInf(n, 1) || math.Abs(log10-c.Log10) > 1e-12*c.Log10 {
			t.Errorf("p %v, ln p_z %v: got %v and 10^%v, want 10^%v", c.P, c.LogP, n, log10, c.Log10)
		}
	}
	for logP, want := range map[float64]float64{0: 0, 1e-9: 0, math.Inf(-1): math.Inf(1)} {
		if _, log10 := tries(0.9, logP); log10 != want {
			t.Errorf("ln p_z %v: got 10^%v, want 10^%v", logP, log10, want)
		}
	}
}

// Where both forms of the quotient are good, they agree.
func TestTriesHasNoStep(t *testing.T) {
	_, before := tries(0.5, -39.999999)
	_, after := tries(0.5, -40.000001)
	if step := after - before; step < 0 || step > 1e-5 {
		t.Errorf("got 10^%v and 10^%v", before, after)
	}
}

func TestHistogram(t *testing.T) {
	a, b := histogram{}, histogram{}
	for _, log10 := range []float64{0, 1e-9, -0.05, -0.1001, -12.34, -78.9} {
		a.add(log10 * math.Ln10)
	}
	b.add(-100.5 * math.Ln10)
	bins := joinHistograms(a, b)
	counts := map[float64][2]int64{}
	for i, bin := range bins {
		if bin.High-bin.Low != 5 || i > 0 && bin.Low != bins[i-1].High {
			t.Errorf("bin %d: %+v", i, bin)
		}
		if bin.Windows+bin.WithoutPrompt > 0 {
			counts[bin.Low] = [2]int64{bin.Windows, bin.WithoutPrompt}
		}
	}
	want := map[float64][2]int64{-5: {4, 0}, -15: {1, 0}, -80: {1, 0}, -105: {0, 1}}
	if len(counts) != len(want) || bins[len(bins)-1].High != 0 {
		t.Errorf("got %v", bins)
	}
	for low, n := range want {
		if counts[low] != n {
			t.Errorf("bin from %v: got %v, want %v", low, counts[low], n)
		}
	}
}

// A bright character is in its bin, whatever the numbers of characters and bins are.
func TestBinsKeepMaxima(t *testing.T) {
	for _, size := range []struct {
		bins       int
		characters int64
	}{{7, 100}, {100, 7}, {10, 10}, {1, 5}, {600, 270_001}} {
		for _, at := range []int64{0, 1, size.characters / 2, size.characters - 1} {
			b := newBins(size.bins, size.characters)
			for i := range size.characters {
				b.add(i, -50)
			}
			b.add(at, -1)
			low, high := float64(at)/float64(size.characters), float64(at+1)/float64(size.characters)
			for i, v := range b.values {
				from, to := float64(i)/float64(size.bins), float64(i+1)/float64(size.bins)
				touches := from < high-1e-12 && to > low+1e-12
				if touches != (v == -1) || !touches && v != -50 {
					t.Errorf("%d bins for %d characters: bin %d has %v after a bright character %d", size.bins, size.characters, i, v, at)
				}
			}
		}
	}
}

func TestShort(t *testing.T) {
	for logP, want := range map[float64]string{
		math.Inf(-1): "0", 0: "1.0000", 1e-9: "1.0000", math.Log(0.25): "0.2500", -100: "3.7e-44", math.Log(9.99e-10): "1.0e-9",
	} {
		if got := short(logP); got != want {
			t.Errorf("%v: got %s, want %s", logP, got, want)
		}
	}
}
