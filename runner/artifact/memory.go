package artifact

// What the runner's process takes of memory while it does an action, in bytes, if the runtime's memory limit is at most 7/8
// of it. Largest is the bytes of the largest document; tokens have four bytes or more on average.

// ScoreMemory returns the memory of a score. Its constant is the largest, because texts wait on their way to the plugin.
func ScoreMemory(largest int64) int64 { return 160<<20 + 14*largest }

// MaterializeMemory returns the memory of reading documents.
func MaterializeMemory(largest int64) int64 { return 128<<20 + 10*largest }

// GapMemory returns the memory of a comparison of two scores.
func GapMemory(largest int64) int64 { return 128<<20 + 16*largest }
