package spec

import (
	"fmt"
	"math"
	"reflect"
	"slices"
)

// warnOfOverlaps warns about rows of a source that models are trained and scored on, or that two scored datasets have.
func (d *decoder) warnOfOverlaps(e *Experiment) {
	trained := map[string]bool{}
	for _, m := range e.Models {
		if m.Backend != nil {
			for _, name := range m.Backend.Train {
				trained[name] = true
			}
		}
	}
	scored := map[string][]*Dataset{} // by source
	var twice [][2]*Dataset
	for i := range e.Datasets {
		x := &e.Datasets[i]
		if x.Skip != "" || x.TrainOnly || x.Source.Config == nil {
			continue
		}
		source := x.Source.key()
		for _, y := range scored[source] {
			if slices.Equal(x.Fields, y.Fields) && reflect.DeepEqual(x.Sample, y.Sample) && overlap(x, y) {
				twice = append(twice, [2]*Dataset{y, x})
			}
		}
		scored[source] = append(scored[source], x)
	}
	for i := range e.Datasets {
		if x := &e.Datasets[i]; x.TrainOnly && trained[x.Name] {
			d.warnOfTrained(x, scored[x.Source.key()])
		}
	}
	d.warnOfTwice(twice)
}

// key is the same for equal sources.
func (s Source) key() string { return s.Provider + " " + string(s.Config) }

// warnOfTrained warns about scored datasets that may have rows of a dataset with the same source that models are trained on.
func (d *decoder) warnOfTrained(x *Dataset, scored []*Dataset) {
	var found []string
	for _, y := range scored {
		if overlap(x, y) {
			found = append(found, y.Name)
		}
	}
	if len(found) > 0 {
		d.warn(x.Pos, FieldPath("datasets", x.Name), "models are trained on it and scored on %s, which may have the same rows; such scores are not meaningful "+
			"(give the datasets rows that do not overlap)", few(found))
	}
}

// warnOfTwice warns about pairs of scored datasets that have the same rows.
func (d *decoder) warnOfTwice(pairs [][2]*Dataset) {
	more := ""
	switch n := len(pairs) - 1; {
	case n < 0:
		return
	case n == 1:
		more = ", as in another pair of datasets"
	case n > 1:
		more = fmt.Sprintf(", as in %d more pairs of datasets", n)
	}
	x, y := pairs[0][0], pairs[0][1]
	d.warn(y.Pos, FieldPath("datasets", y.Name), "some of its rows are also those of %q%s; totals count them twice, and intervals take them as independent",
		x.Name, more)
}

// overlap reports whether two datasets with the same source have ranges of rows with some in common. A dataset with a
// limit of documents has at least as many rows, which are the first.
func overlap(x, y *Dataset) bool { return x.Rows.From < end(y) && y.Rows.From < end(x) }

// end returns the row after the last that a dataset has for certain, or the greatest number if that is unknown.
func end(x *Dataset) int64 {
	to := x.Rows.To
	if to == 0 {
		to = math.MaxInt64
	}
	if n := x.Limits.Documents; n > 0 && x.Sample == nil && n < to-x.Rows.From {
		to = x.Rows.From + n
	}
	return to
}
