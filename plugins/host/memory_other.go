//go:build !linux

package host

import "os"

// memoryUse returns nothing, because the memory of processes is only known on Linux.
func memoryUse(*os.ProcessState) string { return "" }
