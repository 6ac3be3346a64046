package gate

import (
	"fmt"
	"math"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/statistics"
)

// Verdict is the content of verdict.json.
type Verdict struct {
	Gate      string `json:"gate"`
	Candidate string `json:"candidate"`
	Against   string `json:"against"`
	// Answer is that of the gate: fail if a slice fails, else inconclusive if a slice is, else pass.
	Answer action.Answer `json:"answer"`
	// Strict means that an inconclusive answer fails the run.
	Strict     bool    `json:"strict"`
	Confidence float64 `json:"confidence"`
	// Slices are those of the gap, first those that fail, then those that are inconclusive. TooSmall names those that have
	// too few documents or bytes for a test.
	Slices   []Slice  `json:"slices"`
	TooSmall []string `json:"tooSmall"`
	NoiseBPB float64  `json:"noiseBpb"`
}

// Slice is a row of the gap and the answer of its test.
type Slice struct {
	List   string        `json:"list"`
	Name   string        `json:"name"`
	Answer action.Answer `json:"answer"`
	// Gap is the candidate's bits per byte less those of the other model. Low and High are the ends of two one-sided
	// intervals.
	Gap  float64 `json:"gapBpb"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// Margin is the largest gap that passes.
	Margin float64 `json:"margin"`
	// P is the p-value of a gap of at most the margin. Adjusted is P after Holm's correction for all slices.
	P        float64 `json:"p"`
	Adjusted float64 `json:"adjustedP"`
	Units    int64   `json:"units"`
	Bytes    int64   `json:"bytes"`
	// Detectable is the gap above the margin that these units show in four of five samples.
	Detectable float64 `json:"detectable"`
	// Needed is how many units of this spread would decide an inconclusive slice in four of five samples; 0 if none would,
	// because the gap is at the margin.
	Needed int64 `json:"neededUnits,omitempty"`
}

// decide tests the rows of a gap.
func (t Test) decide(of *gap.Summary) (v Verdict, err error) {
	v = Verdict{Strict: t.Strict, Confidence: t.Confidence, Slices: []Slice{}, TooSmall: []string{}, NoiseBPB: of.NoiseBPB}
	lists := map[string][]gap.Row{"overall": {of.Overall}, "datasets": of.Datasets, "groups": of.Groups, "buckets": of.Buckets}
	unused := map[string]bool{}
	for slice := range t.Margins {
		unused[slice] = true
	}
	var p []float64
	for _, list := range t.Lists {
		for _, r := range lists[list] {
			margin, ok := t.Margins[r.Name]
			if delete(unused, r.Name); !ok {
				margin = t.Margin
			}
			if r.Verdict == gap.VerdictSmall {
				v.TooSmall = append(v.TooSmall, r.Name)
				continue
			}
			s := t.slice(list, r, margin)
			p = append(p, s.P)
			v.Slices = append(v.Slices, s)
		}
	}
	for slice := range unused {
		return v, protocol.Invalid("margins has %q, which is not a slice of the gap; set slices to the list that has it, or remove the margin", slice)
	}
	for i, adjusted := range statistics.FamilyWise(p) {
		v.Slices[i].Adjusted = adjusted
		v.Slices[i].answer(t.Confidence)
	}
	v.conclude()
	return v, nil
}

// slice returns a row's test, without its answer.
func (t Test) slice(list string, r gap.Row, margin float64) Slice {
	s := Slice{List: list, Name: r.Name, Gap: *r.GapBPB, Margin: margin, Units: r.Units, Bytes: r.Bytes, Detectable: *r.Detectable}
	e := statistics.Estimate{Value: s.Gap, Error: *r.Error, Effective: *r.Effective}
	half := e.Half(t.Confidence)
	s.Low, s.High, s.P = s.Gap-half, s.Gap+half, e.Above(margin)
	if beyond := math.Abs(s.Gap - margin); beyond > 0 {
		times := s.Detectable / beyond
		s.Needed = int64(min(math.Ceil(float64(r.Units)*times*times), 1e15))
	}
	return s
}

// answer sets the answer. A slice passes without a correction: a gate passes only if all slices do, which is less likely
// than for each (an intersection-union test).
func (s *Slice) answer(confidence float64) {
	switch {
	case s.High < s.Margin:
		s.Answer = action.Pass
	case s.Adjusted < 1-confidence:
		s.Answer = action.Fail
	default:
		s.Answer = action.Inconclusive
		return
	}
	s.Needed = 0
}

// conclude sets the gate's answer, and sorts the slices.
func (v *Verdict) conclude() {
	v.Answer = action.Pass
	if len(v.Slices) == 0 {
		v.Answer = action.Inconclusive
	}
	var sorted []Slice
	for _, answer := range []action.Answer{action.Fail, action.Inconclusive, action.Pass} {
		for _, s := range v.Slices {
			if s.Answer == answer {
				sorted = append(sorted, s)
			}
		}
		if len(sorted) > 0 && v.Answer == action.Pass {
			v.Answer = answer
		}
	}
	v.Slices = append([]Slice{}, sorted...)
}

// count returns how many slices have an answer.
func (v *Verdict) count(answer action.Answer) (n int) {
	for _, s := range v.Slices {
		if s.Answer == answer {
			n++
		}
	}
	return n
}

// sentence says what the gate found, in one line. name formats a model's or a slice's name.
func (v *Verdict) sentence(name func(string) string) string {
	who := name(v.Candidate) + " and " + name(v.Against)
	worst := ""
	if len(v.Slices) > 0 {
		s := v.Slices[0]
		worst = fmt.Sprintf("%s: %+.4f [%+.4f, %+.4f] bits per byte, margin %.4f", name(s.Name), s.Gap, s.Low, s.High, s.Margin)
	}
	switch {
	case len(v.Slices) == 0:
		return "cannot tell: every slice of " + who + " is too small"
	case v.Answer == action.Fail:
		return fmt.Sprintf("%s is worse than %s on %d of %d slices (%s)", name(v.Candidate), name(v.Against), v.count(action.Fail), len(v.Slices), worst)
	case v.Answer == action.Inconclusive:
		return fmt.Sprintf("cannot tell on %d of %d slices of %s (%s)", v.count(action.Inconclusive), len(v.Slices), who, worst)
	}
	return fmt.Sprintf("%s is not worse than %s on any of %d slices", name(v.Candidate), name(v.Against), len(v.Slices))
}
