package artifact

// Names of the files that artifacts consist of.
const (
	DocumentsFile          = "documents.parquet"
	CountsFile             = "counts.json"
	MetadataFile           = "metadata.json"
	ScoredFile             = "scored_documents.parquet"
	ConfidenceFile         = "confidence.parquet"
	TopTokensFile          = "top_tokens.parquet"
	LedgerFile             = "ledger.parquet"
	TokenCountsFile        = "token_counts.parquet"
	TokenCountsSummaryFile = "token_counts_summary.json"
	SummaryFile            = "summary.json"
	ModelFile              = "model.bin"
	ImportFile             = "import.json"
	SequencesFile          = "sequences.parquet"
	DimensionsFile         = "dimensions.parquet"
	OutliersFile           = "occurrences.parquet"
)
