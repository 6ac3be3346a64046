package gap

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// Row is the sum over a dataset, a group, a bucket or everything. Bits per byte are null if no byte was scored.
// Documents counts segments in the rows of buckets and literals.
//
// The units are the documents or clusters of documents that have scored bytes in the row. What they tell about the gap is
// null for fewer than two. Package statistics has the formulas.
type Row struct {
	Name      string   `json:"name" parquet:"name"`
	Documents int64    `json:"documents" parquet:"documents"`
	Bytes     int64    `json:"bytes" parquet:"bytes"`
	ABPB      *float64 `json:"model_a_bpb" parquet:"model_a_bpb,optional"`
	BBPB      *float64 `json:"model_b_bpb" parquet:"model_b_bpb,optional"`
	GapBPB    *float64 `json:"gap_bpb" parquet:"gap_bpb,optional"`
	DeltaBits float64  `json:"delta_bits" parquet:"delta_bits"`
	// Units counts the units; on WonA of them a has fewer bits, and on WonB b has.
	Units int64 `json:"units" parquet:"units"`
	WonA  int64 `json:"units_model_a_better" parquet:"units_model_a_better"`
	WonB  int64 `json:"units_model_b_better" parquet:"units_model_b_better"`
	// Effective is the effective number of units: fewer if some have far more bytes than others.
	Effective *float64 `json:"effective_units" parquet:"effective_units,optional"`
	// Error is the standard error of GapBPB, Low and High are the ends of its 95% interval.
	Error *float64 `json:"gap_standard_error" parquet:"gap_standard_error,optional"`
	Low   *float64 `json:"gap_low" parquet:"gap_low,optional"`
	High  *float64 `json:"gap_high" parquet:"gap_high,optional"`
	// P is the two-sided p-value of a gap of 0, Q its q-value among the rows of the list that are not too small: the rate of
	// false discoveries. The row of everything has only P.
	P *float64 `json:"gap_p" parquet:"gap_p,optional"`
	Q *float64 `json:"gap_q" parquet:"gap_q,optional"`
	// PSigns is the p-value of a sign-flip test of rows with fewer than 200 units: the share of assignments of signs to the
	// differences of the units whose sum is at least as far from 0. Verdicts use P.
	PSigns *float64 `json:"gap_p_signs" parquet:"gap_p_signs,optional"`
	// Detectable is the smallest gap that a one-sided test at 5% shows in four of five samples of such units.
	Detectable *float64 `json:"detectable_gap" parquet:"detectable_gap,optional"`
	// Verdict is one of the verdicts.
	Verdict string `json:"verdict" parquet:"verdict"`
}

// Literal is the sum over the occurrences of one text in one bucket, with the occurrence that differs most.
type Literal struct {
	Name           string   `json:"name" parquet:"name"`
	Bucket         string   `json:"bucket" parquet:"bucket"`
	Documents      int64    `json:"documents" parquet:"documents"`
	Bytes          int64    `json:"bytes" parquet:"bytes"`
	ABPB           *float64 `json:"model_a_bpb" parquet:"model_a_bpb,optional"`
	BBPB           *float64 `json:"model_b_bpb" parquet:"model_b_bpb,optional"`
	GapBPB         *float64 `json:"gap_bpb" parquet:"gap_bpb,optional"`
	DeltaBits      float64  `json:"delta_bits" parquet:"delta_bits"`
	ExampleDataset string   `json:"example_dataset" parquet:"example_dataset"`
	ExamplePreview string   `json:"example_doc_preview" parquet:"example_doc_preview"`
	Units          int64    `json:"units" parquet:"units"`
	Low            *float64 `json:"gap_low" parquet:"gap_low,optional"`
	High           *float64 `json:"gap_high" parquet:"gap_high,optional"`
	// P and Q are as in a Row. Q is the q-value among all literals that are not too small, also those that no list has.
	P               *float64 `json:"gap_p" parquet:"gap_p,optional"`
	Q               *float64 `json:"gap_q" parquet:"gap_q,optional"`
	Verdict         string   `json:"verdict" parquet:"verdict"`
	ABoundaries     string   `json:"model_a_token_boundaries" parquet:"model_a_token_boundaries"`
	BBoundaries     string   `json:"model_b_token_boundaries" parquet:"model_b_token_boundaries"`
	ExampleShard    string   `json:"example_shard" parquet:"example_shard"`
	ExampleRowIndex int64    `json:"example_row_index" parquet:"example_row_index"`
}

// Segment is one segment. Start and End are its bytes in the document's text.
type Segment struct {
	Dataset   string  `json:"dataset" parquet:"dataset"`
	Bucket    string  `json:"bucket" parquet:"bucket"`
	Bytes     int64   `json:"bytes" parquet:"bytes"`
	DeltaBits float64 `json:"delta_bits" parquet:"delta_bits"`
	GapBPB    float64 `json:"gap_bpb" parquet:"gap_bpb"`
	Text      string  `json:"text" parquet:"text"`
	Preview   string  `json:"doc_preview" parquet:"doc_preview"`
	Shard     string  `json:"shard" parquet:"shard"`
	Row       int64   `json:"row_index" parquet:"row_index"`
	Start     int32   `json:"byte_start" parquet:"byte_start"`
	End       int32   `json:"byte_end" parquet:"byte_end"`
}

// DocumentRow is a document. The worst segment has the largest difference in the same direction as the document's. It
// is null if there is none.
type DocumentRow struct {
	Dataset     string   `json:"dataset" parquet:"dataset,dict"`
	Shard       string   `json:"shard" parquet:"shard,dict"`
	Row         int64    `json:"row_index" parquet:"row_index"`
	Bytes       int64    `json:"bytes" parquet:"bytes"`
	ScoreStart  int32    `json:"score_byte_start" parquet:"score_byte_start"`
	ScoreEnd    int32    `json:"score_byte_end" parquet:"score_byte_end"`
	ABPB        *float64 `json:"model_a_bpb" parquet:"model_a_bpb,optional"`
	BBPB        *float64 `json:"model_b_bpb" parquet:"model_b_bpb,optional"`
	GapBPB      *float64 `json:"gap_bpb" parquet:"gap_bpb,optional"`
	DeltaBits   float64  `json:"delta_bits" parquet:"delta_bits"`
	WorstBucket *string  `json:"worst_bucket" parquet:"worst_bucket,optional"`
	WorstText   *string  `json:"worst_text" parquet:"worst_text,optional"`
	WorstGapBPB *float64 `json:"worst_gap_bpb" parquet:"worst_gap_bpb,optional"`
	WorstStart  *int32   `json:"worst_byte_start" parquet:"worst_byte_start,optional"`
	WorstEnd    *int32   `json:"worst_byte_end" parquet:"worst_byte_end,optional"`
}

// Document is a document with the text around its worst segment.
type Document struct {
	DocumentRow
	Preview string `json:"preview" parquet:"preview"`
}

// Directions splits records by which model is worse on them, the largest difference first.
type Directions[T any] struct {
	AWorse []T `json:"model_a_worse"`
	BWorse []T `json:"model_b_worse"`
}

// Bytes counts the bytes with a property on side a, on side b, and on at least one of them.
type Bytes struct {
	A      int64 `json:"a"`
	B      int64 `json:"b"`
	Either int64 `json:"either"`
}

func (b *Bytes) add(other Bytes) {
	b.A += other.A
	b.B += other.B
	b.Either += other.Either
}

// Protocols are the scoring protocols of the two sides, null if unknown, and their differences.
type Protocols struct {
	A           json.RawMessage `json:"a"`
	B           json.RawMessage `json:"b"`
	Differences []string        `json:"differences"`
}

// Summary is the content of the report and of summary.json. Lists are sorted by |delta bits|, the largest first, then
// by name.
type Summary struct {
	ModelA    string    `json:"modelA"`
	ModelB    string    `json:"modelB"`
	Protocols Protocols `json:"scoringProtocols"`
	// ComputedDifferences lists the differences in the hardware and software that computed the scores.
	ComputedDifferences []string `json:"computedDifferences"`
	// Unscored counts bytes inside scored spans without a loss. They are excluded from the sums and bytes of both
	// sides.
	Unscored Bytes `json:"unscoredBytes"`
	// ZeroLoss counts scored bytes whose loss is exactly zero.
	ZeroLoss Bytes `json:"zeroLossBytes"`
	// NoiseBPB is by how much the bits per byte of a document changed at most when it was scored again in a different batch,
	// of both sides together. A smaller gap is not evidence.
	NoiseBPB float64 `json:"noise_bpb"`
	// Clustered lists the datasets whose units are clusters of documents, by name.
	Clustered []Clustered `json:"clustered,omitempty"`
	Overall   Row         `json:"overall"`
	// Distribution is that of the gap over the documents, null for fewer than two with scored bytes.
	Distribution *Distribution        `json:"document_distribution"`
	Datasets     []Row                `json:"datasets"`
	Groups       []Row                `json:"dataset_groups"`
	Buckets      []Row                `json:"pattern_buckets"`
	TopDocuments Directions[Document] `json:"top_documents"`
	TopSegments  Directions[Segment]  `json:"top_segments"`
	TopLiterals  Directions[Literal]  `json:"top_literals"`
	// Tokenizers is null if no document has tokens on both sides.
	Tokenizers *Tokenizers `json:"tokenizers"`
	// TestedLiterals counts the literals that are not too small.
	TestedLiterals int64 `json:"tested_literals"`
}

// Clustered is a dataset whose units are clusters of documents.
type Clustered struct {
	Dataset string `json:"dataset"`
	// By is "shard", or "field" for clusters that a field of the rows names.
	By string `json:"by"`
	// Clusters counts the clusters with scored bytes.
	Clusters int64 `json:"clusters"`
}

// protocolDifferences lists the differences between the scoring protocols of two sides.
func protocolDifferences(a, b Side) ([]string, error) {
	var protocols [2]map[string]json.RawMessage
	for i, side := range []Side{a, b} {
		if len(side.Protocol) == 0 {
			continue
		}
		if err := json.Unmarshal(side.Protocol, &protocols[i]); err != nil {
			return nil, protocol.Invalid("model %q: the scoring protocol is not a JSON object: %v", side.Name, err)
		}
	}
	differences := []string{}
	if protocols[0] == nil || protocols[1] == nil {
		if protocols[0] != nil || protocols[1] != nil {
			known := a.Name
			if protocols[0] == nil {
				known = b.Name
			}
			differences = append(differences, fmt.Sprintf("the scoring protocol is known only for model %q", known))
		}
		return differences, nil
	}
	fields, err := plan.Diff(a.Protocol, b.Protocol)
	for _, f := range fields {
		differences = append(differences, fmt.Sprintf("%s: a %s, b %s", f.Path, cmp.Or(f.Before, "not set"), cmp.Or(f.After, "not set")))
	}
	return differences, err
}

func computedDifferences(sides ...Side) []string {
	names, computed := make([]string, len(sides)), make([][]map[string]string, len(sides))
	for i, side := range sides {
		names[i] = side.Name
		for _, t := range side.Datasets {
			computed[i] = append(computed[i], t.Computed)
		}
	}
	return score.ComputedDifferences(names, computed)
}

func (c *comparison) summary(differences []string) (*Summary, error) {
	s := &Summary{
		ModelA: c.a.Name, ModelB: c.b.Name, Unscored: c.unscored, ZeroLoss: c.zeroLoss,
		Protocols:           Protocols{c.a.Protocol, c.b.Protocol, differences},
		ComputedDifferences: computedDifferences(c.a, c.b),
		Datasets:            []Row{},
		Groups:              []Row{},
		Buckets:             []Row{},
		TopDocuments:        directions(c.topDocuments),
		TopSegments:         directions(c.topSegments),
	}
	var overall spread
	for i, t := range c.a.Datasets {
		g := &c.datasets[i]
		g.end()
		overall.merge(g)
		s.Datasets = append(s.Datasets, g.row(t.Dataset))
	}
	s.Overall, s.Distribution = overall.row("overall"), c.sample.distribution()
	for i, row := range s.Datasets {
		switch {
		case c.named[i]:
			s.Clustered = append(s.Clustered, Clustered{row.Name, spec.ClusterField, row.Units})
		case c.a.Datasets[i].Clustered:
			s.Clustered = append(s.Clustered, Clustered{row.Name, spec.ClusterShard, row.Units})
		}
	}
	for _, g := range c.groups() {
		var sum spread
		for _, i := range g.Datasets {
			sum.merge(&c.datasets[i])
		}
		if sum.bytes > 0 {
			s.Groups = append(s.Groups, sum.row(g.Name))
		}
	}
	for i := range c.buckets {
		if c.buckets[i].count > 0 {
			s.Buckets = append(s.Buckets, c.buckets[i].row(bucketNames[i]))
		}
	}
	s.NoiseBPB = c.a.noise() + c.b.noise()
	for _, rows := range [][]Row{s.Datasets, s.Groups, s.Buckets} {
		judge(rows, s.NoiseBPB)
	}
	judgeOne(&s.Overall, s.NoiseBPB)
	for _, rows := range [][]Row{s.Datasets, s.Groups, s.Buckets} {
		slices.SortFunc(rows, func(a, b Row) int {
			return cmp.Or(cmp.Compare(math.Abs(b.DeltaBits), math.Abs(a.DeltaBits)), cmp.Compare(a.Name, b.Name))
		})
	}
	positive, negative, p, err := c.literals.top(topLiterals)
	if err != nil {
		return nil, err
	}
	if s.Tokenizers, err = c.tokenizers(s.NoiseBPB); err != nil {
		return nil, err
	}
	s.TestedLiterals = p.Len()
	c.tested = p.Sorted()
	if s.TopLiterals.AWorse, s.TopLiterals.BWorse, err = c.examples(positive, negative); err != nil {
		return nil, err
	}
	return s, nil
}

func directions[T any](tops [2]top[T]) Directions[T] {
	return Directions[T]{append([]T{}, tops[0].rows...), append([]T{}, tops[1].rows...)}
}

// examples adds the examples of literals, from the documents that contain them.
func (c *comparison) examples(positive, negative []literal) (a, b []Literal, err error) {
	a, b = make([]Literal, len(positive)), make([]Literal, len(negative))
	type pending struct {
		from *literal
		to   *Literal
	}
	var all []pending
	for i := range positive {
		all = append(all, pending{&positive[i], &a[i]})
	}
	for i := range negative {
		all = append(all, pending{&negative[i], &b[i]})
	}
	slices.SortFunc(all, func(x, y pending) int {
		return cmp.Or(cmp.Compare(x.from.example.dataset, y.from.example.dataset), cmp.Compare(x.from.example.row, y.from.example.row))
	})
	for len(all) > 0 {
		dataset := all[0].from.example.dataset
		n := slices.IndexFunc(all, func(p pending) bool { return p.from.example.dataset != dataset })
		if n < 0 {
			n = len(all)
		}
		for side, path := range []string{c.a.Datasets[dataset].ScoredPath, c.b.Datasets[dataset].ScoredPath} {
			reader, err := artifact.OpenTokens(path)
			if err != nil {
				return nil, nil, err
			}
			var document artifact.ScoredDocument
			at := int64(-1)
			for _, p := range all[:n] {
				if place := p.from.example; place.row != at {
					if err := cmp.Or(reader.SeekRow(place.row), reader.Read(&document)); err != nil {
						return nil, nil, errors.Join(err, reader.Close())
					}
					at = place.row
				}
				c.example(p.from, p.to, &document, c.a.Datasets[dataset].Dataset, side)
			}
			if err := reader.Close(); err != nil {
				return nil, nil, err
			}
		}
		all = all[n:]
	}
	return a, b, nil
}

func (c *comparison) example(from *literal, to *Literal, document *artifact.ScoredDocument, dataset string, side int) {
	at := from.example
	boundaries := tokenBoundaries(document.Text, at.start, at.end, document.TokenStarts, document.TokenEnds)
	if side == 1 {
		to.BBoundaries = boundaries
		return
	}
	row := from.row(visible(strings.ToValidUTF8(from.text, "\ufffd")))
	if row.tooSmall() {
		row.Verdict = VerdictSmall
	} else {
		q := c.tested.FalseDiscovery(*row.P)
		row.Q = &q
		row.decide(q, c.a.noise()+c.b.noise())
	}
	start, end := nextBoundary(document.Text, int(at.start)), nextBoundary(document.Text, int(at.end))
	*to = Literal{
		Name: row.Name, Bucket: bucketNames[from.bucket], Documents: row.Documents, Bytes: row.Bytes, ABPB: row.ABPB, BBPB: row.BBPB,
		GapBPB: row.GapBPB, DeltaBits: row.DeltaBits, Units: row.Units, Low: row.Low, High: row.High, P: row.P, Q: row.Q, Verdict: row.Verdict,
		ExampleDataset: dataset, ExampleShard: document.Shard,
		ExampleRowIndex: document.Row, ExamplePreview: preview(document.Text, start, end), ABoundaries: boundaries,
	}
}
