package checkpoint

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// resolve finds the canonical tensors of a model among the stored ones, and rejects any stored tensor that remains.
func (m model) resolve(where string, files map[string]stored) (map[string]Tensor, error) {
	r := resolver{where: where, model: m, files: files, used: map[string]bool{}, tensors: map[string]Tensor{}}
	r.prefix = m.prefix
	if !r.has("embedding") {
		// A model saved without its head has names without the prefix.
		for _, r.prefix = range append(slices.Clone(m.others), "") {
			if r.has("embedding") {
				break
			}
		}
		if !r.has("embedding") {
			r.prefix = m.prefix
		}
	}
	for p := range m.architecture.parts() {
		if err := r.add(p, ".weight", p.shape, required); err != nil {
			return nil, err
		}
		if need := m.biases[p.key]; need != absent {
			if err := r.add(p, ".bias", p.shape[:1], need); err != nil {
				return nil, err
			}
		}
	}
	if err := r.tiedHead(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !r.used[name] && (m.unused == nil || !m.unused.MatchString(name)) {
			return nil, invalid("%s: tensor %q of shape %v is not part of a %s model with this configuration", files[name].file, name, files[name].shape, m.architecture.Family)
		}
	}
	return r.tensors, nil
}

type resolver struct {
	where string
	model model
	files map[string]stored
	// prefix replaces the prefix of the model's names.
	prefix  string
	used    map[string]bool
	tensors map[string]Tensor
}

// named returns a canonical name in the form used by the files.
func (r *resolver) named(key string) string {
	name := r.model.names[key]
	if rest, has := strings.CutPrefix(name, r.model.prefix); has {
		return r.prefix + rest
	}
	return name
}

func (r *resolver) has(key string) bool { _, ok := r.files[r.named(key)+".weight"]; return ok }

// stored returns the stored tensor of a part.
func (r *resolver) stored(p part, suffix string) (string, stored, bool) {
	name := p.name(r.named(p.key)) + suffix
	s, ok := r.files[name]
	if !ok && p.key == "head" {
		// transformers 5 uses this name for all heads, whatever the family writes.
		s, ok = r.files["lm_head"+suffix]
	}
	if ok {
		name = s.name
	}
	return name, s, ok
}

func (r *resolver) add(p part, suffix string, shape []int64, need presence) error {
	canonical := p.name(p.key) + suffix
	name, s, ok := r.stored(p, suffix)
	if !ok {
		if need == optional {
			return nil
		}
		return invalid("%s: no tensor %q (%s), expected with shape %v; the files do not match the configuration or are incomplete", r.where, name, canonical, shape)
	}
	var v view
	whole := shape
	if r.model.view != nil {
		v, whole = r.model.view(p.key, shape)
	}
	if !slices.Equal(s.shape, whole) {
		return invalid("%s: tensor %q (%s) has shape %v, the configuration requires %v", s.file, name, canonical, s.shape, whole)
	}
	f, known := formats[s.typ]
	if !known {
		return invalid("%s: tensor %q has type %s, which is not supported for weights (supported: %v)", s.file, name, s.typ, slices.Sorted(maps.Keys(formats)))
	}
	if f.elements > 1 && (len(shape) != 2 || v.transposed) {
		return invalid("%s: tensor %q has type %s, which is supported for matrices only", s.file, name, s.typ)
	}
	r.used[name] = true
	r.tensors[canonical] = Tensor{Name: canonical, Type: s.typ, Shape: slices.Clone(shape), from: s, view: v}
	return nil
}

// tiedHead accepts the head of a model whose head is its embedding if both are equal.
func (r *resolver) tiedHead() error {
	name, head, ok := r.stored(part{key: "head"}, ".weight")
	if !ok || !r.model.architecture.TiedHead {
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
