package activations

import (
	"errors"
	"fmt"
	"io"
	"math/bits"

	"surprisal.dev/runner/artifact"
)

// Reader reads the tables of an action, one sequence at a time.
type Reader struct {
	// Sequence is the current sequence, and Dimensions its dimensions, ascending. The slices are reused.
	Sequence   artifact.ActivationSequence
	Dimensions []artifact.ActivationDimension

	summary    *Summary
	sequences  *artifact.Reader[artifact.ActivationSequence]
	dimensions *artifact.Reader[artifact.ActivationDimension]
	next       artifact.ActivationDimension
	ended      bool
	index      int64
}

// Open opens the tables of an action with that summary.
func Open(sequences, dimensions string, s *Summary) (*Reader, error) {
	r := &Reader{summary: s, index: -1}
	var err error
	if r.sequences, err = artifact.OpenActivationSequences(sequences); err != nil {
		return nil, err
	}
	if r.dimensions, err = artifact.OpenActivationDimensions(dimensions); err != nil {
		return nil, errors.Join(err, r.sequences.Close())
	}
	if err := r.advance(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// advance reads the next dimension.
func (r *Reader) advance() error {
	err := r.dimensions.Read(&r.next)
	r.ended = errors.Is(err, io.EOF)
	if r.ended {
		return nil
	}
	return err
}

// Next reads the next sequence, and checks it against the summary. The error after the last one is io.EOF.
func (r *Reader) Next() error {
	err := r.sequences.Read(&r.Sequence)
	if errors.Is(err, io.EOF) && !r.ended {
		return fmt.Errorf("dimension %d belongs to sequence %d, and there are %d sequences", r.next.Dimension, r.next.Sequence, r.index+1)
	}
	if err != nil {
		return err
	}
	r.index++
	if n := len(r.Sequence.SiteLargest); n != len(r.summary.Sites) {
		return fmt.Errorf("sequence %d has magnitudes at %d sites; the model has %d", r.index, n, len(r.summary.Sites))
	}
	r.Dimensions = r.Dimensions[:0]
	for !r.ended && r.next.Sequence == r.index {
		if err := r.check(); err != nil {
			return fmt.Errorf("sequence %d, dimension %d: %w", r.index, r.next.Dimension, err)
		}
		d := r.next
		d.Sites = append([]byte{}, d.Sites...)
		r.Dimensions = append(r.Dimensions, d)
		if err := r.advance(); err != nil {
			return err
		}
	}
	if !r.ended && r.next.Sequence < r.index {
		return fmt.Errorf("dimension %d of sequence %d follows those of sequence %d", r.next.Dimension, r.next.Sequence, r.index)
	}
	return nil
}

// check checks the next dimension of the current sequence.
func (r *Reader) check() error {
	d, s := &r.next, &r.Sequence
	sites := len(s.SiteLargest)
	n := SiteCount(d.Sites)
	switch {
	case int64(d.Dimension) < 0 || int64(d.Dimension) >= r.summary.HiddenSize:
		return fmt.Errorf("the model has %d dimensions", r.summary.HiddenSize)
	case len(r.Dimensions) > 0 && r.Dimensions[len(r.Dimensions)-1].Dimension >= d.Dimension:
		return fmt.Errorf("it follows dimension %d", r.Dimensions[len(r.Dimensions)-1].Dimension)
	case len(d.Sites) != (sites+7)/8 || n == 0 || sites%8 > 0 && d.Sites[len(d.Sites)-1]>>(sites%8) > 0:
		return fmt.Errorf("the sites %x are not some of %d", d.Sites, sites)
	case d.Positions < 1 || d.Positions > s.Positions:
		return fmt.Errorf("it has %d positions of %d", d.Positions, s.Positions)
	case !(d.Largest >= r.summary.Threshold):
		return fmt.Errorf("its largest magnitude, %v, is below the threshold, %v", d.Largest, r.summary.Threshold)
	}
	highest := 0.0
	for i, largest := range s.SiteLargest {
		if HasSite(d.Sites, i) {
			highest = max(highest, largest)
		}
	}
	if d.Largest > highest {
		return fmt.Errorf("its largest magnitude, %v, exceeds that of its sites, %v", d.Largest, highest)
	}
	return nil
}

// Close closes the tables.
func (r *Reader) Close() error { return errors.Join(r.sequences.Close(), r.dimensions.Close()) }

// SiteCount returns the number of sites of a set of bits.
func SiteCount(sites []byte) (n int) {
	for _, b := range sites {
		n += bits.OnesCount8(b)
	}
	return n
}

// HasSite reports whether a set of bits has site i.
func HasSite(sites []byte, i int) bool { return sites[i/8]>>(i%8)&1 == 1 }
