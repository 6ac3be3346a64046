package gap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/markdown"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/statistics"
)

// findings writes what is certain, first what a is worse on, then what b is worse on, and how much cannot be told.
func (s *Summary) findings(out *strings.Builder) {
	out.WriteString("## What the documents show\n\n")
	if o := s.Overall; o.Low != nil {
		fmt.Fprintf(out, "Overall the gap is %s, 95%% interval %s from %s: **%s**. Of such documents, a one-sided test at 5%% shows a gap of %s in four of five samples.\n\n",
			signed(o.GapBPB), interval(o.Low, o.High), count(o.Units, "unit"), o.Verdict, decimal(o.Detectable))
	}
	s.Distribution.report(out)
	lists := []struct {
		noun string
		rows []Row
	}{{"dataset", s.Datasets}, {"group", s.Groups}, {"bucket", s.Buckets}}
	for _, verdict := range []string{VerdictA, VerdictB} {
		for _, list := range lists {
			found := slices.DeleteFunc(slices.Clone(list.rows), func(r Row) bool { return r.Verdict != verdict })
			if len(found) == 0 {
				continue
			}
			fmt.Fprintf(out, "- **%s** on %s: %s\n", verdict, count(int64(len(found)), list.noun), named(found))
		}
	}
	for _, list := range lists {
		open, small := 0, 0
		for _, r := range list.rows {
			switch r.Verdict {
			case VerdictOpen:
				open++
			case VerdictSmall:
				small++
			}
		}
		if open+small > 0 {
			fmt.Fprintf(out, "- No verdict on %d of %s, of which too small: %d.\n", open+small, count(int64(len(list.rows)), list.noun), small)
		}
	}
	if names := s.unsure(); len(names) > 0 {
		fmt.Fprintf(out, "- The test by signs disagrees with the verdict, at 5%%, on %s: %s.\n", count(int64(len(names)), "row"), strings.Join(names, ", "))
	}
	for _, d := range s.Clustered {
		fmt.Fprintf(out, "- %s\n", d.sentence(markdown.Code(d.Dataset)))
	}
	out.WriteString("\nThe interval of a row comes from its units: documents, or the clusters that the dataset declares. A verdict needs a q-value " +
		"below 5%: of all verdicts in a list, at most 5% are expected to be wrong. A row with fewer than " + strconv.Itoa(leastUnits) +
		" units or " + number(leastBytes) + " bytes is too small to tell. \"Detectable\" is the gap that a one-sided test at 5% shows in four of five samples of such units; a verdict, which is two-sided, needs more.\n\n")
	if s.NoiseBPB > 0 {
		fmt.Fprintf(out, "Scoring again in other batches changed a document by up to %.2g bits per byte. A gap below that has no verdict.\n\n", s.NoiseBPB)
	}
}

// sentence tells what the units of the dataset are.
func (d Clustered) sentence(dataset string) string {
	by := "a field of its rows names them"
	if d.By == spec.ClusterShard {
		by = "its shards"
	}
	text := fmt.Sprintf("The units of %s are %s of documents: %s.", dataset, count(d.Clusters, "cluster"), by)
	if d.Clusters < artifact.FewClusters {
		text += fmt.Sprintf(" Intervals from fewer than %d clusters are rough.", artifact.FewClusters)
	}
	return text
}

// unsure lists the rows of few units whose verdict the test by signs does not support.
func (s *Summary) unsure() (names []string) {
	for _, rows := range [][]Row{{s.Overall}, s.Datasets, s.Groups, s.Buckets} {
		for _, r := range rows {
			if (r.Verdict == VerdictA || r.Verdict == VerdictB) && r.PSigns != nil && *r.PSigns >= level {
				names = append(names, fmt.Sprintf("%s (%s)", markdown.Code(r.Name), statistics.Probability(*r.PSigns)))
			}
		}
	}
	return names
}

// namedRows is how many rows a finding names.
const namedRows = 5

// named lists the rows with their gaps.
func named(rows []Row) string {
	var parts []string
	for _, r := range rows[:min(len(rows), namedRows)] {
		parts = append(parts, markdown.Code(r.Name)+" "+signed(r.GapBPB))
	}
	if more := len(rows) - namedRows; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, ", ")
}

// smallLast returns the rows with those that are too small at the end.
func smallLast(rows []Row) []Row {
	small := func(r Row) int {
		if r.Verdict == VerdictSmall {
			return 1
		}
		return 0
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b Row) int { return small(a) - small(b) })
	return rows
}

func interval(low, high *float64) string {
	if low == nil || high == nil {
		return "–"
	}
	return fmt.Sprintf("[%+.4f, %+.4f]", *low, *high)
}

// probability writes a q-value.
func probability(v *float64) string {
	if v == nil {
		return "–"
	}
	return statistics.Probability(*v)
}
