package gap

import (
	"fmt"
	"math"
	"strings"

	"surprisal.dev/runner/statistics"
)

// Share is a part of a number of documents, with the 95% interval of Wilson.
type Share struct {
	Documents int64   `json:"documents"`
	Share     float64 `json:"share"`
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
}

// Measure is a statistic in bits per byte with its 95% interval.
type Measure struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Distribution tells how the gap is distributed over the documents with scored bytes. In Median and Trimmed, a document is
// its bits per byte of a minus those of b, whatever its size.
type Distribution struct {
	Documents int64 `json:"documents"`
	// Exact is false if there are so many documents that the numbers below come from bins, which are 1/1024 of their values
	// wide.
	Exact bool `json:"exact"`
	// Effective is the effective number of documents, which is smaller if few have most of the bytes.
	Effective float64 `json:"effective_documents"`
	// ABetter and BBetter are the documents on which the model has fewer bits.
	ABetter Share   `json:"model_a_better"`
	BBetter Share   `json:"model_b_better"`
	Median  Measure `json:"median_gap_bpb"`
	// Trimmed is the mean without the 10% of documents at each end.
	Trimmed Measure `json:"trimmed_mean_gap_bpb"`
	// Top are the 1% of documents, at least one, that differ most in the direction of the gap.
	Top Top `json:"top_percent"`
}

// Top is what some documents carry of a gap.
type Top struct {
	Documents int64   `json:"documents"`
	Bytes     int64   `json:"bytes"`
	DeltaBits float64 `json:"delta_bits"`
	// Share is that of the whole delta bits: above 1 if the others have the opposite sign. It is null for a gap of 0.
	Share *float64 `json:"share"`
	// RestGapBPB is the gap of the other documents, null if there are none.
	RestGapBPB *float64 `json:"rest_gap_bpb"`
}

const (
	trimmedShare = 0.1
	topDivisor   = 100
)

// documentSample collects documents for a Distribution.
type documentSample struct {
	gaps, bits statistics.Sample
	sums       statistics.Sums
	wonA, wonB int64
}

// add adds a document with scored bytes.
func (s *documentSample) add(bits float64, bytes int64) {
	w := float64(bytes)
	s.gaps.Add(bits/w, w)
	s.bits.Add(bits, w)
	s.sums.Add(bits, w)
	switch {
	case bits > 0:
		s.wonB++
	case bits < 0:
		s.wonA++
	}
}

// distribution returns nil for fewer than two documents.
func (s *documentSample) distribution() *Distribution {
	n := s.gaps.Len()
	if n < 2 {
		return nil
	}
	share := func(of int64) Share {
		low, high := statistics.Wilson(of, n)
		return Share{of, float64(of) / float64(n), low, high}
	}
	gaps := s.gaps.Sorted()
	d := &Distribution{
		Documents: n, Exact: s.gaps.Exact(), Effective: s.sums.W * s.sums.W / s.sums.WW, ABetter: share(s.wonA), BBetter: share(s.wonB),
	}
	d.Median.Value, d.Median.Low, d.Median.High = gaps.Median()
	d.Trimmed.Value, d.Trimmed.Low, d.Trimmed.High = gaps.Trimmed(trimmedShare)
	d.Top.Documents = (n + topDivisor - 1) / topDivisor
	bits, weight := s.bits.Sorted().Top(d.Top.Documents, s.sums.D >= 0)
	d.Top.DeltaBits, d.Top.Bytes = bits, int64(math.Round(weight))
	if s.sums.D != 0 {
		part := bits / s.sums.D
		d.Top.Share = &part
	}
	if rest := s.sums.W - weight; rest > 0 {
		gap := (s.sums.D - bits) / rest
		d.Top.RestGapBPB = &gap
	}
	return d
}

// report writes the distribution for people.
func (d *Distribution) report(out *strings.Builder) {
	if d == nil {
		return
	}
	fmt.Fprintf(out, "Of %s, a is better on %s (%.0f%% to %.0f%%) and b on %s. The median gap of a document is %s, 95%% interval %s; the mean without 10%% of the "+
		"documents at each end is %s %s. The documents count as much as %s of equal size.", count(d.Documents, "document"), number(d.ABetter.Documents),
		100*d.ABetter.Low, 100*d.ABetter.High, number(d.BBetter.Documents), signed(&d.Median.Value), interval(&d.Median.Low, &d.Median.High),
		signed(&d.Trimmed.Value), interval(&d.Trimmed.Low, &d.Trimmed.High), number(int64(math.Round(d.Effective))))
	if d.Top.Share != nil && d.Top.RestGapBPB != nil {
		fmt.Fprintf(out, " The top 1%% in the direction of the gap, %s, carries %.0f%% of it; the gap of the others is %s.",
			count(d.Top.Documents, "document"), 100**d.Top.Share, signed(d.Top.RestGapBPB))
	}
	out.WriteString("\n\n")
}
