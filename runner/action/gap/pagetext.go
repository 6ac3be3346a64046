package gap

import (
	"slices"

	"surprisal.dev/runner/action"
)

// Ranked rows of the published tables of text. Document is the row of the example in the published table of documents.
type (
	pageSegment struct {
		Direction string `parquet:"direction"`
		Rank      int32  `parquet:"rank"`
		Segment
		Document int64 `parquet:"document_row"`
	}
	pageLiteral struct {
		Direction string `parquet:"direction"`
		Rank      int32  `parquet:"rank"`
		Literal
		Document int64 `parquet:"document_row"`
	}
	pageCut struct {
		Direction      string   `parquet:"direction"`
		Rank           int32    `parquet:"rank"`
		Text           string   `parquet:"text"`
		Occurrences    int64    `parquet:"occurrences"`
		LowerBound     bool     `parquet:"lower_bound"`
		Bytes          int64    `parquet:"bytes"`
		GapBPB         *float64 `parquet:"gap_bpb,optional"`
		DeltaBits      float64  `parquet:"delta_bits"`
		Units          int64    `parquet:"units"`
		Low            *float64 `parquet:"gap_low,optional"`
		High           *float64 `parquet:"gap_high,optional"`
		ABoundaries    string   `parquet:"model_a_token_boundaries"`
		BBoundaries    string   `parquet:"model_b_token_boundaries"`
		ExampleDataset string   `parquet:"example_dataset"`
		ExampleShard   string   `parquet:"example_shard"`
		ExampleRow     int64    `parquet:"example_row_index"`
		ExamplePreview string   `parquet:"example_doc_preview"`
		Document       int64    `parquet:"document_row"`
	}
)

// texts publishes the tables of segments, literals and cuts, which consist of text.
func (v *pageData) texts(files map[string]action.PageFile, at map[documentName]int64) (err error) {
	s := v.summary
	var segments []pageSegment
	var literals []pageLiteral
	var cuts []pageCut
	// The functions below never fail.
	_ = s.TopSegments.each(func(direction string, rank int, r Segment) error {
		segments = append(segments, pageSegment{direction, int32(rank), r, at[documentName{r.Dataset, r.Shard, r.Row}]})
		return nil
	})
	_ = s.TopLiterals.each(func(direction string, rank int, r Literal) error {
		literals = append(literals, pageLiteral{direction, int32(rank), r, at[documentName{r.ExampleDataset, r.ExampleShard, r.ExampleRowIndex}]})
		return nil
	})
	if s.Tokenizers != nil {
		_ = s.Tokenizers.TopCuts.each(func(direction string, rank int, r Cut) error {
			cuts = append(cuts, pageCut{
				direction, int32(rank), r.Text, r.Occurrences, r.LowerBound, r.Bytes, r.GapBPB, r.DeltaBits, r.Units, r.Low, r.High, r.ABoundaries,
				r.BBoundaries, r.ExampleDataset, r.ExampleShard, r.ExampleRowIndex, r.ExamplePreview,
				at[documentName{r.ExampleDataset, r.ExampleShard, r.ExampleRowIndex}],
			})
			return nil
		})
	}
	if files["segments"], err = publishTexts(v.p, segments); err != nil {
		return err
	}
	if files["literals"], err = publishTexts(v.p, literals); err != nil {
		return err
	}
	if s.Tokenizers != nil {
		files["cuts"], err = publishTexts(v.p, cuts)
	}
	return err
}

func publishTexts[T any](p action.Publisher, rows []T) (action.PageFile, error) {
	return action.PublishTable(p, action.Rows(rows), func(*T) int { return 1024 })
}

// pageDetails is what the page of a gap shows first. It has the fields of Summary without the lists that are tables.
type pageDetails struct {
	ModelA              string               `json:"modelA"`
	ModelB              string               `json:"modelB"`
	Key                 string               `json:"key"`
	Warnings            []string             `json:"warnings"`
	Protocols           Protocols            `json:"scoringProtocols"`
	ComputedDifferences []string             `json:"computedDifferences"`
	Unscored            Bytes                `json:"unscoredBytes"`
	ZeroLoss            Bytes                `json:"zeroLossBytes"`
	NoiseBPB            float64              `json:"noise_bpb"`
	Clustered           []Clustered          `json:"clustered"`
	Overall             Row                  `json:"overall"`
	Distribution        *Distribution        `json:"document_distribution"`
	Datasets            int                  `json:"datasets"`
	Groups              []Row                `json:"dataset_groups"`
	Buckets             []Row                `json:"pattern_buckets"`
	TopDocuments        Directions[Document] `json:"top_documents"`
	Tokenizers          *Tokenizers          `json:"tokenizers"`
	TestedLiterals      int64                `json:"tested_literals"`
}

func (v *pageData) details() pageDetails {
	s := v.summary
	d := pageDetails{
		ModelA: s.ModelA, ModelB: s.ModelB, Key: v.a.Key, Warnings: append([]string{}, v.warnings...), Protocols: s.Protocols,
		ComputedDifferences: s.ComputedDifferences, Unscored: s.Unscored, ZeroLoss: s.ZeroLoss, NoiseBPB: s.NoiseBPB,
		Clustered: append([]Clustered{}, s.Clustered...), Overall: s.Overall, Distribution: s.Distribution, Datasets: len(s.Datasets),
		Groups: s.Groups, Buckets: s.Buckets, TopDocuments: s.TopDocuments, TestedLiterals: s.TestedLiterals,
	}
	if s.Tokenizers != nil {
		t := *s.Tokenizers
		t.TopCuts = Directions[Cut]{[]Cut{}, []Cut{}} // They are a table.
		d.Tokenizers = &t
	}
	if v.p.Text() == action.TextNone {
		d.TopDocuments = Directions[Document]{withoutText(s.TopDocuments.AWorse), withoutText(s.TopDocuments.BWorse)}
	}
	return d
}

func withoutText(documents []Document) []Document {
	without := slices.Clone(documents)
	for i := range without {
		without[i].WorstText, without[i].Preview = nil, ""
	}
	return without
}

// pageHeadline is what the overview of the site shows of a gap.
type pageHeadline struct {
	ModelA   string `json:"modelA"`
	ModelB   string `json:"modelB"`
	Overall  Row    `json:"overall"`
	Datasets int    `json:"datasets"`
	// Verdicts counts the datasets by verdict.
	Verdicts map[string]int `json:"verdicts"`
	// Worse and Better are the datasets on which a is worse and better beyond doubt, the largest |delta bits| first.
	Worse  []pageFinding `json:"worse"`
	Better []pageFinding `json:"better"`
}

type pageFinding struct {
	Name   string   `json:"name"`
	GapBPB *float64 `json:"gap_bpb"`
	Low    *float64 `json:"gap_low"`
	High   *float64 `json:"gap_high"`
}

func headline(s *Summary) pageHeadline {
	h := pageHeadline{
		ModelA: s.ModelA, ModelB: s.ModelB, Overall: s.Overall, Datasets: len(s.Datasets), Verdicts: map[string]int{},
		Worse: []pageFinding{}, Better: []pageFinding{},
	}
	for _, r := range s.Datasets {
		h.Verdicts[r.Verdict]++
		found := pageFinding{r.Name, r.GapBPB, r.Low, r.High}
		switch {
		case r.Verdict == VerdictA && len(h.Worse) < namedRows:
			h.Worse = append(h.Worse, found)
		case r.Verdict == VerdictB && len(h.Better) < namedRows:
			h.Better = append(h.Better, found)
		}
	}
	return h
}
