package outliers

import (
	"errors"
	"path/filepath"

	"surprisal.dev/runner/artifact"
)

// perplexityResult is an entry of perplexity_results.json.
type perplexityResult struct {
	Model          string   `json:"model"`
	Perplexity     *float64 `json:"perplexity"`
	Loss           *float64 `json:"loss"`
	BPB            float64  `json:"bits_per_byte"`
	Predicted      int64    `json:"num_tokens"`
	Sequences      int64    `json:"num_sequences"`
	SequenceLength int64    `json:"sequence_length"`
}

// analysisResult is an entry of final_analysis_results.json.
type analysisResult struct {
	Model          string            `json:"model"`
	Sequences      int64             `json:"num_sequences"`
	SequenceLength int64             `json:"sequence_length"`
	Threshold      float64           `json:"magnitude_threshold"`
	LayerPct       float64           `json:"min_layer_pct"`
	SequencePct    float64           `json:"min_seq_pct"`
	HiddenSize     int64             `json:"hidden_size"`
	Sites          int               `json:"num_sites"`
	Dimensions     int64             `json:"num_outliers"`
	Occurrences    int64             `json:"occurrences"`
	MeanLayer      *float64          `json:"mean_layer_pct"`
	MedianLayer    *float64          `json:"median_layer_pct"`
	MeanSequence   *float64          `json:"mean_seq_pct"`
	MedianSequence *float64          `json:"median_seq_pct"`
	Top            []dimensionResult `json:"top_dimensions"`
	Problem        string            `json:"problem,omitempty"`
}

type dimensionResult struct {
	Dimension    int32   `json:"dimension"`
	Occurrences  int64   `json:"occurrences"`
	MeanLayer    float64 `json:"mean_layer_pct"`
	MeanSequence float64 `json:"mean_seq_pct"`
	Largest      float64 `json:"max_magnitude"`
	Layers       int64   `json:"layers_affected"`
}

// writeReference writes the files of the reference experiment, with an entry for each model.
func (s *Summary) writeReference(dir string) error {
	d := s.Definition
	perplexities, analyses := []perplexityResult{}, []analysisResult{}
	for _, r := range s.Rows {
		p := perplexityResult{r.Model, r.Perplexity, nil, r.BPB, r.Predicted, r.Sequences, d.SequenceLength}
		if r.Predicted > 0 {
			loss := r.Nats / float64(r.Predicted)
			p.Loss = &loss
		}
		perplexities = append(perplexities, p)
		a := analysisResult{
			Model: r.Model, Sequences: r.Sequences, SequenceLength: d.SequenceLength, Threshold: d.Threshold,
			LayerPct: 100 * d.LayerShare, SequencePct: 100 * d.SequenceShare, HiddenSize: r.HiddenSize, Sites: r.Sites,
			Dimensions: r.Dimensions, Occurrences: r.Occurrences, MeanLayer: r.MeanLayer, MedianLayer: r.MedianLayer,
			MeanSequence: r.MeanSequence, MedianSequence: r.MedianSequence, Top: []dimensionResult{}, Problem: r.Problem,
		}
		for _, top := range r.Top {
			a.Top = append(a.Top, dimensionResult(top))
		}
		analyses = append(analyses, a)
	}
	return errors.Join(
		artifact.WriteJSON(filepath.Join(dir, perplexityFile), perplexities),
		artifact.WriteJSON(filepath.Join(dir, analysisFile), analyses),
	)
}
