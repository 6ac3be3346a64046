package kneserney

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Model predicts the next symbol of a sequence from the preceding symbols. It is safe for concurrent use.
type Model struct {
	vocabulary uint32
	order      int
	// The nodes of the trie by length of the n-gram, then in trie order, the root first. One additional node at the end
	// closes the last children. symbols[i] is the last symbol of node i.
	nodes   []node
	symbols []uint32
	// leaves is the index of the first n-gram of the model's order.
	leaves uint32
	// unigrams[s] is the node of symbol s, or 0.
	unigrams []uint32
}

// node is an n-gram, as an event (nll) and as a history (the rest).
type node struct {
	// nll is -ln of the probability of the last symbol after the others.
	nll float64
	// backoff is -ln of the factor on the shorter history's probabilities for symbols not seen after the n-gram.
	backoff float64
	// suffix is the n-gram without its first symbol.
	suffix uint32
	// first is the first child; the next node's first closes the children.
	first uint32
}

// State is the history of a sequence, as far as a model distinguishes histories. Zero is the empty history, that of a
// sequence whose beginning is unknown.
type State uint32

// Begin returns the state at the beginning of a sequence.
func (m *Model) Begin() State { return State(m.unigrams[m.vocabulary]) }

// Order returns the model's order.
func (m *Model) Order() int { return m.order }

// Step returns the negative log-likelihood in nats of a symbol in [0, vocabulary) after a history, and the next
// history.
func (m *Model) Step(s State, symbol uint32) (float64, State) {
	nll, next, _, _ := m.step(s, symbol)
	return nll, next
}

// step is Step. It also returns the n-gram that has the symbol after the longest suffix of s, or 0, and the number of
// longer suffixes.
func (m *Model) step(s State, symbol uint32) (nll float64, next State, seen uint32, longer int) {
	at, backoff := uint32(s), 0.0
	for ; ; longer++ {
		if child := m.child(at, symbol); child != 0 {
			n := &m.nodes[child]
			seen = child
			if child >= m.leaves {
				child = n.suffix
			}
			return backoff + n.nll, State(child), seen, longer
		}
		n := &m.nodes[at]
		backoff += n.backoff
		if at == root {
			return backoff + math.Log(float64(m.vocabulary)), root, 0, longer
		}
		at = n.suffix
	}
}

// child returns the node that extends parent by symbol, or 0.
func (m *Model) child(parent, symbol uint32) uint32 {
	if parent == root {
		return m.unigrams[symbol]
	}
	low, high := m.nodes[parent].first, m.nodes[parent+1].first
	for high-low > 8 {
		if middle := (low + high) / 2; m.symbols[middle] <= symbol {
			low = middle
		} else {
			high = middle
		}
	}
	for ; low < high; low++ {
		if m.symbols[low] == symbol {
			return low
		}
	}
	return 0
}

// Read makes a model over the symbols [0, vocabulary) from counts that Counts.Write wrote at the start of data. It
// returns the model and the rest of data. Anything other than the counts of some sequences is an error. Memory is at
// most about 50 times the length of data, plus 4 bytes per vocabulary symbol.
func Read(data []byte, vocabulary uint32) (*Model, []byte, error) {
	t, rest, err := readTrie(data, vocabulary)
	if err != nil {
		return nil, nil, fmt.Errorf("n-gram counts: %w", err)
	}
	if err := t.link(); err != nil {
		return nil, nil, fmt.Errorf("n-gram counts: %w", err)
	}
	t.estimate()
	m := t.Model // a pointer into t would keep the counts
	return &m, rest, nil
}

// trie is a model under construction.
type trie struct {
	Model
	// counts holds for each node how often it occurs. For an n-gram that is shorter than the order and does not start a
	// sequence, it holds how many different symbols precede it: the N1+ of Kneser and Ney.
	counts []uint64
	// levels[k] is the index of the first n-gram of k symbols; one additional entry at the end closes the last level.
	levels []uint32
}

func readTrie(data []byte, vocabulary uint32) (*trie, []byte, error) {
	r := trieReader{data: data}
	order := int(r.number(MaxOrder))
	if r.problem == nil && order == 0 {
		r.problem = errors.New("order 0")
	}
	r.trie = &trie{Model: Model{vocabulary: vocabulary, order: order}, levels: []uint32{0, 1}}
	for range order {
		// Every n-gram needs at least one byte, so that a forged number of them cannot request more memory than the
		// file holds.
		last := r.levels[len(r.levels)-1]
		r.levels = append(r.levels, last+uint32(r.number(min(uint64(len(data)), math.MaxUint32-1)-uint64(last))))
	}
	if r.problem != nil {
		return nil, nil, r.problem
	}
	size := r.levels[order+1]
	r.leaves = r.levels[order]
	r.nodes = make([]node, size+1)
	r.symbols = make([]uint32, size)
	r.counts = make([]uint64, size)
	r.unigrams = make([]uint32, uint64(vocabulary)+1)
	r.next = slices.Clone(r.levels[:order+1])
	r.children(root, 0, false)
	for length, next := range r.next[1:] {
		if r.problem == nil && next != r.levels[length+2] {
			r.problem = fmt.Errorf("%d n-grams of %d symbols, not %d", next-r.levels[length+1], length+1,
				r.levels[length+2]-r.levels[length+1])
		}
	}
	if r.problem != nil {
		return nil, nil, r.problem
	}
	for i := r.leaves; i <= size; i++ {
		r.nodes[i].first = size
	}
	return r.trie, r.data, nil
}

// trieReader reads the output of Counts.Write.
type trieReader struct {
	*trie
	data []byte
	// next[k] is the index of the next n-gram of k symbols.
	next []uint32
	// occurrences is the sum of all counts read.
	occurrences uint64
	// problem is the first one found; after it all numbers are 0.
	problem error
}

func (r *trieReader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.data)
	switch {
	case r.problem != nil:
		return 0
	case n == 0:
		r.problem = errors.New("unexpected end of data")
		return 0
	case n < 0 || v > limit:
		r.problem = fmt.Errorf("a number exceeds the maximum of %d", limit)
		return 0
	}
	r.data = r.data[n:]
	return v
}

// children reads the children of an n-gram of length symbols. begun is true if it starts with the beginning of a
// sequence.
func (r *trieReader) children(parent uint32, length int, begun bool) {
	// The children of an n-gram are adjacent in their level; their own children are one level further.
	level := length + 1
	first := r.next[level]
	r.nodes[parent].first = first
	r.next[level] += uint32(r.number(uint64(r.levels[level+1] - first)))
	symbol := uint64(0)
	for id := first; id < r.next[level]; id++ {
		symbol += r.number(uint64(r.vocabulary) - min(symbol, uint64(r.vocabulary)))
		isBeginning := symbol == uint64(r.vocabulary)
		if r.problem == nil && (symbol > uint64(r.vocabulary) || isBeginning && (level > 1 || r.order == 1)) {
			r.problem = fmt.Errorf("symbol %d of %d in an n-gram of %d symbols", symbol, r.vocabulary, level)
		}
		if r.problem != nil {
			return
		}
		r.symbols[id] = uint32(symbol)
		if level == 1 {
			r.unigrams[symbol] = id
		}
		if !isBeginning && (begun || level == r.order) {
			const most = 1 << 53 // beyond, a float64 does not hold every count
			r.counts[id] = r.number(most - r.occurrences)
			r.occurrences += r.counts[id]
		}
		if level < r.order {
			r.children(id, level, begun || isBeginning)
		}
		symbol++
	}
}

// link finds the suffix of every n-gram, and counts the symbols that precede those whose occurrences are not counted.
func (t *trie) link() error {
	for level := 1; level < t.order; level++ {
		for parent := t.levels[level]; parent < t.levels[level+1]; parent++ {
			shorter := t.nodes[parent].suffix
			for child := t.nodes[parent].first; child < t.nodes[parent+1].first; child++ {
				suffix := t.child(shorter, t.symbols[child])
				if suffix == 0 {
					return fmt.Errorf("n-gram %d of %d symbols has no suffix", child, level+1)
				}
				t.nodes[child].suffix = suffix
				t.counts[suffix]++
			}
		}
	}
	for i, count := range t.counts {
		if count == 0 && i != root && uint32(i) != t.unigrams[t.vocabulary] {
			return fmt.Errorf("n-gram %d does not occur", i)
		}
	}
	return nil
}

// estimate turns counts into probabilities by the interpolated form in the package's reference:
//
//	p(w|h) = (c(hw) - D(c(hw))) / c(h) + g(h) p(w|h')
//	g(h) = (D1 N1(h) + D2 N2(h) + D3 N3(h)) / c(h)
//
// where c is trie.counts, c(h) its sum over the symbols after h, Nk(h) the number of symbols that follow h k times (N3:
// 3 times or more), h' the suffix of h, and p(w|h') = 1/vocabulary if h is empty.
func (t *trie) estimate() {
	probabilities := make([]float64, len(t.counts))
	for level := 1; level <= t.order; level++ {
		d := t.discounts(level)
		for parent := t.levels[level-1]; parent < t.levels[level]; parent++ {
			first, last := t.nodes[parent].first, t.nodes[parent+1].first
			if parent == root && last > first && t.symbols[last-1] == t.vocabulary {
				last-- // the beginning is not an event
			}
			if first == last {
				continue
			}
			var total uint64
			var kinds [4]float64
			for _, count := range t.counts[first:last] {
				total += count
				kinds[min(count, 3)]++
			}
			weight := (d[1]*kinds[1] + d[2]*kinds[2] + d[3]*kinds[3]) / float64(total)
			t.nodes[parent].backoff = -math.Log(weight)
			for child := first; child < last; child++ {
				below := 1 / float64(t.vocabulary)
				if parent != root {
					below = probabilities[t.nodes[child].suffix]
				}
				count := t.counts[child]
				p := (float64(count)-d[min(count, 3)])/float64(total) + weight*below
				probabilities[child] = p
				t.nodes[child].nll = max(0, -math.Log(p)) // p may round to 1 or one bit above it
			}
		}
	}
}

// discounts returns D1, D2 and D3 of the n-grams of a level, at their indices, by the closed form in the package's
// reference:
//
//	Y = n1 / (n1 + 2 n2);  Dk = k - (k+1) Y n(k+1) / nk
//
// where nk is the number of n-grams with count k. Too little or too regular text leaves a Dk undefined or outside (0,
// k). It would then give nothing to unseen symbols, or nothing or less to seen symbols. In this case it is k/2.
func (t *trie) discounts(level int) [4]float64 {
	var n [5]float64
	for i := t.levels[level]; i < t.levels[level+1]; i++ {
		if count := t.counts[i]; count < uint64(len(n)) && t.symbols[i] != t.vocabulary {
			n[count]++
		}
	}
	y := n[1] / (n[1] + 2*n[2])
	var d [4]float64
	for k := 1; k <= 3; k++ {
		d[k] = float64(k) - float64(k+1)*y*n[k+1]/n[k]
		if !(d[k] > 0 && d[k] < float64(k)) { // so written, it is true of NaN
			d[k] = float64(k) / 2
		}
	}
	return d
}
