package spec

import (
	"bytes"
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
	var scored []Dataset
	for _, x := range e.Datasets {
		if x.Skip == "" && !x.TrainOnly {
			scored = append(scored, x)
		}
	}
	for _, x := range e.Datasets {
		if x.TrainOnly && trained[x.Name] {
			d.warnOfTrained(x, scored)
		}
	}
	d.warnOfTwice(scored)
}

// warnOfTrained warns about scored datasets that may have rows of a dataset that models are trained on.
func (d *decoder) warnOfTrained(x Dataset, scored []Dataset) {
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

// warnOfTwice warns about rows that several scored datasets have.
func (d *decoder) warnOfTwice(scored []Dataset) {
	first, count := [2]Dataset{}, 0
	for i, x := range scored {
		for _, y := range scored[i+1:] {
			if slices.Equal(x.Fields, y.Fields) && reflect.DeepEqual(x.Sample, y.Sample) && overlap(x, y) {
				if count++; count == 1 {
					first = [2]Dataset{x, y}
				}
			}
		}
	}
	more := ""
	switch {
	case count == 0:
		return
	case count == 2:
		more = ", as in another pair of datasets"
	case count > 2:
		more = fmt.Sprintf(", as in %d more pairs of datasets", count-1)
	}
	d.warn(first[1].Pos, FieldPath("datasets", first[1].Name), "some of its rows are also those of %q%s; totals count them twice, and intervals take them as independent",
		first[0].Name, more)
}

// overlap reports whether two datasets have the same source, and ranges of its rows with some in common. A dataset with a
// limit of documents has at least as many rows, which are the first.
func overlap(x, y Dataset) bool {
	if x.Source.Provider != y.Source.Provider || x.Source.Config == nil || !bytes.Equal(x.Source.Config, y.Source.Config) {
		return false
	}
	return x.Rows.From < end(y) && y.Rows.From < end(x)
}

// end returns the row after the last that a dataset has for certain, or the greatest number if that is unknown.
func end(x Dataset) int64 {
	to := x.Rows.To
	if to == 0 {
		to = math.MaxInt64
	}
	if n := x.Limits.Documents; n > 0 && x.Sample == nil && n < to-x.Rows.From {
		to = x.Rows.From + n
	}
	return to
}
