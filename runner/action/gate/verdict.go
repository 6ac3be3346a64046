package gate

import (
	"fmt"
	"math"
	"slices"
	"strings"

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
	// Answer is that of the gate: fail if a slice or a check fails, else inconclusive if one is, else pass.
	Answer action.Answer `json:"answer"`
	// Strict means that an inconclusive answer fails the run.
	Strict     bool    `json:"strict"`
	Confidence float64 `json:"confidence"`
	// Slices are those of the gap, first those that fail, then those that are inconclusive. TooSmall names those that have
	// too few documents or bytes for a test.
	Slices   []Slice  `json:"slices"`
	TooSmall []string `json:"tooSmall"`
	// Checks are the further ones that the gate asks for.
	Checks   []Check `json:"checks"`
	NoiseBPB float64 `json:"noiseBpb"`
	// Confirmed says what confirms a slice that fails: a model or "other documents"; "" if one test is enough.
	Confirmed string `json:"confirmedBy,omitempty"`
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
	// Confirmation is the second test of a slice that failed the first. If the second does not fail as well, the answer is
	// inconclusive. It is null if the gate needs no confirmation, and has no answer if there is nothing to test.
	Confirmation *Slice `json:"confirmation,omitempty"`

	deviation float64 // the standard error of Gap
}

// rows returns the rows of a list of a gap's report.
func rows(of *gap.Summary, list string) []gap.Row {
	return map[string][]gap.Row{"overall": {of.Overall}, "datasets": of.Datasets, "groups": of.Groups, "buckets": of.Buckets}[list]
}

// margin returns that of a slice.
func (t Test) margin(slice string) float64 {
	if margin, ok := t.Margins[slice]; ok {
		return margin
	}
	return t.Margin
}

// Decide tests the rows of a gap. What fails is tested again with those of the second gap, if there is one.
func (t Test) Decide(of *gap.Summary, second *Second) (v Verdict, err error) {
	v = Verdict{Strict: t.Strict, Confidence: t.Confidence, Slices: []Slice{}, TooSmall: []string{}, Checks: []Check{}, NoiseBPB: of.NoiseBPB}
	unused := map[string]bool{}
	for slice := range t.Margins {
		unused[slice] = true
	}
	for _, list := range t.Lists {
		for _, r := range rows(of, list) {
			delete(unused, r.Name)
			if r.Verdict == gap.VerdictSmall {
				v.TooSmall = append(v.TooSmall, r.Name)
				continue
			}
			v.Slices = append(v.Slices, t.slice(list, r))
		}
	}
	for slice := range unused {
		return v, protocol.Invalid("margins has %q, which is not a slice of the gap; set slices to the list that has it, or remove the margin", slice)
	}
	t.answer(v.Slices)
	if second != nil {
		v.Confirmed = second.Name
		t.confirm(v.Slices, second)
	}
	v.conclude()
	return v, nil
}

// slice returns a row's test, without its answer.
func (t Test) slice(list string, r gap.Row) Slice {
	s := Slice{List: list, Name: r.Name, Gap: *r.GapBPB, Margin: t.margin(r.Name), Units: r.Units, Bytes: r.Bytes, Detectable: *r.Detectable}
	e := statistics.Estimate{Value: s.Gap, Error: *r.Error, Effective: *r.Effective}
	half := e.Half(t.Confidence)
	s.Low, s.High, s.P = s.Gap-half, s.Gap+half, e.Above(s.Margin)
	s.deviation = e.Error
	return s
}

// setNeeded sets the number of units that would decide an inconclusive slice. To pass, the level is not divided by the
// number of tests; to fail, it may be, which is what the correction asks of the first.
func (s *Slice) setNeeded(level float64, tests int) {
	size := s.Gap - s.Margin
	if s.Answer != action.Inconclusive || size == 0 {
		return
	}
	if size > 0 {
		level /= float64(tests)
	}
	detectable := (statistics.NormalQuantile(1-level) + statistics.NormalQuantile(0.8)) * s.deviation
	s.Needed = max(s.Units+1, scaled(s.Units, detectable/math.Abs(size)))
}

// scaled returns how many units have a standard error so many times smaller.
func scaled(units int64, times float64) int64 {
	return int64(min(math.Ceil(float64(units)*times*times), 1e15))
}

// answer sets the answers of slices. A slice passes without a correction: a gate passes only if all slices do, which is
// less likely than for each (an intersection-union test).
func (t Test) answer(of []Slice) {
	p := make([]float64, len(of))
	for i, s := range of {
		p[i] = s.P
	}
	for i, adjusted := range statistics.FamilyWise(p) {
		s := &of[i]
		s.Adjusted = adjusted
		s.Answer = answer(s.High, s.Margin, adjusted, t.Confidence)
		s.setNeeded(1-t.Confidence, len(of))
	}
}

// answer is that of a value with the upper end of its interval, and with the p-value of a value of at most the bound.
func answer(high, bound, adjusted, confidence float64) action.Answer {
	switch {
	case high < bound:
		return action.Pass
	case adjusted < 1-confidence:
		return action.Fail
	}
	return action.Inconclusive
}

// Second is the gap that confirms failures.
type Second struct {
	// Name is that of a model, or OtherDocuments.
	Name string
	Of   *gap.Summary
	// Samples has the dataset that confirms each dataset; nil if it is the same.
	Samples map[string]string
}

// OtherDocuments is what confirms failures, if it is not a model.
const OtherDocuments = "other documents"

// row returns the row that confirms a slice, or nil if there is none.
func (c *Second) row(s Slice) *gap.Row {
	name := s.Name
	if sample, ok := c.Samples[name]; ok && s.List == "datasets" {
		name = sample
	}
	list := rows(c.Of, s.List)
	if i := slices.IndexFunc(list, func(r gap.Row) bool { return r.Name == name }); i >= 0 {
		return &list[i]
	}
	return nil
}

// confirm tests the slices that failed again. A failure that is not confirmed is inconclusive.
func (t Test) confirm(of []Slice, c *Second) {
	var again []Slice
	var failed []*Slice
	for i := range of {
		s := &of[i]
		if s.Answer != action.Fail {
			continue
		}
		s.Answer = action.Inconclusive
		s.Confirmation = &Slice{List: s.List, Name: s.Name, Margin: s.Margin}
		if r := c.row(*s); r != nil && r.Verdict != gap.VerdictSmall {
			test := t.slice(s.List, *r)
			// The margin of a slice is also that of the slice that confirms it.
			e := statistics.Estimate{Value: test.Gap, Error: *r.Error, Effective: *r.Effective}
			test.Margin, test.P = s.Margin, e.Above(s.Margin)
			again, failed = append(again, test), append(failed, s)
		}
	}
	t.answer(again)
	for i, s := range failed {
		s.Confirmation = &again[i]
		if again[i].Answer == action.Fail {
			s.Answer = action.Fail
		}
	}
}

// conclude sets the gate's answer, and sorts the slices.
func (v *Verdict) conclude() {
	var sorted []Slice
	for _, answer := range severity {
		for _, s := range v.Slices {
			if s.Answer == answer {
				sorted = append(sorted, s)
			}
		}
	}
	v.Slices = append([]Slice{}, sorted...)
	v.Answer = v.ofSlices()
	for _, c := range v.Checks {
		v.Answer = worse(v.Answer, c.Answer)
	}
}

// severity lists the answers, the worst first.
var severity = []action.Answer{action.Fail, action.Inconclusive, action.Pass}

// worse returns the worse of two answers.
func worse(a, b action.Answer) action.Answer {
	return severity[min(slices.Index(severity, a), slices.Index(severity, b))]
}

// ofSlices returns the answer of the slices together.
func (v *Verdict) ofSlices() action.Answer {
	if len(v.Slices) == 0 {
		return action.Inconclusive
	}
	return v.Slices[0].Answer
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

// Sentence says what the gate found, in one line: what fails, then what is inconclusive, then what passes. name formats a
// model's or a slice's name.
func (v *Verdict) Sentence(name func(string) string) string {
	var parts []string
	for _, answer := range severity {
		if answer == v.ofSlices() {
			parts = append(parts, v.sliceSentence(name))
		}
		label := map[action.Answer]string{action.Fail: "failed", action.Inconclusive: "inconclusive"}[answer]
		if of := v.checks(answer); len(of) > 0 && label != "" {
			parts = append(parts, label+" checks: "+strings.Join(of, ", "))
		}
	}
	if n := len(v.TooSmall); n > 0 && len(v.Slices) > 0 {
		parts = append(parts, fmt.Sprintf("not tested, too small: %d", n))
	}
	return strings.Join(parts, "; ")
}

// checks returns the names of the checks with an answer.
func (v *Verdict) checks(answer action.Answer) (names []string) {
	for _, c := range v.Checks {
		if c.Answer == answer {
			names = append(names, c.Name)
		}
	}
	return names
}

// sliceSentence says what the gate found on its slices.
func (v *Verdict) sliceSentence(name func(string) string) string {
	who := name(v.Candidate) + " and " + name(v.Against)
	if len(v.Slices) == 0 {
		return "cannot tell: every slice of " + who + " is too small; a slice needs 20 documents with 2,000 bytes: raise the limits, or add documents"
	}
	s := v.Slices[0]
	worst := fmt.Sprintf("%s: %+.4f [%+.4f, %+.4f] bits per byte, margin %.4f", name(s.Name), s.Gap, s.Low, s.High, s.Margin)
	switch v.ofSlices() {
	case action.Fail:
		confirmed := ""
		if v.Confirmed == OtherDocuments {
			confirmed = ", confirmed by other documents"
		} else if v.Confirmed != "" {
			confirmed = ", confirmed by " + name(v.Confirmed)
		}
		return fmt.Sprintf("%s is worse than %s on %d of %d slices (%s)%s", name(v.Candidate), name(v.Against), v.count(action.Fail), len(v.Slices), worst, confirmed)
	case action.Inconclusive:
		text := fmt.Sprintf("cannot tell on %d of %d slices of %s (%s", v.count(action.Inconclusive), len(v.Slices), who, worst)
		switch {
		case s.Confirmation != nil:
			text += "; worse, but not confirmed"
		case s.Needed > 0:
			text += fmt.Sprintf("; about %d documents or clusters would decide", s.Needed)
		}
		return text + ")"
	}
	return fmt.Sprintf("%s is not worse than %s on any of %d slices", name(v.Candidate), name(v.Against), len(v.Slices))
}
