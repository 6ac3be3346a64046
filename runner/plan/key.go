package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// Parts is what an action's key is made of. Paths, display names that no artifact holds, parallelism and log levels are
// left out, so that moving or renaming a thing recomputes nothing.
type Parts struct {
	Kind   Kind `json:"kind"`
	Schema int  `json:"schema"`
	// Inputs maps roles to digests of the content that is read, so that equal content cuts off early.
	Inputs map[string]string `json:"inputs"`
	// Parameters holds the kind's own parameters.
	Parameters any `json:"parameters"`
	// Plugin is the binary that does the work; nil for work of the runner itself.
	Plugin *Plugin `json:"plugin,omitempty"`
}

type materializeParameters struct {
	BadRows     string          `json:"badRows"`
	Fields      []string        `json:"fields"`
	Files       []shard         `json:"files"`
	InvalidUTF8 string          `json:"invalidUTF8"`
	Limits      spec.Limits     `json:"limits"`
	Revision    string          `json:"revision"`
	Rows        spec.Range      `json:"rows"`
	Sample      *spec.Sample    `json:"sample"`
	Source      json.RawMessage `json:"source"`
}

type shard struct {
	Digest string `json:"digest"`
	Name   string `json:"name"`
}

type trainParameters struct {
	Config json.RawMessage `json:"config"`
}

type importParameters struct {
	Protocol string `json:"protocol"`
	Table    string `json:"table"`
}

type gapParameters struct {
	A        string   `json:"a"`
	Allow    []string `json:"allow"`
	B        string   `json:"b"`
	Datasets []string `json:"datasets"`
}

// scoreParts returns the canonical JSON of a score's parts. A plan has as many scores as all its models have datasets, so
// what belongs to a model or a dataset is encoded once for it and only joined here. Digests need no escapes.
func (a *Action) scoreParts(inputs map[string]string) []byte {
	b := make([]byte, 0, 512+len(a.Dataset.label)+len(a.Model.score)+len(a.Model.plugin))
	b = append(b, `{"inputs":{"documents":"`...)
	b = append(b, inputs["documents"]...)
	if model, trained := inputs["model"]; trained {
		b = append(append(b, `","model":"`...), model...)
	}
	b = append(append(b, `"},"kind":"score","parameters":{"label":`...), a.Dataset.label...)
	b = append(append(b, `,"model":`...), a.Model.score...)
	b = strconv.AppendBool(append(b, `,"parseSpecial":`...), a.Dataset.ParseSpecial)
	b = strconv.AppendInt(append(b, `,"truncation":`...), a.Dataset.Limits.Bytes, 10)
	b = append(append(b, `},"plugin":`...), a.Model.plugin...)
	b = strconv.AppendInt(append(b, `,"schema":`...), int64(a.Kind.Schema()), 10)
	return append(b, '}')
}

// parts returns the parts of an action that is no score, with the given input digests.
func (a *Action) parts(inputs map[string]string) Parts {
	p := Parts{Kind: a.Kind, Schema: a.Kind.Schema(), Inputs: inputs}
	switch a.Kind {
	case Materialize:
		d := a.Dataset
		files := make([]shard, len(d.Source.Files))
		for i, f := range d.Source.Files {
			files[i] = shard{f.Digest, f.Name}
		}
		p.Plugin = &d.Plugin
		p.Parameters = materializeParameters{
			BadRows: d.BadRows, Fields: d.Fields, Files: files, InvalidUTF8: d.InvalidUTF8, Limits: d.Limits,
			Revision: d.Source.Revision, Rows: d.Rows, Sample: d.Sample, Source: d.Source.Parameters,
		}
	case Train:
		p.Plugin = &a.Model.Plugin
		p.Parameters = trainParameters{a.Model.Backend.Config}
	case Import:
		p.Parameters = importParameters{a.Model.Model.Scores.Protocol, a.Model.Scores.Digest}
	case Gap:
		allow := slices.Sorted(slices.Values(a.Gap.Allow))
		p.Parameters = gapParameters{A: a.Gap.A, Allow: allow, B: a.Gap.B, Datasets: a.Gap.Datasets}
	}
	return p
}

// key returns the action's key and the canonical JSON behind it.
func (a *Action) key(inputs map[string]string) (string, []byte, error) {
	if a.Kind == Score {
		parts := a.scoreParts(inputs)
		return store.KeyOf(parts), parts, nil
	}
	canonical, err := store.MarshalCanonical(a.parts(inputs))
	if err != nil {
		return "", nil, fmt.Errorf("key of %s: %w", a.Name, err)
	}
	return store.KeyOf(canonical), canonical, nil
}

// digests returns the digest of what the action reads of each input; false while an upstream has no outputs.
func (a *Action) digests() (map[string]string, bool, error) {
	inputs := make(map[string]string, len(a.Inputs))
	for _, in := range a.Inputs {
		up := in.Upstream
		if up.State != Cached && up.State != Done {
			return nil, false, nil
		}
		digest, err := in.digest()
		if err != nil {
			return nil, false, fmt.Errorf("%s: input %s: %w", a.Name, in.Role, err)
		}
		inputs[in.Role] = digest
	}
	return inputs, true, nil
}

// digest returns the digest of the upstream's files that are read: of the file itself if there is one, and of a list of
// names and digests otherwise.
func (in Input) digest() (string, error) {
	var b strings.Builder
	n := 0
	for _, f := range in.Upstream.Outputs {
		if in.Files != nil && !slices.Contains(in.Files, f.Name) {
			continue
		}
		if len(in.Files) == 1 {
			return f.Digest, nil
		}
		for _, s := range []string{f.Digest, " ", f.Name, "\n"} {
			b.WriteString(s)
		}
		n++
	}
	if in.Files != nil && n < len(in.Files) {
		return "", fmt.Errorf("%s has %d of the files %s", in.Upstream.Name, n, strings.Join(in.Files, ", "))
	}
	return protocol.Digest([]byte(b.String())), nil
}

// canonical returns v as canonical JSON.
func canonical(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return store.Canonical(data)
}
