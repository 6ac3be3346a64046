package scaling

import (
	"cmp"
	"slices"

	"surprisal.dev/runner/artifact"
)

// Summary is summary.json of a table.
type Summary struct {
	Datasets []string `json:"datasets"`
	X        Axis     `json:"x"`
	Rows     []Row    `json:"models"`
	// Documents and ScoredBytes are the same for every model.
	Documents   int64 `json:"documents"`
	ScoredBytes int64 `json:"scoredBytes"`
	// Fits are those of families with enough sizes, and Notes say what is missing and what to do.
	Fits  []Fit    `json:"fits"`
	Notes []string `json:"notes"`
	// Gain names the models of the largest family in the order of x. It is empty if there are fewer than two.
	Gain []string `json:"gain"`
	// Change is the bits per byte of the last model of Gain less those of the first.
	Change *Change `json:"change"`
	// Ranked holds the documents.
	Ranked    Documents   `json:"rankedDocuments"`
	Sentences []Breakdown `json:"sentences"`
	Buckets   []Breakdown `json:"buckets"`
	Tokens    []Token     `json:"hardestTokens"`
	// Protocol is the scoring protocol.
	Protocol artifact.ScoringProtocol `json:"scoringProtocol"`
	// ComputedDifferences lists the differences in the hardware and software that computed the scores.
	ComputedDifferences []string `json:"computedDifferences"`
}

// Row is a model of a table. BPB and Perplexity are ratios of sums over all datasets.
type Row struct {
	Model  string `json:"model"`
	Family string `json:"family"`
	// X is the model's place on the axis, and null if it is unknown.
	X *float64 `json:"x"`
	// Parameters, ActiveParameters and FLOPsPerToken are null if the backend does not report them. ActiveParameters are
	// those that a token uses.
	Parameters       *int64   `json:"parameters"`
	ActiveParameters *int64   `json:"activeParameters"`
	FLOPsPerToken    *float64 `json:"flopsPerToken"`
	Tokens           int64    `json:"scoredTokens"`
	Nats             float64  `json:"nats"`
	BPB              float64  `json:"bpb"`
	// Interval is that of BPB, null for fewer than two documents, or clusters of them.
	Interval *artifact.Interval `json:"bpbInterval"`
	// Perplexity is exp(nats / n), where n is the number of scored tokens, words or bytes.
	Perplexity artifact.Perplexity `json:"perplexity"`
	// ByDataset holds bits per byte, IntervalByDataset their intervals, and PerplexityByDataset perplexities per token, in
	// the order of Summary.Datasets.
	ByDataset           []float64            `json:"bpbByDataset"`
	IntervalByDataset   []*artifact.Interval `json:"bpbIntervalByDataset"`
	PerplexityByDataset []*float64           `json:"perplexityByDataset"`
	// UnitsByDataset counts the documents with scored bytes, or clusters of them, that each interval is of.
	UnitsByDataset []int64 `json:"unitsByDataset"`
}

// Change is a difference of two models on the same text.
type Change struct {
	BPB float64 `json:"bpb"`
	// Interval is that of the differences of the documents, or of clusters of them. It is null for fewer than two, and if
	// the models have losses for different numbers of bytes of a document.
	Interval *artifact.Interval `json:"interval"`
}

// Breakdown is the loss of all models, in their order, on a part of the text: the sentences at a position of their
// documents, or the segments of a bucket.
type Breakdown struct {
	Name string `json:"name"`
	// Parts counts sentences or segments.
	Parts int64 `json:"parts"`
	// Bytes counts the scored bytes of the first model.
	Bytes int64      `json:"scoredBytes"`
	BPB   []*float64 `json:"bpb"`
}

func breakdown(name string, s *sums) Breakdown {
	b := Breakdown{Name: name, Parts: s.parts, Bytes: s.bytes[0]}
	for i := range s.nats {
		b.BPB = append(b.BPB, s.bpb(i))
	}
	return b
}

// Fit is the law of a family.
type Fit struct {
	Family string   `json:"family"`
	Models []string `json:"models"`
	// Of is the loss that is fitted: "bits per byte" or "nats per token".
	Of  string `json:"of"`
	Law Law    `json:"law"`
	// Offset is null without at least five sizes, or if no offset above 0 fits better than none.
	Offset *OffsetLaw `json:"offsetLaw"`
}

const (
	ofBPB   = "bits per byte"
	ofToken = "nats per token"
)

// family is the models of a name that have a place on the axis, in its order. Without any names of families, all models
// are one.
type family struct {
	name string
	rows []int
}

// families returns the families of the rows, in the order of their first models. A model without a family is in none if
// others have one.
func (s *Summary) families() []family {
	named := slices.ContainsFunc(s.Rows, func(r Row) bool { return r.Family != "" })
	var all []family
	for i, r := range s.Rows {
		if r.X == nil || named && r.Family == "" {
			continue
		}
		k := slices.IndexFunc(all, func(f family) bool { return f.name == r.Family })
		if k < 0 {
			k = len(all)
			all = append(all, family{name: r.Family})
		}
		all[k].rows = append(all[k].rows, i)
	}
	for _, f := range all {
		slices.SortStableFunc(f.rows, func(a, b int) int { return cmp.Compare(*s.Rows[a].X, *s.Rows[b].X) })
	}
	return all
}

// largest returns the rows of the family with the most models in the order of x, or nil if none has two.
func (s *Summary) largest() []int {
	var rows []int
	for _, f := range s.families() {
		if len(f.rows) >= 2 && len(f.rows) > len(rows) {
			rows = f.rows
		}
	}
	return rows
}
