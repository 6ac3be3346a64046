//go:build slow

package main_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The number of times that a process is killed.
const (
	killedRunners   = 50
	killedPlugins   = 20
	killedProcesses = 20
)

// suite is the common state of the tests.
type suite struct {
	binary string
	seed   uint64
	// reference holds the files that an uninterrupted run leaves, duration the duration of that run, and bytes the size
	// of its store.
	reference map[string]string
	duration  time.Duration
	bytes     int64
}

// TestCrash kills and stops runs of the real binary, and fills their disks. In all cases the next run leaves exactly
// the same files as an uninterrupted one.
func TestCrash(t *testing.T) {
	s := &suite{binary: build(t), seed: uint64(time.Now().UnixNano())}
	if seed, err := strconv.ParseUint(os.Getenv(seedVariable), 10, 64); err == nil {
		s.seed = seed
	}
	p := newPlace(t, s.binary, "")
	started := time.Now()
	p.do(0, "run")
	s.duration = time.Since(started)
	p.verify()
	s.reference = p.contents()
	s.bytes = p.size()
	t.Logf("an uninterrupted run takes %v; the seed is %d", s.duration, s.seed)

	t.Run("killed runner", s.killedRunner)
	t.Run("killed plugin", s.killedPlugin)
	t.Run("killed processes", s.killedProcesses)
	t.Run("full disk", s.fullDisk)
	t.Run("read-only disk", s.readOnlyDisk)
	t.Run("machines", s.machines)
	for _, mode := range [][]string{nil, {"--processes"}} {
		t.Run(strings.Join(append([]string{"one interrupt"}, mode...), " "), func(t *testing.T) { s.oneInterrupt(t, mode...) })
		t.Run(strings.Join(append([]string{"two interrupts"}, mode...), " "), func(t *testing.T) { s.twoInterrupts(t, mode...) })
	}
	t.Run("two runners", s.twoRunners)
}

// build returns the path of a newly built runner.
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

// Environment variables for the test in another process. Set the seed to repeat the same random times.
const (
	binaryVariable = "SURPRISAL_CRASH_TEST_RUNNER"
	seedVariable   = "SURPRISAL_CRASH_TEST_SEED"
)

// moments returns random times within an uninterrupted run, and the source of random numbers.
func (s *suite) moments() (next func() time.Duration, random *rand.Rand) {
	random = rand.New(rand.NewPCG(s.seed, 0))
	return func() time.Duration { return time.Duration(random.Int64N(int64(s.duration))) }, random
}

func (s *suite) killedRunner(t *testing.T) {
	t.Parallel()
	moment, random := s.moments()
	interrupted := 0
	for kills := 0; kills < killedRunners; {
		p := newPlace(t, s.binary, "")
		for again := true; again && kills < killedRunners; again = random.IntN(4) > 0 {
			c := p.start("run")
			time.Sleep(moment())
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
			if random.IntN(2) == 0 {
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

// A plugin that crashes at any moment is restarted, so that the run succeeds.
func (s *suite) killedPlugin(t *testing.T) {
	t.Parallel()
	moment, random := s.moments()
	for range killedPlugins {
		p := newPlace(t, s.binary, "")
		c := p.start("run")
		time.Sleep(moment())
		var plugins []int
		for !c.ended() && len(plugins) == 0 {
			// The process that evaluates the spec is not a plugin: a run cannot continue without it.
			plugins = slices.DeleteFunc(p.processes(c.cmd.Process.Pid), func(pid int) bool {
				return !strings.Contains(commandLine(pid), " plugin serve ")
			})
		}
		victim := "none"
		if len(plugins) > 0 {
			pid := plugins[random.IntN(len(plugins))]
			victim = commandLine(pid)
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				t.Fatal(err)
			}
		}
		if code := c.wait(); code != 0 {
			t.Errorf("plugin %q was killed: exit code %d\n%s%s", victim, code, &c.stdout, &c.stderr)
		}
		p.mustEqual(s.reference)
	}
}

// Runs with --processes resume like others after they, or their processes, were killed.
func (s *suite) killedProcesses(t *testing.T) {
	t.Parallel()
	moment, random := s.moments()
	const killsEach = 4
	for kills := 0; kills < killedProcesses; {
		p := newPlace(t, s.binary, "")
		for range killsEach {
			c := p.start("run", "--processes")
			time.Sleep(moment())
			c.signal(t, syscall.SIGKILL)
			c.wait()
			kills++
			p.noProcesses()
		}
		c := p.start("run", "--processes", "--retries", "20")
		for killed := 0; killed < killsEach && p.killWorker(c, random); killed++ {
			kills++
			time.Sleep(moment() / killsEach)
		}
		if code := c.wait(); code != 0 {
			t.Fatalf("workers were killed: exit code %d\n%s%s", code, &c.stdout, &c.stderr)
		}
		p.mustEqual(s.reference)
	}
}

// killWorker waits for a process that executes actions of a run and kills it. It returns false if the run ends first.
func (p *place) killWorker(c *process, random *rand.Rand) bool {
	p.t.Helper()
	for !c.ended() {
		var workers []int
		for _, pid := range p.processes(c.cmd.Process.Pid) {
			if strings.Contains(commandLine(pid), " exec ") {
				workers = append(workers, pid)
			}
		}
		if len(workers) == 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		err := syscall.Kill(workers[random.IntN(len(workers))], syscall.SIGKILL)
		if err != nil && err != syscall.ESRCH {
			p.t.Fatal(err)
		}
		return err == nil
	}
	return false
}

// The place and the options of a run do not change its results.
func (s *suite) machines(t *testing.T) {
	t.Parallel()
	a, b := newPlace(t, s.binary, ""), newPlace(t, s.binary, "")
	a.env = []string{"GOMAXPROCS=1", "LC_ALL=C", "TZ=UTC", "HOME=/"}
	a.do(0, "run", "--cores", "1")
	a.mustEqual(s.reference)

	b.umask = "077"
	b.env = []string{"GOMAXPROCS=4", "LC_ALL=tr_TR.UTF-8", "LANG=de_DE.ISO-8859-1", "TZ=Asia/Kathmandu"}
	b.store = filepath.Join(filepath.Dir(b.dir), "a store with a long name, elsewhere")
	b.do(0, "run", "--cores", "4", "--memory", "8GB", "--retries", "0")
	b.mustEqual(s.reference)
}

// The first Ctrl-C lets running actions finish and starts no others.
func (s *suite) oneInterrupt(t *testing.T, mode ...string) {
	t.Parallel()
	p := newPlace(t, s.binary, "")
	c, backends := p.startAndStopBackends(mode...)
	inFlight := p.status().count("running")
	c.signal(t, syscall.SIGINT)
	c.await(t, "finishing running actions")
	for _, backend := range backends {
		if err := syscall.Kill(backend, syscall.SIGCONT); err != nil && err != syscall.ESRCH {
			t.Fatal(err)
		}
	}
	if code := c.wait(); code != 130 || !strings.Contains(c.stderr.String(), "run again to resume") {
		t.Errorf("exit code %d\n%s", code, &c.stderr)
	}
	j := p.status()
	if j.State != "canceled" || inFlight == 0 || j.count("running")+j.count("failed") > 0 || j.count("canceled") == 0 {
		t.Errorf("%d actions were in flight: %+v", inFlight, j)
	}
	p.do(0, "run")
	p.mustEqual(s.reference)
}

// The second Ctrl-C stops at once, even if a running action would never end.
func (s *suite) twoInterrupts(t *testing.T, mode ...string) {
	t.Parallel()
	p := newPlace(t, s.binary, "")
	c, _ := p.startAndStopBackends(mode...)
	before := p.status()
	c.signal(t, syscall.SIGINT)
	c.await(t, "finishing running actions")
	c.signal(t, syscall.SIGINT)
	if code := c.wait(); code != 130 || !strings.Contains(c.stderr.String(), "stopping\n") {
		t.Errorf("exit code %d\n%s", code, &c.stderr)
	}
	p.noProcesses()
	if j := p.status(); j.State != "canceled" || j.count("running")+j.count("failed") > 0 || j.count("canceled") < before.count("running") {
		t.Errorf("before: %+v\nafter: %+v", before, j)
	}
	p.do(0, "run")
	p.mustEqual(s.reference)
}

// startAndStopBackends starts a run and stops its backends with SIGSTOP while scores are running, which then wait.
func (p *place) startAndStopBackends(mode ...string) (c *process, backends []int) {
	p.t.Helper()
	c = p.start(append([]string{"run"}, mode...)...)
	c.await(p.t, "done      score ")
	for _, pid := range p.processes(0) {
		if strings.HasSuffix(commandLine(pid), " ngram") {
			backends = append(backends, pid)
		}
	}
	if len(backends) == 0 {
		p.t.Fatal("the run has no backend")
	}
	for _, backend := range backends {
		if err := syscall.Kill(backend, syscall.SIGSTOP); err != nil {
			p.t.Fatal(err)
		}
	}
	return c, backends
}

// Two concurrent runs in the same directory do not disturb each other.
func (s *suite) twoRunners(t *testing.T) {
	t.Parallel()
	for i := range 5 {
		p := newPlace(t, s.binary, "")
		first := p.start("run")
		time.Sleep(time.Duration(i) * s.duration / 8)
		second := p.start("run")
		for _, c := range []*process{first, second} {
			if code := c.wait(); code != 0 {
				t.Errorf("exit code %d\n%s%s", code, &c.stdout, &c.stderr)
			}
		}
		p.mustEqual(s.reference)
	}
}
