package host

import (
	"os"
	"syscall"

	"github.com/dustin/go-humanize"
	"github.com/prometheus/procfs"
)

// memoryUse describes how much memory a process has used before it ended, and how much the machine has.
func memoryUse(ended *os.ProcessState) (text string) {
	// Linux counts the memory of the process that started it, too: a peak that is not higher says nothing.
	var own syscall.Rusage
	usage, ok := ended.SysUsage().(*syscall.Rusage)
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); ok && err == nil && usage.Maxrss > own.Maxrss {
		text += "; it had used up to " + humanize.IBytes(uint64(usage.Maxrss)<<10)
	}
	if fs, err := procfs.NewDefaultFS(); err == nil {
		if m, err := fs.Meminfo(); err == nil && m.MemTotalBytes != nil && m.MemAvailableBytes != nil {
			text += "; the machine has " + humanize.IBytes(*m.MemTotalBytes) + ", of which " +
				humanize.IBytes(*m.MemAvailableBytes) + " are available now"
		}
	}
	return text
}
