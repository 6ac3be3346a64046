package workspace

import (
	"math"

	"golang.org/x/sys/unix"
)

// physicalMemory returns the machine's memory in bytes; where Linux does not tell, there is no bound.
func physicalMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return math.MaxInt64
	}
	return int64(info.Totalram) * int64(info.Unit)
}
