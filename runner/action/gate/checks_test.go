package gate

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/series"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

func pointer[T any](v T) *T { return &v }

func of(also Also) Test {
	return Test{Lists: []string{"datasets", "overall"}, Margin: 0.01, Confidence: 0.95, Also: also}
}

// answers are those of a check and of its measurements, by what they are on.
func answers(c Check) map[string]action.Answer {
	all := map[string]action.Answer{"": c.Answer}
	for _, m := range c.Measurements {
		all[m.On] = m.Answer
	}
	return all
}

func same(t *testing.T, what string, got map[string]action.Answer, want map[string]action.Answer) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
	for on, answer := range want {
		if got[on] != answer {
			t.Errorf("%s: %q is %q, want %q", what, on, got[on], answer)
		}
	}
}

// Another tokenizer passes, warns or fails, as the gate says.
func TestTokenizer(t *testing.T) {
	equal := scored{dataset: "equal", tokens: [2]string{"x", "x"}, vocabulary: [2]int64{9, 9}}
	equal.candidate.Tokens, equal.candidate.Bytes = 30, 100
	counts, size := equal, equal
	counts.dataset, counts.tokens = "counts", [2]string{"x", "y"}
	size.dataset, size.vocabulary = "size", [2]int64{9, 10}
	for _, test := range []struct {
		does    string
		other   action.Answer
		warning bool
	}{{"pass", action.Pass, false}, {"warn", action.Pass, true}, {"fail", action.Fail, false}} {
		c := of(Also{Tokenizer: test.does}).tokenizer([]scored{equal, counts, size})
		same(t, test.does, answers(c), map[string]action.Answer{"": test.other, "equal": action.Pass, "counts": test.other, "size": test.other})
		if c.Warning != test.warning || *c.Measurements[0].Candidate != 0.3 {
			t.Errorf("%s: got %+v", test.does, c)
		}
	}
	if c := of(Also{Tokenizer: "warn"}).tokenizer([]scored{equal}); c.Warning {
		t.Error("equal tokenizers give a warning")
	}
}

// The noise of scoring and the share of unscored bytes are compared with their bounds, and the largest comes first.
func TestPlainChecks(t *testing.T) {
	var all []scored
	for i, name := range []string{"none", "little", "much"} {
		s := scored{dataset: name}
		s.candidate.ScoredBytes = 100 - int64(10*i)
		s.candidate.Ledger.UnscoredBytes = map[string]int64{"no token": int64(4 * i), "other": int64(6 * i)}
		if i > 0 {
			s.candidate.Rescoring = artifact.RescoringDifference{Documents: 4, MaxBitsPerByte: 0.001 * float64(i)}
		}
		all = append(all, s)
	}
	also := Also{BatchInvariance: pointer(0.001), Coverage: pointer(0.1)}
	same(t, "invariance", answers(of(also).invariance(all)), map[string]action.Answer{"": action.Fail, "little": action.Pass, "much": action.Fail})
	same(t, "unmeasured", answers(of(also).invariance(all[:1])), map[string]action.Answer{"": action.Inconclusive, "none": action.Inconclusive})
	coverage := of(also).coverage(all)
	same(t, "coverage", answers(coverage), map[string]action.Answer{"": action.Fail, "none": action.Pass, "little": action.Pass, "much": action.Fail})
	if m := coverage.Measurements[1]; m.On != "little" || *m.Value != 0.1 {
		t.Errorf("got %+v after the failure", m)
	}
}

func calibrated(dataset string, units int64, candidate, against, deviation float64) scored {
	side := func(e float64) artifact.ScoreSummary {
		c := artifact.Calibration{Error: e, CalibrationUnits: artifact.CalibrationUnits{
			Interval: &[2]float64{max(0, e-statistics.Normal95*deviation), e + statistics.Normal95*deviation}, Units: units,
		}}
		return artifact.ScoreSummary{Documents: 1000, Confidence: &artifact.ConfidenceSummary{Top: c, Entropy: c}}
	}
	return scored{dataset: dataset, candidate: side(candidate), against: side(against)}
}

// A calibration error may be worse by its bound. Its interval has the deviations of both errors.
func TestCalibration(t *testing.T) {
	test := of(Also{Top: pointer(0.02)})
	same(t, "answers", answers(test.calibration([]scored{
		calibrated("equal", 200, 0.05, 0.05, 0.001), calibrated("worse", 200, 0.08, 0.05, 0.001), calibrated("open", 200, 0.08, 0.05, 0.02),
		calibrated("few", 19, 0.3, 0.05, 0.001), {dataset: "none"},
	})), map[string]action.Answer{"": action.Fail, "equal": action.Pass, "worse": action.Fail, "open": action.Inconclusive})
	same(t, "without confidence", answers(test.calibration([]scored{{dataset: "none"}})), map[string]action.Answer{"": action.Inconclusive, "none": action.Inconclusive})
	m := test.calibration([]scored{calibrated("x", 1_000_000, 0.001, 0.002, 0.003)}).Measurements[0]
	if half := 1.6448536 * 0.003 * math.Sqrt2; math.Abs(*m.High-(*m.Value+half)) > 1e-6 {
		t.Errorf("got the interval [%v, %v] of %v, want a half of %v", *m.Low, *m.High, *m.Value, half)
	}
	// Shards that are clusters have intervals of their number.
	shards := calibrated("x", 200, 0.08, 0.05, 0.001)
	for _, side := range []artifact.ScoreSummary{shards.candidate, shards.against} {
		c := &side.Confidence.Top
		c.Shards = artifact.CalibrationUnits{Interval: &[2]float64{c.Error, c.Error + statistics.Normal95*0.02}, Units: 30}
	}
	for _, clustered := range []bool{false, true} {
		shards.shards = clustered
		want := map[bool]action.Answer{false: action.Fail, true: action.Inconclusive}[clustered]
		same(t, "shards", answers(test.calibration([]scored{shards})), map[string]action.Answer{"": want, "x": want})
	}
	both := of(Also{Top: pointer(0.02), Truth: pointer(1.0)}).calibration([]scored{calibrated("x", 200, 0.5, 0.05, 0.001)})
	if len(both.Measurements) != 2 || both.Measurements[0].Answer != action.Fail || both.Measurements[1].Answer != action.Pass {
		t.Errorf("got %+v", both)
	}
}

// losses writes a table of documents with tokens of one byte, and returns its path. The loss of a token follows from its
// document and its place. The first token of each document has none.
func losses(t *testing.T, documents, tokens int, cluster func(document int) (shard, name string), nll func(document, token int) float64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), artifact.ScoredFile)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := artifact.NewScoredWriter(f)
	for i := range documents {
		d := artifact.ScoredDocument{
			Row: int64(i), Text: strings.Repeat("a", tokens), ScoreEnd: int32(tokens), UnscoredStarts: []int32{0}, UnscoredEnds: []int32{1},
		}
		d.Shard, d.Cluster = cluster(i)
		for j := range tokens {
			loss := 0.0
			if j > 0 {
				loss = nll(i, j)
			}
			d.TokenIDs, d.TokenEnds, d.TokenNLL = append(d.TokenIDs, 1), append(d.TokenEnds, int32(j+1)), append(d.TokenNLL, loss)
		}
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// The share of tokens above a limit is that of the table, by document, and decides about the quantile.
func TestTails(t *testing.T) {
	path := losses(t, 50, 101, func(int) (shard, name string) { return "s", "" }, func(document, token int) float64 { return float64((document+token)%100) / 10 })
	sums, err := countBeyond(path, false, []float64{8.95, 100})
	if err != nil || sums[0].Units != 50 || sums[0].W != 50*100 || sums[0].D != 50*10 || sums[1].D != 0 {
		t.Fatalf("got %+v, %v", sums, err)
	}
	s := scored{dataset: "x", tokens: [2]string{"t", "t"}, losses: path}
	s.candidate.TokenLosses = &artifact.TokenLosses{Quantiles: []artifact.Quantile{{Share: 0.9, Nats: 8.9}}}
	s.against.TokenLosses = &artifact.TokenLosses{Quantiles: []artifact.Quantile{{Share: 0.9, Nats: 7}}}
	for bound, want := range map[float64]action.Answer{1: action.Fail, 3: action.Pass} {
		c, err := of(Also{Tails: []Tail{{0.9, bound}}}).tails([]scored{s})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "tails", answers(c), map[string]action.Answer{"": want, "x": want})
		if m := c.Measurements[0]; *m.Candidate != 8.9 || *m.Against != 7 || math.Abs(*m.Bound-0.1) > 1e-12 {
			t.Errorf("got %+v", m)
		}
	}
	// Too few tokens are above a high quantile, and other tokens are not comparable.
	s.against.TokenLosses.Quantiles[0].Share = 0.999
	few, err := of(Also{Tails: []Tail{{0.999, 1}}}).tails([]scored{s})
	s.tokens[1] = "u"
	other, errOther := of(Also{Tails: []Tail{{0.9, 1}}}).tails([]scored{s})
	if err := errors.Join(err, errOther); err != nil || few.Answer != action.Inconclusive || other.Answer != action.Inconclusive ||
		!strings.Contains(few.Measurements[0].Reason, "too few") || !strings.Contains(other.Measurements[0].Reason, "different tokens") {
		t.Errorf("got %+v and %+v, %v", few, other, err)
	}
}

// The share of tokens above a limit is by cluster, if documents name one or shards are clusters. Copies of three documents
// are three units, which tell nothing.
func TestTailsOfClusters(t *testing.T) {
	nll := func(document, token int) float64 { return float64((document/20+token)%100) / 10 }
	for name, by := range map[string]struct {
		cluster func(document int) (shard, name string)
		shards  bool
		want    int64
	}{
		"named":          {func(document int) (shard, name string) { return "s", fmt.Sprint(document % 3) }, false, 3},
		"shards":         {func(document int) (shard, name string) { return fmt.Sprint(document / 20), "" }, true, 3},
		"shards, unused": {func(document int) (shard, name string) { return fmt.Sprint(document / 20), "" }, false, 60},
	} {
		path := losses(t, 60, 101, by.cluster, nll)
		sums, err := countBeyond(path, by.shards, []float64{8.95})
		if err != nil || sums[0].Units != by.want || sums[0].W != 60*100 || sums[0].D != 60*10 {
			t.Errorf("%s: got %+v, %v", name, sums, err)
		}
		s := scored{dataset: "x", shards: by.shards, tokens: [2]string{"t", "t"}, losses: path}
		s.candidate.TokenLosses = &artifact.TokenLosses{Quantiles: []artifact.Quantile{{Share: 0.9, Nats: 8.9}}}
		s.against.TokenLosses = &artifact.TokenLosses{Quantiles: []artifact.Quantile{{Share: 0.9, Nats: 0}}}
		c, err := of(Also{Tails: []Tail{{0.9, 0}}}).tails([]scored{s})
		if small := c.Answer == action.Inconclusive; err != nil || small != (by.want < leastUnits) {
			t.Errorf("%s: got %+v, %v", name, c, err)
		}
	}
}

func slice(list, name string, gap float64, small bool) series.Slice {
	d := &series.Difference{Model: "b", Gap: gap, Estimate: &statistics.Estimate{Value: gap, Error: 0.001, Effective: 100}}
	return series.Slice{List: list, Name: name, TooSmall: small, Points: []series.Point{
		{Model: "a", BPB: 1}, {Model: "b", BPB: 0.9}, {Model: "c", BPB: 0.9 + gap, Best: d},
	}}
}

// The candidate is tested against the best before it on the lists of the gate. The choice among several makes a failure
// harder, and the first model of a series has nothing before it.
func TestBest(t *testing.T) {
	of := of(Also{Best: "s"})
	of.Margins = map[string]float64{"wide": 1}
	s := &series.Summary{Slices: []series.Slice{
		slice("overall", "overall", -0.02, false), slice("datasets", "worse", 0.05, false), slice("datasets", "wide", 0.05, false),
		slice("datasets", "small", 0.5, true), slice("groups", "group", 0.5, false),
		// One-sided, p is 0.032, and twice that for the best of two.
		slice("datasets", "chosen", 0.01+0.00187, false),
	}}
	same(t, "last", answers(of.best("c", s)), map[string]action.Answer{
		"": action.Fail, "overall": action.Pass, "worse": action.Fail, "wide": action.Pass, "chosen": action.Inconclusive,
	})
	first := of.best("a", s)
	if first.Answer != action.Pass || !strings.Contains(first.Sentence(strings.ToUpper), "(no model is before the candidate)") {
		t.Errorf("got %+v", first)
	}
	s.Slices = s.Slices[3:4]
	same(t, "small", answers(of.best("c", s)), map[string]action.Answer{"": action.Inconclusive, "small": action.Inconclusive})
}

// A verdict is the worst of its slices and checks.
func TestChecksCount(t *testing.T) {
	for _, test := range []struct{ slice, check, want action.Answer }{
		{action.Pass, action.Fail, action.Fail}, {action.Pass, action.Inconclusive, action.Inconclusive}, {action.Fail, action.Pass, action.Fail},
		{action.Inconclusive, action.Fail, action.Fail}, {action.Pass, action.Pass, action.Pass},
	} {
		v := Verdict{Slices: []Slice{{Answer: test.slice}}, Checks: []Check{{Name: "x", Answer: test.check}}}
		if v.conclude(); v.Answer != test.want {
			t.Errorf("%+v: got %s", test, v.Answer)
		}
	}
}

// An advice names what earlier comparisons could show, and how many documents would show a gap of the margin.
func TestAdvice(t *testing.T) {
	of := shown{}
	of.add("datasets", "a/b", 0.05, 100)
	of.add("datasets", "a/b", 0.02, 100)
	of.add("datasets", "enough", 0.005, 100)
	of.add("groups", "untested", 1, 100)
	got := Test{Lists: []string{"datasets"}, Margin: 0.01}.advise("gate x", of)
	if len(got) != 1 || !strings.Contains(got[0], "a/b shows no gap below 0.02 bits per byte, and its margin is 0.01 (about 400 documents or clusters like its 100 would do)") ||
		strings.Contains(got[0], "enough") || strings.Contains(got[0], "untested") {
		t.Errorf("got %q", got)
	}
	if got := (Test{Lists: []string{"datasets"}, Margin: 0.1}).advise("gate x", of); got != nil {
		t.Errorf("got %q", got)
	}
}
