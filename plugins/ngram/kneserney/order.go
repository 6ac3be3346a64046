package kneserney

import (
	"math"
	"slices"
)

// order tells the ranks after all histories without comparing losses.
//
// What a history h passes on from its suffix h' keeps its order. The rank of a symbol that h passes on therefore follows
// from its rank after h', and from the places that the children of h leave and take in the order after h'. These are the
// same for all symbols; see move.
type order struct {
	// ranks has for each n-gram the number of visible symbols that are before its last symbol after the others. whole
	// adds the parts of the hidden symbol.
	ranks, whole []uint32
	// moves is by node.
	moves []move
	// rough tells of each history that rounding may change the order of what longer histories pass on from it. Ranks
	// after these are counted by comparing losses.
	rough []bool
	// seen is the number of visible unigrams before the symbols that are none.
	seen uint32
}

// move is that of a child of h: from the place high in the order after h' to that before the symbol at the place low.
type move struct{ low, high uint32 }

// unmoved is the move of a symbol that has no place.
const unmoved = math.MaxUint32

// sibling is a visible child of a node.
type sibling struct {
	event
	node uint32
}

func newOrder(m *Model) order {
	return order{
		ranks: make([]uint32, len(m.symbols)), moves: make([]move, len(m.symbols)), rough: make([]bool, m.leaves),
	}
}

// arrange computes the order after a history. That after its suffix is known, and everything else of both.
func (r *Ranking) arrange(at uint32, siblings []sibling) {
	if at == root {
		r.arrangeRoot(siblings)
	} else {
		r.rough[at] = r.arrangeAfter(at, siblings)
	}
}

// siblings appends the visible children of a node, in their order after it.
func (r *Ranking) siblings(at uint32, to []sibling) []sibling {
	first, last := r.events(at)
	for child := first; child < last; child++ {
		if symbol := r.symbols[child]; symbol != r.hidden {
			to = append(to, sibling{event{r.nodes[child].nll, r.Place(symbol)}, child})
		} else {
			r.moves[child] = move{unmoved, unmoved}
		}
	}
	if len(to) > 1 {
		slices.SortFunc(to, func(a, b sibling) int { return compareEvents(a.event, b.event) })
	}
	return to
}

func (r *Ranking) arrangeRoot(siblings []sibling) {
	r.rough[root] = roughly(siblings)
	for i, s := range siblings {
		l := limit{event: s.event, backoff: r.nodes[root].backoff}
		before := uint32(r.unseenBefore(&l))
		r.ranks[s.node] = uint32(i) + before
		r.rough[root] = r.rough[root] || l.close
		if before == 0 {
			r.seen++
		}
	}
}

// arrangeAfter computes the ranks and the moves of the children of a node. It reports whether the history is rough.
func (r *Ranking) arrangeAfter(at uint32, siblings []sibling) bool {
	suffix := r.nodes[at].suffix
	if r.rough[suffix] {
		for _, s := range siblings {
			r.ranks[s.node] = uint32(r.Before(State(at), 0, s.nll, s.place))
		}
		return true
	}
	rough := roughly(siblings)
	for _, s := range siblings {
		l := limit{event: s.event, backoff: r.nodes[at].backoff}
		r.moves[s.node] = move{uint32(r.before(&l, suffix)), r.ranks[r.nodes[s.node].suffix]}
		rough = rough || l.close
	}
	i := r.contexts[at].wide
	if i < 0 {
		var few [wideChildren]uint32
		r.place(siblings, r.highs(siblings, few[:0]))
		return rough
	}
	w := &r.wide[i]
	w.high = r.highs(siblings, nil)
	for _, s := range siblings {
		w.low = append(w.low, r.moves[s.node].low)
	}
	r.place(siblings, w.high)
	return rough
}

// highs appends the places that siblings leave, sorted.
func (r *Ranking) highs(siblings []sibling, to []uint32) []uint32 {
	for _, s := range siblings {
		to = append(to, r.moves[s.node].high)
	}
	slices.Sort(to)
	return to
}

// place computes the ranks of siblings from their moves.
func (r *Ranking) place(siblings []sibling, highs []uint32) {
	left := 0 // the number of siblings that leave a place before low
	for i, s := range siblings {
		low := r.moves[s.node].low
		for left < len(highs) && highs[left] < low {
			left++
		}
		r.ranks[s.node] = uint32(i-left) + low
	}
}

// roughly reports whether losses of siblings differ by no more than rounding.
func roughly(siblings []sibling) bool {
	for i := range max(1, len(siblings)) - 1 {
		if near(siblings[i].nll, siblings[i+1].nll) {
			return true
		}
	}
	return false
}

// Step is Model.Step. It also counts the visible symbols that are before the symbol, which is visible, and the parts of
// the hidden symbol that are.
func (r *Ranking) Step(s State, symbol uint32) (nll float64, next State, before uint32) {
	child := r.child(uint32(s), symbol)
	if child == 0 {
		return r.stepBack(s, symbol)
	}
	n := &r.nodes[child]
	next = State(child)
	if child >= r.leaves {
		next = State(n.suffix)
	}
	return n.nll, next, r.whole[child]
}

// stepBack is Step for a symbol that is not a child of the history.
func (r *Ranking) stepBack(s State, symbol uint32) (nll float64, next State, before uint32) {
	nll, next, seen, levels := r.step(s, symbol)
	switch {
	case r.rough[r.nodes[s].suffix]:
		before = uint32(r.Before(s, 0, nll, r.Place(symbol)))
	case seen == 0:
		place, _ := slices.BinarySearch(r.unseen, r.Place(symbol))
		before = r.passOn(uint32(s), levels, r.seen+uint32(place))
	default:
		before = r.passOn(uint32(s), levels, r.ranks[seen])
	}
	if r.parts != nil {
		before += uint32(r.parts.before(r.hiddenNLL[s], nll, LastPlace))
	}
	return nll, next, before
}

// passOn returns the rank after a node of a symbol that the node and its suffixes of some levels pass on, from its rank
// after the next suffix, or after the root. It wants no such suffix to be rough.
func (r *Ranking) passOn(at uint32, levels int, before uint32) uint32 {
	if levels == 0 || at == root {
		return before
	}
	before = r.passOn(r.nodes[at].suffix, levels-1, before)
	if i := r.contexts[at].wide; i >= 0 {
		w := &r.wide[i]
		return before + countBelow(w.low, before+1) - countBelow(w.high, before)
	}
	moved := int64(0)
	// Without branches, because none of them could be predicted.
	for _, m := range r.moves[r.nodes[at].first:r.nodes[at+1].first] {
		after := int64(m.low) - int64(before) - 1 // negative if the child is before the symbol after the node
		left := int64(m.high) - int64(before)     // negative if it is after the suffix
		moved += left>>63 - after>>63
	}
	return before + uint32(moved)
}

// countBelow returns how many of some sorted numbers are below a limit.
func countBelow(numbers []uint32, limit uint32) uint32 {
	n, _ := slices.BinarySearch(numbers, limit)
	return uint32(n)
}
