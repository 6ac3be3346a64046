package gap

import (
	"context"
	"runtime"
	"sync"

	"surprisal.dev/runner/artifact"
)

// Bounds of a batch of documents. Batches are passed from the goroutine that decodes a side to the one that compares. A
// batch below these bounds accepts one more document of any size.
const (
	batchBytes = 256 << 10
	batchRows  = 512
	// batchesInFlight lets a side decode ahead of the comparison.
	batchesInFlight = 2
	// largeBytes is the size from which a batch is compared before its side reads more, so that at most one large
	// document of a side is in memory.
	largeBytes = 4 * batchBytes
	// largeGroup is the size from which row groups are decoded by one side at a time, because decoding a row needs
	// several times its size.
	largeGroup = 16 << 20
)

// record is a scored document and the name of its dataset.
type record struct {
	artifact.ScoredDocument
	dataset string
}

// batch holds documents of one dataset. Most of their lists are in a few arrays, which are reused as a whole.
type batch struct {
	dataset                      int
	records                      []record
	bytes                        int // of the texts
	starts, ends                 arena[int32]
	nll, perByte                 arena[float64]
	unscoredStarts, unscoredEnds arena[int32]
}

// arena is memory for the lists of a batch's documents.
type arena[T any] struct {
	held []T
	need int // total length of the lists, whether or not they fit
}

// arenaLimit is the maximum number of values of an arena. A batch of documents that are not large has no more bytes.
const arenaLimit = 2 * batchBytes

// reset frees the memory, and allocates more if it was too small.
func (a *arena[T]) reset() {
	if a.need > cap(a.held) && a.need <= arenaLimit {
		a.held = make([]T, 0, min(a.need+a.need/2, arenaLimit))
	}
	a.held, a.need = a.held[:0], 0
}

// free returns the remaining memory, for a list to be appended to.
func (a *arena[T]) free() []T { return a.held[len(a.held):] }

// keep keeps a list that was appended to free. A list that did not fit has its own memory.
func (a *arena[T]) keep(list []T) {
	a.need += len(list)
	if n := len(a.held) + len(list); n <= cap(a.held) {
		a.held = a.held[:n]
	}
}

// read reads the next document into the batch.
func (b *batch) read(documents *artifact.ScoredReader, dataset string) error {
	n := len(b.records)
	if n == cap(b.records) {
		b.records = append(b.records, record{})
	}
	b.records = b.records[:n+1]
	r := &b.records[n]
	r.dataset = dataset
	r.TokenStarts, r.TokenEnds, r.TokenNLL, r.PerByteLoss = b.starts.free(), b.ends.free(), b.nll.free(), b.perByte.free()
	r.UnscoredStarts, r.UnscoredEnds = b.unscoredStarts.free(), b.unscoredEnds.free()
	if err := documents.Read(&r.ScoredDocument); err != nil {
		return err
	}
	b.starts.keep(r.TokenStarts)
	b.ends.keep(r.TokenEnds)
	b.nll.keep(r.TokenNLL)
	b.perByte.keep(r.PerByteLoss)
	b.unscoredStarts.keep(r.UnscoredStarts)
	b.unscoredEnds.keep(r.UnscoredEnds)
	b.bytes += len(r.Text)
	return nil
}

// reset empties the batch, so that its documents can be freed.
func (b *batch) reset() {
	clear(b.records)
	b.records, b.bytes = b.records[:0], 0
	for _, a := range []interface{ reset() }{&b.starts, &b.ends, &b.nll, &b.perByte, &b.unscoredStarts, &b.unscoredEnds} {
		a.reset()
	}
}

// stream decodes the tables of one side, in the order of the datasets, in its own goroutine.
type stream struct {
	large  *sync.Mutex // held while a row of a large row group is decoded; shared by both sides
	filled chan *batch
	spare  chan *batch
	err    error // set before filled is closed
	group  int64 // the size of the row group of the document decoded last
	last   *batch
	next   int
}

func newStream(ctx context.Context, side Side, large *sync.Mutex) *stream {
	s := &stream{large: large, filled: make(chan *batch, batchesInFlight), spare: make(chan *batch, batchesInFlight+2)}
	for range cap(s.spare) {
		s.spare <- &batch{}
	}
	go func() {
		defer close(s.filled)
		for i, dataset := range side.Datasets {
			if s.err = s.read(ctx, i, dataset); s.err != nil {
				return
			}
		}
	}()
	return s
}

// read sends the documents of one table.
func (s *stream) read(ctx context.Context, index int, dataset Table) (err error) {
	documents, err := artifact.OpenLosses(dataset.ScoredPath)
	if err != nil {
		return err
	}
	defer documents.Close()
	for left := documents.Len(); left > 0; {
		var b *batch
		select {
		case b = <-s.spare:
		case <-ctx.Done():
			return ctx.Err()
		}
		b.dataset = index
		for ; left > 0 && len(b.records) < batchRows && b.bytes < batchBytes; left-- {
			if err := s.decode(b, documents, dataset.Dataset); err != nil {
				return err
			}
		}
		large := b.bytes >= largeBytes
		select {
		case s.filled <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		if large {
			if err := s.drain(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// decode reads the next document into a batch.
func (s *stream) decode(b *batch, documents *artifact.ScoredReader, dataset string) error {
	group := documents.GroupBytes()
	if group > largeGroup {
		s.large.Lock()
		defer s.large.Unlock()
		if group != s.group {
			runtime.GC() // The garbage of the group before would be in memory together with this group.
		}
	}
	s.group = group
	return b.read(documents, dataset)
}

// drain waits until all batches have been compared.
func (s *stream) drain(ctx context.Context) error {
	all := make([]*batch, 0, cap(s.spare))
	for range cap(s.spare) {
		select {
		case b := <-s.spare:
			all = append(all, b)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, b := range all {
		s.spare <- b
	}
	return nil
}

// peek returns the side's current document and its dataset's position, or nil at the end. It stays valid until advance.
func (s *stream) peek() (*record, int, error) {
	if s.last == nil {
		s.last, s.next = <-s.filled, 0
		if s.last == nil {
			return nil, 0, s.err
		}
	}
	return &s.last.records[s.next], s.last.dataset, nil
}

// advance moves to the next document. A batch without more documents can be filled again at once.
func (s *stream) advance() {
	if s.next++; s.next == len(s.last.records) {
		s.last.reset()
		s.spare <- s.last
		s.last = nil
	}
}

// stop waits for the goroutine, whose context is done, to close its files.
func (s *stream) stop() {
	for range s.filled {
	}
}
