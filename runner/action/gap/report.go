package gap

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/markdown"
)

// report writes the report for people, in Markdown. Every sentence is derived from the numbers.
func (s *Summary) report(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "# Gap: %s (a) and %s (b)\n\n%s\n\n", markdown.Code(s.ModelA), markdown.Code(s.ModelB), s.headline())
	out.WriteString("A gap is a minus b in bits per byte (bpb) over the same scored bytes: a positive gap means that a is worse, a " +
		"negative gap that b is worse. Delta bits is the same difference in bits, summed over the bytes of a row. Lists are sorted by " +
		"its absolute value.\n\n")
	for _, d := range s.Protocols.Differences {
		fmt.Fprintf(&out, "- **The scoring protocols differ**: %s\n", markdown.Code(d))
	}
	for _, d := range s.ComputedDifferences {
		fmt.Fprintf(&out, "- Computed by different hardware or software: %s\n", markdown.Code(d))
	}
	if s.Unscored.Either > 0 {
		fmt.Fprintf(&out, "- Excluded on both sides: %s inside the scored spans (a has no loss for %s, b for %s).\n",
			count(s.Unscored.Either, "byte"), number(s.Unscored.A), number(s.Unscored.B))
	}
	if s.ZeroLoss.Either > 0 {
		fmt.Fprintf(&out, "- Scored with a loss of exactly zero: %s for a, %s for b. A byte that a scorer skipped but still counted looks like this.\n",
			count(s.ZeroLoss.A, "byte"), number(s.ZeroLoss.B))
	}
	out.WriteString("\n")
	s.findings(&out)
	sums := func(title, name, counted string, rows []Row) {
		rows = smallLast(rows)
		heads := []string{name, counted, "bytes", "a bpb", "b bpb", "gap bpb", "95% interval", "q", "detectable", "delta bits", "verdict"}
		markdown.Table(&out, title, heads, len(rows), func(i int) []string {
			r := rows[i]
			return []string{
				markdown.Code(r.Name), number(r.Documents), number(r.Bytes), decimal(r.ABPB), decimal(r.BBPB), signed(r.GapBPB),
				interval(r.Low, r.High), probability(r.Q), decimal(r.Detectable), bits(r.DeltaBits), r.Verdict,
			}
		})
	}
	sums("Overall", "", "documents", []Row{s.Overall})
	sums("Datasets", "dataset", "documents", s.Datasets)
	sums("Groups", "group", "documents", s.Groups)
	sums("Buckets", "bucket", "segments", s.Buckets)
	s.Tokenizers.report(&out)
	for _, d := range []struct {
		who      string
		literals []Literal
	}{{"a", s.TopLiterals.AWorse}, {"b", s.TopLiterals.BWorse}} {
		markdown.Table(&out, "Literals where "+d.who+" is worse", []string{"literal", "bucket", "occurrences", "a bpb", "b bpb", "gap bpb", "95% interval", "q", "delta bits", "verdict", "a's tokens", "b's tokens"},
			len(d.literals), func(i int) []string {
				r := d.literals[i]
				return []string{markdown.Code(r.Name), r.Bucket, number(r.Documents), decimal(r.ABPB), decimal(r.BBPB), signed(r.GapBPB),
					interval(r.Low, r.High), probability(r.Q), bits(r.DeltaBits), r.Verdict, markdown.Code(r.ABoundaries), markdown.Code(r.BBoundaries)}
			})
	}
	for _, d := range []struct {
		who      string
		segments []Segment
	}{{"a", s.TopSegments.AWorse}, {"b", s.TopSegments.BWorse}} {
		markdown.Table(&out, "Segments where "+d.who+" is worse", []string{"segment", "bucket", "dataset", "document", "gap bpb", "delta bits", "around it"},
			len(d.segments), func(i int) []string {
				r := d.segments[i]
				return []string{markdown.Code(r.Text), r.Bucket, markdown.Code(r.Dataset), markdown.Code(r.Shard + ":" + strconv.FormatInt(r.Row, 10)), signed(&r.GapBPB), bits(r.DeltaBits), markdown.Code(r.Preview)}
			})
	}
	for _, d := range []struct {
		who       string
		documents []Document
	}{{"a", s.TopDocuments.AWorse}, {"b", s.TopDocuments.BWorse}} {
		markdown.Table(&out, "Documents where "+d.who+" is worse", []string{"dataset", "document", "bytes", "a bpb", "b bpb", "gap bpb", "delta bits", "worst segment", "around it"},
			len(d.documents), func(i int) []string {
				r := d.documents[i]
				worst := ""
				if r.WorstText != nil {
					worst = *r.WorstText
				}
				return []string{markdown.Code(r.Dataset), markdown.Code(r.Shard + ":" + strconv.FormatInt(r.Row, 10)), number(r.Bytes), decimal(r.ABPB), decimal(r.BBPB), signed(r.GapBPB), bits(r.DeltaBits), markdown.Code(worst), markdown.Code(r.Preview)}
			})
	}
	_, err := io.WriteString(w, protocol.TextWithoutCommands(out.String()))
	return err
}

// headline states which model is worse, by how much, and which dataset and bucket differ most.
func (s *Summary) headline() string {
	o := s.Overall
	over := fmt.Sprintf("Over %s of %s in %s", count(o.Bytes, "scored byte"), count(o.Documents, "document"), count(int64(len(s.Datasets)), "dataset"))
	if o.GapBPB == nil {
		return over + " there is nothing to compare."
	}
	verdict := "the two are equal"
	if o.DeltaBits != 0 {
		worse, share := "a", *o.GapBPB / *o.BBPB
		if o.DeltaBits < 0 {
			worse, share = "b", -*o.GapBPB / *o.ABPB
		}
		verdict = fmt.Sprintf("%s is worse by %.4f (%.2f%%)", worse, max(*o.GapBPB, -*o.GapBPB), 100*share)
		switch o.Verdict {
		case VerdictOpen:
			verdict += ", which may be chance"
		case VerdictSmall:
			verdict += ", on too little text to tell"
		}
	}
	text := fmt.Sprintf("%s, a needs %.4f bits per byte and b %.4f: **%s**.", over, *o.ABPB, *o.BBPB, verdict)
	worst := func(rows []Row, noun string) string {
		if len(rows) < 2 || rows[0].DeltaBits == 0 {
			return ""
		}
		r := rows[0]
		worse := "a"
		if r.DeltaBits < 0 {
			worse = "b"
		}
		return fmt.Sprintf(" The %s that differs most is %s, where %s is worse by %.4f bpb (%s of %s bits in total).", noun, markdown.Code(r.Name), worse,
			max(*r.GapBPB, -*r.GapBPB), bits(r.DeltaBits), bits(o.DeltaBits))
	}
	return text + s.disagreement() + worst(s.Datasets, "dataset") + worst(s.Buckets, "bucket")
}

// disagreement states on how many datasets a is worse and better beyond doubt, if it is both.
func (s *Summary) disagreement() string {
	var worse, better, open int64
	for _, r := range s.Datasets {
		switch r.Verdict {
		case VerdictA:
			worse++
		case VerdictB:
			better++
		default:
			open++
		}
	}
	if worse == 0 || better == 0 {
		return ""
	}
	text := fmt.Sprintf(" **The datasets disagree**: a is worse on %s and better on %s", count(worse, "dataset"), number(better))
	if open > 0 {
		text += fmt.Sprintf("; on %s that cannot be told", number(open))
	}
	return text + "."
}

func decimal(v *float64) string {
	if v == nil {
		return "–"
	}
	return strconv.FormatFloat(*v, 'f', 4, 64)
}

func signed(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%+.4f", *v)
}

func bits(v float64) string { return fmt.Sprintf("%+.1f", v) }

// number writes an integer with commas.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func count(n int64, noun string) string {
	return number(n) + " " + noun + map[bool]string{true: "", false: "s"}[n == 1]
}
