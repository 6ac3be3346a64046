//go:build torch

package decoder

import (
	"errors"
	"fmt"
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
	// Close frees what the ranks share.
	Close()
}

// newCollective returns a Collective for goroutines of this process, one for each of the devices: NCCL where all differ, and
// sums in one place where all are the same.
func newCollective(devices []tensor.Device) (Collective, error) {
	distinct := map[tensor.Device]bool{}
	for _, d := range devices {
		distinct[d] = true
	}
	switch len(distinct) {
	case 1:
		return &inProcess{meeting: newMeeting(len(devices)), operands: make([]tensor.Tensor, len(devices))}, nil
	case len(devices):
		return newNCCL(tensor.NCCL, devices)
	}
	return nil, fmt.Errorf("ranks on the devices %v: either each has its own or all share one", devices)
}

// errAborted is what a rank fails with because another one has.
var errAborted = errors.New("another rank failed")

// inProcess is a Collective of ranks that are goroutines and whose tensors are on one device.
type inProcess struct {
	*meeting
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

// nccl is a Collective of ranks that are goroutines, each with a GPU of its own.
type nccl struct {
	*meeting
	group *tensor.Group
}

func newNCCL(library string, devices []tensor.Device) (*nccl, error) {
	group, err := tensor.NewGroup(library, devices)
	if err != nil {
		return nil, err
	}
	return &nccl{newMeeting(len(devices)), group}, nil
}

// AllReduce meets on the host first: a GPU waits for ranks that never come, and cannot be told that one has failed.
func (c *nccl) AllReduce(rank int, s *tensor.Scope, x tensor.Tensor) tensor.Tensor {
	if s.Err() != nil {
		return x
	}
	if !c.wait() {
		s.Fail(errAborted)
		return tensor.Tensor{}
	}
	sum := s.Sum(x, c.group, rank)
	if s.Err() != nil {
		c.group.Abort()
	}
	return sum
}

func (c *nccl) Close() { c.group.Close() }

// meeting is where goroutines wait for each other.
type meeting struct {
	mu      sync.Mutex
	turn    *sync.Cond
	ranks   int
	arrived int
	rounds  uint64
	aborted bool
}

func newMeeting(ranks int) *meeting {
	m := &meeting{ranks: ranks}
	m.turn = sync.NewCond(&m.mu)
	return m
}

// wait returns true when all ranks wait, or false after Abort.
func (m *meeting) wait() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	round := m.rounds
	m.arrived++
	if m.arrived == m.ranks {
		m.arrived = 0
		m.rounds++
		m.turn.Broadcast()
	}
	for round == m.rounds && !m.aborted {
		m.turn.Wait()
	}
	return !m.aborted
}

// Abort makes wait return false until Reset.
func (m *meeting) Abort() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.aborted = true
	m.turn.Broadcast()
}

// Reset ends what Abort began. No rank may wait.
func (m *meeting) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.aborted, m.arrived = false, 0
}
