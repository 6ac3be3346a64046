// Package artifacttest describes tables of other tools for tests.
package artifacttest

// ForeignRow is a row of a table of scored documents that another tool wrote: with optional columns, and a loss for each
// byte. It has neither ranks nor losses of tokens.
type ForeignRow struct {
	Dataset     string    `parquet:"dataset_name,optional"`
	Tags        []string  `parquet:"tags,optional,list"`
	Shard       string    `parquet:"shard_name,optional"`
	Row         *int64    `parquet:"row_index,optional"`
	Text        string    `parquet:"text,optional"`
	ScoreStart  *int32    `parquet:"score_byte_start,optional"`
	ScoreEnd    *int32    `parquet:"score_byte_end,optional"`
	TokenIDs    []int32   `parquet:"token_ids,optional,list"`
	PerByteLoss []float64 `parquet:"per_byte_loss,optional,list"`
	TokenStarts []int32   `parquet:"token_byte_starts,optional,list"`
	TokenEnds   []int32   `parquet:"token_byte_ends,optional,list"`
	NumBytes    *int32    `parquet:"num_bytes,optional"`
}
