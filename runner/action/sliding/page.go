package sliding

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"unicode/utf8"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// pageHeadline is what the overview of the site shows of a report.
type pageHeadline struct {
	Model      string  `json:"model"`
	Dataset    string  `json:"dataset"`
	Windows    int64   `json:"windows"`
	Characters int64   `json:"characters"`
	MaxLogP    float64 `json:"maxLogP"`
	Memorized  int64   `json:"memorizedPassages"`
	Greedy     int64   `json:"greedy"`
}

// Page implements action.Pager.
func (Kind) Page(ctx context.Context, a *plan.Action, p action.Publisher) (*action.Page, error) {
	page, err := action.WholePage(ctx, a, p)
	if page == nil || err != nil {
		return nil, err
	}
	s, err := action.ReadPage[Statistics](ctx, a, statisticsFile, p)
	if err != nil {
		return nil, err
	}
	page.Title = a.Labels.Section + ": " + s.Model + ", " + s.Dataset
	page.Headline = pageHeadline{s.Model, s.Dataset, s.Windows, s.Characters, s.MaxLogP, s.Memorized, s.Greedy}
	if page.Files["windows"], err = action.Republish(ctx, a, artifact.WindowsFile, p, func(w *artifact.Window) int { return 72 + 8*len(w.TokenLogP) }); err != nil {
		return nil, err
	}
	if page.Files["texts"], err = action.Republish(ctx, a, "texts.parquet", p, func(r *textRow) int { return 128 + len(r.Shard) }); err != nil {
		return nil, err
	}
	if err := publishCharacters(ctx, a, p, page.Files); err != nil {
		return nil, err
	}
	switch p.Text() {
	case action.TextAll:
		err = publishText(ctx, a, p, page.Files)
	case action.TextNone:
		for i := range s.Passages {
			peak := &s.Passages[i].Peak
			peak.PromptText, peak.SuffixText = "", ""
		}
	}
	if err != nil {
		return nil, err
	}
	page.Files[action.Details], err = p.JSON(struct {
		*Statistics
		action.Provenance
	}{s, action.ProvenanceOf(a)})
	return page, err
}

// pageStrip is a row of the table of the strip: the largest log probability of characters [Start, End) of a document, or null
// where no window is.
type pageStrip struct {
	Document int64    `parquet:"document,delta"`
	Start    int64    `parquet:"start,delta"`
	End      int64    `parquet:"end,delta"`
	LogP     *float64 `parquet:"log_p,optional"`
}

// stripParts is the number of parts of a document in the strip.
const stripParts = 2048

// publishCharacters publishes the table of characters, and the strip that summarizes it.
func publishCharacters(ctx context.Context, a *plan.Action, p action.Publisher, files map[string]action.PageFile) error {
	path, err := p.Path(ctx, a, artifact.CharacterMaxFile)
	if err != nil {
		return err
	}
	texts, err := p.Path(ctx, a, "texts.parquet")
	if err != nil {
		return err
	}
	var parts []pageStrip
	first := []int{} // the first part of each document
	for t, err := range artifact.ReadTable[textRow](texts) {
		if err != nil {
			return err
		}
		first = append(first, len(parts))
		n := min(t.Characters, stripParts)
		for i := range n {
			parts = append(parts, pageStrip{Document: t.Document, Start: i * t.Characters / n, End: (i + 1) * t.Characters / n})
		}
	}
	at := 0
	files["characters"], err = action.PublishTable(p, func(yield func(artifact.CharacterMax, error) bool) {
		for c, err := range artifact.ReadTable[artifact.CharacterMax](path) {
			if err == nil && (c.Document < 0 || c.Document >= int64(len(first))) {
				err = fmt.Errorf("%s: there is no text %d", path, c.Document)
			}
			if err == nil && !math.IsInf(c.LogP, -1) {
				for at = max(at, first[c.Document]); parts[at].End <= c.Character; at++ {
				}
				if part := &parts[at]; part.LogP == nil || *part.LogP < c.LogP {
					part.LogP = &c.LogP
				}
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}, func(*artifact.CharacterMax) int { return 24 })
	if err != nil {
		return err
	}
	files["strip"], err = action.PublishTable(p, action.Rows(parts), func(*pageStrip) int { return 32 })
	return err
}

// pageText is a row of the table of text: the characters from Start of a document.
type pageText struct {
	Document int64  `parquet:"document,delta"`
	Start    int64  `parquet:"start,delta"`
	Text     string `parquet:"text,plain"`
}

// textPart is the number of characters of a row of text.
const textPart = 4096

// publishText publishes the texts in parts, so that a browser reads only what it shows.
func publishText(ctx context.Context, a *plan.Action, p action.Publisher, files map[string]action.PageFile) (err error) {
	i := slices.IndexFunc(a.Inputs, func(in plan.Input) bool { return in.Role == "documents" })
	if i < 0 {
		return protocol.Invalid("%s has no input documents", a.Name)
	}
	path, err := p.Path(ctx, a.Inputs[i].Upstream, artifact.DocumentsFile)
	if err != nil {
		return err
	}
	documents, err := artifact.OpenDocuments(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, documents.Close()) }()
	files["text"], err = action.PublishTable(p, partsOf(documents.All()), func(t *pageText) int { return 16 + len(t.Text) })
	return err
}

func partsOf(documents iter.Seq2[artifact.Document, error]) iter.Seq2[pageText, error] {
	return func(yield func(pageText, error) bool) {
		n := int64(0)
		for d, err := range documents {
			if err != nil {
				yield(pageText{}, err)
				return
			}
			characters := int64(utf8.RuneCountInString(d.Text))
			var at place
			for start := int64(0); start < characters; start += textPart {
				from := at.byte
				at.forward(d.Text, start+textPart)
				if !yield(pageText{n, start, d.Text[from:at.byte]}, nil) {
					return
				}
			}
			n++
		}
	}
}
