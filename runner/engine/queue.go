package engine

import (
	"container/heap"

	"surprisal.dev/runner/plan"
)

// queue is a heap of actions in plan order.
type queue []*plan.Action

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].Index < q[j].Index }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*plan.Action)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

// take removes and returns at most n of the actions that match, in plan order.
func (q *queue) take(n int, match func(*plan.Action) bool) []*plan.Action {
	var taken, rest []*plan.Action
	for q.Len() > 0 {
		if a := heap.Pop(q).(*plan.Action); len(taken) < n && match(a) {
			taken = append(taken, a)
		} else {
			rest = append(rest, a)
		}
	}
	*q = rest
	return taken
}
