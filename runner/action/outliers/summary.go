package outliers

import (
	"slices"

	"surprisal.dev/runner/action/activations"
	"surprisal.dev/runner/artifact"
)

// Summary is summary.json of a report.
type Summary struct {
	Datasets   []string   `json:"datasets"`
	Definition Definition `json:"definition"`
	Rows       []Row      `json:"models"`
	// Fits are those of families with enough perplexities, and Notes say what is missing and what to do.
	Fits  []Fit    `json:"fits"`
	Notes []string `json:"notes"`
	// ComputedDifferences lists the differences in the hardware and software that computed the activations.
	ComputedDifferences []string `json:"computedDifferences"`
}

// Row is a model of a report.
type Row struct {
	Model  string `json:"model"`
	Family string `json:"family"`
	// Parameters is null if the backend does not report it.
	Parameters *int64 `json:"parameters"`
	HiddenSize int64  `json:"hiddenSize"`
	// Sites counts the norms that were observed. It is 0 if the model has none; then Problem says so, and there are only
	// losses.
	Sites   int    `json:"sites"`
	Problem string `json:"problem,omitempty"`
	// Sequences counts the documents that were read.
	Sequences int64 `json:"sequences"`
	activations.Sums
	BPB float64 `json:"bpb"`
	// Perplexity is exp(nats / predicted tokens), and null without a predicted token.
	Perplexity *float64 `json:"perplexity"`
	// Occurrences counts pairs of a dimension and a sequence in which it is systematic, and Dimensions counts the different
	// dimensions of such pairs.
	Occurrences int64 `json:"occurrences"`
	Dimensions  int64 `json:"dimensions"`
	// The percentages are over the occurrences, and null without any.
	MeanLayer      *float64 `json:"meanLayerPercentage"`
	MedianLayer    *float64 `json:"medianLayerPercentage"`
	MeanSequence   *float64 `json:"meanSequencePercentage"`
	MedianSequence *float64 `json:"medianSequencePercentage"`
	// Largest is null without an observation.
	Largest *Largest `json:"largest"`
	// Top are the dimensions with the most occurrences.
	Top []DimensionRow `json:"topDimensions"`
	// Protocol is the scoring protocol.
	Protocol artifact.ScoringProtocol `json:"scoringProtocol"`
}

// DimensionRow is a dimension of a model. Its means are over its occurrences.
type DimensionRow struct {
	Dimension    int32   `json:"dimension"`
	Occurrences  int64   `json:"occurrences"`
	MeanLayer    float64 `json:"meanLayerPercentage"`
	MeanSequence float64 `json:"meanSequencePercentage"`
	Largest      float64 `json:"largest"`
	// Layers counts the sites at which it reaches the threshold in any of its occurrences.
	Layers int64 `json:"layersAffected"`
}

// topDimensions is the number of dimensions of Row.Top.
const topDimensions = 10

// Fit is the curve of a measure over the models of a family.
type Fit struct {
	Family string   `json:"family"`
	Models []string `json:"models"`
	// Of is the name of the measure, such as "mean_layer_pct".
	Of    string      `json:"of"`
	Curve Exponential `json:"curve"`
}

// measure is a number of each model that is plotted against perplexity.
type measure struct {
	// name is that of the column in tables and of the figure.
	name, title, label string
	value              func(r *Row) *float64
}

// numOutliers is the name of the number of dimensions in the reference experiment.
const numOutliers = "num_outliers"

// measures returns the measures in the order of the figures.
func measures() []measure {
	return []measure{
		{"mean_layer_pct", "Mean share of layers affected", "layers affected, mean (%)", func(r *Row) *float64 { return r.MeanLayer }},
		{"median_layer_pct", "Median share of layers affected", "layers affected, median (%)", func(r *Row) *float64 { return r.MedianLayer }},
		{"mean_seq_pct", "Mean share of positions affected", "positions affected, mean (%)", func(r *Row) *float64 { return r.MeanSequence }},
		{"median_seq_pct", "Median share of positions affected", "positions affected, median (%)", func(r *Row) *float64 { return r.MedianSequence }},
		{numOutliers, "Outlier dimensions", "outlier dimensions", func(r *Row) *float64 { return r.dimensions() }},
	}
}

// dimensions returns the number of dimensions, or nil if none could be observed.
func (r *Row) dimensions() *float64 {
	if r.Sites == 0 {
		return nil
	}
	n := float64(r.Dimensions)
	return &n
}

// family is the models of a name that have a perplexity. Without any names of families, all models are one.
type family struct {
	name string
	rows []int
}

// families returns the families in the order of their first models. A model without a family is in none if others have
// one.
func (s *Summary) families() []family {
	named := slices.ContainsFunc(s.Rows, func(r Row) bool { return r.Family != "" })
	var all []family
	for i, r := range s.Rows {
		if r.Perplexity == nil || r.Sites == 0 || named && r.Family == "" {
			continue
		}
		k := slices.IndexFunc(all, func(f family) bool { return f.name == r.Family })
		if k < 0 {
			k = len(all)
			all = append(all, family{name: r.Family})
		}
		all[k].rows = append(all[k].rows, i)
	}
	return all
}
