//go:build torch

package decoder

import (
	"errors"
	"sync"

	"surprisal.dev/plugins/torch/tensor"
)

// Collective lets the ranks of a tensor-parallel decoder exchange what each has computed. All ranks call the same methods in
// the same order.
type Collective interface {
	// AllReduce returns the sum of all ranks' x, the same on each, in scope s of the calling rank.
	AllReduce(rank int, s *tensor.Scope, x tensor.Tensor) tensor.Tensor
	// Abort makes all calls return at once, because a rank has failed; Reset ends that.
	Abort()
	Reset()
}

// errAborted is what a rank fails with because another one has.
var errAborted = errors.New("another rank failed")

// inProcess is a Collective of ranks that are goroutines and share an address space.
type inProcess struct {
	mu       sync.Mutex
	turn     *sync.Cond
	ranks    int
	arrived  int
	rounds   uint64
	aborted  bool
	operands []tensor.Tensor
}

// NewInProcess returns a Collective for goroutines of this process whose tensors are on one device.
func NewInProcess(ranks int) Collective {
	c := &inProcess{ranks: ranks, operands: make([]tensor.Tensor, ranks)}
	c.turn = sync.NewCond(&c.mu)
	return c
}

// AllReduce adds in the order of the ranks, so that all get the same bits.
func (c *inProcess) AllReduce(rank int, s *tensor.Scope, x tensor.Tensor) tensor.Tensor {
	if c.ranks == 1 || s.Err() != nil {
		return x
	}
	c.operands[rank] = x
	if !c.wait() {
		s.Fail(errAborted)
		return tensor.Tensor{}
	}
	sum := c.operands[0]
	for _, y := range c.operands[1:] {
		sum = s.Add(sum, y)
	}
	// No rank may free its operand before all have added it.
	if !c.wait() {
		s.Fail(errAborted)
	}
	return sum
}

// wait returns true when all ranks wait, or false after Abort.
func (c *inProcess) wait() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	round := c.rounds
	c.arrived++
	if c.arrived == c.ranks {
		c.arrived = 0
		c.rounds++
		c.turn.Broadcast()
	}
	for round == c.rounds && !c.aborted {
		c.turn.Wait()
	}
	return !c.aborted
}

func (c *inProcess) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted = true
	c.turn.Broadcast()
}

func (c *inProcess) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted, c.arrived = false, 0
}
