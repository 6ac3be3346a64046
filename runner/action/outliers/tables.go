package outliers

import (
	"errors"
	"math"
	"os"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// Names of tables.
const (
	dimensionsTable = "dimensions"
	modelsTable     = "models"
	sequencesTable  = "sequences"
	sitesTable      = "sites"
)

// Rows of the tables, with the names of the reference experiment where it has them. Names are as they are; the files are
// for programs.
type (
	sequenceRow struct {
		Model       string   `json:"model" parquet:"model,dict"`
		Dataset     string   `json:"dataset" parquet:"dataset,dict"`
		Shard       string   `json:"shard" parquet:"shard,dict"`
		Row         int64    `json:"row_index" parquet:"row_index"`
		Tokens      int64    `json:"num_tokens" parquet:"num_tokens"`
		Predicted   int64    `json:"predicted_tokens" parquet:"predicted_tokens"`
		Positions   int64    `json:"positions" parquet:"positions"`
		ScoredBytes int64    `json:"scored_bytes" parquet:"scored_bytes"`
		Nats        float64  `json:"nats" parquet:"nats"`
		Perplexity  *float64 `json:"perplexity" parquet:"perplexity,optional"`
		Occurrences int64    `json:"occurrences" parquet:"occurrences"`
		Largest     *float64 `json:"max_magnitude" parquet:"max_magnitude,optional"`
	}
	dimensionRow struct {
		Model        string  `json:"model" parquet:"model,dict"`
		Dimension    int32   `json:"dimension" parquet:"dimension"`
		Occurrences  int64   `json:"occurrences" parquet:"occurrences"`
		MeanLayer    float64 `json:"mean_layer_pct" parquet:"mean_layer_pct"`
		MeanSequence float64 `json:"mean_seq_pct" parquet:"mean_seq_pct"`
		Largest      float64 `json:"max_magnitude" parquet:"max_magnitude"`
		Layers       int64   `json:"layers_affected" parquet:"layers_affected"`
	}
	siteRow struct {
		Model string `json:"model" parquet:"model,dict"`
		Site  int64  `json:"site" parquet:"site"`
		Name  string `json:"site_name" parquet:"site_name"`
		// Median is the mean of the sequences' medians, and Occurrences counts the occurrences that the site is a part of.
		Largest     float64  `json:"max_magnitude" parquet:"max_magnitude"`
		Median      *float64 `json:"mean_median_magnitude" parquet:"mean_median_magnitude,optional"`
		Occurrences int64    `json:"occurrences" parquet:"occurrences"`
	}
	modelRow struct {
		Model          string   `json:"model" parquet:"model"`
		Family         string   `json:"family" parquet:"family"`
		Parameters     *int64   `json:"parameters" parquet:"parameters,optional"`
		HiddenSize     int64    `json:"hidden_size" parquet:"hidden_size"`
		Sites          int64    `json:"num_sites" parquet:"num_sites"`
		Sequences      int64    `json:"num_sequences" parquet:"num_sequences"`
		SequenceLength int64    `json:"sequence_length" parquet:"sequence_length"`
		Tokens         int64    `json:"num_tokens" parquet:"num_tokens"`
		Predicted      int64    `json:"predicted_tokens" parquet:"predicted_tokens"`
		Positions      int64    `json:"positions" parquet:"positions"`
		Nats           float64  `json:"nats" parquet:"nats"`
		Perplexity     *float64 `json:"perplexity" parquet:"perplexity,optional"`
		BPB            float64  `json:"bits_per_byte" parquet:"bits_per_byte"`
		Occurrences    int64    `json:"occurrences" parquet:"occurrences"`
		Dimensions     int64    `json:"num_outliers" parquet:"num_outliers"`
		MeanLayer      *float64 `json:"mean_layer_pct" parquet:"mean_layer_pct,optional"`
		MedianLayer    *float64 `json:"median_layer_pct" parquet:"median_layer_pct,optional"`
		MeanSequence   *float64 `json:"mean_seq_pct" parquet:"mean_seq_pct,optional"`
		MedianSequence *float64 `json:"median_seq_pct" parquet:"median_seq_pct,optional"`
		Largest        *float64 `json:"max_magnitude" parquet:"max_magnitude,optional"`
		LargestSite    *string  `json:"max_magnitude_site" parquet:"max_magnitude_site,optional"`
		LargestRatio   *float64 `json:"max_magnitude_to_median" parquet:"max_magnitude_to_median,optional"`
		Problem        string   `json:"problem" parquet:"problem"`
	}
)

// tables are the tables that are written while activations are read.
type tables struct {
	sequences   *artifact.TableFile[sequenceRow]
	dimensions  *artifact.TableFile[dimensionRow]
	sites       *artifact.TableFile[siteRow]
	occurrences *artifact.Writer[artifact.Outlier]
	file        *os.File
}

func createTables(t *action.Task) (*tables, error) {
	out := &tables{}
	var errs [4]error
	out.sequences, errs[0] = artifact.CreateTable[sequenceRow](t.Dir, sequencesTable)
	out.dimensions, errs[1] = artifact.CreateTable[dimensionRow](t.Dir, dimensionsTable)
	out.sites, errs[2] = artifact.CreateTable[siteRow](t.Dir, sitesTable)
	out.file, errs[3] = os.Create(t.Path(artifact.OutliersFile))
	if err := errors.Join(errs[:]...); err != nil {
		out.abandon()
		return nil, err
	}
	out.occurrences = artifact.NewOutlierWriter(out.file)
	return out, nil
}

func (t *tables) writeSequence(model, dataset string, s *artifact.ActivationSequence, occurrences int64) error {
	row := sequenceRow{
		model, dataset, s.Shard, s.Row, s.Tokens, s.Predicted, s.Positions, s.ScoredBytes, s.Nats, perplexity(s.Nats, s.Predicted),
		occurrences, nil,
	}
	if len(s.SiteLargest) > 0 {
		largest := 0.0
		for _, v := range s.SiteLargest {
			largest = math.Max(largest, v)
		}
		row.Largest = &largest
	}
	return t.sequences.Write(&row)
}

// writeModel writes the dimensions and the sites of a model.
func (t *tables) writeModel(model string, sum *tally, dimensions []DimensionRow) error {
	for _, d := range dimensions {
		row := dimensionRow{model, d.Dimension, d.Occurrences, d.MeanLayer, d.MeanSequence, d.Largest, d.Layers}
		if err := t.dimensions.Write(&row); err != nil {
			return err
		}
	}
	for i, of := range sum.atSites {
		row := siteRow{model, int64(i), sum.sites[i], of.largest, nil, of.occurrences}
		if sum.n > 0 {
			median := of.medians / float64(sum.n)
			row.Median = &median
		}
		if err := t.sites.Write(&row); err != nil {
			return err
		}
	}
	return nil
}

// close completes and closes the files.
func (t *tables) close() error {
	err := errors.Join(t.sequences.Close(), t.dimensions.Close(), t.sites.Close(), t.occurrences.Close(), t.file.Close())
	t.file = nil
	return err
}

// abandon closes the files if close has not. It is for the case of an error that the caller returns.
func (t *tables) abandon() {
	if t.sequences != nil {
		t.sequences.Abandon()
	}
	if t.dimensions != nil {
		t.dimensions.Abandon()
	}
	if t.sites != nil {
		t.sites.Abandon()
	}
	if t.file != nil {
		_ = t.file.Close()
	}
}

// Names of files of the reference experiment, which has one of each for each model.
const (
	perplexityFile = "perplexity_results.json"
	analysisFile   = "final_analysis_results.json"
)

// writeModels writes the table of models, and the files of the reference experiment.
func (s *Summary) writeModels(dir string) error {
	rows := make([]modelRow, 0, len(s.Rows))
	for _, r := range s.Rows {
		row := modelRow{
			Model: r.Model, Family: r.Family, Parameters: r.Parameters, HiddenSize: r.HiddenSize, Sites: int64(r.Sites),
			Sequences: r.Sequences, SequenceLength: s.Definition.SequenceLength, Tokens: r.Tokens, Predicted: r.Predicted,
			Positions: r.Positions, Nats: r.Nats, Perplexity: r.Perplexity, BPB: r.BPB, Occurrences: r.Occurrences, Dimensions: r.Dimensions,
			MeanLayer: r.MeanLayer, MedianLayer: r.MedianLayer, MeanSequence: r.MeanSequence, MedianSequence: r.MedianSequence, Problem: r.Problem,
		}
		if l := r.Largest; l != nil {
			row.Largest, row.LargestSite, row.LargestRatio = &l.Magnitude, &l.Site, l.Ratio
		}
		rows = append(rows, row)
	}
	return errors.Join(artifact.WriteTable(dir, modelsTable, rows), s.writeReference(dir))
}
