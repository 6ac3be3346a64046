package score_test

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/statistics"
)

// b is the loss of n bytes by the fake backend.
func b(n float64) float64 { return n * 8 * math.Ln2 }

// pairs adds a dataset of input and target.
func pairs(l *actiontest.Lab, key string, rows ...string) *spec.Dataset {
	l.Write(key+".jsonl", strings.Join(rows, "\n"))
	return l.Dataset(key, "jsonl", `{"path":"`+key+`.jsonl"}`, "in", "out")
}

func read[T any](t *testing.T, l *actiontest.Lab, p *plan.Plan, action, file string, open func(string) (*artifact.Reader[T], error)) (rows []T) {
	t.Helper()
	in, err := open(l.Path(p, action, file))
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range in.All() {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	return rows
}

var approximately = cmp.Options{cmpopts.EquateApprox(1e-12, 0), cmpopts.EquateEmpty()}

// The summary for every scoring rule that distributes losses, computed by hand.
func TestSummary(t *testing.T) {
	t.Parallel()
	e := func(x float64) *float64 { x = math.Exp(x); return &x }
	for _, test := range []struct {
		name    string
		dataset func(*actiontest.Lab) *spec.Dataset
		scoring func(*spec.Scoring)
		want    artifact.ScoreSummary
	}{
		{
			name:    "raw text",
			dataset: func(l *actiontest.Lab) *spec.Dataset { return l.Text("d", "ab c", "é") },
			want: artifact.ScoreSummary{
				Documents: 2, Bytes: 6, ScoredBytes: 6, Words: 3, Tokens: 5, ScoredTokens: 5, Nats: b(6), BPB: 8,
				Perplexity: artifact.Perplexity{PerToken: e(b(6) / 5), PerWord: e(b(6) / 3), PerByte: e(b(1))},
				Ledger:     artifact.LedgerTotals{Tokens: b(6), Span: b(6)},
			},
		}, {
			name: "only the target of a pair is scored, a byte's share of a token that straddles the edge included",
			dataset: func(l *actiontest.Lab) *spec.Dataset {
				return pairs(l, "d", `{"in":"what? ","out":"that"}`)
			},
			want: artifact.ScoreSummary{
				Documents: 1, Bytes: 10, ScoredBytes: 4, Words: 1, Tokens: 10, ScoredTokens: 4, Nats: b(4), BPB: 8,
				Perplexity: artifact.Perplexity{PerToken: e(b(1)), PerWord: e(b(4)), PerByte: e(b(1))},
				Ledger:     artifact.LedgerTotals{Tokens: b(10), Span: b(4), Outside: b(6)},
			},
		}, {
			name:    "the loss of the end of text goes to the ledger, never to bytes",
			dataset: func(l *actiontest.Lab) *spec.Dataset { return l.Text("d", "ab", "c") },
			scoring: func(s *spec.Scoring) { s.EOS = true },
			want: artifact.ScoreSummary{
				Documents: 2, Bytes: 3, ScoredBytes: 3, Words: 2, Tokens: 3, ScoredTokens: 3, Nats: b(3), BPB: 8,
				Perplexity: artifact.Perplexity{PerToken: e(b(1)), PerWord: e(b(3) / 2), PerByte: e(b(1))},
				Ledger:     artifact.LedgerTotals{Tokens: b(3) + 6, Span: b(3), EOS: 6},
				Protocol:   artifact.ScoringProtocol{EOS: true},
			},
		}, {
			name:    "an unscored first token leaves numerator and denominator together",
			dataset: func(l *actiontest.Lab) *spec.Dataset { return l.Text("d", "éb", "é") },
			scoring: func(s *spec.Scoring) { s.Prefix = protocol.PrefixNone },
			want: artifact.ScoreSummary{
				Documents: 2, Bytes: 5, ScoredBytes: 1, Words: 2, Tokens: 3, ScoredTokens: 1, Nats: b(1), BPB: 8,
				Perplexity: artifact.Perplexity{PerToken: e(b(1)), PerWord: e(b(1) / 2), PerByte: e(b(1))},
				Ledger:     artifact.LedgerTotals{Tokens: b(1), Span: b(1), UnscoredBytes: map[string]int64{protocol.ReasonNoContext: 4}},
				Protocol:   artifact.ScoringProtocol{Prefix: protocol.PrefixNone},
			},
		}, {
			name:    "a dataset without a scored byte or a word has no perplexity",
			dataset: func(l *actiontest.Lab) *spec.Dataset { return l.Text("d", "!") },
			scoring: func(s *spec.Scoring) { s.Prefix = protocol.PrefixNone },
			want: artifact.ScoreSummary{
				Documents: 1, Bytes: 1, Tokens: 1,
				Ledger:   artifact.LedgerTotals{UnscoredBytes: map[string]int64{protocol.ReasonNoContext: 1}},
				Protocol: artifact.ScoringProtocol{Prefix: protocol.PrefixNone},
			},
		}, {
			name:    "a perplexity too large for a float64 is none",
			dataset: func(l *actiontest.Lab) *spec.Dataset { return l.Text("d", strings.Repeat("x", 200)) },
			want: artifact.ScoreSummary{
				Documents: 1, Bytes: 200, ScoredBytes: 200, Words: 1, Tokens: 200, ScoredTokens: 200, Nats: b(200), BPB: 8,
				Perplexity: artifact.Perplexity{PerToken: e(b(1)), PerByte: e(b(1))},
				Ledger:     artifact.LedgerTotals{Tokens: b(200), Span: b(200)},
			},
		}, {
			name: "the settings that applied are recorded, those that were defaults too",
			dataset: func(l *actiontest.Lab) *spec.Dataset {
				d := l.Text("d", "abcd")
				d.Limits.Bytes = 3
				return d
			},
			scoring: func(s *spec.Scoring) { s.Context, s.Anchor = 30, protocol.AnchorBytes },
			want: artifact.ScoreSummary{
				Documents: 1, Bytes: 3, ScoredBytes: 3, Words: 1, Tokens: 3, ScoredTokens: 3, Nats: b(3), BPB: 8,
				Perplexity: artifact.Perplexity{PerToken: e(b(1)), PerWord: e(b(3)), PerByte: e(b(1))},
				Ledger:     artifact.LedgerTotals{Tokens: b(3), Span: b(3)},
				Protocol:   artifact.ScoringProtocol{Context: 30, Stride: 15, Anchor: protocol.AnchorBytes, Truncation: 3},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := actiontest.New(t, "fake")
			test.dataset(l)
			m := l.Model("m", "fake", `{"Limit":64}`)
			if test.scoring != nil {
				test.scoring(&m.Scoring)
			}
			p := l.MustRun()
			want := test.want
			want.Computed = map[string]string{"device": "abacus", "beads": "wood"}
			if want.Documents > 1 {
				want.Rescoring.Documents = 1
			}
			w := &want.Protocol
			w.Dtype, w.Span = "beads", artifact.SpanEven
			if w.Prefix == "" {
				w.Prefix = protocol.PrefixBOS
			}
			if w.Context == 0 {
				w.Context, w.Stride, w.Anchor = 64, 32, protocol.AnchorTokens
			}
			got := actiontest.JSON[artifact.ScoreSummary](l, p, "score m d", artifact.SummaryFile)
			if parameters := string(got.Parameters); !strings.Contains(parameters, `"Limit": 64`) {
				t.Errorf("got parameters %s", parameters)
			}
			got.Parameters = nil
			if got.ScoredTokens > 0 && (got.TokenLosses == nil || math.Abs(got.TokenLosses.Mean*float64(got.ScoredTokens)-got.Nats) > 1e-9) || got.Confidence != nil {
				t.Errorf("got losses %+v and confidence %+v", got.TokenLosses, got.Confidence)
			}
			got.TokenLosses = nil // TestTallyAgreesWithNumpy
			if u := got.Units; math.Abs(u.D-want.BPB*float64(want.ScoredBytes)) > 1e-9 || u.W != float64(want.ScoredBytes) || u.Units > want.Documents {
				t.Errorf("got the documents' sums %+v", u)
			}
			if e, ok := got.Units.Estimate(); ok != (got.Interval != nil) || ok && got.Interval.Low != e.Low {
				t.Errorf("got the interval %+v of %+v", got.Interval, e)
			}
			got.Units, got.Shards, got.Interval = statistics.Sums{}, statistics.Sums{}, nil
			if d := cmp.Diff(want, got, approximately); d != "" {
				t.Error(d)
			}
			if n, err := score.Replay(l.Path(p, "score m d", artifact.ScoredFile), l.Path(p, "score m d", artifact.LedgerFile)); n != want.Documents || err != nil {
				t.Errorf("replayed %d of %d documents: %v", n, want.Documents, err)
			}
		})
	}
}

// A score records the byte limit that a sweep sets for its model.
func TestSweptTruncation(t *testing.T) {
	t.Parallel()
	l := actiontest.New(t, "fake")
	l.Text("d", "abcd").Limits.Bytes = 3
	l.Model("m", "fake", `{}`).Limits = &spec.Limits{Documents: -1, Bytes: 2}
	s := actiontest.JSON[artifact.ScoreSummary](l, l.MustRun(), "score m d", artifact.SummaryFile)
	if s.Protocol.Truncation != 2 || s.Bytes != 2 {
		t.Errorf("got %d bytes under a truncation of %d, want 2 under 2", s.Bytes, s.Protocol.Truncation)
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	l := actiontest.New(t, "fake")
	pairs(l, "d", `{"in":"","out":"aé"}`, `{"in":"é","out":"b"}`).Tags = []string{"t", "u:v"}
	l.Model("m", "fake", `{}`).Scoring.Prefix = protocol.PrefixNone
	p := l.MustRun()
	const name = "score m d"

	scored := []artifact.ScoredDocument{
		{
			Shard: "d.jsonl", Row: 0, Text: "aé", ScoreEnd: 3, TokenIDs: []int32{'a', 0xc3}, TokenEnds: []int32{1, 3},
			TokenNLL: []float64{0, b(2)}, UnscoredStarts: []int32{0}, UnscoredEnds: []int32{1},
		}, {
			Shard: "d.jsonl", Row: 1, Text: "éb", ScoreStart: 2, ScoreEnd: 3, TokenIDs: []int32{0xc3, 'b'}, TokenEnds: []int32{2, 3},
			TokenNLL: []float64{0, b(1)}, UnscoredStarts: []int32{0}, UnscoredEnds: []int32{2},
		},
	}
	if d := cmp.Diff(scored, read(t, l, p, name, artifact.ScoredFile, artifact.OpenScored), approximately); d != "" {
		t.Error(d)
	}
	reason := []string{protocol.ReasonNoContext}
	ledger := []artifact.LedgerRow{
		{
			Shard: "d.jsonl", Row: 0, TokenNats: b(2), SpanNats: b(2), ScoredBytes: 2,
			UnscoredStarts: []int32{0}, UnscoredEnds: []int32{1}, UnscoredReasons: reason,
		}, {
			Shard: "d.jsonl", Row: 1, TokenNats: b(1), SpanNats: b(1), ScoredBytes: 1,
			UnscoredStarts: []int32{0}, UnscoredEnds: []int32{2}, UnscoredReasons: reason,
		},
	}
	if d := cmp.Diff(ledger, read(t, l, p, name, artifact.LedgerFile, artifact.OpenLedger), approximately); d != "" {
		t.Error(d)
	}
	counts := []artifact.TokenCount{{ID: 'a', Count: 1, Text: "a"}, {ID: 'b', Count: 1, Text: "b"}, {ID: 0xc3, Count: 2, Text: "é"}}
	if d := cmp.Diff(counts, read(t, l, p, name, artifact.TokenCountsFile, artifact.OpenTokenCounts)); d != "" {
		t.Error(d)
	}
	want := artifact.TokenCountsSummary{
		Tokens: 4, Distinct: 3, VocabularySize: 256, Once: 2,
		Top: []artifact.TokenRank{{ID: 0xc3, Count: 2, Text: "é"}, {ID: 'a', Count: 1, Text: "a"}, {ID: 'b', Count: 1, Text: "b"}},
	}
	if d := cmp.Diff(want, actiontest.JSON[artifact.TokenCountsSummary](l, p, name, artifact.TokenCountsSummaryFile)); d != "" {
		t.Error(d)
	}
	r, err := l.Store.GetRecord(t.Context(), p.Action(name).Key)
	if err != nil || r.Measured[plan.MeasuredTokens] != 4 || r.Measured[plan.MeasuredBytes] != 6 {
		t.Errorf("measured %v, %v", r.Measured, err)
	}
}

// A backend with the capability is asked for its confidence, which is in a table that can be verified.
func TestConfidence(t *testing.T) {
	t.Parallel()
	l := actiontest.New(t, "fake", "confident")
	pairs(l, "d", `{"in":"","out":"aé"}`, `{"in":"é","out":"b"}`)
	l.Model("m", "confident", `{}`).Scoring.Prefix = protocol.PrefixNone
	l.Model("plain", "fake", `{}`)
	p := l.MustRun()
	const name = "score m d"
	want := []artifact.Confidence{
		{Shard: "d.jsonl", Row: 0, TopIDs: []int32{0, 0}, TopNLL: []float64{0, b(1)}, Ranks: []int32{0, 0xc4}, Entropies: []float64{0, b(1)}},
		{Shard: "d.jsonl", Row: 1, TopIDs: []int32{0, 0}, TopNLL: []float64{0, b(1)}, Ranks: []int32{0, 'b' + 1}, Entropies: []float64{0, b(1)}},
	}
	if d := cmp.Diff(want, read(t, l, p, name, artifact.ConfidenceFile, artifact.OpenConfidence), approximately); d != "" {
		t.Error(d)
	}
	c := actiontest.JSON[artifact.ScoreSummary](l, p, name, artifact.SummaryFile).Confidence
	if c == nil || c.Tokens != 2 || c.Ranks.First != 0 || c.Ranks.First100 != 0.5 || math.Abs(c.Top.Error-1./256) > 1e-12 || c.Top.Interval == nil {
		t.Errorf("got confidence %+v", c)
	}
	if err := score.ReplayConfidence(l.Path(p, name, artifact.ScoredFile), l.Path(p, name, artifact.ConfidenceFile)); err != nil {
		t.Error(err)
	}
	for _, f := range p.Action("score plain d").Outputs {
		if f.Name == artifact.ConfidenceFile {
			t.Error("a backend that has no confidence has a table of it")
		}
	}
}

// A backend gets the dataset's setting for special tokens.
func TestParseSpecial(t *testing.T) {
	t.Parallel()
	l := actiontest.New(t, "fake")
	l.Text("plain", "ab")
	l.Text("special", "ab").ParseSpecial = true
	l.Model("m", "fake", `{}`)
	p := l.MustRun()
	for dataset, want := range map[string]int32{"plain": 'a', "special": 255} {
		rows := read(t, l, p, "score m "+dataset, artifact.ScoredFile, artifact.OpenScored)
		if len(rows) != 1 || rows[0].TokenIDs[0] != want {
			t.Errorf("%s: got %+v, want first token %d", dataset, rows, want)
		}
	}
}

// Losses that break the ledger are an error that names the document, and nothing is stored.
func TestBrokenBackend(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"negative":      "loss -1 nats",
		"NaN":           "token 1 at byte 1 has the loss NaN, which is not finite",
		"infinite":      "+Inf, which is not finite",
		"wrong sum":     "data was lost or changed in transit",
		"gap":           "no token covers the bytes [1, 2)",
		"short":         "no token covers the bytes [0, 1)",
		"unknown token": "outside the vocabulary of 256",
		"unasked":       "end-of-text token that was not asked for",
		"unscored loss": "is unscored (on a whim) but has a loss",
		"no reason":     "gives no reason",
		"silent":        "without an answer for 1 of its documents",
		"twice":         "a duplicate answer for document 1",
		"failing":       "index out of range [7]",
		"fickle":        "the backend tokenized it differently when it was scored again",
	} {
		t.Run(answer, func(t *testing.T) {
			l := actiontest.New(t, "fake")
			l.Text("good", "fine")
			l.Text("d", "fine", "odd", "fine too")
			l.Model("m", "fake", fmt.Sprintf(`{"Answer":%q}`, answer))
			p, failed := l.Run()
			err := failed["score m d"]
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got error %v, want %q in it", err, want)
			}
			document := `shard "d.txt", row 1`
			switch answer {
			case "silent", "twice", "failing": // The host knows the document only by its number, if at all.
			default:
				if !strings.Contains(err.Error(), document) {
					t.Errorf("got error %v, want %s in it", err, document)
				}
			}
			a := p.Action("score m d")
			if _, hit, err := l.Store.Lookup(t.Context(), a.Key); a.State != plan.Failed || hit || err != nil {
				t.Errorf("it is %s, in the store: %t, %v", a.State, hit, err)
			}
			if p.Action("score m good").State != plan.Done {
				t.Errorf("the other dataset is %s: %v", p.Action("score m good").State, failed["score m good"])
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, config string
		scoring      spec.Scoring
		want         string
	}{
		{"a model that cannot be loaded", `{"Answer":"no weights"}`, spec.Scoring{Prefix: "bos", Anchor: "tokens"}, "download them first"},
		{"a context that the model cannot see", `{"Limit":8}`, spec.Scoring{Prefix: "bos", Anchor: "tokens", Context: 9}, "context 9 exceeds the model's maximum of 8 tokens"},
		{"windows without overlap or prefix", `{"Limit":8}`, spec.Scoring{Prefix: "none", Anchor: "tokens", Context: 4, Stride: 4}, "has nothing to its left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := actiontest.New(t, "fake")
			l.Text("d", "text")
			l.Model("m", "fake", test.config).Scoring = test.scoring
			_, failed := l.Run()
			err := failed["score m d"]
			if err == nil || !strings.Contains(err.Error(), test.want) || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("got error %v, want %q of kind invalid input", err, test.want)
			}
		})
	}
}

// The rescoring difference of losses that depend on batch composition is measured and recorded.
func TestRescoringDifference(t *testing.T) {
	t.Parallel()
	l := actiontest.New(t, "fake")
	// Of seven documents the first four are scored again, the longest first: "ab" moves from place 2 to 3.
	l.Text("d", "abcd", "abcdefgh", "ab", "abc", "a", "b", strings.Repeat("x", 17*128))
	l.Text("large", strings.Repeat("x", 65<<10), "small")
	// A second scoring of more than the shortest two would cost too much: "abc" moves from place 2 to 0.
	l.Text("short", "abcd", "ab", "abc", strings.Repeat("x", 6*128))
	// What "=b" loses on its first token it half gains on its second: "ab", which moves as far, has the larger sum.
	l.Text("opposed", "ab", "=b", strings.Repeat("x", 4*128))
	l.Text("single", "abcd")
	l.Model("noisy", "fake", `{"Answer":"noisy"}`)
	l.Model("quiet", "fake", `{}`)
	p := l.MustRun()
	for action, want := range map[string]artifact.RescoringDifference{
		"score noisy d":       {Documents: 4, MaxNatsPerToken: 1.0 / 1024, MaxBitsPerByte: 1.0 / 1024 / math.Ln2 / 2},
		"score quiet d":       {Documents: 4},
		"score noisy large":   {Documents: 1, MaxNatsPerToken: 1.0 / 1024, MaxBitsPerByte: 1.0 / 1024 / math.Ln2 / 5},
		"score noisy short":   {Documents: 2, MaxNatsPerToken: 2.0 / 1024, MaxBitsPerByte: 2.0 / 1024 / math.Ln2 / 3},
		"score noisy opposed": {Documents: 2, MaxNatsPerToken: 1.0 / 1024, MaxBitsPerByte: 1.0 / 1024 / math.Ln2 / 2},
		"score quiet single":  {},
	} {
		if d := cmp.Diff(want, actiontest.JSON[artifact.ScoreSummary](l, p, action, artifact.SummaryFile).Rescoring, approximately); d != "" {
			t.Errorf("%s: %s", action, d)
		}
	}
	if got := actiontest.JSON[artifact.ScoreSummary](l, p, "score noisy d", artifact.SummaryFile).Documents; got != 7 {
		t.Errorf("the second scoring is counted: %d documents", got)
	}
}

// A backend that dies on the way is started again and asked for the rest: every file is as it would have been.
func TestDeath(t *testing.T) {
	t.Parallel()
	outputs := func(deaths string) map[string]string {
		l := actiontest.New(t, "fake")
		var rows []string
		for i := range 300 {
			rows = append(rows, fmt.Sprintf("document %d, of some length", i))
		}
		rows[200] = "odd"
		l.Text("d", rows...)
		l.Model("m", "fake", fmt.Sprintf(`{"Deaths":%q}`, deaths))
		p := l.MustRun()
		digests := map[string]string{}
		for _, f := range p.Action("score m d").Outputs {
			digests[f.Name] = f.Digest
		}
		// The configurations differ, and the summary holds them.
		summary := actiontest.JSON[artifact.ScoreSummary](l, p, "score m d", artifact.SummaryFile)
		summary.Parameters = nil
		digests[artifact.SummaryFile] = fmt.Sprintf("%+v", summary.Ledger)
		if l.Progress.Documents != 600 || l.Progress.ScoredBytes*2 != l.Progress.Bytes {
			t.Errorf("told progress %+v, want each document read once and scored once", l.Progress)
		}
		return digests
	}
	if d := cmp.Diff(outputs(""), outputs(filepath.Join(t.TempDir(), "died"))); d != "" {
		t.Error(d)
	}
}

// Models that differ in what they were trained on alone are not one loaded model.
func TestModelsOfOtherTrainings(t *testing.T) {
	t.Parallel()
	l := actiontest.New(t)
	l.Text("a", "the cat").TrainOnly = true
	l.Text("b", "the dog").TrainOnly = true
	l.Text("x", "the cow")
	for name, on := range map[string]string{"one": "a", "same": "a", "other": "b"} {
		l.Model(name, "ngram", `{"order":3,"tokens":"bytes"}`, on)
	}
	p := l.Plan()
	id := func(model string) string { return p.Action("score " + model + " x").Model.ID }
	if id("one") != id("same") || id("one") == id("other") {
		t.Errorf("the models are %q, %q and %q", id("one"), id("same"), id("other"))
	}
}

// Two tokenizations of the same text by real models: no byte is skipped, each model is loaded once for all its
// datasets, and the order in which actions run changes nothing.
func TestModels(t *testing.T) {
	t.Parallel()
	results := func(cores int64) map[string]string {
		l := actiontest.New(t)
		l.Cores = cores
		l.Text("corpus", "the cat sat on the mat", "the dog sat on the cat", "a naïve cat").TrainOnly = true
		for _, key := range []string{"x", "y", "z"} {
			l.Text(key, "the cat sat on "+key, "naïve 猫")
		}
		l.Model("bytes", "ngram", `{"order":3,"tokens":"bytes"}`, "corpus")
		l.Model("words", "ngram", `{"order":2,"tokens":"words"}`, "corpus").Scoring.EOS = true
		p := l.MustRun()
		digests := map[string]string{}
		for _, a := range p.Actions {
			for _, f := range a.Outputs {
				digests[a.Name+" "+f.Name] = f.Digest
			}
			if a.Kind != "score" {
				continue
			}
			s := actiontest.JSON[artifact.ScoreSummary](l, p, a.Name, artifact.SummaryFile)
			if s.Bytes != 26 || s.ScoredBytes != 26 || s.BPB < 1 || s.BPB > 8 || (s.Ledger.EOS > 0) != (a.Labels.Model == "words") || s.Rescoring.MaxNatsPerToken != 0 {
				t.Errorf("%s: %+v", a.Name, s)
			}
		}
		return digests
	}
	one := results(1)
	if d := cmp.Diff(one, results(3)); d != "" {
		t.Error(d)
	}
	if names := slices.Sorted(func(yield func(string) bool) {
		for name := range one {
			if strings.HasPrefix(name, "score bytes x ") && !yield(strings.TrimPrefix(name, "score bytes x ")) {
				return
			}
		}
	}); !slices.Equal(names, []string{artifact.ConfidenceFile, artifact.LedgerFile, artifact.ScoredFile, artifact.SummaryFile, artifact.TokenCountsFile, artifact.TokenCountsSummaryFile, artifact.TopTokensFile}) {
		t.Errorf("got the files %q", names)
	}
}
