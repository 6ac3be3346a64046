package series

import (
	"math"

	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/fit"
	"surprisal.dev/runner/statistics"
)

// Summary is summary.json of a series.
type Summary struct {
	X        scaling.Axis `json:"x"`
	Models   []string     `json:"models"`
	Datasets []string     `json:"datasets"`
	// Documents and ScoredBytes are the same for every model.
	Documents   int64 `json:"documents"`
	ScoredBytes int64 `json:"scoredBytes"`
	// Slices are everything, then the datasets, then the groups, each list by name.
	Slices []Slice  `json:"slices"`
	Notes  []string `json:"notes"`
	// NoiseBPB is by how much the bits per byte of a document changed at most when it was scored again in a different batch,
	// of two models together. A smaller difference is not evidence.
	NoiseBPB float64 `json:"noiseBpb"`
	// Protocol is the scoring protocol.
	Protocol artifact.ScoringProtocol `json:"scoringProtocol"`
	// ComputedDifferences lists the differences in the hardware and software that computed the scores.
	ComputedDifferences []string `json:"computedDifferences"`
}

// Slice is the series on a part of the text.
type Slice struct {
	List  string `json:"list"`
	Name  string `json:"name"`
	Units int64  `json:"units"`
	Bytes int64  `json:"scoredBytes"`
	// TooSmall means that there are too few units or bytes for a verdict.
	TooSmall bool    `json:"tooSmall"`
	Points   []Point `json:"points"`
	// Best is the model with the lowest loss.
	Best  string `json:"best"`
	Slope Slope  `json:"slope"`
	// Changes are those of the level, in the order of x.
	Changes []Change `json:"changes"`
}

// Point is a model of a series on a slice.
type Point struct {
	Model string  `json:"model"`
	X     float64 `json:"x"`
	BPB   float64 `json:"bpb"`
	// Low and High are the ends of the 95% interval of BPB; null for fewer than two units.
	Low  *float64 `json:"low"`
	High *float64 `json:"high"`
	// Previous is the difference to the model before, Best that to the best before. They are null for the first.
	Previous *Difference `json:"previous"`
	Best     *Difference `json:"bestSoFar"`
}

// Difference is the loss of a model less that of an earlier one, of the same documents: positive if it is worse.
type Difference struct {
	Model string `json:"model"`
	// Gap is in bits per byte. What the units tell of it is null for fewer than two.
	Gap float64 `json:"gapBpb"`
	*statistics.Estimate
	// Adjusted is the p-value of no difference after Holm's correction for all steps of the slice. For the best so far, it
	// is also corrected for the number of models of which it is the best.
	Adjusted *float64 `json:"adjustedP"`
	// Verdict is one of the verdicts.
	Verdict string `json:"verdict"`
}

// Verdicts of a difference.
const (
	Worse  = "worse"
	Better = "better"
	// Equal means that the models do not differ on any unit.
	Equal = "equal"
	Open  = gap.VerdictOpen
	Small = gap.VerdictSmall
)

// Slope is the change of loss for a change of x by 1, or of ln x on a logarithmic axis, by least squares.
type Slope struct {
	Value float64 `json:"value"`
	// Steps is its 95% interval by the deviations of the points from the line; null for fewer than three.
	Steps *fit.Interval `json:"steps"`
	// Documents is its 95% interval for these models on other such documents; null for fewer than two units.
	Documents *fit.Interval `json:"documents"`
}

// Change is a change of the level of a slice.
type Change struct {
	// Model is the first one with the new level, at X.
	Model string       `json:"model"`
	X     float64      `json:"x"`
	By    fit.Interval `json:"byBpb"`
	// P is the p-value of no change among the points between the changes around it. For the first change that was found in a
	// slice, Adjusted is P after Holm's correction for all slices; for the others, it is P.
	P        float64 `json:"p"`
	Adjusted float64 `json:"adjustedP"`
}

// level is the probability of a false verdict or a false change.
const level = 1 - statistics.Confidence

// places returns the x of the models, or their logarithms.
func (s *Summary) places() []float64 {
	var x []float64
	for _, m := range s.Models {
		v := s.X.Values[m]
		if s.X.Logarithmic() {
			v = math.Log(v)
		}
		x = append(x, v)
	}
	return x
}

// slice returns a slice without its changes.
func (s *Summary) slice(p part, of *sums, x []float64) Slice {
	first := of.models[0]
	out := Slice{List: p.list, Name: p.name, Units: first.Units, Bytes: int64(math.Round(first.W)), Changes: []Change{}}
	_, estimated := first.Estimate()
	out.TooSmall = !estimated || gap.TooSmall(out.Units, out.Bytes)
	for i, m := range s.Models {
		point := Point{Model: m, X: s.X.Values[m], BPB: of.models[i].D / of.models[i].W}
		if e, ok := of.models[i].Estimate(); ok {
			point.Low, point.High = &e.Low, &e.High
		}
		if i > 0 {
			point.Previous, point.Best = s.difference(of, pair{i, i - 1}), s.difference(of, pair{i, p.best[i]})
		}
		out.Points = append(out.Points, point)
	}
	last := len(s.Models) - 1
	if best := p.best[last]; out.Points[last].BPB < out.Points[best].BPB {
		out.Best = s.Models[last]
	} else {
		out.Best = s.Models[best]
	}
	out.judge(s.NoiseBPB, func(p *Point) *Difference { return p.Previous }, func(int) float64 { return 1 })
	// The best of some models was chosen by the same documents: Bonferroni's correction for their number.
	out.judge(s.NoiseBPB, func(p *Point) *Difference { return p.Best }, func(i int) float64 { return float64(i) })
	out.Slope = slope(of, x, out.Points)
	return out
}

func (s *Summary) difference(of *sums, p pair) *Difference {
	sum := of.pairs[p]
	d := &Difference{Model: s.Models[p.to], Gap: sum.D / sum.W, Verdict: Small}
	if e, ok := sum.Estimate(); ok {
		d.Estimate = &e
	}
	return d
}

// judge sets the verdicts of the differences to earlier models. times is by what the p-value of a point is multiplied
// before Holm's correction.
func (s *Slice) judge(noise float64, of func(*Point) *Difference, times func(i int) float64) {
	if s.TooSmall {
		return
	}
	var p []float64
	var judged []*Difference
	for i := range s.Points {
		if d := of(&s.Points[i]); d != nil && d.Estimate != nil {
			p, judged = append(p, min(d.P*times(i), 1)), append(judged, d)
		}
	}
	for i, adjusted := range statistics.FamilyWise(p) {
		d := judged[i]
		d.Adjusted = &adjusted
		switch {
		case d.Gap == 0 && d.Error == 0:
			d.Verdict = Equal
		case adjusted >= level || math.Abs(d.Gap) <= noise:
			d.Verdict = Open
		case d.Gap > 0:
			d.Verdict = Worse
		default:
			d.Verdict = Better
		}
	}
}

func slope(of *sums, x []float64, points []Point) Slope {
	s := Slope{Value: of.slope.D / of.slope.W}
	if e, ok := of.slope.Estimate(); ok {
		s.Documents = &fit.Interval{Value: e.Value, Low: e.Low, High: e.High}
	}
	if len(x) >= 3 {
		steps := fit.NewLine(x, losses(points)).Slopes()
		s.Steps = &steps
	}
	return s
}

func losses(points []Point) []float64 {
	y := make([]float64, len(points))
	for i, p := range points {
		y[i] = p.BPB
	}
	return y
}

// findChanges finds the changes of level of all slices.
func (s *Summary) findChanges(x []float64) {
	var p []float64
	var of []*Slice
	var shifts []fit.Shift
	for i := range s.Slices {
		if shift, ok := fit.NewShift(x, losses(s.Slices[i].Points)); ok && !s.Slices[i].TooSmall {
			p, of, shifts = append(p, shift.P), append(of, &s.Slices[i]), append(shifts, shift)
		}
	}
	for i, adjusted := range statistics.FamilyWise(p) {
		if adjusted < level {
			of[i].split(x, 0, len(x), &found{shifts[i], adjusted})
		}
	}
}

// found is a change of level and its corrected p-value.
type found struct {
	fit.Shift
	adjusted float64
}

// split adds the changes among the points [from, to) in the order of x, by binary segmentation (Vostrikova, "Detecting
// Disorder in Multidimensional Random Processes", Soviet Mathematics Doklady 24, 1981): the change that is known, and
// those before and after it.
func (s *Slice) split(x []float64, from, to int, known *found) {
	if known == nil {
		shift, ok := fit.NewShift(x[from:to], losses(s.Points[from:to]))
		if !ok || shift.P >= level {
			return
		}
		known = &found{shift, shift.P}
	}
	at := from + known.Index
	s.split(x, from, at, nil)
	p := s.Points[at]
	s.Changes = append(s.Changes, Change{Model: p.Model, X: p.X, By: known.By, P: known.P, Adjusted: known.adjusted})
	s.split(x, at, to, nil)
}
