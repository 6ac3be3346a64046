//go:build torch

package decoder

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"surprisal.dev/plugins/torch/tensor"
)

// Collective lets the ranks of a tensor-parallel decoder combine their results. All ranks call the same methods in the
// same order.
type Collective interface {
	// AllReduce returns the sum of all ranks' x, the same on each, in scope s of the calling rank. It may change x, whose
	// elements are in order.
	AllReduce(rank int, s *tensor.Scope, x tensor.Tensor) tensor.Tensor
	// Max returns the elementwise maximum of all ranks' x in host memory.
	Max(rank int, s *tensor.Scope, x []float64) []float64
	// Abort makes all calls return immediately because a rank has failed; Reset ends this state.
	Abort()
	Reset()
	// Close frees the resources that the ranks share.
	Close()
}

// newCollective returns a Collective for goroutines of this process, one per device. It uses NCCL if all devices
// differ, and sums in one place if all are the same.
func newCollective(devices []tensor.Device) (Collective, error) {
	distinct := map[tensor.Device]bool{}
	for _, d := range devices {
		distinct[d] = true
	}
	switch len(distinct) {
	case 1:
		return &inProcess{newHost(len(devices)), make([]tensor.Tensor, len(devices))}, nil
	case len(devices):
		return newNCCL(tensor.NCCL, devices)
	}
	return nil, fmt.Errorf("ranks on the devices %v: use either one device per rank or one device for all ranks", devices)
}

// errAborted is the error of a rank that stops because another one has failed.
var errAborted = errors.New("another rank failed")

// inProcess is a Collective of ranks that are goroutines and whose tensors are on one device.
type inProcess struct {
	*host
	operands []tensor.Tensor
}

// AllReduce adds in the order of the ranks, so that all get the same bits.
func (c *inProcess) AllReduce(rank int, s *tensor.Scope, x tensor.Tensor) tensor.Tensor {
	if len(c.operands) == 1 || s.Err() != nil {
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

// Close has nothing to free.
func (c *inProcess) Close() {}

// nccl is a Collective of ranks that are goroutines, with one GPU per rank.
type nccl struct {
	*host
	group *tensor.Group
}

func newNCCL(library string, devices []tensor.Device) (*nccl, error) {
	group, err := tensor.NewGroup(library, devices)
	if err != nil {
		return nil, err
	}
	return &nccl{newHost(len(devices)), group}, nil
}

// AllReduce synchronizes on the host first: a GPU would wait for ranks that never come, and cannot be told that one has
// failed. After that it takes no memory, so that too little of it fails before the ranks wait for each other.
func (c *nccl) AllReduce(rank int, s *tensor.Scope, x tensor.Tensor) tensor.Tensor {
	if s.Err() != nil {
		return x
	}
	if !c.wait() {
		s.Fail(errAborted)
		return tensor.Tensor{}
	}
	s.Sum(x, c.group, rank)
	if s.Err() != nil {
		c.group.Abort()
	}
	return x
}

func (c *nccl) Close() { c.group.Close() }

// host combines values that the ranks, which are goroutines, have in host memory.
type host struct {
	*barrier
	values [][]float64
}

func newHost(ranks int) *host { return &host{newBarrier(ranks), make([][]float64, ranks)} }

// Max implements Collective.
func (h *host) Max(rank int, s *tensor.Scope, x []float64) []float64 {
	if h.ranks == 1 || s.Err() != nil {
		return x
	}
	h.values[rank] = x
	if !h.wait() {
		s.Fail(errAborted)
		return nil
	}
	greatest := slices.Clone(h.values[0])
	for _, other := range h.values[1:] {
		for i, y := range other {
			greatest[i] = max(greatest[i], y)
		}
	}
	// No rank may set its values for the next call before all have read these.
	if !h.wait() {
		s.Fail(errAborted)
	}
	return greatest
}

// barrier is a point at which goroutines wait for each other.
type barrier struct {
	mu      sync.Mutex
	turn    *sync.Cond
	ranks   int
	arrived int
	rounds  uint64
	aborted bool
}

func newBarrier(ranks int) *barrier {
	b := &barrier{ranks: ranks}
	b.turn = sync.NewCond(&b.mu)
	return b
}

// wait returns true when all ranks wait, or false after Abort.
func (b *barrier) wait() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	round := b.rounds
	b.arrived++
	if b.arrived == b.ranks {
		b.arrived = 0
		b.rounds++
		b.turn.Broadcast()
	}
	for round == b.rounds && !b.aborted {
		b.turn.Wait()
	}
	return !b.aborted
}

// Abort makes wait return false until Reset.
func (b *barrier) Abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.aborted = true
	b.turn.Broadcast()
}

// Reset ends the effect of Abort. No rank may be waiting.
func (b *barrier) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.aborted, b.arrived = false, 0
}
