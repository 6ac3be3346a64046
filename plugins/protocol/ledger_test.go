package protocol

import (
	"math"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// document has 9 bytes: "héllo wo", of which [1, 7) are scored.
func document() Document {
	return Document{Index: 3, Dataset: "d", Shard: "s", Row: 7, Text: "héllo wo", ScoreStart: 1, ScoreEnd: 7}
}

// answer covers it with tokens "h", half an é, the other half, "", "llo", " wo".
func answer() ScoredDocument {
	return ScoredDocument{
		Index: 3, TokenIDs: []int32{1, 2, 3, 4, 5, 6},
		TokenStarts: []int32{0, 1, 2, 3, 3, 6},
		TokenEnds:   []int32{1, 2, 3, 3, 6, 9},
		TokenNLL:    []float64{1, 2, 4, 8, 10, 3},
		EOSNLL:      0.5, TotalNLL: 28.5,
	}
}

// project gives each byte its loss and the document its ledger.
func project(d Document, s ScoredDocument, m LoadedModel) ([]float64, Ledger, error) {
	l, err := Account(d, s, m)
	if err != nil {
		return nil, l, err
	}
	perByte := make([]float64, len(d.Text))
	s.Tokens().PerByte(perByte)
	return perByte, l, nil
}

func TestAccount(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Document, *ScoredDocument)
		bytes  []float64
		ledger Ledger
	}{
		{
			"a token without bytes passes its loss on; tokens that straddle the span's edges leave their shares",
			func(*Document, *ScoredDocument) {},
			[]float64{1, 2, 4, 6, 6, 6, 1, 1, 1},
			Ledger{Tokens: 28.5, Span: 25, Outside: 3, EOS: 0.5, ScoredBytes: 6},
		}, {
			"the last token without bytes has no successor",
			func(_ *Document, s *ScoredDocument) {
				s.TokenStarts, s.TokenEnds = []int32{0, 1, 2, 3, 6, 9}, []int32{1, 2, 3, 6, 9, 9}
			},
			[]float64{1, 2, 4, 8. / 3, 8. / 3, 8. / 3, 10. / 3, 10. / 3, 10. / 3},
			Ledger{Tokens: 28.5, Span: 2 + 4 + 8 + 10./3, Outside: 1 + 20./3, EOS: 0.5, NoBytes: 3, ScoredBytes: 6},
		}, {
			"a first token without context",
			func(_ *Document, s *ScoredDocument) {
				s.TokenNLL[0], s.TotalNLL = 0, 27.5
				s.Unscored = []Unscored{{0, 1, ReasonNoContext}}
			},
			[]float64{0, 2, 4, 6, 6, 6, 1, 1, 1},
			Ledger{Tokens: 27.5, Span: 25, Outside: 2, EOS: 0.5, ScoredBytes: 6},
		}, {
			"bytes without a token and unscored ones, inside the span and outside; a carried loss passes over unscored tokens",
			func(_ *Document, s *ScoredDocument) {
				s.TokenIDs, s.TokenStarts, s.TokenEnds = []int32{1, 4, 5, 6}, []int32{2, 3, 3, 6}, []int32{3, 3, 6, 9}
				s.TokenNLL, s.TotalNLL = []float64{4, 8, 0, 3}, 15.5
				s.Unscored = []Unscored{{0, 2, ReasonNoToken}, {3, 6, "too rare"}}
			},
			[]float64{0, 0, 4, 0, 0, 0, 11. / 3, 11. / 3, 11. / 3},
			Ledger{
				Tokens: 15.5, Span: 4 + 11./3, Outside: 22. / 3, EOS: 0.5, ScoredBytes: 2,
				UnscoredBytes: map[string]int64{ReasonNoToken: 1, "too rare": 3},
			},
		}, {
			"a token without bytes on either side of bytes without a token",
			func(_ *Document, s *ScoredDocument) {
				s.TokenIDs, s.TokenStarts, s.TokenEnds = []int32{1, 2, 3}, []int32{0, 0, 3}, []int32{0, 0, 9}
				s.TokenNLL, s.TotalNLL = []float64{1, 2, 3}, 6.5
				s.Unscored = []Unscored{{0, 3, ReasonNoToken}}
			},
			[]float64{0, 0, 0, 1, 1, 1, 1, 1, 1},
			Ledger{Tokens: 6.5, Span: 4, Outside: 2, EOS: 0.5, ScoredBytes: 4, UnscoredBytes: map[string]int64{ReasonNoToken: 2}},
		}, {
			"an empty document",
			func(d *Document, s *ScoredDocument) {
				d.Text, d.ScoreStart, d.ScoreEnd = "", 0, 0
				*s = ScoredDocument{Index: 3, TokenIDs: []int32{1}, TokenStarts: []int32{0}, TokenEnds: []int32{0}, TokenNLL: []float64{2}, TotalNLL: 2}
			},
			[]float64{},
			Ledger{Tokens: 2, NoBytes: 2},
		}, {
			"losses that rounding left just below zero",
			func(d *Document, s *ScoredDocument) {
				d.Text, d.ScoreStart, d.ScoreEnd = "ab", 0, 2
				*s = ScoredDocument{
					Index: 3, TokenIDs: []int32{1, 2}, TokenStarts: []int32{0, 1}, TokenEnds: []int32{1, 2}, TokenNLL: []float64{-1e-10, 2},
					EOSNLL: -1e-10, TotalNLL: 2,
				}
			},
			[]float64{-1e-10, 2},
			Ledger{Tokens: 2 - 2e-10, Span: 2 - 1e-10, EOS: -1e-10, ScoredBytes: 2},
		}, {
			"a document that the tokenizer has no token for",
			func(_ *Document, s *ScoredDocument) {
				*s = ScoredDocument{Index: 3, Unscored: []Unscored{{0, 9, ReasonNoToken}}}
			},
			make([]float64, 9),
			Ledger{UnscoredBytes: map[string]int64{ReasonNoToken: 6}},
		}, {
			"an unscored end of the text",
			func(_ *Document, s *ScoredDocument) {
				*s = ScoredDocument{Index: 3, Unscored: []Unscored{{0, 9, ReasonNoToken}, {9, 9, ReasonNoContext}}}
			},
			make([]float64, 9),
			Ledger{UnscoredBytes: map[string]int64{ReasonNoToken: 6}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, s := document(), answer()
			test.change(&d, &s)
			perByte, ledger, err := project(d, s, LoadedModel{VocabularySize: 7})
			if err != nil {
				t.Fatal(err)
			}
			nearly := cmpopts.EquateApprox(1e-12, 0)
			if diff := cmp.Diff(test.bytes, perByte, nearly); diff != "" {
				t.Errorf("bytes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.ledger, ledger, nearly); diff != "" {
				t.Errorf("ledger (-want +got):\n%s", diff)
			}
		})
	}
}

// Every kind of invalid answer, and its error.
func TestBrokenAnswers(t *testing.T) {
	for _, test := range []struct {
		want   string
		change func(*Document, *ScoredDocument)
	}{
		{"it is for document 4, not 3", func(_ *Document, s *ScoredDocument) { s.Index = 4 }},
		{"it has 6 token ids, 5 starts, 6 ends and 6 losses", func(_ *Document, s *ScoredDocument) { s.TokenStarts = s.TokenStarts[:5] }},
		{"it has 6 token ids, 6 starts, 6 ends and 0 losses", func(_ *Document, s *ScoredDocument) { s.TokenNLL = nil }},
		{"token 4 at byte 3 has id 7, outside the vocabulary of 7; the tokenizer may not be this model's", func(_ *Document, s *ScoredDocument) { s.TokenIDs[4] = 7 }},
		{"token 0 at byte 0 has id -1", func(_ *Document, s *ScoredDocument) { s.TokenIDs[0] = -1 }},
		{"token 2 at byte 2 has the loss NaN, which is not finite; the weights or the tokenizer may not match the model", func(_ *Document, s *ScoredDocument) { s.TokenNLL[2] = math.NaN() }},
		{"token 5 at byte 6 has the loss +Inf, which is not finite", func(_ *Document, s *ScoredDocument) { s.TokenNLL[5] = math.Inf(1) }},
		{"token 1 at byte 1 has the loss -0.1 nats; a loss is at least -1e-09", func(_ *Document, s *ScoredDocument) { s.TokenNLL[1] = -.1 }},
		{"the end-of-text token has the loss NaN nats", func(_ *Document, s *ScoredDocument) { s.EOSNLL = math.NaN() }},
		{"it has 6 token ids, 6 starts, 5 ends and 6 losses", func(_ *Document, s *ScoredDocument) { s.TokenEnds = s.TokenEnds[:5] }},
		{"it has 5 token ids, 6 starts, 6 ends and 6 losses", func(_ *Document, s *ScoredDocument) { s.TokenIDs = s.TokenIDs[:5] }},
		{"token 3 at byte 3 has the loss -Inf, which is not finite", func(_ *Document, s *ScoredDocument) { s.TokenNLL[3] = math.Inf(-1) }},
		{"the end-of-text token has the loss +Inf nats", func(_ *Document, s *ScoredDocument) { s.EOSNLL = math.Inf(1) }},
		{"the end-of-text token has the loss -0.1 nats; a loss is finite and at least -1e-09", func(_ *Document, s *ScoredDocument) { s.EOSNLL = -.1 }},
		{"token 4, [3, 6), is only partly inside the unscored range [3, 5)", func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{3, 5, "rare"}} }},
		{"its losses add up to 28.5 nats, but its total is 28.4999999", func(_ *Document, s *ScoredDocument) { s.TotalNLL = 28.4999999 }},
		{"its losses add up to 28.5 nats, but its total is 28.500001; data was lost or changed in transit", func(_ *Document, s *ScoredDocument) { s.TotalNLL = 28.500001 }},
		{"its losses add up to 28.5 nats, but its total is NaN", func(_ *Document, s *ScoredDocument) { s.TotalNLL = math.NaN() }},
		{"its losses add up to 28.5 nats, but its total is +Inf", func(_ *Document, s *ScoredDocument) { s.TotalNLL = math.Inf(1) }},
		{"its losses add up to 28.5 nats, but its total is -Inf", func(_ *Document, s *ScoredDocument) { s.TotalNLL = math.Inf(-1) }},
		{`gives the reason "a\nb"; a reason is one line of at most 100 bytes`, func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{2, 3, "a\nb"}} }},
		{`; a reason is one line of at most 100 bytes`, func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{2, 3, strings.Repeat("x", 101)}} }},
		{"more than the 67108864 that a document can have; split it, or lower limits.bytes", func(d *Document, _ *ScoredDocument) { d.Text = strings.Repeat("x", MaxTextBytes+1) }},
		{"its losses add up to NaN nats, but its total is +Inf", func(_ *Document, s *ScoredDocument) {
			s.TokenNLL[0], s.TokenNLL[1], s.TotalNLL = math.MaxFloat64, math.MaxFloat64, math.Inf(1)
		}},
		{"token 1, [0, 2), starts before byte 1, where the previous token ended", func(_ *Document, s *ScoredDocument) { s.TokenStarts[1] = 0 }},
		{`no token covers the bytes [6, 7) before token 5, and the range is not marked "no token"`, func(_ *Document, s *ScoredDocument) { s.TokenStarts[5] = 7 }},
		{"token 5, [6, 10), is not inside the text of 9 bytes", func(_ *Document, s *ScoredDocument) { s.TokenEnds[5] = 10 }},
		{"token 5, [6, 5), is not inside the text", func(_ *Document, s *ScoredDocument) { s.TokenEnds[5] = 5 }},
		{"token 0, [-1, 1), starts before byte 0", func(_ *Document, s *ScoredDocument) { s.TokenStarts[0] = -1 }},
		{"no token covers the bytes [8, 9) at the end", func(_ *Document, s *ScoredDocument) { s.TokenEnds[5] = 8 }},
		{"no token covers the bytes [0, 9) at the end", func(_ *Document, s *ScoredDocument) { *s = ScoredDocument{Index: 3} }},
		{"token 0 at byte 0 is unscored (no context) but has a loss of 1 nats", func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{0, 1, ReasonNoContext}} }},
		{"token 4, [3, 6), is only partly inside the unscored range [4, 9)", func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{4, 9, "rare"}} }},
		{`token 4, [3, 6), is in a range marked "no token"`, func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{3, 6, ReasonNoToken}} }},
		{`token 5, [6, 9), is only partly inside the unscored range [7, 9)`, func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{7, 9, ReasonNoToken}} }},
		{"unscored range 0 is [3, 10)", func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{3, 10, "rare"}} }},
		{"unscored range 0 is [3, 3)", func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{3, 3, "rare"}} }},
		{"unscored range 0 is [9, 9)", func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{9, 9, "rare"}, {9, 9, "rare"}} }},
		{"the end-of-text token is unscored but has a loss of 0.5 nats", func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{9, 9, "rare"}} }},
		{"unscored range 0 is [-1, 1)", func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{-1, 1, "rare"}} }},
		{"unscored range 1 is [1, 2)", func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{2, 3, "rare"}, {1, 2, "rare"}} }},
		{"unscored range 0, [2, 3), gives no reason", func(_ *Document, s *ScoredDocument) { s.Unscored = []Unscored{{2, 3, ""}} }},
		{"the scored span is [1, 10), outside the text of 9 bytes", func(d *Document, _ *ScoredDocument) { d.ScoreEnd = 10 }},
		{"the scored span is [8, 7), outside", func(d *Document, _ *ScoredDocument) { d.ScoreStart = 8 }},
		{"the scored span is [-1, 7), outside", func(d *Document, _ *ScoredDocument) { d.ScoreStart = -1 }},
		{"the text is not valid UTF-8", func(d *Document, _ *ScoredDocument) { d.Text = "h\xffllo wo12" }},
	} {
		t.Run(test.want, func(t *testing.T) {
			d, s := document(), answer()
			test.change(&d, &s)
			_, _, err := project(d, s, LoadedModel{VocabularySize: 7})
			if err == nil {
				t.Fatal("accepted")
			}
			if want := `dataset "d", shard "s", row 7: `; !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want %q and %q", err, want, test.want)
			}
		})
	}
}

// Values at the limits are accepted.
func TestBoundsOfAnswers(t *testing.T) {
	d := Document{Text: strings.Repeat("x", MaxTextBytes), ScoreStart: MaxTextBytes, ScoreEnd: MaxTextBytes}
	if err := d.Check(); err != nil {
		t.Errorf("the largest text, with an empty span at its end: %v", err)
	}
	for name, test := range map[string]struct {
		model  LoadedModel
		change func(*ScoredDocument)
	}{
		"a reason of 100 bytes": {LoadedModel{VocabularySize: 7}, func(s *ScoredDocument) {
			s.TokenNLL[0], s.TotalNLL, s.Unscored = 0, 27.5, []Unscored{{0, 1, strings.Repeat("x", maxReasonBytes)}}
		}},
		"an id in a vocabulary of unknown size": {LoadedModel{}, func(s *ScoredDocument) { s.TokenIDs[0] = math.MaxInt32 }},
		"the first id and the last":             {LoadedModel{VocabularySize: 7}, func(s *ScoredDocument) { s.TokenIDs[0], s.TokenIDs[1] = 0, 6 }},
		"losses at the floor": {LoadedModel{}, func(s *ScoredDocument) {
			s.TokenNLL[0], s.EOSNLL, s.TotalNLL = LossFloor, LossFloor, 27+2*LossFloor
		}},
		"a sum that differs by rounding": {LoadedModel{}, func(s *ScoredDocument) { s.TotalNLL += 28e-9 }},
	} {
		s := answer()
		test.change(&s)
		if _, _, err := project(document(), s, test.model); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Two sums agree if they differ by a billionth of the larger, or of one nat.
func TestAgree(t *testing.T) {
	for _, test := range []struct {
		a, b float64
		want bool
	}{
		{0, 0.9e-9, true}, {0, 1.1e-9, false}, {0.5, 0.5 + 0.9e-9, true}, {1e6, 1e6 + 0.9e-3, true}, {1e6, 1e6 + 1.1e-3, false},
		{1e6 + 0.9e-3, 1e6, true}, {-1e6, -1e6 - 0.9e-3, true}, {-1e6, -1e6 - 1.1e-3, false}, {1, -1, false},
		{math.Inf(1), math.Inf(1), false}, {math.Inf(-1), math.Inf(-1), false}, {1, math.Inf(1), false}, {math.Inf(-1), 1, false},
		{math.NaN(), 1, false}, {1, math.NaN(), false},
	} {
		if got := agree(test.a, test.b); got != test.want {
			t.Errorf("%v and %v agree: %v, want %v", test.a, test.b, got, test.want)
		}
	}
}

// scored draws a document and a well-formed answer for it.
func scored(t *rapid.T) (Document, ScoredDocument) {
	text := rapid.String().Draw(t, "text")
	d := Document{Text: text}
	d.ScoreStart = int32(rapid.IntRange(0, len(text)).Draw(t, "start"))
	d.ScoreEnd = int32(rapid.IntRange(int(d.ScoreStart), len(text)).Draw(t, "end"))
	var s ScoredDocument
	var sum compensated
	token := func(start, end int, nll float64) {
		s.TokenIDs = append(s.TokenIDs, rapid.Int32Range(0, 99).Draw(t, "id"))
		s.TokenStarts, s.TokenEnds = append(s.TokenStarts, int32(start)), append(s.TokenEnds, int32(end))
		s.TokenNLL = append(s.TokenNLL, nll)
		sum.add(nll)
	}
	nll := func() float64 { return math.Exp(rapid.Float64Range(-40, 20).Draw(t, "log nll")) }
	for at := 0; at < len(text); {
		end := rapid.IntRange(at+1, len(text)).Draw(t, "cut")
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			token(at, at, nll())
			continue
		case 1:
			s.Unscored = append(s.Unscored, Unscored{int32(at), int32(end), ReasonNoToken})
		case 2:
			token(at, end, 0)
			s.Unscored = append(s.Unscored, Unscored{int32(at), int32(end), ReasonNoContext})
		default:
			token(at, end, nll())
		}
		at = end
	}
	if rapid.Bool().Draw(t, "eos") {
		s.EOSNLL = nll()
		sum.add(s.EOSNLL)
	}
	s.TotalNLL = sum.value()
	return d, s
}

func TestLedgerBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, s := scored(t)
		perByte, l, err := project(d, s, LoadedModel{VocabularySize: 100})
		if err != nil {
			t.Fatal(err)
		}
		balance(t, d, s, perByte, l)
	})
}

// balance checks what must hold of every accepted answer, with exact arithmetic.
func balance(t interface{ Errorf(string, ...any) }, d Document, s ScoredDocument, perByte []float64, l Ledger) {
	sum := func(values ...float64) float64 {
		total := new(big.Float).SetPrec(2100)
		for _, v := range values {
			total.Add(total, big.NewFloat(v))
		}
		f, _ := total.Float64()
		return f
	}
	for _, account := range []struct {
		name      string
		got, want float64
	}{
		{"tokens", l.Tokens, sum(append([]float64{s.EOSNLL}, s.TokenNLL...)...)},
		{"all accounts", sum(l.Span, l.Outside, l.EOS, l.NoBytes), l.Tokens},
		{"span", l.Span, sum(perByte[d.ScoreStart:d.ScoreEnd]...)},
		{"outside", l.Outside, sum(sum(perByte[:d.ScoreStart]...), sum(perByte[d.ScoreEnd:]...))},
	} {
		if !agree(account.got, account.want) {
			t.Errorf("%s: %v and %v differ", account.name, account.got, account.want)
		}
	}
	scored := int64(d.ScoreEnd - d.ScoreStart)
	for _, n := range l.UnscoredBytes {
		scored -= n
	}
	if l.ScoredBytes != scored || scored < 0 || len(perByte) != len(d.Text) {
		t.Errorf("%d scored bytes of [%d, %d), %v unscored, %d losses", l.ScoredBytes, d.ScoreStart, d.ScoreEnd, l.UnscoredBytes, len(perByte))
	}
	for _, u := range s.Unscored {
		for b := u.Start; b < u.End; b++ {
			if perByte[b] != 0 {
				t.Errorf("the unscored byte %d has a loss of %v", b, perByte[b])
			}
		}
	}
}

func TestCompensatedSum(t *testing.T) {
	var c compensated
	for _, x := range []float64{1, 1e100, 1, -1e100} {
		c.add(x)
	}
	if c.value() != 2 {
		t.Errorf("got %v, want 2", c.value())
	}
	var tenths compensated
	for range 10_000_000 {
		tenths.add(0.1)
	}
	if got := tenths.value(); math.Abs(got-1e6) > 1e-9 {
		t.Errorf("got %v, want 1e6", got)
	}
}

// Whatever a backend answers, it is refused or balances; nothing panics.
func FuzzLedger(f *testing.F) {
	f.Add("héllo wo", int32(1), int32(7), []byte{1, 1, 0, 3, 3}, []byte{0, 9}, 1.5, 0.5, uint8(2))
	f.Add("", int32(0), int32(0), []byte{0}, []byte{}, 0.0, 0.0, uint8(0))
	f.Add("abc", int32(-1), int32(9), []byte{200, 5}, []byte{1, 1, 2}, math.Inf(1), math.NaN(), uint8(1))
	f.Fuzz(func(t *testing.T, text string, start, end int32, widths, ranges []byte, nll, eos float64, flags uint8) {
		d := Document{Text: text, ScoreStart: start, ScoreEnd: end}
		s := ScoredDocument{EOSNLL: eos}
		at, sum := int32(0), compensated{}
		for i, w := range widths {
			s.TokenIDs = append(s.TokenIDs, int32(i))
			s.TokenStarts, s.TokenEnds = append(s.TokenStarts, at), append(s.TokenEnds, at+int32(w))
			loss := nll * float64(i%3)
			s.TokenNLL = append(s.TokenNLL, loss)
			sum.add(loss)
			at += int32(w)
		}
		at = 0
		for i, w := range ranges {
			if i%2 == int(flags&1) {
				s.Unscored = append(s.Unscored, Unscored{at, at + int32(w), []string{ReasonNoContext, ReasonNoToken, ReasonNotRequested}[flags>>1%3]})
			}
			at += int32(w)
		}
		sum.add(eos)
		s.TotalNLL = sum.value()
		perByte, l, err := project(d, s, LoadedModel{})
		if err != nil {
			if !utf8.ValidString(err.Error()) {
				t.Errorf("the message is not text: %q", err)
			}
			return
		}
		balance(t, d, s, perByte, l)
		q := Settings{EOS: true, Range: TokenRange{From: int64(flags >> 6), Score: int64(flags >> 6), To: int64(flags>>4&3 + 4)}}
		if err := q.CheckRequest(s, LoadedModel{}); err != nil && !utf8.ValidString(err.Error()) {
			t.Errorf("the message is not text: %q", err)
		}
	})
}
