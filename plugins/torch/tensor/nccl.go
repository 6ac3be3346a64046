//go:build torch

package tensor

// #include <stdlib.h>
// #include "nccl.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// NCCL is the name of the library for NewGroup: the one that libtorch_cuda.so uses.
const NCCL = "libnccl.so.2"

// Group joins ranks, each on its own CUDA device.
type Group struct{ p unsafe.Pointer }

// NewGroup joins one rank per device by the NCCL in library.
func NewGroup(library string, devices []Device) (*Group, error) {
	name := C.CString(library)
	defer C.free(unsafe.Pointer(name))
	numbers := make([]C.int, len(devices))
	for i, d := range devices {
		numbers[i] = C.int(d)
	}
	g := &Group{}
	open := func(out *unsafe.Pointer) *C.char {
		return C.nccl_open(out, name, unsafe.SliceData(numbers), C.int(len(numbers)))
	}
	if message := open(&g.p); message != nil {
		defer C.free(unsafe.Pointer(message))
		return nil, fmt.Errorf("%s: %s", library, C.GoString(message))
	}
	return g, nil
}

// Abort ends the sums that wait for a failed rank. Afterwards the group can only be closed.
func (g *Group) Abort() { C.nccl_abort(g.p) }

// Close disconnects the ranks.
func (g *Group) Close() {
	C.nccl_close(g.p)
	g.p = nil
}

// Sum replaces x, [any shape] and contiguous, by the sum of all ranks' x, without further memory. Each rank calls it on
// a separate thread.
func (s *Scope) Sum(x Tensor, g *Group, rank int) {
	s.do("sum over ranks", func() *C.char { return C.nccl_sum(x.x(), g.p, C.int(rank)) })
}
