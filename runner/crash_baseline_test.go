//go:build slow

package main_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gateSpec compares a model with a baseline, and releaseSpec has the model of the baseline.
const (
	gateSpec = `package crash

gates: g: {candidate: "a", against: "release", datasets: ["held-out/*"], maxBitsPerByte: 5}
`
	releaseSpec = `package crash

models: "release-7": backend: ngram: {order: 2, train: "train/a"}
`
)

// killedBaselines is the number of times that a process is killed while it sets a baseline.
const killedBaselines = 30

// A process that sets a baseline is killed at random moments, while another one drops all runs without a tag. The lock file
// then either has the baseline, and the store keeps its scores, or it does not.
func TestCrashWhileSettingABaseline(t *testing.T) {
	p := newPlace(t, build(t), "")
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lock := filepath.Join(p.dir, "surprisal.lock")
	write("release.cue", releaseSpec)
	p.do(0, "run")
	started := time.Now()
	p.do(0, "baseline", "set", "release", "release-7")
	duration := time.Since(started)
	p.do(0, "tag", "everything")
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	set := 0
	for range killedBaselines {
		if err := os.Remove(lock); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for line := range strings.Lines(p.tags()) {
			if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, "baseline.") {
				p.do(0, "untag", name)
			}
		}
		collector := p.start("gc", "--older-than", "0s")
		c := p.start("baseline", "set", "release", "release-7")
		time.Sleep(time.Duration(random.Int64N(int64(duration))))
		c.signal(t, syscall.SIGKILL)
		c.wait()
		if code := collector.wait(); code != 0 {
			t.Fatalf("gc: exit code %d\n%s", code, &collector.stderr)
		}
		p.noProcesses()
		p.verify()
		if _, err := os.Stat(lock); err != nil {
			continue
		}
		set++
		stdout, _ := p.do(0, "baseline", "list")
		if !strings.Contains(stdout, " yes") || !strings.Contains(p.tags(), "baseline.release.") {
			t.Fatalf("the lock file has a baseline that the store does not keep:\n%s%s", stdout, p.tags())
		}
	}
	t.Logf("%d of %d killed processes had set the baseline", set, killedBaselines)

	// Without the model and without its runs, the baseline still serves.
	p.do(0, "baseline", "set", "release", "release-7")
	p.do(0, "untag", "everything")
	if err := os.Remove(filepath.Join(p.dir, "release.cue")); err != nil {
		t.Fatal(err)
	}
	write("gate.cue", gateSpec)
	p.do(0, "gc", "--older-than", "0s")
	stdout, _ := p.do(0, "run")
	if !strings.Contains(stdout, "gate g: PASS: a is not worse than release on any of ") {
		t.Errorf("got %s", stdout)
	}
	p.verify()
}

// tags returns the tags of the store, one per line.
func (p *place) tags() string {
	p.t.Helper()
	stdout, _ := p.do(0, "tag")
	return stdout
}
