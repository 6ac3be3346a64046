package artifact

// ScoreMemory returns how many bytes of memory the runner takes at most while it scores documents of which the largest has
// so many bytes, in tokens of four bytes or more on average, if the runtime's memory limit is at most 7/8 of it.
func ScoreMemory(largest int64) int64 { return 160<<20 + 24*largest }
