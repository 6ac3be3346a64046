package artifact

import (
	"fmt"
	"io"
	"math"
)

// ActivationSequence is a row of sequences.parquet: a document, cut to a number of tokens, and the outputs of a model's
// norms while it read the document. protocol.Activations defines the magnitudes. The lists have an entry for each site.
type ActivationSequence struct {
	Shard string `parquet:"shard_name,dict"`
	Row   int64  `parquet:"row_index"`
	// Tokens counts the tokens of the sequence, and Predicted those of them that have a loss.
	Tokens    int64 `parquet:"tokens"`
	Predicted int64 `parquet:"predicted_tokens"`
	// Nats is the loss of the sequence, and ScoredBytes counts its bytes with a loss.
	Nats        float64 `parquet:"nats"`
	ScoredBytes int64   `parquet:"scored_bytes"`
	// Positions counts the positions at which the norms were observed.
	Positions   int64     `parquet:"positions"`
	SiteLargest []float64 `parquet:"site_largest,list"`
	SiteMedian  []float64 `parquet:"site_median,list"`
}

func (s *ActivationSequence) check() error {
	if len(s.SiteLargest) != len(s.SiteMedian) {
		return s.fault("%d largest magnitudes and %d medians; their numbers must be equal", len(s.SiteLargest), len(s.SiteMedian))
	}
	if math.IsNaN(s.Nats) || math.IsInf(s.Nats, 0) {
		return s.fault("a loss of %v nats; it must be finite", s.Nats)
	}
	for i, largest := range s.SiteLargest {
		if median := s.SiteMedian[i]; !(median >= 0 && median <= largest) || math.IsInf(largest, 1) {
			return s.fault("site %d has the median magnitude %v and the largest %v; they must be finite, at least 0 and in order", i, median, largest)
		}
	}
	if s.Predicted < 0 || s.Tokens < s.Predicted || s.Positions < 0 || s.ScoredBytes < 0 {
		return s.fault("%d tokens, %d with a loss, %d positions and %d bytes; no number is negative, and only tokens have a loss",
			s.Tokens, s.Predicted, s.Positions, s.ScoredBytes)
	}
	return nil
}

func (s *ActivationSequence) fault(format string, args ...any) error {
	return invalid("shard %q, row %d: %s", s.Shard, s.Row, fmt.Sprintf(format, args...))
}

// ActivationDimension is a row of dimensions.parquet: a dimension that reaches the threshold in a sequence. Rows are in
// the order of the sequences, and then of the dimensions.
type ActivationDimension struct {
	// Sequence is the position of the sequence in sequences.parquet, from 0.
	Sequence  int64 `parquet:"sequence"`
	Dimension int32 `parquet:"dimension"`
	// Sites has bit i%8 of byte i/8 set if the dimension reaches the threshold at some position of site i.
	Sites []byte `parquet:"sites"`
	// Positions counts the positions at which the dimension reaches the threshold at some site, and Largest is its largest
	// magnitude.
	Positions int64   `parquet:"positions"`
	Largest   float64 `parquet:"largest"`
}

// Outlier is a row of occurrences.parquet: a dimension that is systematic in a sequence of a model.
type Outlier struct {
	Model     string `parquet:"model,dict"`
	Dataset   string `parquet:"dataset,dict"`
	Shard     string `parquet:"shard_name,dict"`
	Row       int64  `parquet:"row_index"`
	Dimension int32  `parquet:"dimension"`
	// Layers counts the sites at which the dimension reaches the threshold. LayerPercentage is their share of all sites,
	// and SequencePercentage that of such positions of all positions of the sequence, both in percent.
	Layers             int64   `parquet:"layers_affected"`
	LayerPercentage    float64 `parquet:"layer_pct"`
	SequencePercentage float64 `parquet:"seq_pct"`
	Largest            float64 `parquet:"max_magnitude"`
}

// NewActivationSequenceWriter returns a writer of sequences.parquet. It rejects lists of unequal length and numbers out of
// range.
func NewActivationSequenceWriter(w io.Writer) *Writer[ActivationSequence] {
	out := NewWriter(w, func(s *ActivationSequence) int { return len(s.Shard) + 56 + 16*len(s.SiteLargest) })
	out.check = (*ActivationSequence).check
	return out
}

// NewActivationDimensionWriter returns a writer of dimensions.parquet.
func NewActivationDimensionWriter(w io.Writer) *Writer[ActivationDimension] {
	return NewWriter(w, func(d *ActivationDimension) int { return 28 + len(d.Sites) })
}

// NewOutlierWriter returns a writer of occurrences.parquet.
func NewOutlierWriter(w io.Writer) *Writer[Outlier] {
	return NewWriter(w, func(*Outlier) int { return 64 })
}

// OpenActivationSequences opens sequences.parquet.
func OpenActivationSequences(path string) (*Reader[ActivationSequence], error) {
	columns := []column{
		{"shard_name", "string"}, {"row_index", "int64"}, {"tokens", "int64"}, {"predicted_tokens", "int64"}, {"nats", "double"},
		{"scored_bytes", "int64"}, {"positions", "int64"}, {"site_largest", "list<double>"}, {"site_median", "list<double>"},
	}
	return open(path, columns, func(c []*cursor, s *ActivationSequence) error {
		if err := decode(
			c[0].string(&s.Shard), c[1].int64(&s.Row), c[2].int64(&s.Tokens), c[3].int64(&s.Predicted), c[4].double(&s.Nats),
			c[5].int64(&s.ScoredBytes), c[6].int64(&s.Positions), c[7].doubles(&s.SiteLargest), c[8].doubles(&s.SiteMedian),
		); err != nil {
			return err
		}
		return s.check()
	})
}

// OpenActivationDimensions opens dimensions.parquet.
func OpenActivationDimensions(path string) (*Reader[ActivationDimension], error) {
	columns := []column{{"sequence", "int64"}, {"dimension", "int32"}, {"sites", "string"}, {"positions", "int64"}, {"largest", "double"}}
	return open(path, columns, func(c []*cursor, d *ActivationDimension) error {
		var sites string
		err := decode(c[0].int64(&d.Sequence), c[1].int32(&d.Dimension), c[2].string(&sites), c[3].int64(&d.Positions), c[4].double(&d.Largest))
		d.Sites = append(d.Sites[:0], sites...)
		return err
	})
}

// OpenOutliers opens occurrences.parquet.
func OpenOutliers(path string) (*Reader[Outlier], error) {
	columns := []column{
		{"model", "string"}, {"dataset", "string"}, {"shard_name", "string"}, {"row_index", "int64"}, {"dimension", "int32"},
		{"layers_affected", "int64"}, {"layer_pct", "double"}, {"seq_pct", "double"}, {"max_magnitude", "double"},
	}
	return open(path, columns, func(c []*cursor, o *Outlier) error {
		return decode(
			c[0].string(&o.Model), c[1].string(&o.Dataset), c[2].string(&o.Shard), c[3].int64(&o.Row), c[4].int32(&o.Dimension),
			c[5].int64(&o.Layers), c[6].double(&o.LayerPercentage), c[7].double(&o.SequencePercentage), c[8].double(&o.Largest),
		)
	})
}
