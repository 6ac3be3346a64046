package sliding

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/windows"
	"surprisal.dev/runner/markdown"
	"surprisal.dev/runner/terminal"
)

// note adds the notes that the numbers ask for.
func (r *report) note() {
	s := r.Slicing
	if r.TextsWithout > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d of %s have no window: %s", r.TextsWithout, terminal.Count(r.Texts, "text"), tooShort(s, r.longestWithout)))
	}
	if r.Skipped > r.Windows {
		r.Notes = append(r.Notes, fmt.Sprintf("more cursors are skipped (%d) than have a window (%d): %s", r.Skipped, r.Windows, r.whySkipped()))
	}
}

// whySkipped says which of two causes the skipped cursors have, and what to do about each.
func (r *report) whySkipped() string {
	s := r.Slicing
	within := r.Skipped - r.SkippedAtEnd
	left := fmt.Sprintf("at %d, the text ends in fewer than %d tokens; lower chunkTokens, or use longer texts", r.SkippedAtEnd, s.ChunkTokens)
	few := fmt.Sprintf("at %d, the %d characters of a slice have fewer than %d tokens; raise sliceLength", within, s.SliceLength, s.ChunkTokens)
	switch {
	case within == 0:
		return left
	case r.SkippedAtEnd == 0:
		return few
	case within >= r.SkippedAtEnd:
		return few + "; " + left
	}
	return left + "; " + few
}

// tooShort says why texts, the longest of that many characters, have no window, and what to do. Longer slices of a shorter
// text have no more tokens.
func tooShort(s windows.Slicing, longest int64) string {
	if longest <= s.SliceLength {
		return fmt.Sprintf("a window needs %d tokens; lower chunkTokens, or use longer texts", s.ChunkTokens)
	}
	return fmt.Sprintf("nowhere do %d characters have %d tokens; lower chunkTokens, raise sliceLength, or use longer texts", s.SliceLength, s.ChunkTokens)
}

// markdown returns the report for people. Every sentence is derived from the numbers.
func (r *report) markdown() string {
	var b strings.Builder
	s := r.Slicing
	fmt.Fprintf(&b, "# Sliding windows: %s on %s\n\n", markdown.Code(r.Model), markdown.Code(r.Dataset))
	fmt.Fprintf(&b, "%s\n\n", r.verdict())
	fmt.Fprintf(&b, "Over %s in %s of %s. ", terminal.Count(r.Windows, "window"), terminal.Count(r.Texts, "text"), terminal.Count(r.Characters, "character"))
	fmt.Fprintf(&b, "A window has %d tokens from the cursor: a prompt of %d and a suffix of %d. The cursor moves by %s. ",
		s.ChunkTokens, s.PromptTokens, s.Suffix(), terminal.Count(s.CursorInc, strings.TrimSuffix(s.CursorUnit, "s")))
	fmt.Fprintf(&b, "p is the probability of the suffix after the prompt, p₀ that of the suffix without it; the token for the beginning of text precedes both. "+
		"Windows with fewer tokens are skipped (%d). The model computes in %s.\n\n", r.Skipped, markdown.Code(r.Dtype))
	if r.Refining > 0 {
		fmt.Fprintf(&b, "Around windows of p ≥ %v, %s refine the passages, strips and characters. They do not count elsewhere.\n\n",
			r.Refine.Above, terminal.Count(r.Refining, "window"))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "- Note: %s.\n", markdown.Code(n))
	}
	if len(r.Notes) > 0 {
		b.WriteString("\n")
	}
	for _, strip := range r.Strips {
		fmt.Fprintf(&b, "![largest probability at each character of text %d](%s-light.png)\n\n", strip.Document, strip.Figure)
	}
	r.writeThresholds(&b)
	r.writePassages(&b)
	r.writeDiscoverable(&b)
	r.writePrompt(&b)
	return protocol.TextWithoutCommands(b.String())
}

// verdict states in a sentence what is memorized.
func (r *report) verdict() string {
	at := r.Thresholds[0]
	switch {
	case r.Memorized > 0:
		easy := ""
		if r.Easy > 0 {
			easy = fmt.Sprintf(" %s more likely without the prompt as well, and so easy and not memorized.", passagesAre(r.Easy))
		}
		return fmt.Sprintf("**%s memorized**: with a suffix of p ≥ %v, and p₀ below that. Windows of p ≥ %v cover %s (%s of the text).%s",
			passagesAre(r.Memorized), at.P, at.P, terminal.Count(at.Characters, "character"), percent(at.CharacterShare), easy)
	case r.Easy > 0:
		return fmt.Sprintf("**Nothing is memorized.** %s likely (p ≥ %v), but without the prompt as well: the text is easy.", passagesAre(r.Easy), at.P)
	}
	return fmt.Sprintf("**Nothing is memorized**: no suffix has p ≥ %v. The largest is %s.", at.P, short(r.MaxLogP))
}

func passagesAre(n int64) string {
	verb := "are"
	if n == 1 {
		verb = "is"
	}
	return terminal.Count(n, "passage") + " " + verb
}

// percent formats a share.
func percent(share float64) string {
	switch v := 100 * share; {
	case v == 0 || v >= 0.1:
		return fmt.Sprintf("%.1f%%", v)
	default:
		return fmt.Sprintf("%.2g%%", v)
	}
}

func (r *report) writeThresholds(b *strings.Builder) {
	heads := []string{"p at least", "windows", "share", "of these easy", fmt.Sprintf("windows, top %d", r.Slicing.TopK), "characters covered", "share of the text"}
	markdown.Table(b, "Extractable windows", heads, len(r.Thresholds), func(i int) []string {
		t := r.Thresholds[i]
		return []string{
			fmt.Sprint(t.P), strconv.FormatInt(t.Windows, 10), percent(t.Share), strconv.FormatInt(t.Easy, 10), strconv.FormatInt(t.TopK, 10),
			strconv.FormatInt(t.Characters, 10), percent(t.CharacterShare),
		}
	})
	fmt.Fprintf(b, "Easy windows have p₀ ≥ %v. In the column of the top %d, each token is drawn from the %d most probable ones. "+
		"Greedy decoding extracts %s (%s). The largest p is %s.\n\n", r.Thresholds[0].P, r.Slicing.TopK, r.Slicing.TopK,
		terminal.Count(r.Greedy, "window"), percent(r.GreedyShare), short(r.MaxLogP))
	fmt.Fprintf(b, "![histogram of the probabilities](%s-light.png)\n\n", histogramFigure)
}

func (r *report) writePassages(b *strings.Builder) {
	b.WriteString("## Brightest passages\n\n")
	shown := r.Passages
	if len(shown) == 0 {
		fmt.Fprintf(b, "No window has p ≥ %v. The most probable one:\n\n", r.Thresholds[0].P)
		if r.passages.brightest != nil {
			shown = []Passage{*r.passages.brightest}
		}
	} else {
		fmt.Fprintf(b, "A passage is covered by windows of p ≥ %v that overlap. Its most probable window is shown, first the prompt, then the suffix%s.\n\n",
			r.Thresholds[0].P, r.rest())
	}
	for i, p := range shown {
		k := p.Peak
		fmt.Fprintf(b, "%d. Characters %d to %d of %s, %s. Window %d to %d: p = %s, p₀ = %s; the prompt makes the suffix %s times as probable.",
			i+1, p.Start, p.End, markdown.Code(p.Shard+":"+strconv.FormatInt(p.Row, 10)), terminal.Count(p.Windows, "window"), k.Start, k.End,
			short(k.LogP), short(k.LogPWithoutPrompt), factor(k.LogP-k.LogPWithoutPrompt))
		if k.LogPTopK == nil {
			fmt.Fprintf(b, " Sampling from the top %d never gives it.", r.Slicing.TopK)
		}
		switch {
		case k.LogP < lowest:
		case k.Easy:
			b.WriteString(" **Easy**: likely without its prompt as well.")
		case k.Greedy:
			b.WriteString(" **Memorized**; greedy decoding gives it.")
		default:
			b.WriteString(" **Memorized**.")
		}
		fmt.Fprintf(b, "\n\n   %s\n\n   %s\n\n", markdown.Code(onLine(k.PromptText)), markdown.Code(onLine(k.SuffixText)))
	}
}

// rest says how many passages are not shown.
func (r *report) rest() string {
	if n := r.Memorized + r.Easy - int64(len(r.Passages)); n > 0 {
		return fmt.Sprintf("; %d less probable passages are in %s", n, windowsTable)
	}
	return ""
}

const windowsTable = "`windows.parquet`"

// onLine returns text with visible ends of lines.
func onLine(text string) string {
	return strings.NewReplacer("\n", "⏎", "\t", "⇥", "\r", "↵").Replace(text)
}

// factor formats e^x.
func factor(x float64) string {
	if x < math.Log(1e4) {
		return fmt.Sprintf("%.3g", math.Exp(x))
	}
	return fmt.Sprintf("10^%.1f", x/math.Ln10)
}

func (r *report) writeDiscoverable(b *strings.Builder) {
	decades := []int{0, 1, 2, 3, 4, 6, 9, 12}
	heads := []string{"sampling", "probability"}
	for _, d := range decades {
		heads = append(heads, "n = "+strconv.FormatFloat(math.Pow10(d), 'g', -1, 64))
	}
	heads = append(heads, "any n")
	markdown.Table(b, "Discoverable with n tries", heads, len(r.Discoverable), func(i int) []string {
		d := r.Discoverable[i]
		sampling := "all tokens"
		if d.TopK > 0 {
			sampling = fmt.Sprintf("top %d", d.TopK)
		}
		cells := []string{sampling, fmt.Sprint(d.P)}
		for _, k := range decades {
			cells = append(cells, percent(d.Shares[k]))
		}
		return append(cells, percent(d.Possible))
	})
	b.WriteString("The share of windows whose suffix occurs at least once among n samples with the probability of the row. A suffix needs " +
		"n = ceil(ln(1-probability) / ln(1-p)) samples.\n\n")
	fmt.Fprintf(b, "![discoverable windows against n](%s-light.png)\n\n", triesFigure)
}

func (r *report) writePrompt(b *strings.Builder) {
	n := float64(r.Slicing.Suffix())
	fmt.Fprintf(b, "## With and without the prompt\n\nThe mean of ln p is %.2f, that of ln p₀ is %.2f. The prompt adds %.2f nats, %.3f per token of the suffix.\n",
		r.MeanLogP, r.MeanWithoutPrompt, r.MeanDifference, r.MeanDifference/n)
	if r.Slicing.CursorUnit == windows.UnitTokens {
		b.WriteString("\nThe cursor moves by tokens of the whole text. A token of a window may differ from them, because the window is tokenized alone.\n")
	}
}
