package kneserney

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"sync/atomic"
)

// Ranking orders the symbols after a history by their loss, the smallest first. It is safe for concurrent use.
//
// Symbols of equal loss are in cyclic order from the symbol first on. The symbol hidden has no place in the order, but
// counts for the entropy. Losses are those of Model.Step, to the last bit.
//
// A history h predicts its children, the symbols seen after it, and passes the rest on to its suffix h', whose children
// include those of h. Both rank and entropy therefore need only the children of h and of its suffixes.
type Ranking struct {
	*Model
	first, hidden uint32
	// contexts has an element for each node that can be a history.
	contexts []context
	// hiddenNLL is the loss of the hidden symbol after each history, but for rounding; nil if no symbol is hidden.
	hiddenNLL []float64
	wide      []wide
	// ranks holds for each node one more than its count of Before, or 0 until that is known.
	ranks  []atomic.Uint32
	unseen []uint32 // the places of the visible symbols that are not unigrams, in order
}

// context is what is known of a history in advance.
type context struct {
	entropy, topNLL float64
	top             uint32
	wide            int32 // the index in Ranking.wide, or -1
}

// wideChildren is the number of children from which they are sorted for binary search. Fewer are compared one by one.
const wideChildren = 24

// wide has the visible children of a node, sorted by their loss: after the node, and after its suffix.
type wide struct {
	own, below []event
}

// event is a symbol with a loss. place is the symbol's place in the cyclic order.
type event struct {
	nll   float64
	place uint32
}

// NoSymbol is a symbol of no vocabulary, for a Ranking that hides none. LastPlace is after the places of all symbols.
const (
	NoSymbol  = beginning
	LastPlace = math.MaxUint32
)

// NewRanking returns the ranking of the model's symbols. It takes time and memory in proportion to the model's size:
// about 24 bytes for each n-gram shorter than the order, and 4 for each other.
func NewRanking(m *Model, first, hidden uint32) *Ranking {
	r := &Ranking{Model: m, first: first, hidden: hidden, contexts: make([]context, m.leaves), ranks: make([]atomic.Uint32, len(m.symbols))}
	if hidden != NoSymbol {
		r.hiddenNLL = make([]float64, m.leaves)
	}
	for symbol := range m.vocabulary {
		if m.unigrams[symbol] == 0 && symbol != hidden {
			r.unseen = append(r.unseen, r.Place(symbol))
		}
	}
	slices.Sort(r.unseen)
	probabilities := make([]float64, len(m.symbols))
	for i := range probabilities {
		probabilities[i] = math.Exp(-m.nodes[i].nll)
	}
	// narrow marks histories whose top symbol leads by no more than rounding.
	narrow := make([]bool, m.leaves)
	for at := range m.leaves { // suffixes precede
		r.contexts[at].entropy = r.entropy(at, probabilities)
		r.findTop(at, narrow)
		r.contexts[at].wide = r.sortChildren(at)
		if r.hiddenNLL != nil {
			r.hiddenNLL[at], _ = r.hiddenLoss(at)
		}
	}
	return r
}

// Place returns a symbol's place in the cyclic order.
func (r *Ranking) Place(symbol uint32) uint32 { return symbol - r.first } // modulo 2^32

// Entropy returns the entropy in nats of the distribution after a history.
func (r *Ranking) Entropy(s State) float64 { return r.contexts[s].entropy }

// Top returns the first symbol after a history and its loss in nats.
func (r *Ranking) Top(s State) (uint32, float64) { return r.contexts[s].top, r.contexts[s].topNLL }

// HiddenNLL returns the loss of the hidden symbol after a history, in nats, but for rounding.
func (r *Ranking) HiddenNLL(s State) float64 { return r.hiddenNLL[s] }

// events returns the children of a node, without the beginning, which is not an event.
func (r *Ranking) events(at uint32) (first, last uint32) {
	first, last = r.nodes[at].first, r.nodes[at+1].first
	if at == root && last > first && r.symbols[last-1] == r.vocabulary {
		last--
	}
	return first, last
}

// entropy returns the entropy after a node from that after its suffix, and the probabilities of n-grams:
//
//	H(h) = sum over children w of -p(w|h) ln p(w|h)
//	     + g (-ln g (1 - sum of p(w|h')) + H(h') - sum of -p(w|h') ln p(w|h'))
//
// where g is the factor on the suffix's probabilities. After the root, the rest is uniform.
func (r *Ranking) entropy(at uint32, probabilities []float64) float64 {
	n := &r.nodes[at]
	first, last := r.events(at)
	var own, below, belowEntropy float64
	for child := first; child < last; child++ {
		c := &r.nodes[child]
		own += probabilities[child] * c.nll
		if at != root {
			p := probabilities[c.suffix]
			below += p
			belowEntropy += p * r.nodes[c.suffix].nll
		}
	}
	if at == root {
		nll := n.backoff + math.Log(float64(r.vocabulary))
		return own + float64(r.vocabulary-(last-first))*math.Exp(-nll)*nll
	}
	rest := n.backoff*(1-below) + r.contexts[n.suffix].entropy - belowEntropy
	return max(0, own+math.Exp(-n.backoff)*rest)
}

func (r *Ranking) hiddenLoss(at uint32) (nll float64, seen bool) {
	if child := r.child(at, r.hidden); child != 0 {
		return r.nodes[child].nll, true
	}
	if at == root {
		return r.nodes[root].backoff + math.Log(float64(r.vocabulary)), false
	}
	return r.nodes[at].backoff + r.hiddenNLL[r.nodes[at].suffix], false
}

// findTop finds the first symbol after a node. It is a child of the node, or the first symbol after the node's suffix:
// the probability of a child exceeds what the suffix contributes to it. If the suffix's first symbol leads by no more
// than rounding, the order after the node may be another, and all symbols are compared.
func (r *Ranking) findTop(at uint32, narrow []bool) {
	best := event{math.Inf(1), LastPlace}
	first, last := r.events(at)
	for child := first; child < last; child++ {
		if symbol := r.symbols[child]; symbol != r.hidden {
			best = earlier(best, event{r.nodes[child].nll, r.Place(symbol)})
		}
	}
	close := false
	switch suffix := r.nodes[at].suffix; {
	case at == root && len(r.unseen) > 0:
		best = earlier(best, event{r.nodes[root].backoff + math.Log(float64(r.vocabulary)), r.unseen[0]})
	case at != root && r.child(at, r.contexts[suffix].top) == 0:
		if narrow[suffix] {
			best, close = r.compareAll(at), true
			break
		}
		nll, _ := r.Model.Step(State(at), r.contexts[suffix].top)
		passed := event{nll, r.Place(r.contexts[suffix].top)}
		close = near(best.nll, passed.nll)
		best = earlier(best, passed)
	}
	for child := first; child < last && !close; child++ {
		close = near(best.nll, r.nodes[child].nll) && r.symbols[child] != r.hidden
	}
	narrow[at] = close
	r.contexts[at].top, r.contexts[at].topNLL = best.place+r.first, best.nll
}

func (r *Ranking) compareAll(at uint32) event {
	best := event{math.Inf(1), LastPlace}
	for symbol := range r.vocabulary {
		if symbol != r.hidden {
			nll, _ := r.Model.Step(State(at), symbol)
			best = earlier(best, event{nll, r.Place(symbol)})
		}
	}
	return best
}

func earlier(a, b event) event {
	if compareEvents(b, a) < 0 {
		return b
	}
	return a
}

func compareEvents(a, b event) int {
	return cmp.Or(cmp.Compare(a.nll, b.nll), cmp.Compare(a.place, b.place))
}

// near reports whether two different losses may change their order, or become equal, where they are summed otherwise.
func near(a, b float64) bool { return a != b && math.Abs(a-b) <= 1e-12*(1+min(a, b)) }

// sortChildren sorts the children of a node if they are many. It returns their index in r.wide, or -1.
func (r *Ranking) sortChildren(at uint32) int32 {
	first, last := r.events(at)
	if last-first <= wideChildren {
		return -1
	}
	var w wide
	for child := first; child < last; child++ {
		symbol := r.symbols[child]
		if symbol == r.hidden {
			continue
		}
		w.own = append(w.own, event{r.nodes[child].nll, r.Place(symbol)})
		if at != root {
			w.below = append(w.below, event{r.nodes[r.nodes[child].suffix].nll, r.Place(symbol)})
		}
	}
	slices.SortFunc(w.own, compareEvents)
	slices.SortFunc(w.below, compareEvents)
	r.wide = append(r.wide, w)
	return int32(len(r.wide) - 1)
}

// limit is an event up to which symbols are counted. The loss of a symbol is base, plus the sum of the factors of longer
// histories and its loss after a shorter history.
type limit struct {
	event
	base, backoff float64
}

func (l *limit) loss(nll float64) float64 { return l.base + (l.backoff + nll) }

// passes reports whether a symbol comes before the limit.
func (l *limit) passes(nll float64, place uint32) bool {
	loss := l.loss(nll)
	return loss < l.nll || loss == l.nll && place < l.place
}

// Step is Model.Step. It also counts the visible symbols that are before the symbol, which is visible.
func (r *Ranking) Step(s State, symbol uint32) (nll float64, next State, before int) {
	nll, next, seen := r.step(s, symbol)
	if r.contexts[s].top == symbol {
		return nll, next, 0
	}
	if seen == 0 {
		return nll, next, r.Before(s, 0, nll, r.Place(symbol))
	}
	if known := r.ranks[seen].Load(); known > 0 {
		return nll, next, int(known - 1)
	}
	before = r.Before(s, 0, nll, r.Place(symbol))
	r.ranks[seen].Store(uint32(before) + 1)
	return nll, next, before
}

// Before counts the visible symbols w after a history whose loss, plus base, is less than nll, or equal if the place of
// w is before place.
func (r *Ranking) Before(s State, base, nll float64, place uint32) (count int) {
	l := limit{event: event{nll, place}, base: base}
	for at, longer := uint32(s), uint32(root); ; {
		c := &r.contexts[at]
		// No symbol after this history has a smaller loss than its top symbol.
		if l.loss(c.topNLL) > nll+1e-9*(1+nll) {
			return count
		}
		count += r.passing(&l, at, longer)
		l.backoff += r.nodes[at].backoff
		if at == root {
			return count + r.unseenBefore(&l)
		}
		at, longer = r.nodes[at].suffix, at
	}
}

// passing counts the children of a node that are not children of the longer history, or all if that is the root.
func (r *Ranking) passing(l *limit, at, longer uint32) (count int) {
	excluded, end := uint32(0), uint32(0)
	if longer != root {
		excluded, end = r.events(longer)
	}
	if i := r.contexts[at].wide; i >= 0 {
		count = l.count(r.wide[i].own)
		if j := r.contexts[longer].wide; j >= 0 && longer != root {
			return count - l.count(r.wide[j].below)
		}
		for ; excluded < end; excluded++ {
			symbol := r.symbols[excluded]
			if symbol != r.hidden && l.passes(r.nodes[r.nodes[excluded].suffix].nll, r.Place(symbol)) {
				count--
			}
		}
		return count
	}
	first, last := r.events(at)
	for child := first; child < last; child++ {
		symbol := r.symbols[child]
		if excluded < end && r.symbols[excluded] == symbol { // both are in the order of symbols
			excluded++
			continue
		}
		if symbol != r.hidden && l.passes(r.nodes[child].nll, r.Place(symbol)) {
			count++
		}
	}
	return count
}

// count counts the sorted events before the limit.
func (l *limit) count(events []event) int {
	count := sort.Search(len(events), func(i int) bool { return l.loss(events[i].nll) >= l.nll })
	// Events of one loss are in the order of their places. Rounding may make different losses equal to the limit's.
	for rest := events[count:]; len(rest) > 0 && l.loss(rest[0].nll) == l.nll; {
		same := sort.Search(len(rest), func(i int) bool { return rest[i].nll > rest[0].nll })
		count += sort.Search(same, func(i int) bool { return rest[i].place >= l.place })
		rest = rest[same:]
	}
	return count
}

// Distribution has the losses of all visible symbols after one history, sorted. It counts faster than a Ranking.
type Distribution struct{ events []event }

// Distribution returns the distribution after a history.
func (r *Ranking) Distribution(s State) Distribution {
	var d Distribution
	for symbol := range r.vocabulary {
		if symbol != r.hidden {
			nll, _ := r.Model.Step(s, symbol)
			d.events = append(d.events, event{nll, r.Place(symbol)})
		}
	}
	slices.SortFunc(d.events, compareEvents)
	return d
}

// Before counts as Ranking.Before does.
func (d Distribution) Before(base, nll float64, place uint32) int {
	l := limit{event: event{nll, place}, base: base}
	return l.count(d.events)
}

// unseenBefore counts the visible symbols before the limit that are not unigrams. They share one loss.
func (r *Ranking) unseenBefore(l *limit) int {
	switch loss := l.loss(math.Log(float64(r.vocabulary))); {
	case loss < l.nll:
		return len(r.unseen)
	case loss == l.nll:
		count, _ := slices.BinarySearch(r.unseen, l.place)
		return count
	}
	return 0
}
