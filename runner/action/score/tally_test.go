package score

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// reference is testdata/tally.json, the output of testdata/tally.py.
type reference struct {
	Context, Stride int64
	Documents       []struct {
		Shard, Cluster         string
		IDs, Top, Ranks        []int32
		NLL, TopNLL, Entropies []float64
	}
	Losses struct {
		artifact.TokenLosses
		Counts []int64
	}
	Confidence artifact.ConfidenceSummary
}

func readReference(t *testing.T) (r reference) {
	t.Helper()
	data, err := os.ReadFile("testdata/tally.json")
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// bytewiseAnswer has tokens of a byte.
func bytewiseAnswer(nll []float64, c protocol.Confidence) (protocol.Document, protocol.ScoredDocument) {
	n := len(nll)
	answer := protocol.ScoredDocument{TokenNLL: nll, Confidence: c}
	for i := range int32(n) {
		answer.TokenIDs, answer.TokenStarts, answer.TokenEnds = append(answer.TokenIDs, i), append(answer.TokenStarts, i), append(answer.TokenEnds, i+1)
	}
	return protocol.Document{Text: string(make([]byte, n)), ScoreEnd: int32(n)}, answer
}

func TestTallyAgreesWithNumpy(t *testing.T) {
	want := readReference(t)
	settings, err := protocol.Settings{Context: want.Context, Stride: want.Stride}.Resolve(0)
	if err != nil {
		t.Fatal(err)
	}
	tally, plain := newTally(settings), newTally(settings)
	for _, d := range want.Documents {
		document, answer := bytewiseAnswer(d.NLL, protocol.Confidence{Top: d.Top, TopNLL: d.TopNLL, Ranks: d.Ranks, Entropies: d.Entropies})
		document.Shard, document.Cluster = d.Shard, d.Cluster
		if n := tally.add(document, answer); n != int64(len(d.NLL)) {
			t.Errorf("%d tokens, want %d", n, len(d.NLL))
		}
		answer.Confidence = protocol.Confidence{}
		plain.add(document, answer)
	}
	near := cmpopts.EquateApprox(0, 1e-9)
	if diff := cmp.Diff(&want.Confidence, tally.confidence(), near); diff != "" {
		t.Errorf("confidence (-numpy +got):\n%s", diff)
	}
	got := tally.losses()
	if diff := cmp.Diff(want.Losses.Quantiles, got.Quantiles, cmpopts.EquateApprox(0, resolution/2)); diff != "" {
		t.Errorf("quantiles (-numpy +got):\n%s", diff)
	}
	want.Losses.Resolution, want.Losses.Quantiles = resolution, got.Quantiles
	want.Losses.Histogram = artifact.Histogram{Width: 0.5, Counts: want.Losses.Counts}
	if diff := cmp.Diff(&want.Losses.TokenLosses, got, near); diff != "" {
		t.Errorf("losses (-numpy +got):\n%s", diff)
	}
	// Without confidence, only the entropies are missing.
	for i := range want.Losses.Positions {
		want.Losses.Positions[i].MeanEntropy = nil
	}
	if diff := cmp.Diff(&want.Losses.TokenLosses, plain.losses(), near); diff != "" || plain.confidence() != nil {
		t.Errorf("without confidence %+v (-numpy +got):\n%s", plain.confidence(), diff)
	}
}

func TestTallyOfFewTokens(t *testing.T) {
	settings, err := protocol.Settings{}.Resolve(0)
	if err != nil {
		t.Fatal(err)
	}
	tally := newTally(settings)
	tally.add(bytewiseAnswer(nil, protocol.Confidence{}))
	if tally.losses() != nil || tally.confidence() != nil {
		t.Errorf("no tokens have %+v and %+v", tally.losses(), tally.confidence())
	}
	// The first token has no loss; the last has one beyond every bin, and an entropy in the last bin.
	document, answer := bytewiseAnswer([]float64{0, -1e-10, 1000}, protocol.Confidence{
		Top: []int32{0, 1, 7}, TopNLL: []float64{0, -1e-10, 2}, Ranks: []int32{0, 1, 101}, Entropies: []float64{0, -1e-10, 100},
	})
	answer.Unscored = []protocol.Unscored{{Start: 0, End: 1, Reason: protocol.ReasonNoContext}}
	if n := tally.add(document, answer); n != 2 {
		t.Errorf("%d tokens", n)
	}
	losses, confidence := tally.losses(), tally.confidence()
	if losses.Max != 1000 || losses.Quantiles[3].Nats != 1000 || losses.Quantiles[0].Nats != resolution/2 {
		t.Errorf("losses %+v", losses)
	}
	if n := losses.Histogram.Counts; len(n) != 128 || n[0] != 1 || n[127] != 1 {
		t.Errorf("histogram %v", n)
	}
	if confidence.Top.Interval != nil || confidence.Entropy.Interval != nil {
		t.Errorf("one document has the intervals %v and %v", confidence.Top.Interval, confidence.Entropy.Interval)
	}
	want := artifact.Ranks{First: 0.5, First5: 0.5, First10: 0.5, First100: 0.5, MeanReciprocal: (1 + 1./101) / 2}
	if confidence.Ranks != want {
		t.Errorf("ranks %+v, want %+v", confidence.Ranks, want)
	}
	if bins := confidence.Entropy.Bins; len(bins) != 2 || bins[1].From != 11.5 || bins[1].Observed != 1000 {
		t.Errorf("bins of entropy %+v", bins)
	}
	if e := math.Abs(confidence.Top.Error - math.Exp(-2)/2); e > 1e-9 {
		t.Errorf("calibration error %v", confidence.Top.Error)
	}
}
