package scaling

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// Rows of the tables. Text of documents and names are as they are; the files are for programs.
type (
	documentRow struct {
		Dataset      string   `json:"dataset" parquet:"dataset,dict"`
		Shard        string   `json:"shard" parquet:"shard,dict"`
		Row          int64    `json:"row_index" parquet:"row_index"`
		Model        string   `json:"model" parquet:"model,dict"`
		ScoredBytes  int64    `json:"scored_bytes" parquet:"scored_bytes"`
		ScoredTokens int64    `json:"scored_tokens" parquet:"scored_tokens"`
		Nats         float64  `json:"nats" parquet:"nats"`
		BPB          *float64 `json:"bpb" parquet:"bpb,optional"`
		Perplexity   *float64 `json:"perplexity_per_token" parquet:"perplexity_per_token,optional"`
	}
	modelRow struct {
		Model         string   `json:"model" parquet:"model"`
		Family        string   `json:"family" parquet:"family"`
		X             *float64 `json:"x" parquet:"x,optional"`
		Parameters    *int64   `json:"parameters" parquet:"parameters,optional"`
		Active        *int64   `json:"active_parameters" parquet:"active_parameters,optional"`
		FLOPsPerToken *float64 `json:"flops_per_token" parquet:"flops_per_token,optional"`
		ScoredTokens  int64    `json:"scored_tokens" parquet:"scored_tokens"`
		Nats          float64  `json:"nats" parquet:"nats"`
		BPB           float64  `json:"bpb" parquet:"bpb"`
		Low           *float64 `json:"bpb_low" parquet:"bpb_low,optional"`
		High          *float64 `json:"bpb_high" parquet:"bpb_high,optional"`
		PerToken      *float64 `json:"perplexity_per_token" parquet:"perplexity_per_token,optional"`
		PerWord       *float64 `json:"perplexity_per_word" parquet:"perplexity_per_word,optional"`
		PerByte       *float64 `json:"perplexity_per_byte" parquet:"perplexity_per_byte,optional"`
	}
	datasetRow struct {
		Dataset      string   `json:"dataset" parquet:"dataset"`
		Model        string   `json:"model" parquet:"model"`
		X            *float64 `json:"x" parquet:"x,optional"`
		Documents    int64    `json:"documents" parquet:"documents"`
		ScoredBytes  int64    `json:"scored_bytes" parquet:"scored_bytes"`
		ScoredTokens int64    `json:"scored_tokens" parquet:"scored_tokens"`
		Nats         float64  `json:"nats" parquet:"nats"`
		BPB          float64  `json:"bpb" parquet:"bpb"`
		// Units counts the documents with scored bytes, or their clusters, that the interval is of.
		Units      int64    `json:"units" parquet:"units"`
		Low        *float64 `json:"bpb_low" parquet:"bpb_low,optional"`
		High       *float64 `json:"bpb_high" parquet:"bpb_high,optional"`
		Perplexity *float64 `json:"perplexity_per_token" parquet:"perplexity_per_token,optional"`
	}
	partRow struct {
		Part  string   `json:"part" parquet:"part"`
		Model string   `json:"model" parquet:"model"`
		X     *float64 `json:"x" parquet:"x,optional"`
		Parts int64    `json:"parts" parquet:"parts"`
		BPB   *float64 `json:"bpb" parquet:"bpb,optional"`
	}
	tokenRow struct {
		Model string  `json:"model" parquet:"model"`
		ID    int32   `json:"token_id" parquet:"token_id"`
		Text  string  `json:"token_text" parquet:"token_text"`
		Count int64   `json:"count" parquet:"count"`
		Nats  float64 `json:"nats" parquet:"nats"`
		Mean  float64 `json:"mean_nats" parquet:"mean_nats"`
		// ByTotal and ByMean are ranks from 1 among the model's tokens, or null below tokenRanks.
		ByTotal *int64 `json:"rank_by_total" parquet:"rank_by_total,optional"`
		ByMean  *int64 `json:"rank_by_mean" parquet:"rank_by_mean,optional"`
	}
)

// tables holds the rows of tables that a summary does not have.
type tables struct{ tokens []tokenRow }

// write writes all tables except that of the documents.
func (t *tables) write(dir string, s *Summary, scores [][]artifact.ScoreSummary) error {
	var models []modelRow
	var datasets []datasetRow
	for i, r := range s.Rows {
		low, high := r.Interval.Ends()
		models = append(models, modelRow{
			r.Model, r.Family, r.X, r.Parameters, r.ActiveParameters, r.FLOPsPerToken, r.Tokens, r.Nats, r.BPB, low, high, r.Perplexity.PerToken,
			r.Perplexity.PerWord, r.Perplexity.PerByte,
		})
		for j, dataset := range s.Datasets {
			of := scores[i][j]
			low, high := r.IntervalByDataset[j].Ends()
			datasets = append(datasets, datasetRow{
				dataset, r.Model, r.X, of.Documents, of.ScoredBytes, of.ScoredTokens, of.Nats, of.BPB, r.UnitsByDataset[j], low, high, r.PerplexityByDataset[j],
			})
		}
	}
	parts := func(of []Breakdown) (rows []partRow) {
		for _, b := range of {
			for i, r := range s.Rows {
				rows = append(rows, partRow{b.Name, r.Model, r.X, b.Parts, b.BPB[i]})
			}
		}
		return rows
	}
	return errors.Join(
		artifact.WriteTable(dir, "models", models), artifact.WriteTable(dir, "datasets", datasets),
		artifact.WriteTable(dir, "sentences", parts(s.Sentences)), artifact.WriteTable(dir, "buckets", parts(s.Buckets)),
		artifact.WriteTable(dir, "tokens", t.tokens),
	)
}

// Limits of lists of tokens.
const (
	// tokenRanks is the number of tokens per model in the table, by total and by mean.
	tokenRanks = 100
	// tokensShown is the number of tokens in the report, by each.
	tokensShown = 10
	// fewestTokens is the number of occurrences from which a token is ranked by its mean.
	fewestTokens = 10
)

// hardest returns the tokens of each model with the highest total and mean losses, by ID.
func (t *tally) hardest(models []model) []tokenRow {
	var rows []tokenRow
	for i, m := range models {
		found := map[int32]*tokenRow{}
		row := func(id int32) *tokenRow {
			if found[id] == nil {
				of := t.tokens[i][id]
				found[id] = &tokenRow{
					Model: m.Name, ID: id, Text: strings.ToValidUTF8(of.text, "\ufffd"), Count: of.count, Nats: of.nats, Mean: of.nats / float64(of.count),
				}
			}
			return found[id]
		}
		ids := slices.Sorted(maps.Keys(t.tokens[i]))
		slices.SortStableFunc(ids, func(a, b int32) int { return cmp.Compare(t.tokens[i][b].nats, t.tokens[i][a].nats) })
		for rank, id := range ids[:min(len(ids), tokenRanks)] {
			n := int64(rank + 1)
			row(id).ByTotal = &n
		}
		ids = slices.DeleteFunc(ids, func(id int32) bool { return t.tokens[i][id].count < fewestTokens })
		slices.Sort(ids)
		mean := func(id int32) float64 { return t.tokens[i][id].nats / float64(t.tokens[i][id].count) }
		slices.SortStableFunc(ids, func(a, b int32) int { return cmp.Compare(mean(b), mean(a)) })
		for rank, id := range ids[:min(len(ids), tokenRanks)] {
			n := int64(rank + 1)
			row(id).ByMean = &n
		}
		for _, id := range slices.Sorted(maps.Keys(found)) {
			rows = append(rows, *found[id])
		}
	}
	return rows
}

// Token is one of the hardest tokens of the last model of Gain, or of the last model of the table if there is no Gain.
type Token struct {
	Model string `json:"model"`
	ID    int32  `json:"id"`
	// Text is the token, with invisible characters escaped.
	Text  string `json:"text"`
	Count int64  `json:"count"`
	// Total and Mean are in nats.
	Total float64 `json:"nats"`
	Mean  float64 `json:"meanNats"`
	// FirstMean is the mean loss of the same token for the first model of Gain. It is null if that does not have the
	// token.
	FirstMean *float64 `json:"firstMeanNats"`
	ByTotal   *int64   `json:"rankByTotal"`
	ByMean    *int64   `json:"rankByMean"`
}

// compared returns the hardest tokens of one model for the report, with the losses of the first model.
func (s *Summary) compared(rows []tokenRow, sum *tally) []Token {
	last, first := len(s.Rows)-1, -1
	if gain := s.largest(); gain != nil {
		last, first = gain[len(gain)-1], gain[0]
	}
	tokens := []Token{}
	for _, r := range rows {
		shown := r.ByTotal != nil && *r.ByTotal <= tokensShown || r.ByMean != nil && *r.ByMean <= tokensShown
		if r.Model != s.Rows[last].Model || !shown {
			continue
		}
		t := Token{
			Model: r.Model, ID: r.ID, Text: protocol.Visible(sum.tokens[last][r.ID].text), Count: r.Count, Total: r.Nats, Mean: r.Mean,
			ByTotal: r.ByTotal, ByMean: r.ByMean,
		}
		if first >= 0 {
			if of := sum.tokens[first][r.ID]; of != nil && of.text == sum.tokens[last][r.ID].text && of.count == r.Count {
				mean := of.nats / float64(of.count)
				t.FirstMean = &mean
			}
		}
		tokens = append(tokens, t)
	}
	return tokens
}
