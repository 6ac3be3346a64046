//go:build !linux

package workspace

import "math"

// physicalMemory returns the largest number, because the memory of the machine is only known on Linux.
func physicalMemory() int64 { return math.MaxInt64 }
