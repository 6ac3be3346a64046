package artifact

// Bounds of the runtime's memory limit. The runtime counts neither the pages of the program's own file, which are about
// 60 MB of the resident memory, nor what it allocates while it already collects garbage.
const (
	leastUncounted = 72 << 20
	// leastLimit is a limit below which a process would only collect garbage.
	leastLimit = 64 << 20
)

// RuntimeLimit returns the memory limit of the Go runtime in a process that may use memory bytes: seven eighths of them,
// or less if they are few.
func RuntimeLimit(memory int64) int64 {
	return max(memory-max(memory/8, leastUncounted), leastLimit)
}

// The functions below return the memory in bytes that the runner's process needs for an action, if the runtime's memory
// limit is at most RuntimeLimit of it. The argument largest is the size in bytes of the largest document. They assume
// four or more bytes per token on average.

// ScoreMemory returns the memory of a score, with per-token confidence or without. Its constant is the largest, because
// texts are queued for the plugin.
func ScoreMemory(largest int64, confidence bool) int64 {
	if confidence {
		return 190<<20 + 31*largest
	}
	return 160<<20 + 14*largest
}

// ClusterMemory returns what a score with per-token confidence needs more for the clusters that documents of total bytes
// name, each with 64 bytes or more on average.
func ClusterMemory(total int64) int64 { return 512 * min(total/64, MaxClusters) }

// MaterializeMemory returns the memory of reading documents.
func MaterializeMemory(largest int64) int64 { return 128<<20 + 10*largest }

// GapMemory returns the memory of a comparison of two scores.
func GapMemory(largest int64) int64 { return 128<<20 + 16*largest }

// ScalingMemory returns the memory of a table of the scores of a number of models: their current documents, the sums of
// one of them, and the tokens of their vocabularies.
func ScalingMemory(models, largest int64) int64 {
	return 128<<20 + models*24<<20 + (24+12*models)*largest
}

// WindowsMemory returns the memory of scoring sliding windows of that many tokens: one text, and the windows of a block.
func WindowsMemory(largest, tokens int64) int64 { return ScoreMemory(largest, true) + 256*tokens }

// SlidingMemory returns the memory of a report of sliding windows: one text.
func SlidingMemory(largest int64) int64 { return 160<<20 + 8*largest }

// ActivationsMemory returns the memory of a pass that observes activations: texts are queued as for a score, and an answer
// has a row for each dimension.
func ActivationsMemory(largest int64) int64 { return 192<<20 + 14*largest }

// OutliersMemory returns the memory of a report on outliers with figures of a number of pixels: the statistics of one
// model at a time, and the pixels of one figure with their copy in the encoder.
func OutliersMemory(pixels int64) int64 { return 256<<20 + 12*pixels }

// SeriesMemory returns the memory of following the scores of a number of models: the current pages of their ledgers.
func SeriesMemory(models int64) int64 { return 128<<20 + models*12<<20 }

// DriftMemory returns the memory of comparing texts: the current documents of two models, the losses of tokens as samples,
// and the current pages of the ledgers.
func DriftMemory(largest int64) int64 { return 224<<20 + 16*largest }
