package actiontest

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"surprisal.dev/runner/artifact"
)

// memoryTest is the environment variable that marks the process whose memory is measured.
const memoryTest = "SURPRISAL_MEMORY_TEST"

// Peak does work in a separate process and returns the peak memory of that process in bytes. The runtime's memory limit
// of the process is that of a runner with --memory of limit bytes. The process runs the calling test, which must call
// Peak again; there Peak does not return.
func Peak(t *testing.T, limit int64, work func()) int64 {
	t.Helper()
	const label = "peak of the process in KiB: "
	if os.Getenv(memoryTest) == t.Name() {
		work()
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, peak, _ := strings.Cut(string(status), "VmHWM:")
		fmt.Println(label + strings.Fields(peak)[0])
		t.SkipNow()
	}
	var run []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		run = append(run, "^"+part+"$")
	}
	command := exec.Command(os.Args[0], "-test.run="+strings.Join(run, "/"), "-test.v")
	command.Env = append(os.Environ(), memoryTest+"="+t.Name(), fmt.Sprintf("GOMEMLIMIT=%d", artifact.RuntimeLimit(limit)))
	out, err := command.CombinedOutput()
	_, peak, ok := strings.Cut(string(out), label)
	if err != nil || !ok {
		t.Fatalf("%v: %s", err, out)
	}
	kib, err := strconv.ParseInt(strings.Fields(peak)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// WithinMemory fails the test if the peak memory of work, measured as in Peak, exceeds limit bytes.
func WithinMemory(t *testing.T, limit int64, work func()) {
	t.Helper()
	peak := Peak(t, limit, work)
	t.Logf("%d MB of %d", peak/1e6, limit/1e6)
	if peak > limit {
		t.Errorf("got %d MB of memory, want at most %d", peak/1e6, limit/1e6)
	}
}
