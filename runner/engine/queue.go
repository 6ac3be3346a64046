package engine

import "surprisal.dev/runner/plan"

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
