package gap

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Page implements action.Pager. If a dataset of the gap is not published, the page is that of the gap over the others.
func (k Kind) Page(ctx context.Context, a *plan.Action, p action.Publisher) (*action.Page, error) {
	v, err := k.pageOf(ctx, a, p)
	if v == nil || err != nil {
		return nil, err
	}
	files := map[string]action.PageFile{}
	var ids map[documentName]int64
	if files["documents"], ids, err = v.documents(ctx); err != nil {
		return nil, err
	}
	if files["datasets"], err = v.datasets(ctx); err != nil {
		return nil, err
	}
	if p.Text() != action.TextNone {
		if err := v.texts(files, ids); err != nil {
			return nil, err
		}
	}
	if files[action.Details], err = p.JSON(v.details()); err != nil {
		return nil, err
	}
	return &action.Page{
		Title: v.summary.ModelA + " − " + v.summary.ModelB, Tags: v.allTags(), Headline: headline(&v.summary), Files: files,
	}, nil
}

// Sample implements action.Sampler.
func (k Kind) Sample(ctx context.Context, a *plan.Action, p action.Publisher, want func(action.ScoredFile, artifact.RowID) error) error {
	v, err := k.pageOf(ctx, a, p)
	if v == nil || err != nil {
		return err
	}
	for name := range v.named() {
		for _, side := range v.sides {
			if err := want(side[name.dataset], artifact.RowID{Shard: name.shard, Row: name.row}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Version implements action.Versioner.
func (Kind) Version(ctx context.Context, a *plan.Action, p action.Publisher) (*action.Version, error) {
	s, err := action.ReadPage[Summary](ctx, a, artifact.SummaryFile, p)
	if err != nil {
		return nil, err
	}
	var with parameters
	if err := json.Unmarshal(a.Parameters, &with); err != nil {
		return nil, err
	}
	version := &action.Version{Headline: headline(s)}
	for _, r := range s.Datasets {
		if !p.Publishes(r.Name, with.Tags[r.Name]) {
			return nil, nil
		}
		version.Rows = append(version.Rows, action.VersionRow{Name: r.Name, Value: r.GapBPB, Low: r.Low, High: r.High, Verdict: r.Verdict})
	}
	return version, nil
}

// documentName identifies a document of a report.
type documentName struct {
	dataset, shard string
	row            int64
}

// pageData is what the page of a gap is made of.
type pageData struct {
	p       action.Publisher
	a       *plan.Action
	summary Summary
	// table is the path of the table of documents.
	table string
	// sides hold the scores of each dataset, of both models.
	sides [2]map[string]action.ScoredFile
	tags  map[string][]string
	// warnings are those of the comparison.
	warnings []string
	// first and count are the rows of each dataset in the published table of documents.
	first, count map[string]int64
}

// pageOf reads a gap over the datasets that are published. It returns nil if there are none.
func (k Kind) pageOf(ctx context.Context, a *plan.Action, p action.Publisher) (*pageData, error) {
	v := &pageData{p: p, a: a, warnings: a.Warnings, first: map[string]int64{}, count: map[string]int64{}}
	data, err := p.Read(ctx, a, artifact.SummaryFile)
	if err == nil {
		err = json.Unmarshal(data, &v.summary)
	}
	if err != nil {
		return nil, err
	}
	if err := v.readSides(ctx); err != nil {
		return nil, err
	}
	var published []string
	for _, row := range v.summary.Datasets {
		if p.Publishes(row.Name, v.tags[row.Name]) {
			published = append(published, row.Name)
		}
	}
	switch len(published) {
	case 0:
		return nil, nil
	case len(v.summary.Datasets):
		v.table, err = p.Path(ctx, a, artifact.DocumentsFile)
		return v, err
	}
	return v, v.again(ctx, k, published)
}

// readSides finds the scores and tags of each dataset.
func (v *pageData) readSides(ctx context.Context) error {
	var parameters parameters
	if err := json.Unmarshal(v.a.Parameters, &parameters); err != nil {
		return err
	}
	v.tags = map[string][]string{}
	maps.Copy(v.tags, parameters.Tags)
	v.sides = [2]map[string]action.ScoredFile{{}, {}}
	for _, in := range v.a.Inputs {
		role, dataset, one := strings.Cut(in.Role, "/")
		side := v.sides[map[string]int{"a": 0, "b": 1}[role]]
		if one {
			side[dataset] = action.ScoredFile{Action: in.Upstream, Name: artifact.ScoredFile}
			continue
		}
		data, err := v.p.Read(ctx, in.Upstream, artifact.ImportFile)
		if err != nil {
			return err
		}
		var found artifact.Import
		if err := json.Unmarshal(data, &found); err != nil {
			return err
		}
		for _, d := range found.Datasets {
			side[d.Name] = action.ScoredFile{Action: in.Upstream, Name: d.Name + "/" + artifact.ScoredFile}
			v.tags[d.Name] = d.Tags
		}
	}
	return nil
}

// again compares the two models on some of the datasets.
func (v *pageData) again(ctx context.Context, k Kind, datasets []string) error {
	dir, err := v.p.Scratch()
	if err != nil {
		return err
	}
	var with parameters
	if err := json.Unmarshal(v.a.Parameters, &with); err != nil {
		return err
	}
	with.Datasets = slices.Sorted(slices.Values(datasets))
	with.Clustered = slices.DeleteFunc(with.Clustered, func(name string) bool { return !slices.Contains(datasets, name) })
	maps.DeleteFunc(with.Tags, func(name string, _ []string) bool { return !slices.Contains(datasets, name) })
	t := &action.Task{Descriptor: plan.Descriptor{Kind: name, Schema: k.Schema()}, Name: v.a.Name, Dir: dir, Inputs: map[string]string{}}
	if t.Descriptor.Parameters, err = plan.Canonical(with); err != nil {
		return err
	}
	for _, in := range v.a.Inputs {
		_, dataset, one := strings.Cut(in.Role, "/")
		if one && !slices.Contains(datasets, dataset) {
			continue
		}
		files := in.Files
		if files == nil {
			for _, f := range in.Upstream.Outputs {
				files = append(files, f.Name)
			}
		}
		for _, file := range files {
			if t.Inputs[in.Role+"/"+file], err = v.p.Path(ctx, in.Upstream, file); err != nil {
				return err
			}
		}
	}
	result, err := k.Work(ctx, t)
	if err != nil {
		return err
	}
	v.warnings = result.Warnings
	v.summary, v.table = Summary{}, filepath.Join(dir, artifact.DocumentsFile)
	return artifact.ReadJSON(filepath.Join(dir, artifact.SummaryFile), &v.summary)
}

// named returns the documents that the lists of the report name.
func (v *pageData) named() map[documentName]bool {
	names := map[documentName]bool{}
	for _, list := range [][]Document{v.summary.TopDocuments.AWorse, v.summary.TopDocuments.BWorse} {
		for _, d := range list {
			names[documentName{d.Dataset, d.Shard, d.Row}] = true
		}
	}
	for _, list := range [][]Segment{v.summary.TopSegments.AWorse, v.summary.TopSegments.BWorse} {
		for _, s := range list {
			names[documentName{s.Dataset, s.Shard, s.Row}] = true
		}
	}
	for _, list := range [][]Literal{v.summary.TopLiterals.AWorse, v.summary.TopLiterals.BWorse} {
		for _, l := range list {
			names[documentName{l.ExampleDataset, l.ExampleShard, l.ExampleRowIndex}] = true
		}
	}
	if t := v.summary.Tokenizers; t != nil {
		for _, list := range [][]Cut{t.TopCuts.AWorse, t.TopCuts.BWorse} {
			for _, c := range list {
				names[documentName{c.ExampleDataset, c.ExampleShard, c.ExampleRowIndex}] = true
			}
		}
	}
	return names
}

// pageDocument is a row of the published table of documents. The rows of a dataset follow each other, those with the
// largest |delta bits| first. Rank is the position of the document in its dataset by shard and row. RowA and RowB are its rows in the
// tables of scores; they are null if its text is not published.
type pageDocument struct {
	DocumentRow
	RowA *int64 `parquet:"model_a_table_row,optional"`
	RowB *int64 `parquet:"model_b_table_row,optional"`
}

// pageDocumentBytes bounds the size of a document's row without its strings.
const pageDocumentBytes = 256

func pageDocumentSize(d *pageDocument) int {
	size := pageDocumentBytes + len(d.Dataset) + len(d.Shard)
	if d.WorstText != nil {
		size += len(*d.WorstText)
	}
	return size
}

// documents publishes the table of documents, and returns the rows of those that the report names.
func (v *pageData) documents(ctx context.Context) (action.PageFile, map[documentName]int64, error) {
	scratch, err := v.p.Scratch()
	if err != nil {
		return action.PageFile{}, nil, err
	}
	byName := artifact.SortTable(ctx, artifact.ReadTable[DocumentRow](v.table), scratch, documentSize, func(a, b *DocumentRow) int {
		return cmp.Or(cmp.Compare(a.Dataset, b.Dataset), artifact.CompareRows(a.Shard, a.Row, b.Shard, b.Row))
	})
	byBits := artifact.SortTable(ctx, v.placed(ctx, byName), scratch, pageDocumentSize, func(a, b *pageDocument) int {
		return cmp.Or(cmp.Compare(a.Dataset, b.Dataset), cmp.Compare(math.Abs(b.DeltaBits), math.Abs(a.DeltaBits)),
			artifact.CompareRows(a.Shard, a.Row, b.Shard, b.Row))
	})
	named, at, n := v.named(), map[documentName]int64{}, int64(0)
	file, err := action.PublishTable(v.p, func(yield func(pageDocument, error) bool) {
		for d, err := range byBits {
			if err == nil {
				if v.count[d.Dataset] == 0 {
					v.first[d.Dataset] = n
				}
				v.count[d.Dataset]++
				if name := (documentName{d.Dataset, d.Shard, d.Row}); named[name] {
					at[name] = n
				}
				n++
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}, pageDocumentSize)
	return file, at, err
}

func documentSize(d *DocumentRow) int { return pageDocumentSize(&pageDocument{DocumentRow: *d}) }

// placed adds the rows in the tables of scores to documents in the order of dataset, shard and row, and removes text that is
// not published.
func (v *pageData) placed(ctx context.Context, rows iter.Seq2[DocumentRow, error]) iter.Seq2[pageDocument, error] {
	return func(yield func(pageDocument, error) bool) {
		rank, dataset := int64(-1), ""
		for row, err := range rows {
			d := pageDocument{DocumentRow: row}
			if rank++; row.Dataset != dataset {
				rank, dataset = 0, row.Dataset
			}
			for side, to := range []**int64{&d.RowA, &d.RowB} {
				if err != nil {
					break
				}
				var found action.ScoredTable
				var ok bool
				if found, ok, err = v.p.Scored(ctx, v.sides[side][row.Dataset]); err != nil || !ok {
					continue
				}
				if at, ok := found.Row(artifact.RowID{Shard: row.Shard, Row: row.Row}, rank); ok {
					*to = &at
				}
			}
			if d.RowA == nil {
				d.WorstText = nil
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// pageDataset is a row of the published table of datasets.
type pageDataset struct {
	Row
	Tags []string `parquet:"tags,list"`
	// The files of the scores and of their confidence, "" if they are not published.
	ScoresA     string `parquet:"model_a_scores"`
	ScoresB     string `parquet:"model_b_scores"`
	ConfidenceA string `parquet:"model_a_confidence"`
	ConfidenceB string `parquet:"model_b_confidence"`
	// The texts of the tokens that the confidence names, "" if they are not published.
	TopTokensA string `parquet:"model_a_top_tokens"`
	TopTokensB string `parquet:"model_b_top_tokens"`
	// The rows of the dataset in the table of documents.
	FirstDocument int64 `parquet:"first_document_row"`
	DocumentRows  int64 `parquet:"document_rows"`
}

func (v *pageData) datasets(ctx context.Context) (action.PageFile, error) {
	var rows []pageDataset
	for _, r := range v.summary.Datasets {
		d := pageDataset{Row: r, Tags: v.tags[r.Name], FirstDocument: v.first[r.Name], DocumentRows: v.count[r.Name]}
		for side, to := range [][3]*string{{&d.ScoresA, &d.ConfidenceA, &d.TopTokensA}, {&d.ScoresB, &d.ConfidenceB, &d.TopTokensB}} {
			found, ok, err := v.p.Scored(ctx, v.sides[side][r.Name])
			if err != nil {
				return action.PageFile{}, err
			}
			if !ok {
				continue
			}
			*to[0] = found.Table.Path
			if found.Confidence != nil {
				*to[1] = found.Confidence.Path
			}
			if found.TopTokens != nil {
				*to[2] = found.TopTokens.Path
			}
		}
		rows = append(rows, d)
	}
	return action.PublishTable(v.p, action.Rows(rows), func(d *pageDataset) int { return pageDocumentBytes + len(d.Name) })
}

// allTags returns the tags of the datasets, sorted.
func (v *pageData) allTags() []string {
	all := map[string]bool{}
	for _, d := range v.summary.Datasets {
		for _, tag := range v.tags[d.Name] {
			all[tag] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
