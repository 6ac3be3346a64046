package sliding

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"surprisal.dev/runner/artifact"
)

// Passage is a part of a text that windows cover whose probability is at least the lowest threshold, each of which
// overlaps the next one. Positions are characters.
type Passage struct {
	Document int64  `json:"document"`
	Shard    string `json:"shard"`
	Row      int64  `json:"row"`
	Start    int64  `json:"start"`
	End      int64  `json:"end"`
	Windows  int64  `json:"windows"`
	// Peak is the most probable of the windows.
	Peak Peak `json:"peak"`
}

// Peak is a window with its text.
type Peak struct {
	Start  int64 `json:"start"`
	Suffix int64 `json:"suffix"`
	End    int64 `json:"end"`
	// LogP, LogPTopK and LogPWithoutPrompt are those of the window; LogPTopK is null for the probability 0.
	LogP              float64  `json:"logP"`
	LogPTopK          *float64 `json:"logPTopK"`
	LogPWithoutPrompt float64  `json:"logPWithoutPrompt"`
	Greedy            bool     `json:"greedy"`
	// Easy is true if the suffix has at least the lowest threshold without its prompt too. Then the text is easy for the
	// model, and not memorized.
	Easy bool `json:"easy"`
	// Log10Tries is the decimal logarithm of the n for which the suffix is (n, 0.5)-discoverable.
	Log10Tries float64 `json:"log10Tries"`
	// PromptText and SuffixText are the texts of [Start, Suffix) and [Suffix, End), the prompt without its beginning and
	// the suffix without its end if they are long.
	PromptText string `json:"promptText"`
	SuffixText string `json:"suffixText"`
}

const (
	// mostPassages is the number of passages that are kept.
	mostPassages = 10
	// mostText is the number of characters of the texts of a peak.
	mostText = 600
)

// passages finds the passages of texts.
type passages struct {
	found           []Passage
	memorized, easy int64
	// brightest is the most probable window of all texts, or nil.
	brightest *Passage
	text      string
	at        place
	// now is the passage at the current window, or nil.
	now *Passage
}

// begin begins a text. The text before must have ended.
func (p *passages) begin(text string) { p.text, p.at = text, place{} }

// add adds a window of a document. Windows ascend by start.
func (p *passages) add(w *artifact.Window, d *artifact.Document) {
	if p.brightest == nil || w.LogP > p.brightest.Peak.LogP {
		p.brightest = &Passage{Document: w.Document, Shard: d.Shard, Row: d.Row, Start: w.Start, End: w.End, Windows: 1, Peak: p.peak(w)}
	}
	if w.LogP < lowest {
		return
	}
	if p.now != nil && w.Start > p.now.End {
		p.end()
	}
	if p.now == nil {
		p.now = &Passage{Document: w.Document, Shard: d.Shard, Row: d.Row, Start: w.Start}
	}
	p.now.End = max(p.now.End, w.End)
	if p.now.Windows++; p.now.Windows == 1 || w.LogP > p.now.Peak.LogP {
		p.now.Peak = p.peak(w)
	}
}

// end ends the current passage.
func (p *passages) end() {
	if p.now == nil {
		return
	}
	if p.now.Peak.Easy {
		p.easy++
	} else {
		p.memorized++
	}
	at, _ := slices.BinarySearchFunc(p.found, *p.now, func(a, b Passage) int {
		return cmp.Or(cmp.Compare(b.Peak.LogP, a.Peak.LogP), cmp.Compare(a.Document, b.Document), cmp.Compare(a.Start, b.Start))
	})
	p.found = slices.Insert(p.found, at, *p.now)
	p.found = p.found[:min(len(p.found), mostPassages)]
	p.now = nil
}

// peak returns a window with its text.
func (p *passages) peak(w *artifact.Window) Peak {
	k := Peak{
		Start: w.Start, Suffix: w.Suffix, End: w.End, LogP: w.LogP, LogPTopK: finite(w.LogPTopK), LogPWithoutPrompt: w.LogPWithoutPrompt,
		Greedy: w.Greedy(), Easy: w.LogPWithoutPrompt >= lowest,
	}
	_, k.Log10Tries = tries(0.5, w.LogP)
	p.at.forward(p.text, w.Start)
	suffix := p.at
	suffix.forward(p.text, w.Suffix)
	end := suffix
	end.forward(p.text, w.End)
	k.PromptText = tail(p.text[p.at.byte:suffix.byte], mostText)
	k.SuffixText = head(p.text[suffix.byte:end.byte], mostText)
	return k
}

// place is a position in a text, in characters and in bytes.
type place struct {
	character int64
	byte      int
}

// forward moves to a character.
func (p *place) forward(text string, character int64) {
	for p.character < character && p.byte < len(text) {
		_, n := utf8.DecodeRuneInString(text[p.byte:])
		p.byte += n
		p.character++
	}
}

// head returns the beginning of a text, with an ellipsis if it is longer than that many characters.
func head(text string, characters int64) string {
	var p place
	if p.forward(text, characters); p.byte < len(text) {
		return text[:p.byte] + "…"
	}
	return strings.Clone(text)
}

// tail returns the end of a text, with an ellipsis if it is longer than that many characters.
func tail(text string, characters int64) string {
	n := int64(utf8.RuneCountInString(text))
	if n <= characters {
		return strings.Clone(text)
	}
	var p place
	p.forward(text, n-characters)
	return "…" + text[p.byte:]
}
