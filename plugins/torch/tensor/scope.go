//go:build torch

package tensor

// #include <stdlib.h>
// #include "extra.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/sugarme/gotch/libtch"
)

// Type is the type of a tensor's elements.
type Type int

// Types.
const (
	Float32 Type = iota
	BFloat16
	Float16
	Int64
	Int32
)

// Bytes returns the size of an element.
func (t Type) Bytes() int64 {
	switch t {
	case Float32, Int32:
		return 4
	case Int64:
		return 8
	}
	return 2
}

// ErrMemory is the error of an operation for which there is not enough memory.
var ErrMemory = errors.New("out of memory")

// Heap counts the tensors that exist.
type Heap struct {
	live atomic.Int64
}

// NewHeap returns a heap without tensors.
func NewHeap() *Heap { return &Heap{} }

// Live returns how many tensors exist.
func (h *Heap) Live() int64 { return h.live.Load() }

// Free frees a tensor that no scope owns. The zero tensor is none.
func (h *Heap) Free(t Tensor) {
	if t.p != nil {
		libtch.AtFree(libtch.Ctensor(t.p))
		h.live.Add(-1)
	}
}

// Tensor is a libtorch tensor. The zero tensor is none.
type Tensor struct{ p unsafe.Pointer }

// IsNone reports whether there is no tensor.
func (t Tensor) IsNone() bool { return t.p == nil }

// Shape returns the sizes of t's dimensions.
func (t Tensor) Shape() []int64 {
	shape := make([]int64, libtch.AtDim(libtch.Ctensor(t.p)))
	if len(shape) > 0 {
		libtch.AtShape(libtch.Ctensor(t.p), unsafe.Pointer(&shape[0]))
	}
	return shape
}

// Scope creates tensors and owns them until it is closed. After the first error its operations do nothing and return
// the zero tensor, so that a computation checks for errors once, at Close or Err.
//
// A scope belongs to one goroutine, which keeps its thread from NewScope to Close: libtorch's errors and its gradient
// mode belong to threads.
type Scope struct {
	heap  *Heap
	owned []unsafe.Pointer
	err   error
}

// NewScope returns an empty scope.
func (h *Heap) NewScope() *Scope {
	runtime.LockOSThread()
	C.extra_no_grad()
	return &Scope{heap: h}
}

// Err returns the first error.
func (s *Scope) Err() error { return s.err }

// Close frees the scope's tensors and returns the first error.
func (s *Scope) Close() error {
	s.FreeTo(0)
	runtime.UnlockOSThread()
	return s.err
}

// Mark returns a mark for FreeTo.
func (s *Scope) Mark() int { return len(s.owned) }

// FreeTo frees the tensors that were created since the mark, except for those in keep.
func (s *Scope) FreeTo(mark int, keep ...Tensor) {
	kept := s.owned[:mark]
	for _, p := range s.owned[mark:] {
		if slices.Contains(keep, Tensor{p}) {
			kept = append(kept, p)
		} else {
			s.heap.Free(Tensor{p})
		}
	}
	s.owned = kept
}

// Release removes a tensor from the scope; the heap frees it.
func (s *Scope) Release(t Tensor) Tensor {
	if i := slices.Index(s.owned, t.p); i >= 0 {
		s.owned = slices.Delete(s.owned, i, i+1)
	}
	return t
}

// call runs an operation of libtch that creates a tensor.
func (s *Scope) call(name string, f func(out *libtch.Ctensor)) Tensor {
	if s.err != nil {
		return Tensor{}
	}
	var out libtch.Ctensor
	f(&out)
	if message := libtch.GetAndResetLastErr(); message != nil {
		s.fail(name, C.GoString((*C.char)(unsafe.Pointer(message))))
		C.free(unsafe.Pointer(message))
		return Tensor{}
	}
	return s.own(unsafe.Pointer(out))
}

// extra runs an operation of this package's C++ code that creates a tensor.
func (s *Scope) extra(name string, f func(out *C.extra_tensor) *C.char) Tensor {
	var out C.extra_tensor
	if !s.do(name, func() *C.char { return f(&out) }) {
		return Tensor{}
	}
	return s.own(unsafe.Pointer(out))
}

// do runs an operation of this package's C++ code and reports whether it succeeded.
func (s *Scope) do(name string, f func() *C.char) bool {
	if s.err != nil {
		return false
	}
	if message := f(); message != nil {
		s.fail(name, C.GoString(message))
		C.free(unsafe.Pointer(message))
		return false
	}
	return true
}

func (s *Scope) own(p unsafe.Pointer) Tensor {
	s.heap.live.Add(1)
	s.owned = append(s.owned, p)
	return Tensor{p}
}

// memoryMessages are parts of the messages of libtorch, its allocators, CUDA's libraries and C++ for too little memory.
var memoryMessages = []string{"out of memory", "can't allocate memory", "bad_alloc", "CUBLAS_STATUS_ALLOC_FAILED"}

func (s *Scope) fail(name, message string) {
	message, _, _ = strings.Cut(message, "\n")
	if slices.ContainsFunc(memoryMessages, func(part string) bool { return strings.Contains(message, part) }) {
		s.err = fmt.Errorf("%s: %w: %s", name, ErrMemory, message)
		return
	}
	s.err = fmt.Errorf("%s: %s", name, message)
}

// Fail makes err the scope's error if it has none.
func (s *Scope) Fail(err error) {
	if s.err == nil {
		s.err = err
	}
}
