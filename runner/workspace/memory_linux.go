package workspace

import (
	"math"

	"golang.org/x/sys/unix"
)

// physicalMemory returns the memory of the machine in bytes, or the largest number if it is unknown.
func physicalMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return math.MaxInt64
	}
	return int64(info.Totalram) * int64(info.Unit)
}
