package kneserney

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Size returns the number of distinct n-grams in the counts that Counts.Write wrote at the start of data, and the rest of
// data. It needs no memory. It checks only what it needs to find the end of the counts; Read checks everything.
func Size(data []byte, vocabulary uint32) (ngrams int64, rest []byte, err error) {
	s := sizer{data: data, vocabulary: uint64(vocabulary)}
	s.order = int(min(s.number(), MaxOrder+1))
	if s.problem == nil && (s.order == 0 || s.order > MaxOrder) {
		s.problem = fmt.Errorf("order %d, not from 1 to %d", s.order, MaxOrder)
	}
	for range s.order {
		n := s.number()
		if n > uint64(len(data)) {
			s.problem = fmt.Errorf("%d n-grams in %d bytes", n, len(data))
			break
		}
		ngrams += int64(n)
	}
	s.children(1, false)
	if s.problem != nil {
		return 0, nil, fmt.Errorf("n-gram counts: %w", s.problem)
	}
	return ngrams, s.data, nil
}

// sizer steps over the output of Counts.Write.
type sizer struct {
	data       []byte
	vocabulary uint64
	order      int
	problem    error
}

func (s *sizer) number() uint64 {
	if s.problem != nil {
		return 0
	}
	v, n := binary.Uvarint(s.data)
	if n <= 0 {
		s.problem = errors.New("unexpected end of data")
		return 0
	}
	s.data = s.data[n:]
	return v
}

// children steps over the n-grams of a level that extend one n-gram; see trieReader.children.
func (s *sizer) children(level int, begun bool) {
	symbol := uint64(0)
	for range s.number() {
		symbol += s.number()
		if s.problem != nil {
			return
		}
		isBeginning := symbol == s.vocabulary
		if !isBeginning && (begun || level == s.order) {
			s.number()
		}
		if level < s.order {
			s.children(level+1, begun || isBeginning)
		}
		symbol++
	}
}
