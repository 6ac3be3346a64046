package spec

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"surprisal.dev/internal/glob"
)

// lint warns about what is valid and rarely meant. A mistake that many datasets share gets one warning.
func (d *decoder) lint(e *Experiment) {
	d.warnOfFloating(e)
	d.warnOfSmall(e)
	d.warnOfSeen(e)
	d.warnOfOverlaps(e)
	d.warnOfUnconfirmed(e)
}

// warnOfUnconfirmed warns of facts about datasets that nobody has checked, once for each fact.
func (d *decoder) warnOfUnconfirmed(e *Experiment) {
	of := map[string][]Dataset{}
	for _, x := range e.Datasets {
		if x.About == nil || x.Skip != "" {
			continue
		}
		for _, what := range x.About.Unconfirmed {
			of[what] = append(of[what], x)
		}
	}
	for what, datasets := range of {
		more := ""
		if n := len(datasets) - 1; n > 0 {
			more = fmt.Sprintf(", and for %d more", n)
		}
		first := datasets[0]
		d.warn(first.Pos, FieldPath("datasets", first.Name, "about", "unconfirmed"), "nobody has confirmed the %s%s", what, more)
	}
}

var commitPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)

// floating is a revision that can move.
type floating struct {
	pos      Position
	path     string
	revision string
}

// warnOfFloating warns about revisions that are not commits, of sources and of weights.
func (d *decoder) warnOfFloating(e *Experiment) {
	var found []floating
	for _, x := range e.Datasets {
		var config struct {
			Revision string `json:"revision"`
		}
		if x.Skip == "" && json.Unmarshal(x.Source.Config, &config) == nil && config.Revision != "" && !commitPattern.MatchString(config.Revision) {
			found = append(found, floating{x.Source.Pos, FieldPath("datasets", x.Name, "source", x.Source.Provider), config.Revision})
		}
	}
	for _, m := range e.Models {
		if m.Base == "" && m.Weights != nil && m.Weights.Hub != nil && !commitPattern.MatchString(m.Weights.Hub.Revision) {
			found = append(found, floating{m.Weights.Pos, FieldPath("models", m.Name, "weights", "hf"), m.Weights.Hub.Revision})
		}
	}
	if len(found) == 0 {
		return
	}
	others := ""
	switch n := len(found) - 1; {
	case n == 1:
		others = ", and so can another one of this experiment"
	case n > 1:
		others = fmt.Sprintf(", and so can %d more of this experiment", n)
	}
	d.warn(found[0].pos, found[0].path, "the revision %q can move%s: the next `runner pin` may find other content; name a commit of 40 hexadecimal digits",
		found[0].revision, others)
}

// warnOfSmall warns about datasets whose limits leave less than the minimum.
func (d *decoder) warnOfSmall(e *Experiment) {
	for _, x := range e.Datasets {
		if x.Minimum == nil || x.Skip != "" || x.TrainOnly {
			continue
		}
		documents := x.Limits.Documents
		for _, n := range []int64{x.Rows.To - x.Rows.From, sampled(x)} {
			if n > 0 && (documents == 0 || n < documents) {
				documents = n
			}
		}
		path := FieldPath("datasets", x.Name, "minimum")
		switch {
		case documents > 0 && documents < x.Minimum.Documents:
			d.warn(x.Pos, path, "at most %d documents are scored, but %d are the minimum; raise limits, or expect wide intervals", documents, x.Minimum.Documents)
		case documents > 0 && x.Limits.Bytes > 0 && documents <= x.Minimum.Bytes/x.Limits.Bytes && documents*x.Limits.Bytes < x.Minimum.Bytes:
			d.warn(x.Pos, path, "at most %d bytes are scored, but %d are the minimum; raise limits, or expect wide intervals", documents*x.Limits.Bytes, x.Minimum.Bytes)
		}
	}
}

func sampled(x Dataset) int64 {
	if x.Sample == nil {
		return 0
	}
	return x.Sample.Documents
}

// warnOfSeen warns about scored datasets that models were trained on.
func (d *decoder) warnOfSeen(e *Experiment) {
	for _, m := range e.Models {
		if m.Base != "" || len(m.SeenData) == 0 {
			continue
		}
		var seen []string
		for _, x := range e.Datasets {
			if x.Skip == "" && !x.TrainOnly && slices.ContainsFunc(m.SeenData, func(what string) bool { return names(what, x) }) {
				seen = append(seen, x.Name)
			}
		}
		if len(seen) == 0 {
			continue
		}
		d.warn(m.Pos, FieldPath("models", m.Name, "trainedOn"), "the model was trained on %s, on which it is scored; its losses there say little about other text",
			few(seen))
	}
}

// few lists names, but not many.
func few(names []string) string {
	const most = 5
	more := ""
	if n := len(names) - most; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(names[:min(len(names), most)], ", ") + more
}

// names reports whether a name, a glob or a tag is one of a dataset.
func names(what string, x Dataset) bool {
	if what == x.Name || slices.Contains(x.Tags, what) {
		return true
	}
	g, err := glob.Parse(what)
	return err == nil && g.Match(x.Name)
}
