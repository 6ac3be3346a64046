//go:build torch

package decoder

import (
	"slices"

	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// experts is graph.Experts with the weights of a rank.
type experts struct {
	graph.Experts
	router     affine
	correction tensor.Tensor
	// chosen are the experts of the rank, the first of which has number first.
	chosen []tensor.Expert
	first  int64
	// grouped is true if the products of all of them are computed at once.
	grouped bool
	// sharedIn has the rows of gate and up of the rank's part of the shared expert.
	sharedIn, sharedDown, sharedRouter affine
}

func (l *loader) experts(prefix string, described graph.Experts) *experts {
	x := &experts{Experts: described, router: l.affine(prefix + "experts.router")}
	if described.Router.Correction {
		x.correction = l.weight(prefix + "experts.correction")
	}
	share := l.to.Share(int64(described.Count))
	x.first, x.grouped = share.From, l.groups(described)
	ins := l.matrices(x.grouped, share, l.scope.Pack, prefix+"experts.gate", prefix+"experts.up")
	downs := l.matrices(x.grouped, share, l.scope.PackFloat32, prefix+"experts.down")
	for n := share.From; n < share.To && l.err == nil; n++ {
		in, down := l.expert(ins, n), l.expert(downs, n)
		x.chosen = append(x.chosen, tensor.Expert{In: in.weight, InBias: in.bias, Down: down.weight, DownBias: down.bias})
	}
	if described.Shared > 0 {
		x.sharedIn, x.sharedDown = l.product(prefix+"shared.in"), l.affine(prefix+"shared.down")
	}
	if described.SharedGate {
		x.sharedRouter = l.affine(prefix + "shared.router")
	}
	return x
}

// groups reports whether a rank computes the products of all its experts at once. On a processor each expert has
// packed weights, and float32 products on a GPU have a fixed number of rows.
func (l *loader) groups(described graph.Experts) bool {
	device := l.to.device != tensor.CPU && l.to.kind == tensor.BFloat16
	return (device || l.groupExperts) && described.Groupable(l.to.architecture.Hidden)
}

// expertMatrices are matrices of all experts of a rank.
type expertMatrices struct {
	// names are those of parameters. An expert has the matrix of each, one after the other.
	names []string
	pack  func(tensor.Tensor) tensor.Tensor
	// together has the matrices of all experts, the first of which has number first; none: each expert has a tensor.
	together tensor.Tensor
	first    int64
}

// matrices returns those of some experts, with room for them if they are grouped.
func (l *loader) matrices(grouped bool, of graph.Span, pack func(tensor.Tensor) tensor.Tensor, names ...string) expertMatrices {
	m := expertMatrices{names: names, pack: pack, first: of.From}
	if p := l.parameter(names[0]); grouped && l.err == nil {
		shape := append([]int64{of.Len() * int64(len(names))}, p.Shape[1:]...)
		m.together = l.keep(l.scope.Empty(l.to.kind, l.to.device, shape...))
		m.pack = func(t tensor.Tensor) tensor.Tensor { return t }
	}
	return m
}

// stackExpert reads the matrices of an expert.
func (l *loader) stackExpert(of expertMatrices, number int64, parts []part) tensor.Tensor {
	if of.together.IsNone() || l.err != nil {
		return l.stack(parts)
	}
	n := int64(len(parts))
	t := l.scope.Narrow(of.together, 0, (number-of.first)*n, n)
	l.stackInto(t, parts)
	return t
}

// expert reads the matrices of an expert from parameters that have those of all, one after the other, and their biases
// if the checkpoint has them.
func (l *loader) expert(of expertMatrices, number int64) (m affine) {
	var weights, biases []part
	for _, name := range of.names {
		p := l.parameter(name)
		bias, _ := p.Bias()
		weights = append(weights, part{p.One(number), name + ".weight"})
		biases = append(biases, part{bias.One(number), name + ".bias"})
	}
	if l.err != nil {
		return m
	}
	mark := l.scope.Mark()
	m.weight = l.keepPacked(l.rowsOf(l.stackExpert(of, number, weights)), mark, of.pack)
	if l.from.Has(biases[0].name) {
		stacked := l.stack(biases) // [matrices, outputs, 1]
		if l.err == nil {
			shape := stacked.Shape()
			m.bias = l.keep(l.scope.Contiguous(l.scope.View(stacked, shape[0]*shape[1])))
		}
	}
	return m
}

// forward computes each token separately. Sums over experts and ranks are float32.
func (x *experts) forward(r *rank, s *tensor.Scope, in, y tensor.Tensor, _ prepared, c Collective) tensor.Tensor {
	mark := s.Mark()
	logits := s.LinearFloat32(in, x.router.weight) // [tokens, experts]
	if !x.router.bias.IsNone() {
		logits = s.Add(logits, x.router.bias)
	}
	chosenIn := in
	if x.Router.ScaleInput {
		scaled := s.ScaleBySigmoid(s.To(in, tensor.Float32, r.device), r.rowMaxima(s, logits, x.Count))
		chosenIn = s.To(scaled, r.kind, r.device)
	}
	sum := s.Experts(chosenIn, logits, x.correction, x.chosen, x.options()) // [tokens, hidden]
	s.FreeTo(mark, sum)
	if x.Shared > 0 {
		sum = s.Add(sum, x.shared(s, in))
	}
	sum = c.AllReduce(r.Index, s, sum)
	if !y.IsNone() {
		sum = s.Add(sum, y)
	}
	return s.To(sum, r.kind, r.device)
}

func (x *experts) options() tensor.ExpertsOptions {
	o := tensor.ExpertsOptions{
		First: x.first, Active: int64(x.Active), Sigmoid: x.Router.Sigmoid, Normalize: x.Router.Normalize, Scale: x.Router.Scale,
		Activation: activations[x.Activation], Grouped: x.grouped,
	}
	if x.Router.ScaleInput {
		o.Sigmoid, o.Normalize = false, true // the weight of the single expert is 1
	}
	if x.Clamp != nil {
		o.Clamp = &tensor.Clamp{Limit: x.Clamp.Limit, Alpha: x.Clamp.Alpha}
	}
	return o
}

// shared returns the rank's part of the shared expert's output, float32 [tokens, hidden].
func (x *experts) shared(s *tensor.Scope, in tensor.Tensor) tensor.Tensor {
	inner := s.Linear(in, x.sharedIn.weight, x.sharedIn.bias) // [tokens, twice the rank's part of the width]
	inner = s.Gate(inner, activations[x.Activation], false)   // [tokens, the rank's part of the width]
	out := s.LinearFloat32(inner, x.sharedDown.weight)        // [tokens, hidden]
	if !x.SharedGate {
		return out
	}
	return s.ScaleBySigmoid(out, s.LinearFloat32(in, x.sharedRouter.weight))
}

// rowMaxima returns the greatest of each row's values [rows, width], [rows, 1] in float32. It waits for them.
func (r *rank) rowMaxima(s *tensor.Scope, values tensor.Tensor, width int) tensor.Tensor {
	var maxima []float32
	for row := range slices.Chunk(s.Float64s(values), width) {
		maxima = append(maxima, float32(slices.Max(row)))
	}
	return r.onDevice(s, tensor.New(s, maxima, tensor.Float32, int64(len(maxima)), 1), tensor.Float32)
}
