//go:build slow

package score_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"surprisal.dev/runner/action/actiontest"
	"surprisal.dev/runner/artifact"
)

// memoryTest names the environment variable that makes TestMemory the process that is measured: documents and their bytes.
const memoryTest = "SURPRISAL_MEMORY_TEST"

// A score's memory is that of its largest document, and what artifact.ScoreMemory says is enough.
func TestMemory(t *testing.T) {
	if size := os.Getenv(memoryTest); size != "" {
		scoreLarge(t, size)
		return
	}
	if testing.Short() {
		t.Skip("scores hundreds of megabytes")
	}
	for _, size := range []struct{ documents, bytes int64 }{{1, 16 << 20}, {5000, 32 << 10}} {
		limit := artifact.ScoreMemory(size.bytes)
		command := exec.Command(os.Args[0], "-test.run=^TestMemory$", "-test.v")
		command.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", memoryTest, size.documents, size.bytes), fmt.Sprintf("GOMEMLIMIT=%d", limit/8*7))
		out, err := command.CombinedOutput()
		_, peak, ok := strings.Cut(string(out), "peak of the process in KiB: ")
		if err != nil || !ok {
			t.Fatalf("%v: %s", err, out)
		}
		kib, err := strconv.ParseInt(strings.Fields(peak)[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d documents of %d bytes: %d MiB", size.documents, size.bytes, kib>>10)
		if kib<<10 > limit {
			t.Errorf("%d documents of %d bytes took %d MiB, wanted at most %d", size.documents, size.bytes, kib>>10, limit>>20)
		}
	}
}

func scoreLarge(t *testing.T, size string) {
	var documents, bytes int
	if _, err := fmt.Sscan(size, &documents, &bytes); err != nil {
		t.Fatal(err)
	}
	l := actiontest.New(t, "fake")
	f, err := os.Create(filepath.Join(l.Dir, "large.txt"))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("the text of a large document, again and again; ", bytes/47+1)[:bytes-1] + "\n"
	for range documents {
		if _, err := f.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	line = ""
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l.Dataset("large", "text", `{"path":"large.txt","split":"lines"}`, "text")
	l.Model("m", "fake", `{"Size":4}`)
	l.MustRun()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	fmt.Println("peak of the process in KiB:", strings.Fields(peak)[0])
}
