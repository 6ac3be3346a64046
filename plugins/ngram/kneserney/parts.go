package kneserney

import (
	"math"
	"slices"
)

// Parts replaces the hidden symbol of a ranking: it is the distribution of another ranking after one history. The loss of
// a part is that of the hidden symbol plus its own. Parts are before symbols of the same loss.
type Parts struct {
	// events has the losses of all parts, sorted.
	events []event
	// first is what is known of the distribution.
	first Context
	// cells divides the range of losses from low on into intervals of the length 1/scale. Each element is the number of
	// parts below an interval, so that a search begins near its end.
	cells      []uint32
	low, scale float64
	// ranks has the number of parts before each, by place.
	ranks []uint32
	// rough tells that rounding may change the order of parts.
	rough bool
}

// cellCount is the number of intervals.
const cellCount = 1 << 10

// NewParts returns the parts that are the visible symbols after a history.
func NewParts(r *Ranking, s State) *Parts {
	p := &Parts{first: r.contexts[s]}
	for symbol := range r.vocabulary {
		if symbol != r.hidden {
			nll, _ := r.Model.Step(s, symbol)
			p.events = append(p.events, event{nll, r.Place(symbol)})
		}
	}
	slices.SortFunc(p.events, compareEvents)
	for i := range p.events[1:] {
		p.rough = p.rough || near(p.events[i].nll, p.events[i+1].nll)
	}
	p.ranks = make([]uint32, r.vocabulary)
	for i, e := range p.events {
		p.ranks[e.place] = uint32(i)
	}
	p.low = p.events[0].nll
	p.scale = cellCount / max(p.events[len(p.events)-1].nll-p.low, math.SmallestNonzeroFloat32)
	for cell, i := 0, 0; cell < cellCount; cell++ {
		for i < len(p.events) && (p.events[i].nll-p.low)*p.scale < float64(cell) {
			i++
		}
		p.cells = append(p.cells, uint32(i))
	}
	return p
}

// before counts the parts of a hidden symbol with a loss of base that are before an event.
func (p *Parts) before(base, nll float64, place uint32) int {
	if base+p.low > nll {
		return 0
	}
	l := limit{event: event{nll, place}, base: base}
	if p.rough {
		return l.count(p.events)
	}
	count := len(p.events)
	if cell := (nll - base - p.low) * p.scale; cell < cellCount {
		count = int(p.cells[max(0, int(cell))])
	}
	for count > 0 && !l.passes(p.events[count-1].nll, p.events[count-1].place) {
		count--
	}
	for count < len(p.events) && l.passes(p.events[count].nll, p.events[count].place) {
		count++
	}
	return count
}

// Least returns losses as Ranking.Least does.
func (p *Parts) Least(k int) []float64 {
	losses := make([]float64, min(k, len(p.events)))
	for i := range losses {
		losses[i] = p.events[i].nll
	}
	return losses
}

// Divide puts parts in the place of the hidden symbol. What is known of a history is then that of the distribution with
// the parts, and its first symbol has the name that name returns for a symbol or for the place of a part.
func (r *Ranking) Divide(p *Parts, name func(symbol uint32, part bool) uint32) {
	r.parts, r.whole = p, slices.Clone(r.ranks)
	for at := range r.leaves {
		c := &r.contexts[at]
		c.Entropy += math.Exp(-r.hiddenNLL[at]) * p.first.Entropy
		r.hiddenNLL[at] = r.summed(at)
		c.Top = name(c.Top, false)
		if first := r.hiddenNLL[at] + p.first.TopNLL; first <= c.TopNLL {
			c.Top, c.TopNLL = name(p.events[0].place, true), first
		}
		first, last := r.events(at)
		for child := first; child < last; child++ {
			if r.symbols[child] != r.hidden {
				r.whole[child] += uint32(p.before(r.hiddenNLL[at], r.nodes[child].nll, LastPlace))
			}
		}
	}
}

// summed returns the loss of the hidden symbol as Model.Step sums it.
func (r *Ranking) summed(at uint32) float64 {
	seen, backoff := r.hiddenSeen[at], 0.0
	for {
		n := &r.nodes[at]
		if seen != 0 && n.first <= seen && seen < r.nodes[at+1].first {
			return backoff + r.nodes[seen].nll
		}
		backoff += n.backoff
		if at == root {
			return backoff + math.Log(float64(r.vocabulary))
		}
		at = n.suffix
	}
}

// Hidden is Model.Step for the hidden symbol, if there are parts.
func (r *Ranking) Hidden(s State) (float64, State) {
	next := r.hiddenSeen[s]
	if next >= r.leaves {
		next = r.nodes[next].suffix
	}
	return r.hiddenNLL[s], State(next)
}

// BeforePart counts the visible symbols and the parts that are before a part, whose loss is that of the hidden symbol
// plus nll.
func (r *Ranking) BeforePart(s State, nll float64, place uint32) uint32 {
	base := r.hiddenNLL[s]
	parts := r.parts.ranks[place]
	if r.parts.rough {
		parts = uint32(r.parts.before(base, base+nll, place))
	}
	return parts + uint32(r.Before(s, 0, base+nll, 0)) // symbols are after parts of the same loss
}
