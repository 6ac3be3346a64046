package action

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"

	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Pager is a kind whose artifacts have pages on the site.
type Pager interface {
	// Page publishes what the page of a finished action shows. It returns nil if nothing of it may be published.
	Page(ctx context.Context, a *plan.Action, p Publisher) (*Page, error)
}

// Sampler is a kind whose pages name documents. Their text is published where text is sampled.
type Sampler interface {
	// Sample calls want with the documents that the page of an action shows.
	Sample(ctx context.Context, a *plan.Action, p Publisher, want func(ScoredFile, artifact.RowID) error) error
}

// ScoredFile is a table of scored documents in the artifact of an action.
type ScoredFile struct {
	Action *plan.Action
	// Name is that of scored_documents.parquet within the artifact.
	Name string
}

// Scorer is a kind whose artifacts are scores of models.
type Scorer interface {
	// Scores returns the scores in the artifact of a finished action, by dataset.
	Scores(ctx context.Context, a *plan.Action, read ReadFile) ([]Score, error)
}

// Score is the score of a model on a dataset.
type Score struct {
	Model, Dataset string
	Tags           []string
	// ByShard means that the units of the dataset are its shards.
	ByShard bool
	Scored  ScoredFile
	// Ledger is the name of ledger.parquet within the artifact.
	Ledger  string
	Summary artifact.ScoreSummary
}

// Versioner is a kind whose pages tell what earlier results of the same action were.
type Versioner interface {
	// Version returns what a page shows of an earlier result. It returns nil if that may not be published.
	Version(ctx context.Context, a *plan.Action, p Publisher) (*Version, error)
}

// Version is an earlier result.
type Version struct {
	// Headline is as that of a page.
	Headline any
	// Rows are the numbers of its parts, such as datasets.
	Rows []VersionRow
}

// VersionRow is a number of an earlier result, such as a gap, and its interval.
type VersionRow struct {
	Name    string   `parquet:"name,dict"`
	Value   *float64 `parquet:"value,optional"`
	Low     *float64 `parquet:"low,optional"`
	High    *float64 `parquet:"high,optional"`
	Verdict string   `parquet:"verdict,dict"`
}

// Page is a page of the site. All its files are published.
type Page struct {
	// Title is for people.
	Title string
	// Tags are those of the datasets on the page, sorted.
	Tags []string
	// Headline is small: the overview of all pages shows it.
	Headline any
	// Files are the files of the page by their role. "details" is a JSON file with what the page shows first.
	Files map[string]PageFile
}

// Details is the role of the file with what a page shows first.
const Details = "details"

// PageFile is a published file. Its path is relative to the site.
type PageFile struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// Text is how much text of documents is published.
type Text string

// Choices of text.
const (
	// TextAll publishes all documents.
	TextAll Text = "all"
	// TextSampled publishes the documents that a page names, and a few others of each dataset.
	TextSampled Text = "sampled"
	// TextNone publishes no text, and nothing that tells text, such as tokens.
	TextNone Text = "none"
)

// ParseText returns the choice with a name.
func ParseText(name string) (Text, error) {
	switch t := Text(name); t {
	case TextAll, TextSampled, TextNone:
		return t, nil
	}
	return "", fmt.Errorf("unknown choice of text %q: use all, sampled or none", name)
}

// Publisher publishes the files of pages.
type Publisher interface {
	// Text says how much text is published.
	Text() Text
	// Publishes reports whether a dataset is published.
	Publishes(dataset string, tags []string) bool
	// Read reads a file of an artifact into memory.
	Read(ctx context.Context, a *plan.Action, name string) ([]byte, error)
	// Path returns the path of a file of an artifact on this machine. The file must not be modified.
	Path(ctx context.Context, a *plan.Action, name string) (string, error)
	// Scratch returns an empty directory, which is removed after the export.
	Scratch() (string, error)
	// Scored returns the published table of a score. It returns false if nothing of it is published.
	Scored(ctx context.Context, of ScoredFile) (ScoredTable, bool, error)
	// JSON publishes a value. Its fields must not depend on anything that is not published.
	JSON(v any) (PageFile, error)
	// File publishes what fill writes. Extension is that of its name: ".parquet".
	File(extension string, fill func(io.Writer) error) (PageFile, error)
}

// ScoredTable is the published table of a score: some or all rows of scored_documents.parquet, in the order of shard and
// row. Confidence is nil if the backend does not tell it. TopTokens has the texts of the tokens that the confidence names;
// it is nil if there are none or they may not be published.
type ScoredTable struct {
	Table      PageFile
	Confidence *PageFile
	TopTokens  *PageFile
	// Row returns the position of a document. rank is its position among all documents of the dataset, in the same order.
	Row func(id artifact.RowID, rank int64) (int64, bool)
}

// PublishTable publishes rows as a Parquet file, in the layout that a browser reads by range.
func PublishTable[T any](p Publisher, rows iter.Seq2[T, error], size func(*T) int) (PageFile, error) {
	return p.File(".parquet", func(w io.Writer) error {
		out := artifact.NewRangedWriter(w, size)
		for row, err := range rows {
			if err != nil {
				return err
			}
			if err := out.Write(row); err != nil {
				return err
			}
		}
		return out.Close()
	})
}

// Republish publishes the rows of a table of an artifact, in the layout that a browser reads by range.
func Republish[T any](ctx context.Context, a *plan.Action, name string, p Publisher, size func(*T) int) (PageFile, error) {
	path, err := p.Path(ctx, a, name)
	if err != nil {
		return PageFile{}, err
	}
	return PublishTable(p, artifact.ReadTable[T](path), size)
}

// ReadPage reads a JSON file of an artifact, for a page.
func ReadPage[T any](ctx context.Context, a *plan.Action, name string, p Publisher) (*T, error) {
	v := new(T)
	return v, ReadFile(p.Read).JSON(ctx, a, name, v)
}

// Measured returns the datasets whose scores an action uses, directly or through others, with their tags.
func Measured(ctx context.Context, a *plan.Action, p Publisher) (map[string][]string, error) {
	found, seen := map[string][]string{}, map[*plan.Action]bool{}
	var visit func(*plan.Action) error
	visit = func(a *plan.Action) error {
		if seen[a] {
			return nil
		}
		seen[a] = true
		if a.Labels.Dataset != "" {
			found[a.Labels.Dataset] = a.Labels.Tags
			return nil // What a model was trained on is not measured.
		}
		if _, err := store.FileOf(a.Outputs, artifact.ImportFile); err == nil {
			of, err := ReadPage[artifact.Import](ctx, a, artifact.ImportFile, p)
			if err != nil {
				return err
			}
			for _, d := range of.Datasets {
				found[d.Name] = d.Tags
			}
		}
		for _, in := range a.Inputs {
			if err := visit(in.Upstream); err != nil {
				return err
			}
		}
		return nil
	}
	return found, visit(a)
}

// WholePage returns a page of an action without files, or nil if a dataset that the action measures is not published: its
// numbers are about all of them together.
func WholePage(ctx context.Context, a *plan.Action, p Publisher) (*Page, error) {
	measured, err := Measured(ctx, a, p)
	if err != nil {
		return nil, err
	}
	tags := map[string]bool{}
	for dataset, of := range measured {
		if !p.Publishes(dataset, of) {
			return nil, nil
		}
		for _, tag := range of {
			tags[tag] = true
		}
	}
	return &Page{Title: a.Labels.Section, Tags: slices.Sorted(maps.Keys(tags)), Files: map[string]PageFile{}}, nil
}

// Provenance is what a page says of the artifact behind it.
type Provenance struct {
	Key      string   `json:"key"`
	Warnings []string `json:"warnings"`
}

// ProvenanceOf returns that of an action.
func ProvenanceOf(a *plan.Action) Provenance {
	return Provenance{a.Key, append([]string{}, a.Warnings...)}
}

// Rows yields the rows of a list, for PublishTable.
func Rows[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, row := range list {
			if !yield(row, nil) {
				return
			}
		}
	}
}
