package kneserney

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func count(order int, sequences [][]uint32) *Counts {
	c := NewCounts(order)
	for _, sequence := range sequences {
		c.Begin()
		for _, symbol := range sequence {
			c.Add(symbol)
		}
	}
	return c
}

func same(symbol uint32) uint32 { return symbol }

func written(t interface{ Fatal(...any) }, c *Counts, vocabulary uint32, rename func(uint32) uint32) []byte {
	var b bytes.Buffer
	if err := c.Write(&b, vocabulary, rename); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// reference is the estimator as the paper writes it, over maps from n-grams, as strings, to counts.
type reference struct {
	order      int
	vocabulary uint32
	counts     map[string]float64
	totals     map[string]float64    // by history
	kinds      map[string][4]float64 // by history
	discounts  [][4]float64          // by length
}

func key(symbols []uint32) string { return fmt.Sprint(symbols) }

func newReference(order int, vocabulary uint32, sequences [][]uint32) *reference {
	raw, preceding := map[string]float64{}, map[string]map[uint32]bool{}
	grams := map[string][]uint32{}
	for _, sequence := range sequences {
		if order > 1 {
			sequence = append([]uint32{beginning}, sequence...)
		}
		for end := 1; end <= len(sequence); end++ {
			for start := max(0, end-order); start < end; start++ {
				gram := sequence[start:end]
				if gram[len(gram)-1] == beginning {
					continue
				}
				grams[key(gram)] = gram
				raw[key(gram)]++
				if start > 0 {
					if preceding[key(gram)] == nil {
						preceding[key(gram)] = map[uint32]bool{}
					}
					preceding[key(gram)][sequence[start-1]] = true
				}
			}
		}
	}
	r := &reference{order, vocabulary, map[string]float64{}, map[string]float64{}, map[string][4]float64{}, make([][4]float64, order+1)}
	ofCounts := make([][5]float64, order+1)
	for k, gram := range grams {
		c := float64(len(preceding[k]))
		if len(gram) == order || gram[0] == beginning {
			c = raw[k]
		}
		r.counts[k] = c
		history := key(gram[:len(gram)-1])
		r.totals[history] += c
		kinds := r.kinds[history]
		kinds[int(min(c, 3))]++
		r.kinds[history] = kinds
		if c <= 4 {
			ofCounts[len(gram)][int(c)]++
		}
	}
	for length, n := range ofCounts {
		y := n[1] / (n[1] + 2*n[2])
		d := [4]float64{0, 1 - 2*y*n[2]/n[1], 2 - 3*y*n[3]/n[2], 3 - 4*y*n[4]/n[3]}
		for k := range d {
			if math.IsNaN(d[k]) || d[k] <= 0 || d[k] >= float64(k) {
				d[k] = float64(k) / 2
			}
		}
		r.discounts[length] = d
	}
	return r
}

func (r *reference) probability(history []uint32, symbol uint32) float64 {
	history = history[max(0, len(history)-(r.order-1)):]
	below := 1 / float64(r.vocabulary)
	if len(history) > 0 {
		below = r.probability(history[1:], symbol)
	}
	total := r.totals[key(history)]
	if total == 0 {
		return below
	}
	c := r.counts[key(append(slices.Clone(history), symbol))]
	d, kinds := r.discounts[len(history)+1], r.kinds[key(history)]
	weight := (d[1]*kinds[1] + d[2]*kinds[2] + d[3]*kinds[3]) / total
	return max(c-d[int(min(c, 3))], 0)/total + weight*below
}

// The model agrees with the reference after every history, seen or unseen, and its probabilities sum to one.
func TestModelAgreesWithThePaper(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.IntRange(1, MaxOrder).Draw(t, "order")
		vocabulary := rapid.Uint32Range(1, 6).Draw(t, "vocabulary")
		symbol := rapid.Uint32Range(0, vocabulary-1)
		sequences := rapid.SliceOfN(rapid.SliceOfN(symbol, 0, 60), 0, 6).Draw(t, "sequences")
		m, rest, err := Read(written(t, count(order, sequences), vocabulary, same), vocabulary)
		if err != nil || len(rest) != 0 {
			t.Fatal(rest, err)
		}
		r := newReference(order, vocabulary, sequences)
		state, history := State(root), []uint32{}
		if rapid.Bool().Draw(t, "from the beginning") {
			state = m.Begin()
			if order > 1 {
				history = append(history, beginning)
			}
		}
		for _, next := range rapid.SliceOfN(symbol, 0, 30).Draw(t, "history") {
			sum := 0.0
			for w := range vocabulary {
				nll, _ := m.Step(state, w)
				got, want := math.Exp(-nll), r.probability(history, w)
				if math.Abs(got-want) > 1e-12*want {
					t.Fatalf("p(%d | %d) = %v, the paper has %v", w, history, got, want)
				}
				sum += got
			}
			if math.Abs(sum-1) > 1e-12 {
				t.Fatalf("probabilities after %d sum to 1%+g", history, sum-1)
			}
			_, state = m.Step(state, next)
			history = append(history, next)
		}
	})
}

// A count of renamed symbols is the count of the renamed sequences, to the byte, in whatever order they came.
func TestWriteDependsOnTheSequencesOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.IntRange(1, 5).Draw(t, "order")
		sequences := rapid.SliceOfN(rapid.SliceOfN(rapid.Uint32Range(0, 9), 0, 40), 0, 8).Draw(t, "sequences")
		names := rapid.Permutation([]uint32{0, 0, 0, 1, 2, 3, 4, 5, 6, 6}).Draw(t, "names")
		got := written(t, count(order, sequences), 7, func(symbol uint32) uint32 { return names[symbol] })
		renamed := make([][]uint32, len(sequences))
		for i, sequence := range sequences {
			for _, symbol := range sequence {
				renamed[i] = append(renamed[i], names[symbol])
			}
		}
		slices.Reverse(renamed)
		if want := written(t, count(order, renamed), 7, same); !bytes.Equal(got, want) {
			t.Fatalf("renamed while writing %x, before counting %x", got, want)
		}
	})
}

func TestDiscounts(t *testing.T) {
	for name, test := range map[string]struct {
		times []int // how often each of the symbols occurs
		want  [4]float64
	}{
		// n1..n4 = 4, 3, 2, 1: Y = 0.4, D1 = 1 - 0.8*3/4, D2 = 2 - 1.2*2/3, D3 = 3 - 1.6*1/2.
		"usual":                 {[]int{1, 1, 1, 1, 2, 2, 2, 3, 3, 4}, [4]float64{0, 0.4, 1.2, 2.2}},
		"no text":               {nil, [4]float64{0, 0.5, 1, 1.5}},
		"no symbol occurs once": {[]int{2, 2, 3, 4}, [4]float64{0, 0.5, 1, 1.5}},
		"all occur once":        {[]int{1, 1, 1}, [4]float64{0, 0.5, 1, 1.5}},
		// n1..n4 = 4, 1, 1, 0: Y = 2/3, D1 = 1 - 4/3*1/4, D2 = 2 - 2.
		"a discount would be 0":       {[]int{1, 1, 1, 1, 2, 3}, [4]float64{0, 2. / 3, 1, 1.5}},
		"a discount would be below 0": {[]int{1, 2, 3, 3, 3, 3, 3}, [4]float64{0, 1 - 2./3, 1, 1.5}},
	} {
		t.Run(name, func(t *testing.T) {
			var sequence []uint32
			for symbol, times := range test.times {
				for range times {
					sequence = append(sequence, uint32(symbol))
				}
			}
			tree, _, err := readTrie(written(t, count(1, [][]uint32{sequence}), 20, same), 20)
			if err != nil {
				t.Fatal(err)
			}
			got := tree.discounts(1)
			for k := range got {
				if math.Abs(got[k]-test.want[k]) > 1e-15 {
					t.Fatalf("discounts %v, want %v", got, test.want)
				}
			}
		})
	}
}

// trieOf builds counts by hand, as numbers.
func trieOf(numbers ...uint64) []byte {
	var b []byte
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func TestReadRefuses(t *testing.T) {
	// The sequence 0 1 with order 2 and two symbols: 3 unigrams and 2 bigrams; then 0 and 0 1, counted once; 1; the
	// beginning and 0 after it, counted once.
	good := []uint64{2, 3, 2 /**/, 3 /**/, 0, 1, 1, 1 /**/, 0, 0 /**/, 0, 1, 0, 1}
	if got := written(t, count(2, [][]uint32{{0, 1}}), 2, same); !bytes.Equal(got, trieOf(good...)) {
		t.Fatalf("%v is written as %x", good, got)
	}
	change := func(at int, to uint64) []byte {
		bad := slices.Clone(good)
		bad[at] = to
		return trieOf(bad...)
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":                        {nil, "unexpected end of data"},
		"order 0":                        {change(0, 0), "order 0"},
		"an order too high":              {change(0, 11), "exceeds the maximum of 10"},
		"more n-grams than bytes":        {change(1, 1<<40), "exceeds the maximum"},
		"fewer n-grams than said":        {change(1, 4), "3 n-grams of 1 symbols, not 4"},
		"more n-grams than said":         {change(1, 2), "exceeds the maximum of 2"},
		"a cut":                          {trieOf(good[:11]...), "unexpected end of data"},
		"a varint that never ends":       {bytes.Repeat([]byte{0xff}, 20), "exceeds the maximum"},
		"a symbol past the beginning":    {trieOf(2, 4, 0, 4, 0, 0, 0, 0, 0, 0, 0), "symbol 3 of 2 in an n-gram of 1 symbols"},
		"the beginning inside an n-gram": {change(6, 2), "symbol 2 of 2 in an n-gram of 2 symbols"},
		"an n-gram without its suffix":   {trieOf(2, 2, 1, 2, 0, 1, 1, 1, 1, 0), "has no suffix"},
		"a count of 0":                   {change(7, 0), "does not occur"},
		"a unigram that nothing needs":   {trieOf(2, 1, 0, 1, 0, 0), "n-gram 1 does not occur"},
		"counts past 2^53":               {change(7, 1<<53+1), "exceeds the maximum"},
		"counts that sum past 2^53":      {change(7, 1<<53), "exceeds the maximum of 0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Read(test.data, 2)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
}

type fullDisk struct{}

var errFull = errors.New("disk full")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestWriteReportsErrors(t *testing.T) {
	if err := count(2, [][]uint32{{1}}).Write(fullDisk{}, 2, same); !errors.Is(err, errFull) {
		t.Fatal(err)
	}
}
