package site

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// scoresKind is the kind of the page of all scores of an experiment.
const scoresKind = "scores"

// scoreRow is a row of the table of scores. The sums are those of package statistics: d is in bits, and w in scored bytes.
type scoreRow struct {
	Dataset string   `parquet:"dataset,dict"`
	Model   string   `parquet:"model,dict"`
	Tags    []string `parquet:"tags,list"`
	Key     string   `parquet:"key"`

	Documents    int64    `parquet:"documents"`
	Bytes        int64    `parquet:"bytes"`
	ScoredBytes  int64    `parquet:"scored_bytes"`
	Words        int64    `parquet:"words"`
	Tokens       int64    `parquet:"tokens"`
	ScoredTokens int64    `parquet:"scored_tokens"`
	Nats         float64  `parquet:"nats"`
	BPB          *float64 `parquet:"bpb,optional"`
	Low          *float64 `parquet:"bpb_low,optional"`
	High         *float64 `parquet:"bpb_high,optional"`
	Error        *float64 `parquet:"bpb_standard_error,optional"`
	PerToken     *float64 `parquet:"perplexity_per_token,optional"`
	PerWord      *float64 `parquet:"perplexity_per_word,optional"`
	PerByte      *float64 `parquet:"perplexity_per_byte,optional"`

	Units int64   `parquet:"units"`
	D     float64 `parquet:"sum_d"`
	W     float64 `parquet:"sum_w"`
	DD    float64 `parquet:"sum_dd"`
	DW    float64 `parquet:"sum_dw"`
	WW    float64 `parquet:"sum_ww"`
	WWW   float64 `parquet:"sum_www"`

	LedgerTokens  float64 `parquet:"ledger_token_nats"`
	LedgerSpan    float64 `parquet:"ledger_span_nats"`
	LedgerOutside float64 `parquet:"ledger_outside_nats"`
	LedgerEOS     float64 `parquet:"ledger_eos_nats"`
	LedgerNoBytes float64 `parquet:"ledger_no_bytes_nats"`
	Unscored      int64   `parquet:"unscored_bytes"`

	NoiseDocuments int64   `parquet:"rescored_documents"`
	NoiseNats      float64 `parquet:"noise_nats_per_token"`
	NoiseBPB       float64 `parquet:"noise_bpb"`

	// Same is equal for scores of the same bytes: of the same documents with losses for the same bytes, in the whole site.
	Same int64 `parquet:"same_bytes"`
	// Protocol and Computed are positions in the lists of the details.
	Protocol int64 `parquet:"scoring_protocol"`
	Computed int64 `parquet:"computed"`
	// The files of the score and its confidence, "" if they are not published.
	Scores     string `parquet:"scores"`
	Confidence string `parquet:"confidence"`
	// Losses is the table of the losses of the model's documents, which has those of the dataset in these rows.
	Losses    string `parquet:"losses"`
	FirstLoss int64  `parquet:"first_loss_row"`
	LossRows  int64  `parquet:"loss_rows"`
}

// scoresDetails is what the page of scores shows first.
type scoresDetails struct {
	Models   []modelManifest `json:"models"`
	Datasets int             `json:"datasets"`
	// Protocols and Computed are the different ones, in the order of their first use.
	Protocols []json.RawMessage `json:"scoringProtocols"`
	Computed  []json.RawMessage `json:"computed"`
	// Losses are the tables of losses by model.
	Losses map[string]action.PageFile `json:"losses"`
}

// scoresHeadline is what the overview shows of the scores.
type scoresHeadline struct {
	Models   []string `json:"models"`
	Datasets int      `json:"datasets"`
	Scores   int      `json:"scores"`
}

// scoresPage collects the scores of an experiment.
type scoresPage struct {
	p         *publisher
	rows      []scoreRow
	protocols numbering
	computed  numbering
	losses    map[string]action.PageFile
}

// numbering numbers values by their first use.
type numbering struct {
	values []json.RawMessage
	at     map[string]int64
}

func (n *numbering) number(v any) (int64, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	if i, ok := n.at[string(data)]; ok {
		return i, nil
	}
	if n.at == nil {
		n.at = map[string]int64{}
	}
	i := int64(len(n.values))
	n.at[string(data)], n.values = i, append(n.values, data)
	return i, nil
}

// scores returns the finished scores of an experiment.
func (e *Experiment) scores(ctx context.Context) (all []action.Score, err error) {
	for _, k := range e.Kinds {
		scorer, ok := k.(action.Scorer)
		if !ok {
			continue
		}
		for _, a := range e.Plan.Of(k.Name()) {
			if a.Outputs == nil {
				continue
			}
			found, err := scorer.Scores(ctx, a, e.Read)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", a.Name, err)
			}
			all = append(all, found...)
		}
	}
	return all, nil
}

// scores adds the page of all scores of an experiment. It returns the models that have some, and the number of
// their datasets.
func (x *exporter) scores(ctx context.Context, e *Experiment, m *manifest) (models []modelManifest, n int, err error) {
	v := &scoresPage{p: &publisher{x, e}, losses: map[string]action.PageFile{}}
	byModel := map[string][]action.Score{}
	all, err := e.scores(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, s := range all {
		if x.choice.publishes(s.Dataset, s.Tags) {
			byModel[s.Model] = append(byModel[s.Model], s)
		}
	}
	datasets := map[string]bool{}
	for name, scores := range byModel {
		slices.SortFunc(scores, func(a, b action.Score) int { return cmp.Compare(a.Dataset, b.Dataset) })
		models = append(models, e.model(name, scores))
		for _, s := range scores {
			datasets[s.Dataset] = true
		}
	}
	if len(models) == 0 {
		return []modelManifest{}, 0, nil
	}
	slices.SortFunc(models, func(a, b modelManifest) int { return cmp.Compare(a.Name, b.Name) })
	names := make([]string, len(models))
	for i, model := range models {
		names[i] = model.Name
		if err := v.model(ctx, byModel[model.Name]); err != nil {
			return nil, 0, fmt.Errorf("scores of model %s: %w", model.Name, err)
		}
	}
	page, err := v.page(scoresDetails{Models: models, Datasets: len(datasets)})
	if err != nil {
		return nil, 0, err
	}
	page.Headline = scoresHeadline{names, len(datasets), len(v.rows)}
	return models, len(datasets), m.add(e, scoresKind, "all", "", page)
}

// model describes a model.
func (e *Experiment) model(name string, scores []action.Score) modelManifest {
	m := modelManifest{Name: name}
	for _, of := range e.Models {
		if of.Name == name {
			m.Family = of.Family
		}
	}
	for _, s := range scores {
		m.Parameters = max(m.Parameters, s.Summary.Model.Parameters)
		m.ActiveParameters = max(m.ActiveParameters, s.Summary.Model.ActiveParameters)
	}
	return m
}

func (v *scoresPage) page(d scoresDetails) (*action.Page, error) {
	slices.SortStableFunc(v.rows, func(a, b scoreRow) int { return cmp.Compare(a.Dataset, b.Dataset) })
	page := &action.Page{Title: "All scores", Files: map[string]action.PageFile{}}
	var err error
	if page.Files["scores"], err = action.PublishTable(v.p, action.Rows(v.rows), func(*scoreRow) int { return 768 }); err != nil {
		return nil, err
	}
	d.Protocols, d.Computed, d.Losses = v.protocols.values, v.computed.values, v.losses
	page.Files[action.Details], err = v.p.JSON(d)
	return page, err
}

// model adds the scores of a model, by dataset.
func (v *scoresPage) model(ctx context.Context, scores []action.Score) error {
	first := len(v.rows)
	for _, s := range scores {
		row, err := v.row(ctx, s)
		if err != nil {
			return fmt.Errorf("dataset %s: %w", s.Dataset, err)
		}
		v.rows = append(v.rows, row)
	}
	n, at := int64(0), first
	file, err := action.PublishTable(v.p, func(yield func(lossRow, error) bool) {
		for _, s := range scores {
			row := &v.rows[at]
			at++
			row.FirstLoss = n
			same := newSameBytes()
			for loss, err := range v.documents(ctx, s, same) {
				n++
				row.LossRows++
				if !yield(loss, err) || err != nil {
					return
				}
			}
			row.Same = v.p.sameBytes(same.sum())
		}
	}, func(l *lossRow) int { return 48 + len(l.Shard) + len(l.Dataset) })
	if err != nil {
		return err
	}
	for i := range v.rows[first:] {
		v.rows[first+i].Losses = file.Path
	}
	v.losses[scores[0].Model] = file
	return nil
}

func (v *scoresPage) row(ctx context.Context, s action.Score) (row scoreRow, err error) {
	of := s.Summary
	if s.ByShard {
		of.Units, of.Interval = of.Shards, artifact.IntervalOf(of.Shards)
	}
	row = scoreRow{
		Dataset: s.Dataset, Model: s.Model, Tags: s.Tags, Key: s.Scored.Action.Key, Documents: of.Documents, Bytes: of.Bytes,
		ScoredBytes: of.ScoredBytes, Words: of.Words, Tokens: of.Tokens, ScoredTokens: of.ScoredTokens, Nats: of.Nats,
		PerToken: of.Perplexity.PerToken, PerWord: of.Perplexity.PerWord, PerByte: of.Perplexity.PerByte,
		Units: of.Units.Units, D: of.Units.D, W: of.Units.W, DD: of.Units.DD, DW: of.Units.DW, WW: of.Units.WW, WWW: of.Units.WWW,
		LedgerTokens: of.Ledger.Tokens, LedgerSpan: of.Ledger.Span, LedgerOutside: of.Ledger.Outside, LedgerEOS: of.Ledger.EOS,
		LedgerNoBytes: of.Ledger.NoBytes, NoiseDocuments: of.Rescoring.Documents, NoiseNats: of.Rescoring.MaxNatsPerToken,
		NoiseBPB: of.Rescoring.MaxBitsPerByte,
	}
	if of.ScoredBytes > 0 {
		row.BPB = &of.BPB
	}
	if i := of.Interval; i != nil {
		row.Low, row.High, row.Error = &i.Low, &i.High, &i.Error
	}
	for _, n := range of.Ledger.UnscoredBytes {
		row.Unscored += n
	}
	var failed [2]error
	row.Protocol, failed[0] = v.protocols.number(of.Protocol)
	row.Computed, failed[1] = v.computed.number(of.Computed)
	if err := errors.Join(failed[:]...); err != nil {
		return row, err
	}
	found, ok, err := v.p.Scored(ctx, s.Scored)
	if !ok || err != nil {
		return row, err
	}
	row.Scores = found.Table.Path
	if found.Confidence != nil {
		row.Confidence = found.Confidence.Path
	}
	return row, nil
}
