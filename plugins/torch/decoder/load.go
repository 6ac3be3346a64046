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
	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// loader fills one rank with its share of a checkpoint.
type loader struct {
	ctx   context.Context
	from  *checkpoint.Checkpoint
	to    *rank
	scope *tensor.Scope
	// declared are the parameters of the graph by name.
	declared map[string]graph.Parameter
	// unread are the names of the checkpoint's tensors that were not read yet.
	unread map[string]bool
	buffer []float32
	// groupExperts is that of Options.
	groupExperts bool
	err          error
}

func loadRank(ctx context.Context, c *checkpoint.Checkpoint, heap *tensor.Heap, o Options, index int) (_ *rank, err error) {
	r := &rank{architecture: c.Architecture(), kind: o.Type, device: o.Devices[index], Rank: graph.Rank{Index: index, Count: len(o.Devices)}, heap: heap}
	l := &loader{
		ctx: ctx, from: c, to: r, scope: heap.NewScope(), declared: map[string]graph.Parameter{}, unread: map[string]bool{},
		groupExperts: o.groupExperts,
	}
	defer func() {
		err = errors.Join(err, l.scope.Close())
		if err != nil {
			r.free()
		}
	}()
	for p := range r.architecture.Parameters() {
		l.declared[p.Name()] = p
	}
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
	if err := a.Shardable(r.Count); err != nil {
		return err
	}
	r.embedding = l.weight("embedding")
	if a.EmbeddingScale != 0 {
		scale := tensor.New(l.scope, []float32{float32(a.EmbeddingScale)}, tensor.Float32, 1)
		r.scale = l.keep(l.scope.To(scale, r.kind, r.device))
	}
	if a.Positions > 0 {
		r.positions = l.weight("positions")
	}
	for i, described := range a.Layers {
		r.layers = append(r.layers, l.layer(fmt.Sprintf("layers.%d.", i), described))
		if l.err != nil {
			return l.err
		}
	}
	r.norm = l.affine("norm")
	r.head = l.head()
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

func (l *loader) layer(prefix string, described graph.Layer) layer {
	x := layer{Layer: described, mixer: l.mixer(prefix, described.Mixer), ffn: l.ffn(prefix, described.FFN)}
	if described.PreNorm {
		x.mixerNorm, x.ffnNorm = l.preNorm(prefix+"mixer.norm"), l.preNorm(prefix+"ffn.norm")
	}
	if described.PostNorm {
		x.mixerPostNorm, x.ffnPostNorm = l.affine(prefix+"mixer.postnorm"), l.affine(prefix+"ffn.postnorm")
	}
	return x
}

// preNorm reads the norm before a sublayer.
func (l *loader) preNorm(name string) preNorm {
	site := slices.IndexFunc(l.to.architecture.Sites(), func(p graph.Parameter) bool { return p.Name() == name })
	return preNorm{l.affine(name), site}
}

// ones returns the weight of a norm that has none.
func (l *loader) ones(n int64) tensor.Tensor {
	t := tensor.New(l.scope, slices.Repeat([]float32{1}, int(n)), tensor.Float32, n)
	return l.keep(l.scope.To(t, tensor.Float32, l.to.device))
}

// rope returns the table of a rotation, which layers with equal rotations share.
func (l *loader) rope(described *graph.Rope) *ropeTable {
	for _, t := range l.to.ropes {
		if t.rope.Equal(described) {
			return t
		}
	}
	t := newRopeTable(described)
	l.to.ropes = append(l.to.ropes, t)
	return t
}

// parameter returns the declaration of a parameter.
func (l *loader) parameter(name string) graph.Parameter {
	p, ok := l.declared[name]
	if !ok && l.err == nil {
		l.err = fmt.Errorf("the architecture %q declares no parameter %s", l.to.architecture.Family, name)
	}
	return p
}

// affine reads the rank's part of a parameter, and of its bias if the checkpoint has one.
func (l *loader) affine(name string) affine {
	m := affine{weight: l.weight(name)}
	if bias, ok := l.parameter(name).Bias(); ok && l.unread[name+".bias"] {
		m.bias = l.keep(l.read(bias, name+".bias"))
	}
	return m
}

// product reads the rank's parts of the matrices of a product as one. All of them have a bias or none has.
func (l *loader) product(name string) affine {
	var weights, biases []part
	for p := range l.to.architecture.Parameters() {
		if p.Product != name {
			continue
		}
		bias, _ := p.Bias()
		weights, biases = append(weights, part{p, p.Name() + ".weight"}), append(biases, part{bias, p.Name() + ".bias"})
	}
	if len(weights) == 0 && l.err == nil {
		l.err = fmt.Errorf("the architecture %q declares no product %s", l.to.architecture.Family, name)
	}
	mark := l.scope.Mark()
	m := affine{weight: l.keepPacked(l.stack(weights), mark, l.scope.Pack)}
	if len(biases) > 0 && l.unread[biases[0].name] {
		m.bias = l.keep(l.stack(biases))
	}
	return m
}

// part is a parameter and the name of its stored tensor.
type part struct {
	graph.Parameter
	name string
}

// stack reads the rank's parts of parameters, one after the other, into one tensor.
func (l *loader) stack(parts []part) tensor.Tensor {
	if l.err != nil {
		return tensor.Tensor{}
	}
	shape := parts[0].Sharded(l.to.Rank)
	for _, p := range parts[1:] {
		shape[0] += p.Sharded(l.to.Rank)[0]
	}
	t := l.scope.Empty(l.to.kind, l.to.device, shape...)
	l.stackInto(t, parts)
	return t
}

// stackInto is stack for a tensor that is there already.
func (l *loader) stackInto(t tensor.Tensor, parts []part) {
	mark, row := l.scope.Mark(), int64(0)
	for _, p := range parts {
		n := p.Sharded(l.to.Rank)[0]
		rows := l.scope.Narrow(t, 0, row, n)
		l.readInto(rows, p.Parameter, p.name)
		row += n
	}
	l.scope.FreeTo(mark)
}

// weight reads the rank's part of a parameter without bias.
func (l *loader) weight(name string) tensor.Tensor {
	return l.packed(l.parameter(name), name+".weight")
}

// packed reads the rank's part of a parameter. A matrix is packed, since it is used only in products. Several matrices
// in one parameter are not, since each would need a layout.
func (l *loader) packed(p graph.Parameter, name string) tensor.Tensor {
	mark := l.scope.Mark()
	read := l.read(p, name)
	if l.err != nil {
		return tensor.Tensor{}
	}
	if p.Role != graph.Matrix || len(p.Shape) > 2 {
		return l.keep(read)
	}
	pack := l.scope.Pack
	if float32Products[p.Key] || l.to.Count > 1 && p.Share != nil && p.Axis == len(p.Shape)-1 {
		pack = l.scope.PackFloat32 // so are partial sums
	}
	return l.keepPacked(read, mark, pack)
}

// float32Products are the matrices whose products are float32.
var float32Products = map[string]bool{
	"head": true, "layers.N.experts.router": true, "layers.N.shared.down": true, "layers.N.shared.router": true,
}

// keepPacked keeps a matrix in packed form, and frees everything else since mark.
func (l *loader) keepPacked(read tensor.Tensor, mark int, pack func(tensor.Tensor) tensor.Tensor) tensor.Tensor {
	if l.err != nil {
		return tensor.Tensor{}
	}
	packed := pack(read)
	l.scope.FreeTo(mark, packed)
	return l.keep(packed)
}

// head reads the rank's part of the head in pieces, which are multiplied one at a time.
func (l *loader) head() tensor.Head {
	a, columns := l.to.architecture, LogitColumns(l.to.device)
	share := l.to.Share(int64(a.Vocabulary))
	head := tensor.Head{First: share.From, Softcap: a.LogitSoftcap, Rows: LogitRows}
	if !a.TiedHead {
		piece := l.parameter("head")
		for from := share.From; from < share.To; from += columns {
			piece.Share = func(graph.Rank) graph.Span { return graph.Span{From: from, To: min(from+columns, share.To)} }
			head.Weights = append(head.Weights, l.packed(piece, "head.weight"))
		}
		return head
	}
	if l.err != nil {
		return head
	}
	for _, piece := range l.scope.Pieces(l.scope.Narrow(l.to.embedding, 0, share.From, share.Len()), columns) {
		head.Weights = append(head.Weights, l.keep(l.scope.PackFloat32(piece)))
	}
	return head
}

// read returns the rank's part of a parameter from the stored tensor of a name.
func (l *loader) read(p graph.Parameter, name string) tensor.Tensor {
	if l.err != nil {
		return tensor.Tensor{}
	}
	kind := l.to.kind
	if p.Float32 {
		kind = tensor.Float32
	}
	t := l.scope.Empty(kind, l.to.device, p.Sharded(l.to.Rank)...)
	l.readInto(t, p, name)
	return t
}

// readInto fills t with the rank's part of a parameter from the stored tensor of a name.
func (l *loader) readInto(t tensor.Tensor, p graph.Parameter, name string) {
	if l.err == nil {
		l.err = l.ctx.Err()
	}
	if l.err != nil {
		return
	}
	delete(l.unread, name)
	stored, err := l.from.Tensor(name)
	if err == nil && !slices.Equal(stored.Shape, p.Shape) {
		err = fmt.Errorf("tensor %s: expected shape %v, got %v; the weights may not belong to this configuration", name, p.Shape, stored.Shape)
	}
	if err != nil {
		l.err = err
		return
	}
	mark := l.scope.Mark()
	// Only one tensor at a time exists in both forms.
	if err := errors.Join(l.copyRows(l.rowsOf(t), p, stored), l.scope.Err(), l.from.Forget()); err != nil {
		l.err = fmt.Errorf("tensor %s: %w", name, err)
	}
	l.scope.FreeTo(mark)
}

// rowsOf returns a view of t with the dimensions before the last as one.
func (l *loader) rowsOf(t tensor.Tensor) tensor.Tensor {
	if l.scope.Err() != nil {
		return t
	}
	shape := t.Shape()
	if len(shape) <= 2 {
		return t
	}
	rows, width := graph.Rows(shape)
	return l.scope.View(t, rows, width)
}

// copyRows fills t with the rank's part of a parameter, some rows at a time.
func (l *loader) copyRows(t tensor.Tensor, p graph.Parameter, stored checkpoint.Tensor) error {
	_, width := graph.Rows(p.Shape)
	step := max(graph.ConvertedElements/width, 1)
	ranges, columns := p.Rows(l.to.Rank)
	row := int64(0)
	for _, rows := range ranges {
		for from := rows.From; from < rows.To; from += step {
			to := min(from+step, rows.To)
			if err := l.fill(t, row, stored, graph.Span{From: from, To: to}, columns); err != nil {
				return err
			}
			row += to - from
		}
	}
	return nil
}

// elementTypes maps the types of files that are also types of tensors.
var elementTypes = map[checkpoint.Type]tensor.Type{checkpoint.F32: tensor.Float32, checkpoint.F16: tensor.Float16, checkpoint.BF16: tensor.BFloat16}

// fill copies some columns of stored rows into t's rows from row onward.
func (l *loader) fill(t tensor.Tensor, row int64, stored checkpoint.Tensor, rows, columns graph.Span) error {
	_, width := graph.Rows(stored.Shape)
	if kind, ok := elementTypes[stored.Type]; ok {
		if data, ok := stored.Raw(rows); ok && aligned(data, kind) {
			tensor.Fill(l.scope, t, row, data, kind, width, columns.From)
			return nil
		}
	}
	// Of a matrix whose columns are divided, each rank decodes its own.
	whole := stored.Whole(columns)
	n := rows.Len() * whole.Len()
	l.buffer = slices.Grow(l.buffer[:0], int(n))[:n]
	if err := stored.Block(l.buffer, rows, whole); err != nil {
		return err
	}
	tensor.Fill(l.scope, t, row, l.buffer, tensor.Float32, whole.Len(), columns.From-whole.From)
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
