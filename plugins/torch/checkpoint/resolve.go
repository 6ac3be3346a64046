package checkpoint

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"surprisal.dev/plugins/torch/family"
	"surprisal.dev/plugins/torch/graph"
)

// resolve finds the parameters of a model among the stored tensors, and rejects any stored tensor that remains.
func resolve(m family.Model, where string, files map[string]stored) (map[string]Tensor, error) {
	r := resolver{where: where, layout: m.Layout, files: files, used: map[string]bool{}, tensors: map[string]Tensor{}}
	if err := joinBlocks(files); err != nil {
		return nil, err
	}
	r.findPrefix()
	for p := range m.Architecture.Parameters() {
		if err := r.add(p, ".weight", family.Required); err != nil {
			return nil, err
		}
		if bias, ok := p.Bias(); ok {
			if err := r.add(bias, ".bias", m.Layout.Biases[p.Key]); err != nil {
				return nil, err
			}
		}
	}
	if m.Architecture.TiedHead {
		if err := r.tiedHead(); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if unused := m.Layout.Unused; !r.used[name] && (unused == nil || !unused.MatchString(name)) {
			return nil, invalid("%s: tensor %q of shape %v is not part of a %s model with this configuration", files[name].file, name, files[name].shape, m.Architecture.Family)
		}
	}
	return r.tensors, nil
}

type resolver struct {
	where  string
	layout family.Layout
	files  map[string]stored
	// prefix replaces the prefix of the layout's names.
	prefix  string
	used    map[string]bool
	tensors map[string]Tensor
}

// findPrefix sets the prefix to that of the stored embedding. A model saved without its head has names without one.
func (r *resolver) findPrefix() {
	for _, r.prefix = range slices.Concat([]string{r.layout.Prefix}, r.layout.Others, []string{""}) {
		if _, has := r.files[r.named("embedding", ".weight")]; has {
			return
		}
	}
	r.prefix = r.layout.Prefix
}

// named returns the name in the files for a key and ".weight" or ".bias".
func (r *resolver) named(key, suffix string) string {
	name, ok := r.layout.Names[key+suffix]
	if !ok {
		name = r.layout.Names[key] + suffix
	}
	if rest, has := strings.CutPrefix(name, r.layout.Prefix); has {
		return r.prefix + rest
	}
	return name
}

// stored returns the stored tensor of a parameter.
func (r *resolver) stored(p graph.Parameter, suffix string) (string, stored, bool) {
	name := p.In(r.named(p.Key, suffix))
	s, ok := r.files[name]
	if !ok && p.Key == "head" {
		// transformers 5 uses this name for all heads, whatever the family writes.
		s, ok = r.files["lm_head"+suffix]
	}
	if ok {
		name = s.name
	}
	return name, s, ok
}

// joinBlocks replaces tensors of blocks of MXFP4 and of their scales, as gpt-oss is published, by one each. The names end
// in "_blocks" and "_scales" in one layout, and in ".blocks" and ".scales" in the other.
func joinBlocks(files map[string]stored) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		blocks := files[name]
		stem, found := strings.CutSuffix(name, "blocks")
		if !found || !strings.HasSuffix(stem, "_") && !strings.HasSuffix(stem, ".") {
			continue
		}
		base := stem[:len(stem)-1]
		scales, ok := files[stem+"scales"]
		if !ok {
			continue
		}
		last := len(blocks.shape) - 1
		if blocks.typ != "U8" || last < 2 || blocks.shape[last] != blockBytes {
			return invalid("%s: tensor %q has type %s and shape %v; MXFP4 has blocks of %d bytes of type U8, and the number of a row's blocks before",
				blocks.file, name, blocks.typ, blocks.shape, blockBytes)
		}
		if scales.typ != "U8" || !slices.Equal(scales.shape, blocks.shape[:last]) {
			return invalid("%s: tensor %q has type %s and shape %v; MXFP4 has a scale of type U8 for each block of %q: %v", scales.file, scales.name, scales.typ,
				scales.shape, name, blocks.shape[:last])
		}
		joined := blocks
		joined.name, joined.typ, joined.scales = base, MXFP4Blocks, scales.data
		joined.shape = append(slices.Clone(blocks.shape[:last-1]), blocks.shape[last-1]*formats[MXFP4Blocks].elements)
		if _, twice := files[base]; twice {
			return invalid("%s: tensors %q and %q are the same weights", blocks.file, base, name)
		}
		delete(files, name)
		delete(files, scales.name)
		files[base] = joined
	}
	return nil
}

// blockBytes is the number of bytes of the 32 elements of a block of MXFP4.
const blockBytes = 16

func (r *resolver) add(p graph.Parameter, suffix string, need family.Presence) error {
	if need == family.Absent {
		return nil
	}
	if numbers := r.numbered(p, suffix); numbers > 0 {
		return r.addNumbered(p, suffix, need, numbers)
	}
	name, s, ok := r.stored(p, suffix)
	if !ok {
		if need == family.Optional {
			return nil
		}
		return invalid("%s: no tensor %q (%s), expected with shape %v; the files do not match the configuration or are incomplete",
			r.where, name, p.Name()+suffix, squeezed(p.Shape))
	}
	t, err := r.tensor(p, suffix, s)
	if err == nil {
		r.tensors[t.Name] = t
	}
	return err
}

// tensor returns the parameter that a stored tensor has.
func (r *resolver) tensor(p graph.Parameter, suffix string, s stored) (Tensor, error) {
	canonical, shape := p.Name()+suffix, p.Shape
	var v family.View
	whole := squeezed(shape)
	view := r.layout.View
	if s.typ == MXFP4Blocks && r.layout.BlockView != nil {
		view = r.layout.BlockView
	}
	if view != nil {
		v, whole = view(p.Key, whole)
	}
	if !slices.Equal(s.shape, whole) {
		return Tensor{}, invalid("%s: tensor %q (%s) has shape %v, the configuration requires %v", s.file, s.name, canonical, s.shape, whole)
	}
	f, known := formats[s.typ]
	if !known {
		return Tensor{}, invalid("%s: tensor %q has type %s, which is not supported for weights (supported: %v)", s.file, s.name, s.typ, slices.Sorted(maps.Keys(formats)))
	}
	if f.elements > 1 && (len(shape) < 2 || v.Transposed) {
		return Tensor{}, invalid("%s: tensor %q has type %s, which is supported for matrices only", s.file, s.name, s.typ)
	}
	if v.Transposed && len(shape) < 2 {
		return Tensor{}, invalid("%s: tensor %q of shape %v is stored transposed, which is supported for matrices only", s.file, s.name, s.shape)
	}
	r.used[s.name] = true
	return Tensor{Name: canonical, Type: s.typ, Shape: slices.Clone(shape), from: s, view: v}, nil
}

// squeezed returns a shape without the last dimension of biases of several matrices, which files do not have.
func squeezed(shape []int64) []int64 {
	if last := len(shape) - 1; last > 0 && shape[last] == 1 && last > 1 {
		return shape[:last]
	}
	return shape
}

// numbered returns the number of stored tensors that a parameter consists of, if each of its matrices is one.
func (r *resolver) numbered(p graph.Parameter, suffix string) int64 {
	if strings.Contains(r.named(p.Key, suffix), family.Number) {
		return p.Shape[0]
	}
	return 0
}

// addNumbered adds a parameter of which each matrix is a stored tensor.
func (r *resolver) addNumbered(p graph.Parameter, suffix string, need family.Presence, numbers int64) error {
	var whole Tensor
	one := p
	one.Shape = p.Shape[1:]
	name := p.In(r.named(p.Key, suffix))
	for i := range numbers {
		part := strings.Replace(name, family.Number, "."+strconv.FormatInt(i, 10)+".", 1)
		s, ok := r.files[part]
		if !ok && need == family.Optional && i == 0 {
			return nil
		}
		if !ok {
			return invalid("%s: no tensor %q (%s), expected with shape %v: the configuration has %d experts; the files do not match it or are incomplete",
				r.where, part, p.Name()+suffix, squeezed(one.Shape), numbers)
		}
		t, err := r.tensor(one, suffix, s)
		if err != nil {
			return err
		}
		if i == 0 {
			whole = t
			whole.Shape = slices.Clone(p.Shape)
			continue
		}
		if t.Type != whole.Type {
			return invalid("%s: tensor %q has type %s, and %q has type %s; all experts of a layer must have one", s.file, s.name, s.typ, whole.from.name, whole.Type)
		}
		whole.others = append(whole.others, s)
	}
	r.tensors[whole.Name] = whole
	return nil
}

// tiedHead accepts a stored head if it equals the embedding.
func (r *resolver) tiedHead() error {
	name, head, ok := r.stored(graph.Parameter{Key: "head"}, ".weight")
	if !ok {
		return nil
	}
	embedding := r.tensors["embedding.weight"].from
	if head.typ != embedding.typ || !slices.Equal(head.shape, embedding.shape) || !bytes.Equal(head.data, embedding.data) {
		return invalid("%s: the configuration ties the head to the embedding, but tensor %q differs from %q; set tie_word_embeddings to false or remove the tensor",
			head.file, name, embedding.name)
	}
	r.used[name] = true
	return nil
}
