package workspace

import (
	"cmp"
	"encoding/json"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
)

// Unpinned is a source, or the weights of a model, that a plan let pass although they are not pinned.
type Unpinned struct {
	// Path is the path of the field that defines it.
	Path string `json:"path"`
	// Provider and Config are what `runner pin` resolves.
	Provider string          `json:"provider"`
	Config   json.RawMessage `json:"config"`
	// Dataset or Model is the name of what needs it.
	Dataset string `json:"dataset,omitempty"`
	Model   string `json:"model,omitempty"`
	// Weights are those of a model.
	Weights *spec.Weights `json:"-"`
}

// Unpinned returns what the plan let pass, in the order of paths.
func (w *Workspace) Unpinned() []Unpinned {
	w.absentMutex.Lock()
	defer w.absentMutex.Unlock()
	var all []Unpinned
	for _, u := range w.unpinned {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b Unpinned) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

func (w *Workspace) letPass(u Unpinned) {
	w.absentMutex.Lock()
	defer w.absentMutex.Unlock()
	w.unpinned[u.Path] = u
}

// standIn is the resolution of a source that is not pinned. Its one file has an unknown size, and a digest that no
// content has, so that no result is found by it.
func standIn(s spec.Source) protocol.Resolution {
	return protocol.Resolution{
		Parameters: json.RawMessage("{}"), Revision: "unpinned",
		Files: []protocol.File{{Name: "unpinned", Digest: standInDigest(s.Provider, s.Config), Compressed: true}},
	}
}

// standInWeights are the files of weights that are not pinned: one without a path, so that different weights are
// different models.
func standInWeights(m *spec.Weights) []protocol.ModelFile {
	return []protocol.ModelFile{{Name: "unpinned", Digest: standInDigest(m.Source())}}
}

func standInDigest(provider string, config json.RawMessage) string {
	return protocol.Digest(append([]byte("unpinned "+provider+" "), config...))
}
