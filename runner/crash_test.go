//go:build slow

package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How often a process is killed.
const (
	killedRunners = 50
	killedPlugins = 20
)

// suite is what the tests have in common.
type suite struct {
	binary string
	random *rand.Rand
	// reference is what an uninterrupted run leaves, duration how long it takes.
	reference map[string]string
	duration  time.Duration
}

// TestCrash kills, stops and starves runs of the real binary. Whatever happens, the next run leaves exactly what an
// uninterrupted one does.
func TestCrash(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := &suite{binary: build(t), random: rand.New(rand.NewPCG(seed, 0))}
	p := newPlace(t, s.binary, t.TempDir())
	started := time.Now()
	p.do(0, "run")
	s.duration = time.Since(started)
	p.verify()
	s.reference = p.contents()
	t.Logf("an uninterrupted run takes %v", s.duration)

	t.Run("killed runner", s.killedRunner)
	t.Run("killed plugin", s.killedPlugin)
}

// build returns the path of a runner that no other test uses.
func build(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(binaryVariable); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "runner")
	out, err := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

const binaryVariable = "SURPRISAL_CRASH_TEST_RUNNER"

// moment is a random time within an uninterrupted run.
func (s *suite) moment() time.Duration { return time.Duration(s.random.Int64N(int64(s.duration))) }

func (s *suite) killedRunner(t *testing.T) {
	interrupted := 0
	for kills := 0; kills < killedRunners; {
		p := newPlace(t, s.binary, t.TempDir())
		for again := true; again && kills < killedRunners; again = s.random.IntN(3) > 0 {
			c := p.start("run")
			time.Sleep(s.moment())
			if c.ended() {
				if code := c.wait(); code != 0 {
					t.Fatalf("exit code %d\n%s%s", code, &c.stdout, &c.stderr)
				}
				break
			}
			c.signal(t, syscall.SIGKILL)
			c.wait()
			kills++
			p.noProcesses()
			if runs, err := filepath.Glob(filepath.Join(p.dir, ".surprisal/runs/*/journal.jsonl")); err != nil {
				t.Fatal(err)
			} else if len(runs) > 0 {
				switch j := p.status(); {
				case j.State == "interrupted" && j.Run != "":
					interrupted++
				case j.State != "done":
					t.Errorf("the status of a killed run: %+v", j)
				}
			}
			// Opening a store sweeps it; half of the runs do that themselves.
			if s.random.IntN(2) == 0 {
				p.verify()
			}
		}
		p.do(0, "run")
		p.mustEqual(s.reference)
	}
	if interrupted == 0 {
		t.Error("no killed run had begun its journal")
	}
	t.Logf("%d of %d killed runs were at work on actions", interrupted, killedRunners)
}

func (s *suite) killedPlugin(t *testing.T) {
	for range killedPlugins {
		p := newPlace(t, s.binary, t.TempDir())
		c := p.start("run")
		time.Sleep(s.moment())
		var plugins []int
		for !c.ended() && len(plugins) == 0 {
			plugins = p.processes(c.cmd.Process.Pid)
		}
		victim := "none"
		if len(plugins) > 0 {
			pid := plugins[s.random.IntN(len(plugins))]
			args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			victim = strings.ReplaceAll(string(args), "\x00", " ")
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				t.Fatal(err)
			}
		}
		if code := c.wait(); code != 0 {
			t.Errorf("plugin %s was killed: exit code %d\n%s%s", victim, code, &c.stdout, &c.stderr)
			p.do(0, "run")
		}
		p.mustEqual(s.reference)
	}
}
