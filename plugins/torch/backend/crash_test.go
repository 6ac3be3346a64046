//go:build torch

package backend

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCrash kills the program in the middle of a real run. The run restarts it, and ends with the same bytes as an
// undisturbed run. If the runner is killed, the program ends too, and the next run makes the same bytes.
func TestCrash(t *testing.T) {
	// The path must be short, because sockets are created under it.
	root, err := os.MkdirTemp("", "crash")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	build := exec.Command("go", "build", "-tags", "torch", "-buildvcs=false", "-o", root, "../../../runner", "../cmd/runner-backend-torch")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var text strings.Builder
	for i := range 150 {
		fmt.Fprintf(&text, "%d. %s\n\n", i, strings.Repeat("The train was late because it had snowed for three days. ", 1+i%40))
	}
	weights := filepath.Dir(tiny(t).Files[0].Path)
	program := filepath.Join(root, "runner-backend-torch")
	// begin starts a run in a new directory.
	begin := func(name string) (dir string, c *exec.Cmd, out *bytes.Buffer) {
		dir = filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "text.txt"), []byte(text.String()))
		write(t, filepath.Join(dir, "crash.cue"), fmt.Appendf(nil, `package crash

import "surprisal.dev/experiment"

experiment.#Experiment

name: "crash"
datasets: "d": source: text: {path: "text.txt", split: "paragraphs"}
models: "m": {backend: torch: {batchTokens: 128, threads: 1}, weights: safetensors: path: %q}
scoring: {context: 64, stride: 32}
`, weights))
		out = new(bytes.Buffer)
		c = exec.Command(filepath.Join(root, "runner"), "--plugins", root, "run", dir)
		c.Stdout, c.Stderr = out, out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return dir, c, out
	}
	// score returns the files of the score.
	score := func(dir string) string {
		to := filepath.Join(dir, "score")
		export := exec.Command(filepath.Join(root, "runner"), "--plugins", root, "-C", dir, "export", "score m d", to)
		if out, err := export.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var all strings.Builder
		for _, name := range []string{"scored_documents.parquet", "ledger.parquet", "summary.json"} {
			data, err := os.ReadFile(filepath.Join(to, name))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&all, "%s %x\n", name, data)
		}
		return all.String()
	}

	dir, c, out := begin("whole")
	computing := awaitProgram(t, program)
	if err := c.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	duration := time.Since(computing)
	want := score(dir)
	for name, crash := range map[string]func(*testing.T, int){"killed": killed, "segmentation fault": faulted} {
		dir, c, out := begin(strings.ReplaceAll(name, " ", "-"))
		awaitProgram(t, program)
		time.Sleep(duration / 2)
		for _, pid := range processes(t, program) {
			crash(t, pid)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
			continue
		}
		logs, err := filepath.Glob(filepath.Join(dir, ".surprisal/runs/*/log.jsonl"))
		if err != nil || len(logs) != 1 {
			t.Fatalf("logs %v, %v", logs, err)
		}
		log, err := os.ReadFile(logs[0])
		if err != nil {
			t.Fatal(err)
		}
		if deaths := bytes.Count(log, []byte("the plugin crashed; restarting it")); deaths != 1 {
			t.Errorf("%s: the plugin died %d times in the middle of its work\n%s", name, deaths, log)
		}
		if name == "segmentation fault" && !bytes.Contains(log, []byte("signal arrived during cgo execution")) {
			t.Errorf("%s: not in C++\n%s", name, log)
		}
		if score(dir) != want {
			t.Errorf("%s: the score is not what an undisturbed run makes", name)
		}
	}

	dir, c, out = begin("host")
	awaitProgram(t, program)
	time.Sleep(duration / 2)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil {
		t.Fatalf("the run ended before it was killed\n%s", out)
	}
	for deadline := time.Now().Add(10 * time.Second); len(processes(t, program)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("processes %v continue without the runner", processes(t, program))
		}
	}
	again := exec.Command(filepath.Join(root, "runner"), "--plugins", root, "run", dir)
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if score(dir) != want {
		t.Error("after a killed runner the score is not what an undisturbed run makes")
	}
}

// awaitProgram waits for a process of the program and returns the time.
func awaitProgram(t *testing.T, program string) time.Time {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if len(processes(t, program)) > 0 {
			return time.Now()
		}
	}
	t.Fatalf("%s was not started", program)
	return time.Time{}
}

func killed(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// faulted replaces libtorch's allocator and tensor functions by invalid instructions, so that the next operation in C++
// ends in a segmentation fault.
func faulted(t *testing.T, pid int) {
	t.Helper()
	const halt = 0xf4
	if runtime.GOARCH != "amd64" {
		t.Fatalf("no such instruction is known for %s", runtime.GOARCH)
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	}()
	overwritten := 0
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if !strings.Contains(fields[1], "x") || !strings.HasSuffix(fields[len(fields)-1], "/libc10.so") {
			continue
		}
		var from, to int64
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err != nil {
			t.Fatal(err)
		}
		n, err := memory.WriteAt(bytes.Repeat([]byte{halt}, int(to-from)), from)
		if err != nil {
			t.Fatal(err)
		}
		overwritten += n
	}
	if overwritten == 0 {
		t.Fatalf("libc10.so is not part of the process:\n%s", maps)
	}
}

// processes returns the processes of a program.
func processes(t *testing.T, program string) (pids []int) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		// A process that has ended in the meantime has no link.
		if exe, _ := os.Readlink(link); exe != program {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}
