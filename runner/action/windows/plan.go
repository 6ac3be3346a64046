package windows

import (
	"fmt"
	"math"

	"surprisal.dev/runner/action/materialize"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "windows"

// Kind scores windows of the documents of a dataset with a model.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 2 }

// Plan implements plan.Kind. It adds nothing: Add adds the actions that are needed.
func (Kind) Plan(*plan.Builder) error { return nil }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return artifact.SummaryFile }

// parameters are everything that windows depend on except documents, a trained model and the windows to refine.
type parameters struct {
	score.ModelParameters
	Slicing Slicing `json:"slicing"`
	Part    part    `json:"part"`
	Refine  *Refine `json:"refine,omitempty"`
}

// part is a range of the characters of all documents of a dataset, one after the other. A window is in the part in which
// it starts.
type part struct {
	From int64 `json:"from"`
	// To is 0 if the part extends to the end.
	To int64 `json:"to"`
}

func (p part) has(character int64) bool { return character >= p.From && !p.endsBy(character) }

// endsBy reports whether the part has no characters from there on.
func (p part) endsBy(character int64) bool { return p.To > 0 && character >= p.To }

const (
	// partWindows is the number of windows of a part, about: the cursors of each document begin at its first character.
	partWindows = 1000
	// maxParts bounds the parts of a dataset with a model. The parts of a very large dataset have more windows.
	maxParts = 200
	// charactersPerToken is an estimate, if the backend has none.
	charactersPerToken = 4
	// compression is the ratio of sizes that is assumed for compressed sources. The last part takes what exceeds it.
	compression = 4
)

// Files of a part.
var partFiles = []string{artifact.SummaryFile, artifact.WindowsFile}

// Parts are the actions for a model and a dataset.
type Parts struct {
	Documents *plan.Action
	// Windows and Refined are the parts in the order of the text.
	Windows, Refined []*plan.Action
}

// Request describes the actions that Add adds. Name is the name of the entry in the spec.
type Request struct {
	Name    string
	Model   *spec.Model
	Dataset *spec.Dataset
	Slicing Slicing
	Refine  *Refine
}

// Add adds the actions that score the windows of a dataset with a model.
func Add(b *plan.Builder, r Request) (Parts, error) {
	model, err := score.PlanModel(b, r.Model)
	if err != nil {
		return Parts{}, fmt.Errorf("model %q: %w", r.Model.Name, err)
	}
	documents, err := materialize.Documents(b, r.Dataset, r.Model.LimitsOn(*r.Dataset))
	if err != nil {
		return Parts{}, err
	}
	p := planner{Request: r, b: b, model: model, documents: documents}
	parts := Parts{Documents: documents}
	ranges := p.split(sourceBytes(b, r.Dataset, documents))
	for i, of := range ranges {
		a, err := p.add(fmt.Sprintf("%03d", i), of, nil, nil)
		if err != nil {
			return Parts{}, err
		}
		parts.Windows = append(parts.Windows, a)
	}
	if r.Refine == nil {
		return parts, nil
	}
	for i, of := range ranges {
		neighbors := parts.Windows[i:min(i+2, len(ranges))]
		a, err := p.add(fmt.Sprintf("refine-%03d", i), of, r.Refine, neighbors)
		if err != nil {
			return Parts{}, err
		}
		parts.Refined = append(parts.Refined, a)
	}
	return parts, nil
}

// planner plans the actions of a request.
type planner struct {
	Request
	b         *plan.Builder
	model     *score.Model
	documents *plan.Action
}

// sourceBytes returns an upper bound of the size of a dataset, or an estimate if its source is compressed and its limits
// do not bound it. It does not depend on what has run, so that parts stay the same.
func sourceBytes(b *plan.Builder, d *spec.Dataset, documents *plan.Action) int64 {
	if bound := documents.Cost.Bytes; bound > 0 {
		return bound
	}
	var n int64
	for _, f := range b.Catalog.Sources[d.Name].Files {
		n += f.Bytes
		if f.Compressed {
			n += (compression - 1) * f.Bytes
		}
	}
	return n
}

// perCursor returns the estimated number of characters between cursors.
func (p *planner) perCursor() float64 {
	if p.Slicing.CursorUnit == UnitTokens {
		return float64(p.Slicing.CursorInc) * p.bytesPerToken()
	}
	return float64(p.Slicing.CursorInc)
}

func (p *planner) bytesPerToken() float64 {
	if n := p.model.Estimate.BytesPerToken; n > 0 {
		return n
	}
	return charactersPerToken
}

// split returns the parts of a text of at most that many bytes, which has at most as many characters.
func (p *planner) split(bytes int64) []part {
	size := max(int64(math.Ceil(partWindows*p.perCursor())), 1)
	if n := (bytes + size - 1) / size; n > maxParts {
		size *= (n + maxParts - 1) / maxParts
	}
	parts := []part{{}}
	for at := size; at < bytes; at += size {
		parts[len(parts)-1].To = at
		parts = append(parts, part{From: at})
	}
	return parts
}

// add adds the action of a part. It refines the windows of other actions, if there are any.
func (p *planner) add(suffix string, of part, refine *Refine, windows []*plan.Action) (*plan.Action, error) {
	inputs := p.model.Inputs(plan.Input{Role: "documents", Upstream: p.documents, Files: []string{artifact.DocumentsFile}})
	for i, a := range windows {
		inputs = append(inputs, plan.Input{Role: fmt.Sprintf("windows/%d", i), Upstream: a, Files: partFiles})
	}
	tokens := p.Slicing.ChunkTokens
	return p.b.Add(name, plan.Parts{
		Name:   name + " " + p.Name + " " + p.Model.Name + " " + p.Dataset.Name + " " + suffix,
		Labels: plan.Labels{Section: p.Name, Model: p.Model.Name, Dataset: p.Dataset.Name, Tags: p.Dataset.Tags},
		Worker: p.model.Worker, Machine: p.model.Machine, Model: p.model.Loaded, Inputs: inputs,
		Parameters: parameters{ModelParameters: p.model.Parameters, Slicing: p.Slicing, Part: of, Refine: refine},
		Cost:       p.cost(of, refine),
		Rates: plan.Rates{
			Who: p.Model.Name, BytesPerToken: p.bytesPerToken(), FLOPsPerToken: p.model.Estimate.FLOPsPerToken,
			Memory: func(largest, _ int64) int64 { return artifact.WindowsMemory(largest, tokens) },
		},
	})
}

// cost returns an upper bound. Its documents are windows, and its bytes are those of the tokens that the model reads in
// both passes. The last part of a text of unknown size has no bound, and its cost is unknown. Neither has one that
// refines, which has as many windows as the text is memorized: its cost is that of the first bright window.
func (p *planner) cost(of part, refine *Refine) plan.Cost {
	largest := p.documents.Cost.Largest
	to := of.To
	if to == 0 {
		to = p.documents.Cost.Bytes
	}
	if to == 0 && refine == nil {
		return plan.Cost{Largest: largest}
	}
	windows := int64(math.Ceil(float64(to-of.From) / p.perCursor()))
	if refine != nil {
		windows = 2 * ((p.Slicing.CursorInc - 1) / refine.Stride)
	}
	tokens := windows * (p.Slicing.ChunkTokens + p.Slicing.Suffix())
	return plan.Cost{
		Documents: windows, Bytes: int64(float64(tokens) * p.bytesPerToken()), Largest: largest, AtMost: refine == nil,
	}
}
