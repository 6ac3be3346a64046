package drift

import (
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

// shares are those of the quantiles of the losses of tokens.
var shares = []float64{0.5, 0.9, 0.99, 0.999}

// cell has the sums over the units of a side by one model.
type cell struct {
	// bits are those for each scored byte, tokens those for each byte of the texts, and unscored the bytes without a loss for
	// each byte to score.
	bits, tokens, unscored statistics.Sums
	// losses are those of the scored tokens, and below, for each of shares, how many of them are up to the quantile.
	losses statistics.Distribution
	below  []statistics.Sums
}

// half has the sums over the units of a side.
type half struct {
	// cells are those of the models with scores of it, the current model last.
	cells []cell
	// pairs are those of the losses of both models; nil if only one has scores.
	pairs *pairs
	// documents and bytes count the texts.
	documents, bytes int64
	datasets         []Dataset
}

// pairs are sums over the units of linear combinations of the losses of the current model and of the one before, for each
// scored byte.
type pairs struct {
	// difference is now - before, mean their mean, and twice before - 2 now.
	difference, mean, twice statistics.Sums
}

// Positions of the ratios of a cell.
const (
	atBits = iota
	atTokens
	atUnscored
	cellRatios
)

// Positions of the ratios of a pair, which come after those of the cells.
const (
	atDifference = iota
	atMean
	atTwice
	pairRatios
)

// source calls visit with the documents of a dataset as models scored them. Their memory is reused.
type source func(dataset string, models []string, visit func(*document)) error

// half adds up the documents of a side.
func (p *parameters) half(side Side, read source) (*half, error) {
	var models []string
	for _, m := range p.models() {
		if p.has(m, side) {
			models = append(models, m)
		}
	}
	h := &half{cells: make([]cell, len(models))}
	samples := make([]statistics.Sample, len(models))
	if len(models) > 1 {
		h.pairs = &pairs{}
	}
	values := make([]ratio, len(models)*cellRatios+pairRatios)
	for _, dataset := range side.Datasets {
		r := newRatios(len(values))
		of := Dataset{Name: dataset}
		err := read(dataset, models, func(d *document) {
			of.Documents++
			of.Bytes += int64(len(d.scores[0].Text))
			for i, s := range d.scores {
				copy(values[i*cellRatios:], s.ratios())
				s.EachScored(func(at int, _, _ int32) { samples[i].Add(s.TokenNLL[at], 1) })
			}
			if len(models) > 1 {
				copy(values[len(models)*cellRatios:], d.pair())
			}
			r.add(d.cluster, values)
		})
		if err != nil {
			return nil, err
		}
		h.merge(r.all(), &of)
	}
	for i := range h.cells {
		h.cells[i].losses = samples[i].Sorted()
	}
	return h, h.count(side, models, read)
}

// merge adds the sums of a dataset.
func (h *half) merge(sums []statistics.Sums, of *Dataset) {
	for i := range h.cells {
		c, from := &h.cells[i], sums[i*cellRatios:]
		c.bits.Merge(from[atBits])
		c.tokens.Merge(from[atTokens])
		c.unscored.Merge(from[atUnscored])
		of.BPB = append(of.BPB, valueOf(from[atBits]))
	}
	if h.pairs != nil {
		from := sums[len(h.cells)*cellRatios:]
		h.pairs.difference.Merge(from[atDifference])
		h.pairs.mean.Merge(from[atMean])
		h.pairs.twice.Merge(from[atTwice])
		difference := valueOf(from[atDifference])
		of.Difference = &difference
	}
	of.Units, of.ScoredBytes = sums[atBits].Units, int64(sums[atBits].W)
	h.documents += of.Documents
	h.bytes += of.ScoredBytes
	h.datasets = append(h.datasets, *of)
}

// count counts the tokens up to the quantiles.
func (h *half) count(side Side, models []string, read source) error {
	limits := make([][]float64, len(models))
	for i := range h.cells {
		c := &h.cells[i]
		c.below = make([]statistics.Sums, len(shares))
		for _, share := range shares {
			limits[i] = append(limits[i], c.quantile(share))
		}
	}
	values := make([]ratio, len(models)*len(shares))
	for _, dataset := range side.Datasets {
		r := newRatios(len(values))
		err := read(dataset, models, func(d *document) {
			clear(values)
			for i, s := range d.scores {
				of := values[i*len(shares):][:len(shares)]
				s.EachScored(func(at int, _, _ int32) {
					for j := range of {
						if of[j].w++; s.TokenNLL[at] <= limits[i][j] {
							of[j].d++
						}
					}
				})
			}
			r.add(d.cluster, values)
		})
		if err != nil {
			return err
		}
		sums := r.all()
		for i := range h.cells {
			for j := range shares {
				h.cells[i].below[j].Merge(sums[i*len(shares)+j])
			}
		}
	}
	return nil
}

// quantile returns a quantile of the losses of tokens; 0 without tokens.
func (c *cell) quantile(share float64) float64 {
	if c.losses.Len() == 0 {
		return 0
	}
	return c.losses.Quantile(share)
}

// ratios returns the ratios of a cell, by their positions.
func (l *losses) ratios() []ratio {
	starts, ends := l.UnscoredStarts, l.UnscoredEnds
	unscored := 0.0
	for i := range starts {
		unscored += float64(max(0, min(ends[i], l.ScoreEnd)-max(starts[i], l.ScoreStart)))
	}
	return []ratio{
		atBits: {l.bits, l.bytes}, atTokens: {float64(len(l.TokenEnds)), float64(len(l.Text))},
		atUnscored: {unscored, float64(l.ScoreEnd - l.ScoreStart)},
	}
}

// pair returns the ratios of a pair, by their positions.
func (d *document) pair() []ratio {
	before, now := d.scores[0], d.scores[1]
	return []ratio{
		atDifference: {now.bits - before.bits, now.bytes}, atMean: {(now.bits + before.bits) / 2, now.bytes},
		atTwice: {before.bits - 2*now.bits, now.bytes},
	}
}

// Value is a ratio with its 95% interval.
type Value struct {
	Value float64 `json:"value"`
	// Low and High are null for fewer than two units.
	Low  *float64 `json:"low"`
	High *float64 `json:"high"`
}

func valueOf(s statistics.Sums) Value {
	if e, ok := s.Estimate(); ok {
		return Value{e.Value, &e.Low, &e.High}
	}
	if s.W == 0 {
		return Value{}
	}
	return Value{Value: s.D / s.W}
}

// summaries reads the summaries of the scores, in the order of scores, and checks their scoring protocols.
func (p *parameters) summaries(t *action.Task) ([]artifact.ScoreSummary, error) {
	var all []artifact.ScoreSummary
	of := p.scores()
	for i, s := range of {
		path, err := p.path(t, s, artifact.SummaryFile)
		if err != nil {
			return nil, err
		}
		var summary artifact.ScoreSummary
		if err := artifact.ReadJSON(path, &summary); err != nil {
			return nil, err
		}
		all = append(all, summary)
		if err := sameProtocol(of[0], s, all[0], all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}
