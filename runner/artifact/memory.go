package artifact

// ScoreMemory returns how many bytes of memory the runner needs at most to score documents of which the largest has so
// many bytes, in tokens of four bytes or more on average. It is true where the runtime's memory limit is not above it.
func ScoreMemory(largest int64) int64 { return 96<<20 + 24*largest }
