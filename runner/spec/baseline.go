package spec

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Baseline is the scores of a model that the lock file pins: what they are compared by, and where a store has them.
type Baseline struct {
	Name string `json:"name"`
	// Model is the name of the model that was scored, and Backend that of its backend, or "" for an imported table.
	Model   string `json:"model"`
	Backend string `json:"backend,omitempty"`
	// Tag is the tag by which the store of the scores keeps them.
	Tag string `json:"tag"`
	// Scores are sorted by dataset.
	Scores []BaselineScore `json:"scores"`
}

// BaselineScore is a finished action of a baseline.
type BaselineScore struct {
	// Dataset is "" for an imported table, whose files are in a directory for each dataset.
	Dataset string `json:"dataset,omitempty"`
	// Kind, Schema and Key are those of the action.
	Kind   string `json:"kind"`
	Schema int    `json:"schema"`
	Key    string `json:"key"`
	// Documents are those that were scored; nil for an imported table.
	Documents *BaselineDocuments `json:"documents,omitempty"`
	// Protocol is the scoring protocol.
	Protocol json.RawMessage `json:"scoringProtocol"`
	// Files has the digests of all outputs of the action.
	Files map[string]string `json:"files"`
}

// BaselineDocuments identify the documents of a score.
type BaselineDocuments struct {
	// Digest is that of the table of documents, and Key that of the action that made it.
	Digest    string `json:"digest"`
	Key       string `json:"key"`
	Documents int64  `json:"documents"`
	Bytes     int64  `json:"bytes"`
}

// UsedBaseline is a baseline with the first place of the spec that refers to it.
type UsedBaseline struct {
	Baseline
	Pos  Position
	Path string
}

// Imported reports whether the scores of the baseline come from an imported table.
func (b *Baseline) Imported() bool { return len(b.Scores) == 1 && b.Scores[0].Dataset == "" }

// Score returns the scores on a dataset, or nil.
func (b *Baseline) Score(dataset string) *BaselineScore {
	i, ok := slices.BinarySearchFunc(b.Scores, dataset, func(s BaselineScore, name string) int { return cmp.Compare(s.Dataset, name) })
	if !ok {
		return nil
	}
	return &b.Scores[i]
}

// Datasets returns the names of the datasets of the scores, sorted. An imported table has others.
func (b *Baseline) Datasets() []string {
	names := make([]string, len(b.Scores))
	for i, s := range b.Scores {
		names[i] = s.Dataset
	}
	return names
}

var (
	baselineName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$`)
	baselineTag    = regexp.MustCompile(`^baseline\.[A-Za-z0-9._-]{1,119}$`)
	baselineKey    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	baselineDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// CheckBaselineName returns an error unless a name can be that of a baseline.
func CheckBaselineName(name string) error {
	if !baselineName.MatchString(name) {
		return fmt.Errorf("%q is not a valid name of a baseline; allowed is at most 100 letters, digits, dots, underscores, hyphens and plus signs, "+
			"beginning with a letter or digit", abbreviate(name, 200))
	}
	return nil
}

// flaw is a mistake in an entry of the lock file, and the text in which it is.
type flaw struct{ problem, found string }

func (f flaw) Error() string { return f.problem }

// check returns the first mistake in a baseline, as a flaw.
func (b *Baseline) check() error {
	bad := func(found, format string, args ...any) error { return flaw{fmt.Sprintf(format, args...), found} }
	switch {
	case !baselineName.MatchString(b.Name):
		return bad(b.Name, "invalid name %q of a baseline", abbreviate(b.Name, 200))
	case b.Model == "":
		return bad(b.Name, "baseline %q has no model", b.Name)
	case !baselineTag.MatchString(b.Tag):
		return bad(cmp.Or(b.Tag, b.Name), "baseline %q has the invalid tag %q", b.Name, abbreviate(b.Tag, 200))
	case len(b.Scores) == 0:
		return bad(b.Name, "baseline %q has no scores", b.Name)
	}
	for i, s := range b.Scores {
		of := fmt.Sprintf("baseline %q, dataset %q", b.Name, abbreviate(s.Dataset, 100))
		switch {
		case i > 0 && b.Scores[i-1].Dataset >= s.Dataset:
			return bad(cmp.Or(s.Dataset, b.Name), "%s: duplicate, or not sorted by dataset", of)
		case s.Kind == "":
			return bad(cmp.Or(s.Dataset, b.Name), "%s: no kind", of)
		case !baselineKey.MatchString(s.Key):
			return bad(cmp.Or(s.Key, b.Name), "%s: invalid key %q: expected 64 lower-case hex digits", of, abbreviate(s.Key, 100))
		case len(s.Files) == 0:
			return bad(s.Key, "%s: no files", of)
		case !bytes.HasPrefix(s.Protocol, []byte("{")):
			return bad(s.Key, "%s: the scoringProtocol is not an object", of)
		case s.Documents != nil && !baselineKey.MatchString(s.Documents.Key):
			return bad(cmp.Or(s.Documents.Key, s.Key), "%s: invalid key %q of the documents: expected 64 lower-case hex digits", of, abbreviate(s.Documents.Key, 100))
		}
		digests := maps.Clone(s.Files)
		if s.Documents != nil {
			digests["documents"] = s.Documents.Digest
		}
		for _, name := range slices.Sorted(maps.Keys(digests)) {
			if digest := digests[name]; !baselineDigest.MatchString(digest) {
				return bad(cmp.Or(digest, s.Key), "%s: invalid digest %q of the file %q: expected \"sha256:\" and 64 lower-case hex digits",
					of, abbreviate(digest, 100), abbreviate(name, 100))
			}
		}
	}
	return nil
}

// setBaselines adds the baselines of a lock file with the given content.
func (l *Lock) setBaselines(all []Baseline, data []byte) error {
	for _, b := range all {
		err := b.check()
		if _, duplicate := l.baselines[b.Name]; duplicate && err == nil {
			err = flaw{fmt.Sprintf("duplicate baseline %q", b.Name), b.Name}
		}
		if f, ok := errors.AsType[flaw](err); ok {
			line := 1
			if at := bytes.LastIndex(data, []byte(strconv.Quote(f.found))); at >= 0 {
				line += bytes.Count(data[:at], []byte("\n"))
			}
			return lockError(line, "%v; restore the file, or remove the entry and run `runner baseline set`", err)
		}
		if err := l.SetBaseline(b); err != nil {
			return err
		}
	}
	return nil
}

// Baseline returns a pinned baseline.
func (l *Lock) Baseline(name string) (Baseline, bool) {
	b, ok := l.baselines[name]
	return b, ok
}

// Baselines returns all pinned baselines by name.
func (l *Lock) Baselines() []Baseline {
	all := make([]Baseline, 0, len(l.baselines))
	for _, name := range slices.Sorted(maps.Keys(l.baselines)) {
		all = append(all, l.baselines[name])
	}
	return all
}

// SetBaseline pins a baseline, in place of an earlier one of that name.
func (l *Lock) SetBaseline(b Baseline) error {
	err := b.check()
	b.Scores = slices.Clone(b.Scores)
	for i := range b.Scores {
		if err == nil {
			b.Scores[i].Protocol, err = recode(b.Scores[i].Protocol)
		}
	}
	if err != nil {
		return fmt.Errorf("baseline %q: %w", b.Name, err)
	}
	l.baselines[b.Name] = b
	return nil
}

// RemoveBaseline removes a baseline, if there is one.
func (l *Lock) RemoveBaseline(name string) { delete(l.baselines, name) }

// baselineModels adds the baselines of the lock file and those that the spec defines to the decoder.
func (d *decoder) baselineModels(root node, lock *Lock) {
	d.baselines, d.pinned, d.used = map[string]*Model{}, map[string]*Model{}, map[string]*UsedBaseline{}
	for _, b := range lock.Baselines() {
		d.pinned[b.Name] = &Model{Name: b.Name, Baseline: &b}
	}
	for name, n := range root.field("baselines").fields() {
		at := n.field("model")
		m := Decoding{d}.Model(Node{at})
		_, isModel := d.models[name]
		switch {
		case isModel:
			d.fail(n, "%q is also the name of a model; rename the baseline, or name the model itself", name)
		case d.pinned[name] != nil:
			d.fail(n, "%s pins a baseline %q, too; remove this one, or run `runner baseline remove %s`", LockFile, name, name)
		}
		d.baselines[name] = m // nil, if there is no such model, so that references to it are not reported again
	}
}

// Side returns the model or baseline that n names. If there is none, it reports that and returns nil. A baseline that
// follows a model is that model.
func (s Decoding) Side(n Node) *Model {
	d, name := s.d, n.Text()
	if !n.Set() || !d.intact(n.n) {
		return nil
	}
	model, pinned := d.models[name], d.pinned[name]
	follows, defined := d.baselines[name]
	switch {
	case name == d.options.Setting && model == nil:
		return nil
	case defined:
		return follows
	case model != nil && pinned != nil:
		d.fail(n.n, "%q is a model and also a baseline of %s; rename the model, or run `runner baseline remove %s`", name, LockFile, name)
		return nil
	case model != nil:
		return model
	case pinned != nil:
		if d.used[name] == nil {
			d.used[name] = &UsedBaseline{*pinned.Baseline, d.writtenAt(n.n), pathString(n.n.path)}
		}
		return pinned
	case d.mayPin(name):
		return nil // Whoever reads the damaged lock file for the plan reports the damage.
	}
	d.noSide(n.n, name)
	return nil
}

// mayPin reports whether a damaged lock file may have had a baseline with a name.
func (d *decoder) mayPin(name string) bool {
	if !d.lockDamaged {
		return false
	}
	text, ok := damagedLock(d.lockDir, d.options.Confine)
	return !ok || strings.Contains(text, strconv.Quote(name))
}

// noSide reports that no model and no baseline has a name.
func (d *decoder) noSide(n node, name string) {
	models, baselines := slices.Collect(maps.Keys(d.models)), slices.AppendSeq(slices.Collect(maps.Keys(d.baselines)), maps.Keys(d.pinned))
	if len(baselines) == 0 {
		d.unknown(n, "model", name, models)
		return
	}
	if d.invalid["models"] || d.misspelled["models"] {
		return
	}
	d.fail(n, "no model or baseline %q; %s", abbreviate(name, 100), alternatives("models and baselines", name, slices.Concat(models, baselines)))
}
