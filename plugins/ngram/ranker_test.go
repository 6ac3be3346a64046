package ngram

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"surprisal.dev/plugins/protocol"
)

// place is what is known of one token.
type place struct {
	nll             float64
	top             int32
	topNLL, entropy float64
	rank            int32
}

// placeOf returns what a ranker knows of a token, and the next history.
func placeOf(r ranker, h history, id int32) (place, history) {
	to := ranked{make([]float64, 1), newConfidence(1, false)}
	next := r.rank(h, []int32{id}, to)
	return place{to.nll[0], to.Top[0], to.TopNLL[0], to.Entropies[0], to.Ranks[0]}, next
}

// compared computes what a ranker knows from the losses of all tokens.
func compared(l language, h history, id int32) place {
	losses := make([]float64, l.vocabulary())
	var entropy float64
	for i := range losses {
		losses[i], _ = l.step(h, int32(i))
		if p := math.Exp(-losses[i]); p > 0 {
			entropy += p * losses[i]
		}
	}
	order := make([]int32, len(losses))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(cmp.Compare(losses[a], losses[b]), cmp.Compare(a, b)) })
	return place{nll: losses[id], top: order[0], topNLL: losses[order[0]], rank: int32(slices.Index(order, id)) + 1, entropy: entropy}
}

// checkRanks compares a ranker with all tokens before each token of a text.
func checkRanks(t interface{ Fatalf(string, ...any) }, l language, h history, text string) {
	r := l.ranker()
	ids, _ := l.tokenize(text, nil, nil)
	for i, id := range append(ids, l.end()) {
		_, next := l.step(h, id)
		got, after := placeOf(r, h, id)
		want := compared(l, h, id)
		if after != next || got.nll != want.nll || got.top != want.top || got.topNLL != want.topNLL || got.rank != want.rank || math.Abs(got.entropy-want.entropy) > 1e-9 {
			t.Fatalf("token %d of %.100q, %d: got %+v and history %v, want %+v and %v", i, text, id, got, after, want, next)
		}
		checkMass(t, l, r, h)
		h = next
	}
}

// checkMass compares the mass of the most probable tokens after a history with that of sorted losses.
func checkMass(t interface{ Fatalf(string, ...any) }, l language, r ranker, h history) {
	losses := make([]float64, l.vocabulary())
	for i := range losses {
		losses[i], _ = l.step(h, int32(i))
	}
	slices.Sort(losses)
	for _, k := range []int{1, 2, 7, 40, 300, len(losses), len(losses) + 1} {
		total := 0.0
		for _, loss := range losses[:min(k, len(losses))] {
			total += math.Exp(-loss)
		}
		if got, want := topMass(r, h, k), min(math.Log(total), 0); math.Abs(got-want) > 1e-9 {
			t.Fatalf("the %d most probable tokens after %v have the mass e^%v, want e^%v", k, h, got, want)
		}
	}
}

func TestRanksOfABook(t *testing.T) {
	book := opticks(t)
	half := len(book) / 2
	for _, tokens := range []string{tokensBytes, tokensWords} {
		for _, order := range []int{1, 2, 3, 5} {
			l := trained(t, fmt.Sprintf(`{"order": %d, "tokens": %q}`, order, tokens), book[:half]).language
			checkRanks(t, l, l.begin(), book[half:half+4000])
			checkRanks(t, l, history{}, "Unheard-of: ünheard. "+book[half:half+1000])
		}
	}
}

// Small alphabets make many losses equal, or equal but for rounding.
func TestRanks(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab cé")), 0, 200, -1)
	rapid.Check(t, func(rt *rapid.T) {
		config := fmt.Sprintf(`{"order": %d, "tokens": %q}`, rapid.IntRange(1, 6).Draw(rt, "order"),
			rapid.SampledFrom([]string{tokensBytes, tokensWords}).Draw(rt, "tokens"))
		l := trained(t, config, rapid.SliceOfN(text, 1, 4).Draw(rt, "training")...).language
		h := history{}
		if rapid.Bool().Draw(rt, "from the beginning") {
			h = l.begin()
		}
		checkRanks(rt, l, h, rapid.StringOfN(rapid.RuneFrom([]rune("ab cédx")), 0, 30, -1).Draw(rt, "text"))
	})
}

// Confidence changes nothing else, is parallel to the tokens, and is 0 where there is no loss.
func TestConfidence(t *testing.T) {
	for _, config := range benchmarkModels() {
		m := trained(t, config, "the training text, and more text of the training")
		texts := []string{"the text of the test", "", "x", "and more", "ümläut and more text"}
		for _, prefix := range []string{protocol.PrefixBOS, protocol.PrefixFirst, protocol.PrefixNone} {
			s := protocol.Settings{Prefix: prefix, Context: 8, Stride: 3, EOS: true}
			without := scoreAll(t, m, s, texts...)
			s.Confidence = true
			for i, d := range scoreAll(t, m, s, texts...) {
				if !slices.Equal(d.TokenNLL, without[i].TokenNLL) || d.EOSNLL != without[i].EOSNLL || d.TotalNLL != without[i].TotalNLL {
					t.Errorf("%s: losses %v without confidence are %v", config, without[i].TokenNLL, d.TokenNLL)
				}
				if without[i].Confidence.Len() != 0 || d.Confidence.Len() != len(d.TokenIDs) {
					t.Errorf("%s: %d and %d confidences of %d tokens", config, without[i].Confidence.Len(), d.Confidence.Len(), len(d.TokenIDs))
				}
				document := protocol.Document{Index: d.Index, Text: texts[i], ScoreEnd: int32(len(texts[i]))}
				if err := protocol.Check(document, d, m.Describe()); err != nil {
					t.Errorf("%s: %v", config, err)
				}
			}
		}
	}
}
