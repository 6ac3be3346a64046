package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// Cache finds the results of earlier actions.
type Cache interface {
	// LookupMany returns the records of those keys whose actions have run and whose outputs all exist.
	LookupMany(ctx context.Context, keys []string) (map[string]*store.Record, error)
}

// Resolve computes the keys that can be known and looks them up in the cache.
func (p *Plan) Resolve(ctx context.Context, cache Cache) error {
	for _, a := range p.Actions {
		if a.State != Skipped {
			a.State = Waits
		}
		if a.Pinned != nil {
			a.Reason = ""
		}
	}
	// Each round settles the actions whose upstreams were settled by earlier rounds.
	rest := p.Actions
	for len(rest) > 0 {
		var waiting []*Action
		asked := map[string][]*Action{}
		var keys []string
		for i, a := range rest {
			if i%checkEvery == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if a.unsettled(asked) {
				waiting = append(waiting, a)
				continue
			}
			if _, err := a.SetKey(); err != nil {
				return err
			}
			if a.State != Pending {
				continue
			}
			if asked[a.Key] == nil {
				keys = append(keys, a.Key)
			}
			asked[a.Key] = append(asked[a.Key], a)
		}
		if len(keys) == 0 {
			break
		}
		records, err := cache.LookupMany(ctx, keys)
		if err != nil {
			return fmt.Errorf("look up cached actions: %w", err)
		}
		for key, r := range records {
			for _, a := range asked[key] {
				if a.matches(r) {
					a.Found(r)
				}
			}
		}
		rest = waiting
	}
	return nil
}

// unsettled reports whether an input of the action is being looked up in this round, or waits for one that is.
func (a *Action) unsettled(asked map[string][]*Action) bool {
	for _, in := range a.Inputs {
		if up := in.Upstream; up.State == Pending && asked[up.Key] != nil || up.State == Waits && up.unsettled(asked) {
			return true
		}
	}
	return false
}

// SetKey computes the action's key and makes the action Pending, if all its inputs exist. Otherwise the action Waits.
// SetKey returns the canonical JSON of the descriptor, or nil while the action waits.
func (a *Action) SetKey() ([]byte, error) {
	if a.State == Skipped {
		return nil, nil
	}
	if a.Pinned != nil {
		a.Key, a.State = a.Pinned.Score.Key, Pending
		return nil, nil
	}
	a.refine()
	d, known, err := a.Descriptor()
	if err != nil {
		return nil, err
	}
	if !known {
		a.State = Waits
		return nil, nil
	}
	key, canonical, err := d.Key()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Name, err)
	}
	if len(canonical) > store.MaxDescriptor {
		return nil, protocol.Invalid("%s: its descriptor has %s, more than the limit of %s; use fewer inputs, such as fewer datasets or models in a comparison",
			a.Name, humanize.IBytes(uint64(len(canonical))), humanize.IBytes(store.MaxDescriptor))
	}
	a.Key, a.State = key, Pending
	return canonical, nil
}

// Descriptor returns the action's descriptor. known is false while an upstream has no outputs.
func (a *Action) Descriptor() (d Descriptor, known bool, err error) {
	d = a.describe(make(map[string]string, 2*len(a.Inputs)))
	for _, in := range a.Inputs {
		if up := in.Upstream; up.State != Cached && up.State != Done {
			return d, false, nil
		}
		if err := in.digests(d.Inputs); err != nil {
			return d, false, fmt.Errorf("%s: input %s: %w", a.Name, in.Role, err)
		}
	}
	return d, true, nil
}

func (a *Action) describe(inputs map[string]string) Descriptor {
	return Descriptor{Kind: a.Kind, Schema: a.Schema, Parameters: a.Parameters, Inputs: inputs, Worker: a.Worker}
}

// digests adds the digests of the input's files, by their roles in the descriptor.
func (in Input) digests(to map[string]string) error {
	n := 0
	for _, f := range in.Upstream.Outputs {
		if in.Files == nil || slices.Contains(in.Files, f.Name) {
			to[in.Role+"/"+f.Name] = f.Digest
			n++
		}
	}
	if n < len(in.Files) {
		return fmt.Errorf("%s has %d of the files %s", in.Upstream.Name, n, strings.Join(in.Files, ", "))
	}
	return nil
}

// Job is an action as a worker receives it: data that can be sent to another process.
type Job struct {
	Key        string          `json:"key"`
	Descriptor Descriptor      `json:"descriptor"`
	Name       string          `json:"name"`
	Labels     Labels          `json:"labels"`
	Machine    json.RawMessage `json:"machine,omitempty"`
	Resources  Resources       `json:"resources"`
	Model      *Model          `json:"model,omitempty"`
}

// Job returns the action as a Job. Its key must be known.
func (a *Action) Job() (Job, error) {
	d, known, err := a.Descriptor()
	switch {
	case a.Pinned != nil:
		err = a.Pinned.problem("the store no longer has %s (key %s); run again", a.Name, a.Key[:12])
	case err == nil && !known:
		err = fmt.Errorf("%s: an upstream has not run", a.Name)
	}
	return Job{Key: a.Key, Descriptor: d, Name: a.Name, Labels: a.Labels, Machine: a.Machine, Resources: a.Resources, Model: a.Model}, err
}

// matches reports whether a record is the result of the action. If it is not, it sets the reason.
func (a *Action) matches(r *store.Record) bool {
	if a.Pinned == nil {
		return true
	}
	file := Differs(a.Pinned.Score, r.Outputs)
	if file == "" {
		return true
	}
	a.Reason = fmt.Sprintf("%s of %s (key %s) in the store is not the one that %s pins; the model was scored again, or the file was edited: restore the file, "+
		"or run `runner baseline set %s MODEL`", protocol.Visible(file), a.Name, a.Key[:12], spec.LockFile, a.Pinned.Baseline.Name)
	return false
}

// Found marks the action as cached, with the outputs of the record.
func (a *Action) Found(r *store.Record) {
	a.State, a.Outputs, a.Warnings, a.Seconds, a.Measured = Cached, r.Outputs, r.Warnings, r.Measured[MeasuredSeconds], r.Measured
	a.learn(r.Measured)
}

// Finished marks the action as done, with the outputs of the record.
func (a *Action) Finished(r *store.Record) {
	a.Found(r)
	a.State = Done
}

// Names of measurements that refine the costs of downstream actions.
const (
	MeasuredDocuments = "documents"
	MeasuredBytes     = "bytes"
	MeasuredLargest   = "largestDocument"
	MeasuredRepeated  = "repeatedBytes"
	MeasuredTokens    = "tokens"
	// MeasuredShared is how many of the tokens were computed for an earlier document.
	MeasuredShared  = "sharedTokens"
	MeasuredSeconds = "seconds"
)

// learn replaces the bounds of a cost with counts.
func (a *Action) learn(measured map[string]float64) {
	documents, ok := measured[MeasuredDocuments]
	if !ok {
		return
	}
	a.Cost.Documents, a.Cost.Bytes = int64(documents), int64(measured[MeasuredBytes])
	a.Cost.Tokens = int64(measured[MeasuredTokens])
	if repeated, ok := measured[MeasuredRepeated]; ok {
		a.Cost.RepeatedBytes = int64(repeated)
	}
	if largest, ok := measured[MeasuredLargest]; ok {
		a.Cost.Largest = int64(largest)
	}
	a.Cost.AtMost = false
}

// refine replaces the bounds of a cost with the counts of the inputs, once these exist.
func (a *Action) refine() {
	var read Cost
	counted := false
	for _, in := range a.Inputs {
		if in.Counted {
			read.read(in.Upstream.Cost)
			counted = true
		}
	}
	if !counted || read.AtMost {
		return
	}
	a.Cost.Documents, a.Cost.Bytes, a.Cost.Largest, a.Cost.AtMost = read.Documents, read.Bytes, read.Largest, false
	a.Cost.RepeatedBytes = read.RepeatedBytes
	a.estimate()
}
