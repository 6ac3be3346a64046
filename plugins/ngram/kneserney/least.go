package kneserney

import (
	"math"
	"slices"
)

// Least returns the losses of the k visible symbols with the smallest ones after a history, ascending; of all if there
// are fewer.
func (r *Ranking) Least(s State, k int) []float64 {
	events := r.firstEvents(uint32(s), k)
	losses := make([]float64, len(events))
	for i, e := range events {
		losses[i] = e.nll
	}
	return losses
}

// firstEvents returns the first k events after a node. They are among the first k of its children, and the first k after
// its suffix: what the node passes on keeps its order, and a child is more probable after the node than what would be
// passed on to it.
func (r *Ranking) firstEvents(at uint32, k int) []event {
	var passed []event
	if at == root {
		for _, place := range r.unseen[:min(k, len(r.unseen))] {
			passed = append(passed, event{r.uniform(), place})
		}
	} else {
		for _, e := range r.firstEvents(r.nodes[at].suffix, k) {
			if r.child(at, e.place+r.first) == 0 {
				passed = append(passed, event{r.nodes[at].backoff + e.nll, e.place})
			}
		}
	}
	own := r.firstChildren(at, k)
	merged := make([]event, 0, min(k, len(own)+len(passed)))
	for len(merged) < cap(merged) {
		if len(passed) == 0 || len(own) > 0 && compareEvents(own[0], passed[0]) <= 0 {
			merged, own = append(merged, own[0]), own[1:]
		} else {
			merged, passed = append(merged, passed[0]), passed[1:]
		}
	}
	return merged
}

// uniform is the loss of symbols that are not unigrams.
func (r *Ranking) uniform() float64 { return r.nodes[root].backoff + math.Log(float64(r.vocabulary)) }

// firstChildren returns the first k visible children of a node, sorted. They are not to be changed.
func (r *Ranking) firstChildren(at uint32, k int) []event {
	if i := r.contexts[at].wide; i >= 0 {
		all := r.wide[i].own
		return all[:min(k, len(all))]
	}
	var own []event
	first, last := r.events(at)
	for child := first; child < last; child++ {
		if symbol := r.symbols[child]; symbol != r.hidden {
			own = append(own, event{r.nodes[child].nll, r.Place(symbol)})
		}
	}
	slices.SortFunc(own, compareEvents)
	return own[:min(k, len(own))]
}
