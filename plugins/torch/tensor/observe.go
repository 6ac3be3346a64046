//go:build torch

package tensor

// #include "extra.h"
import "C"

import "unsafe"

// Observation accumulates what is seen of the outputs of several sites in one computation. A magnitude is the absolute
// value of an element, in float32.
type Observation struct {
	tensors   C.extra_observation
	sequences Sequences
	options   ObservationOptions
	shape     observationShape
}

// ObservationOptions configure an Observation.
type ObservationOptions struct {
	// Sites is the number of sites, Width that of columns of their outputs.
	Sites, Width int
	// Stride is the distance between the rows of a sequence, from its first on, that medians take.
	Stride int
	// Threshold is the magnitude that rows and columns reach or not.
	Threshold float32
	// Reference disables code that only some processors support.
	Reference bool
}

type observationShape struct{ sites, largest, summary Tensor }

// Magnitudes describes the outputs of all sites for one sequence.
type Magnitudes struct {
	// Largest has the largest magnitude of each column. Rows counts the rows in which a column reaches the threshold at
	// some site.
	Largest []float32
	Rows    []int64
	// Sites has, for each column, bit i%32 of word i/32 set if the column reaches the threshold at site i.
	Sites [][]uint32
	// SiteLargest and SiteMedians have, for each site, the largest magnitude, and the lower median in every
	// ObservationOptions.Stride-th row.
	SiteLargest, SiteMedians []float32
}

// NewObservation returns an observation of nothing yet, for sequences of rows on a device.
func (s *Scope) NewObservation(q Sequences, d Device, o ObservationOptions) *Observation {
	to := &Observation{sequences: q, options: o}
	s.do("observation", func() *C.char {
		return C.extra_new_observation(&to.tensors, C.int64_t(q.ends[len(q.ends)-1]), C.int64_t(o.Width), C.int64_t(len(q.ends)), C.int64_t(o.Sites), C.int(d))
	})
	if s.err == nil {
		s.own(unsafe.Pointer(to.tensors.reached))
		to.shape = observationShape{
			s.own(unsafe.Pointer(to.tensors.sites)), s.own(unsafe.Pointer(to.tensors.largest)), s.own(unsafe.Pointer(to.tensors.summary)),
		}
	}
	return to
}

// Observe adds x [rows, width], the output of a site.
func (s *Scope) Observe(to *Observation, site int, x Tensor) {
	ends := to.sequences.ends
	s.do("observe", func() *C.char {
		return C.extra_observe(&to.tensors, x.x(), C.int64_t(site), (*C.int64_t)(unsafe.SliceData(ends)), C.size_t(len(ends)),
			C.int64_t(to.options.Stride), C.float(to.options.Threshold), flag(to.options.Reference))
	})
}

// Magnitudes copies the results for each sequence.
func (s *Scope) Magnitudes(from *Observation) []Magnitudes {
	ends := from.sequences.ends
	rows := s.Float64s(s.extra("reached rows", func(out *C.extra_tensor) *C.char {
		return C.extra_reached_rows(out, &from.tensors, (*C.int64_t)(unsafe.SliceData(ends)), C.size_t(len(ends)))
	}))
	sites, largest, summary := s.Float64s(from.shape.sites), s.Float64s(from.shape.largest), s.Float64s(from.shape.summary)
	if s.err != nil {
		return nil
	}
	all := make([]Magnitudes, len(ends))
	n, width := len(ends), from.options.Width
	for i := range all {
		m := &all[i]
		m.Largest, m.Rows, m.Sites = make([]float32, width), make([]int64, width), make([][]uint32, width)
		for j := range width {
			m.Largest[j], m.Rows[j] = float32(largest[i*width+j]), int64(rows[i*width+j])
			for k := i*width + j; k < len(sites); k += n * width {
				m.Sites[j] = append(m.Sites[j], uint32(int32(sites[k])))
			}
		}
		for k := i; k < len(summary); k += 2 * n {
			m.SiteLargest, m.SiteMedians = append(m.SiteLargest, float32(summary[k])), append(m.SiteMedians, float32(summary[k+n]))
		}
	}
	return all
}
