package kneserney

import (
	"cmp"
	"math"
	"slices"
	"sort"
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
	contexts []Context
	// hiddenNLL is the loss of the hidden symbol after each history; nil if no symbol is hidden.
	hiddenNLL []float64
	// hiddenSeen has for each history the n-gram of the hidden symbol after the longest suffix that has it, or 0.
	hiddenSeen []uint32
	// parts are in the place of the hidden symbol, if they are not nil.
	parts  *Parts
	wide   []wide
	unseen []uint32 // the places of the visible symbols that are not unigrams, in order
	order
}

// Context is what is known of a history in advance: the entropy of its distribution in nats, its first symbol, and the
// loss of this symbol in nats.
type Context struct {
	Entropy, TopNLL float64
	Top             uint32
	wide            int32 // the index in Ranking.wide, or -1
}

// wideChildren is the number of children from which they are sorted for binary search. Fewer are compared one by one.
const wideChildren = 24

// wide has the visible children of a node, sorted by their loss: after the node, and after its suffix. The numbers of
// their moves are sorted, too.
type wide struct {
	own, below []event
	low, high  []uint32
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
// about 37 bytes for each n-gram shorter than the order, and 12 for each other; with parts, 53 and 16.
func NewRanking(m *Model, first, hidden uint32) *Ranking {
	r := &Ranking{Model: m, first: first, hidden: hidden, contexts: make([]Context, m.leaves)}
	if hidden != NoSymbol {
		r.hiddenNLL, r.hiddenSeen = make([]float64, m.leaves), make([]uint32, m.leaves)
	}
	for symbol := range m.vocabulary {
		if m.unigrams[symbol] == 0 && symbol != hidden {
			r.unseen = append(r.unseen, r.Place(symbol))
		}
	}
	slices.Sort(r.unseen)
	// narrow marks histories whose top symbol leads by no more than rounding.
	narrow := make([]bool, m.leaves)
	r.order = newOrder(m)
	var siblings []sibling
	for at := range m.leaves { // suffixes precede
		r.contexts[at].Entropy = r.entropy(at)
		siblings = r.siblings(at, siblings[:0])
		r.findTop(at, siblings, narrow)
		r.contexts[at].wide = r.sortChildren(at, siblings)
		if r.hiddenNLL != nil {
			r.hiddenNLL[at], r.hiddenSeen[at] = r.hiddenLoss(at)
		}
		r.arrange(at, siblings)
	}
	r.whole = r.ranks
	return r
}

// Place returns a symbol's place in the cyclic order.
func (r *Ranking) Place(symbol uint32) uint32 { return symbol - r.first } // modulo 2^32

// Known returns what is known of a history.
func (r *Ranking) Known(s State) *Context { return &r.contexts[s] }

// events returns the children of a node, without the beginning, which is not an event.
func (r *Ranking) events(at uint32) (first, last uint32) {
	first, last = r.nodes[at].first, r.nodes[at+1].first
	if at == root && last > first && r.symbols[last-1] == r.vocabulary {
		last--
	}
	return first, last
}

// entropy returns the entropy after a node from that after its suffix:
//
//	H(h) = sum over children w of -p(w|h) ln p(w|h)
//	     + g (-ln g (1 - sum of p(w|h')) + H(h') - sum of -p(w|h') ln p(w|h'))
//
// where g is the factor on the suffix's probabilities. After the root, the rest is uniform.
func (r *Ranking) entropy(at uint32) float64 {
	n := &r.nodes[at]
	first, last := r.events(at)
	var own, below, belowEntropy float64
	for child := first; child < last; child++ {
		c := &r.nodes[child]
		own += math.Exp(-c.nll) * c.nll
		if at != root {
			nll := r.nodes[c.suffix].nll
			p := math.Exp(-nll)
			below += p
			belowEntropy += p * nll
		}
	}
	if at == root {
		nll := r.uniform()
		return own + float64(r.vocabulary-(last-first))*math.Exp(-nll)*nll
	}
	rest := n.backoff*(1-below) + r.contexts[n.suffix].Entropy - belowEntropy
	return max(0, own+math.Exp(-n.backoff)*rest)
}

func (r *Ranking) hiddenLoss(at uint32) (nll float64, seen uint32) {
	if child := r.child(at, r.hidden); child != 0 {
		return r.nodes[child].nll, child
	}
	if at == root {
		return r.uniform(), 0
	}
	suffix := r.nodes[at].suffix
	return r.nodes[at].backoff + r.hiddenNLL[suffix], r.hiddenSeen[suffix]
}

// findTop finds the first symbol after a node. It is a child of the node, or the first symbol after the node's suffix:
// the probability of a child exceeds what the suffix contributes to it. If the suffix's first symbol leads by no more
// than rounding, the order after the node may be another, and all symbols are compared.
func (r *Ranking) findTop(at uint32, siblings []sibling, narrow []bool) {
	best := event{math.Inf(1), LastPlace}
	if len(siblings) > 0 {
		best = siblings[0].event
	}
	close := false
	switch suffix := r.nodes[at].suffix; {
	case at == root && len(r.unseen) > 0:
		best = earlier(best, event{r.uniform(), r.unseen[0]})
	case at == root || far(r.nodes[at].backoff+r.contexts[suffix].TopNLL, best.nll):
	case r.child(at, r.contexts[suffix].Top) == 0:
		if narrow[suffix] {
			best, close = r.compareAll(at), true
			break
		}
		nll, _ := r.Model.Step(State(at), r.contexts[suffix].Top)
		passed := event{nll, r.Place(r.contexts[suffix].Top)}
		close = near(best.nll, passed.nll)
		best = earlier(best, passed)
	}
	for i := 0; i < len(siblings) && !close && siblings[i].nll <= best.nll+1; i++ {
		close = near(best.nll, siblings[i].nll)
	}
	narrow[at] = close
	r.contexts[at].Top, r.contexts[at].TopNLL = best.place+r.first, best.nll
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
	if a.nll != b.nll {
		if a.nll < b.nll {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.place, b.place)
}

// far reports whether a loss exceeds another one by more than rounding, however they are summed.
func far(a, b float64) bool { return a > b+1e-9*(1+b) }

// near reports whether two different losses may change their order, or become equal, where they are summed otherwise.
func near(a, b float64) bool { return a != b && math.Abs(a-b) <= 1e-12*(1+min(a, b)) }

// sortChildren keeps the children of a node in order if they are many. It returns their index in r.wide, or -1.
func (r *Ranking) sortChildren(at uint32, siblings []sibling) int32 {
	if first, last := r.events(at); last-first <= wideChildren {
		return -1
	}
	var w wide
	for _, s := range siblings {
		w.own = append(w.own, s.event)
		if at != root {
			w.below = append(w.below, event{r.nodes[r.nodes[s.node].suffix].nll, s.place})
		}
	}
	slices.SortFunc(w.below, compareEvents)
	r.wide = append(r.wide, w)
	return int32(len(r.wide) - 1)
}

// limit is an event up to which symbols are counted. The loss of a symbol is base, plus the sum of the factors of longer
// histories and its loss after a shorter history.
type limit struct {
	event
	base, backoff float64
	// close is set if the loss of a symbol that was compared is equal or near.
	close bool
}

func (l *limit) loss(nll float64) float64 { return l.base + (l.backoff + nll) }

// compare notes how close a loss is.
func (l *limit) compare(loss float64) {
	if math.Abs(loss-l.nll) <= 1e-12*(1+l.nll) {
		l.close = true
	}
}

// passes reports whether a symbol comes before the limit.
func (l *limit) passes(nll float64, place uint32) bool {
	loss := l.loss(nll)
	l.compare(loss)
	return loss < l.nll || loss == l.nll && place < l.place
}

// Before counts the visible symbols w after a history whose loss, plus base, is less than nll, or equal if the place of
// w is before place.
func (r *Ranking) Before(s State, base, nll float64, place uint32) (count int) {
	return r.before(&limit{event: event{nll, place}, base: base}, uint32(s))
}

// before counts the visible symbols after a node that are before the limit.
func (r *Ranking) before(l *limit, at uint32) (count int) {
	for longer := uint32(root); ; {
		c := &r.contexts[at]
		// No symbol after this history has a smaller loss than its top symbol.
		if far(l.loss(c.TopNLL), l.nll) {
			return count
		}
		count += r.passing(l, at, longer)
		l.backoff += r.nodes[at].backoff
		if at == root {
			return count + r.unseenBefore(l)
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
	for _, e := range events[max(0, count-1):min(count+1, len(events))] {
		l.compare(l.loss(e.nll))
	}
	// Events of one loss are in the order of their places. Rounding may make different losses equal to the limit's.
	for rest := events[count:]; len(rest) > 0 && l.loss(rest[0].nll) == l.nll; {
		same := sort.Search(len(rest), func(i int) bool { return rest[i].nll > rest[0].nll })
		count += sort.Search(same, func(i int) bool { return rest[i].place >= l.place })
		rest = rest[same:]
	}
	return count
}

// unseenBefore counts the visible symbols before the limit that are not unigrams. They share one loss.
func (r *Ranking) unseenBefore(l *limit) int {
	if len(r.unseen) == 0 {
		return 0
	}
	loss := l.loss(math.Log(float64(r.vocabulary)))
	l.compare(loss)
	switch {
	case loss < l.nll:
		return len(r.unseen)
	case loss == l.nll:
		count, _ := slices.BinarySearch(r.unseen, l.place)
		return count
	}
	return 0
}
