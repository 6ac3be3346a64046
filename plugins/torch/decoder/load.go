//go:build torch

package decoder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unsafe"

	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/tensor"
)

// loader fills one rank with its share of a checkpoint.
type loader struct {
	ctx    context.Context
	from   *checkpoint.Checkpoint
	to     *rank
	scope  *tensor.Scope
	unread map[string]bool
	buffer []float32
	err    error
}

// span is a share [from, to) of a matrix's rows or columns; to 0 means all.
type span struct{ from, to int64 }

func loadRank(ctx context.Context, c *checkpoint.Checkpoint, heap *tensor.Heap, o Options, index int) (_ *rank, err error) {
	a := c.Architecture()
	r := &rank{architecture: a, kind: o.Type, device: o.Devices[index], index: index, ranks: len(o.Devices), heap: heap,
		ropeTables: map[*checkpoint.Rope]ropeTable{}}
	l := &loader{ctx: ctx, from: c, to: r, scope: heap.NewScope(), unread: map[string]bool{}}
	defer func() {
		err = errors.Join(err, l.scope.Close())
		if err != nil {
			r.free()
		}
	}()
	for _, name := range c.Tensors() {
		l.unread[name] = true
	}
	if err := l.load(); err != nil {
		return nil, err
	}
	return r, nil
}

func (l *loader) load() error {
	r := l.to
	a := &r.architecture
	if err := a.Shardable(r.ranks); err != nil {
		return err
	}
	vocabulary, hidden := int64(a.Vocabulary), int64(a.Hidden)
	r.embedding = l.tensor("embedding.weight", span{}, vocabulary, hidden)
	if a.EmbeddingScale != 0 {
		scale := tensor.New(l.scope, []float32{float32(a.EmbeddingScale)}, tensor.Float32, 1)
		r.scale = l.keep(l.scope.To(scale, r.kind, r.device))
	}
	if a.Positions > 0 {
		r.positions = l.tensor("positions.weight", span{}, int64(a.Positions), hidden)
	}
	var ropes []*checkpoint.Rope
	for i, part := range a.Layers {
		if part.Attention.Rope != nil {
			part.Attention.Rope = intern(&ropes, part.Attention.Rope)
		}
		r.layers = append(r.layers, l.layer(fmt.Sprintf("layers.%d.", i), part))
		if l.err != nil {
			return l.err
		}
	}
	r.norm = l.vector("norm", hidden)
	share := r.share(vocabulary)
	r.head = tensor.Head{Weights: l.head(share, vocabulary, hidden), First: share.from, Softcap: a.LogitSoftcap, Rows: LogitRows}
	if l.err == nil {
		l.err = l.scope.Err()
	}
	if l.err == nil && len(l.unread) > 0 {
		names := slices.Sorted(maps.Keys(l.unread))
		return fmt.Errorf("the model has %d tensors that the architecture %q does not use, the first is %s; "+
			"the weights may not belong to this configuration", len(names), a.Family, names[0])
	}
	return l.err
}

// intern returns the element of known that equals r, or adds r.
func intern(known *[]*checkpoint.Rope, r *checkpoint.Rope) *checkpoint.Rope {
	for _, k := range *known {
		if k.Size == r.Size && k.Factor == r.Factor && slices.Equal(k.InverseFrequencies, r.InverseFrequencies) {
			return k
		}
	}
	*known = append(*known, r)
	return r
}

// share returns this rank's part of n rows. The sizes of the parts differ by at most one.
func (r *rank) share(n int64) span {
	ranks, i := int64(r.ranks), int64(r.index)
	return span{i * n / ranks, (i + 1) * n / ranks}
}

func (l *loader) layer(prefix string, part checkpoint.Layer) layer {
	r := l.to
	a := part.Attention
	hidden, size := int64(r.architecture.Hidden), int64(a.HeadSize)
	h := r.heads(a)
	x := layer{Layer: part, heads: h}
	if part.PreNorm {
		x.attentionNorm = l.vector(prefix+"attention.norm", hidden)
		x.mlpNorm = l.vector(prefix+"mlp.norm", hidden)
	}
	if part.PostNorm {
		x.attentionPostNorm = l.vector(prefix+"attention.postnorm", hidden)
		x.mlpPostNorm = l.vector(prefix+"mlp.postnorm", hidden)
	}
	queries, keys := span{h.from * size, h.to * size}, span{h.keyFrom * size, h.keyTo * size}
	qRows, kRows := queries, keys
	allQueries, allKeys := int64(a.Heads)*size, int64(a.KVHeads)*size
	switch a.QKNorm {
	case checkpoint.HeadQKNorm:
		x.qNorm, x.kNorm = l.vector(prefix+"attention.qnorm", size), l.vector(prefix+"attention.knorm", size)
	case checkpoint.FullQKNorm:
		// The norm covers all heads: each rank computes all queries and keys and keeps its own.
		x.qNorm, x.kNorm = l.vector(prefix+"attention.qnorm", allQueries), l.vector(prefix+"attention.knorm", allKeys)
		qRows, kRows = span{}, span{}
	}
	x.q = l.rows(prefix+"attention.q", qRows, allQueries, hidden)
	x.k = l.rows(prefix+"attention.k", kRows, allKeys, hidden)
	x.v = l.rows(prefix+"attention.v", keys, allKeys, hidden)
	x.out = l.columns(prefix+"attention.out", queries, hidden, allQueries)
	width := int64(part.MLP.Width)
	share := r.share(width)
	if part.MLP.Gated {
		x.gate = l.rows(prefix+"mlp.gate", share, width, hidden)
	}
	x.up = l.rows(prefix+"mlp.up", share, width, hidden)
	x.down = l.columns(prefix+"mlp.down", share, hidden, width)
	return x
}

// heads divides the heads of attention among the ranks: key-value heads with their queries or, if there are more ranks
// than key-value heads, the queries of one.
func (r *rank) heads(a checkpoint.Attention) heads {
	ranks, all, keys := int64(r.ranks), int64(a.Heads), int64(a.KVHeads)
	group := all / keys
	if keys >= ranks {
		mine := r.share(keys)
		return heads{mine.from * group, mine.to * group, mine.from, mine.to}
	}
	mine := r.share(all)
	return heads{mine.from, mine.to, mine.from / group, (mine.to-1)/group + 1}
}

// rows reads some rows of a matrix [height, width], and the corresponding part of its bias if it has one.
func (l *loader) rows(name string, rows span, height, width int64) affine {
	m := affine{weight: l.matrix(name+".weight", rows, span{}, height, width)}
	if l.unread[name+".bias"] {
		m.bias = l.tensor(name+".bias", rows, height)
	}
	return m
}

// columns reads some columns of a matrix [height, width], and all of its bias if it has one.
func (l *loader) columns(name string, columns span, height, width int64) affine {
	m := affine{weight: l.matrix(name+".weight", span{}, columns, height, width)}
	if l.unread[name+".bias"] {
		m.bias = l.tensor(name+".bias", span{}, height)
	}
	return m
}

func (l *loader) vector(name string, size int64) affine {
	v := affine{weight: l.tensor(name+".weight", span{}, size)}
	if l.unread[name+".bias"] {
		v.bias = l.tensor(name+".bias", span{}, size)
	}
	return v
}

// head reads a share of the head's rows in pieces, which are multiplied one at a time.
func (l *loader) head(share span, vocabulary, hidden int64) []tensor.Tensor {
	columns := LogitColumns(l.to.device)
	var pieces []tensor.Tensor
	if !l.to.architecture.TiedHead {
		for from := share.from; from < share.to; from += columns {
			rows := span{from, min(from+columns, share.to)}
			pieces = append(pieces, l.matrix("head.weight", rows, span{}, vocabulary, hidden))
		}
		return pieces
	}
	if l.err != nil {
		return nil
	}
	for _, piece := range l.scope.Pieces(l.scope.Narrow(l.to.embedding, 0, share.from, share.to-share.from), columns) {
		pieces = append(pieces, l.keep(l.scope.Pack(piece, LogitRows)))
	}
	return pieces
}

// matrix reads some rows and columns of a matrix that is used only in products.
func (l *loader) matrix(name string, rows, columns span, height, width int64) tensor.Tensor {
	mark := l.scope.Mark()
	read := l.read(name, rows, columns, height, width)
	if l.err != nil {
		return tensor.Tensor{}
	}
	packed := l.scope.Pack(read, LogitRows)
	l.scope.FreeTo(mark, packed)
	return l.keep(packed)
}

// tensor reads some rows of a matrix, or a vector.
func (l *loader) tensor(name string, rows span, shape ...int64) tensor.Tensor {
	return l.keep(l.read(name, rows, span{}, shape...))
}

func (l *loader) read(name string, rows, columns span, shape ...int64) tensor.Tensor {
	if l.err == nil {
		l.err = l.ctx.Err()
	}
	if l.err != nil {
		return tensor.Tensor{}
	}
	delete(l.unread, name)
	stored, err := l.from.Tensor(name)
	if err != nil {
		l.err = err
		return tensor.Tensor{}
	}
	if !slices.Equal(stored.Shape, shape) {
		l.err = fmt.Errorf("tensor %s: expected shape %v, got %v; the weights may not belong to this configuration", name, shape, stored.Shape)
		return tensor.Tensor{}
	}
	width := int64(1)
	if len(shape) == 2 {
		width = shape[1]
	}
	if rows.to == 0 {
		rows = span{0, shape[0]}
	}
	if columns.to == 0 {
		columns = span{0, width}
	}
	size := []int64{rows.to - rows.from}
	if len(shape) == 2 {
		size = append(size, columns.to-columns.from)
	}
	t := l.scope.Empty(l.to.kind, l.to.device, size...)
	step := max(checkpoint.ConvertedElements/width, 1)
	for from := rows.from; from < rows.to; from += step {
		to := min(from+step, rows.to)
		if err := l.fill(t, from-rows.from, stored, from, to, columns.from); err != nil {
			l.err = fmt.Errorf("tensor %s: %w", name, err)
			return tensor.Tensor{}
		}
	}
	// Only one tensor at a time exists in both forms.
	if err := errors.Join(l.scope.Err(), l.from.Forget()); err != nil {
		l.err = fmt.Errorf("tensor %s: %w", name, err)
	}
	return t
}

// elementTypes maps the types of files that are also types of tensors.
var elementTypes = map[checkpoint.Type]tensor.Type{checkpoint.F32: tensor.Float32, checkpoint.F16: tensor.Float16, checkpoint.BF16: tensor.BFloat16}

// fill copies some columns, starting at column, of the stored rows from to to-1 into t's rows from row onward.
func (l *loader) fill(t tensor.Tensor, row int64, stored checkpoint.Tensor, from, to, column int64) error {
	width := stored.Elements() / stored.Shape[0]
	if kind, ok := elementTypes[stored.Type]; ok {
		if data, ok := stored.Raw(); ok && aligned(data, kind) {
			stride := width * kind.Bytes()
			tensor.Fill(l.scope, t, row, data[from*stride:to*stride], kind, width, column)
			return nil
		}
	}
	n := (to - from) * width
	l.buffer = slices.Grow(l.buffer[:0], int(n))[:n]
	if err := stored.Rows(l.buffer, from, to); err != nil {
		return err
	}
	tensor.Fill(l.scope, t, row, l.buffer, tensor.Float32, width, column)
	return nil
}

// aligned reports whether data is aligned for its elements; files do not guarantee this.
func aligned(data []byte, t tensor.Type) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(data)))%uintptr(t.Bytes()) == 0
}

func (l *loader) keep(t tensor.Tensor) tensor.Tensor {
	if l.scope.Err() == nil {
		l.to.owned = append(l.to.owned, l.scope.Release(t))
	}
	return t
}
