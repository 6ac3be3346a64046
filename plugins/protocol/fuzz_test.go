package protocol

import (
	"math"
	"testing"
	"unicode/utf8"
)

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
