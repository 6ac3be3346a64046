//go:build slow

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// slidingSpec slides over a text of several parts.
const slidingSpec = `package crash

import "surprisal.dev/experiment"

experiment.#Experiment

name: "sliding"
datasets: {
	train: {source: text: path: "b.txt", use: "train"}
	book: source: text: path: "a.txt"
}
models: m: backend: ngram: {order: 6, train: "train"}
sliding: s: {models: ["m"], refine: above: 1e-20}
`

// A run that is killed in the middle of a book continues with the part that it was working on, and leaves exactly what an
// uninterrupted run leaves. So does a run whose backend is killed.
func TestCrashInMidBook(t *testing.T) {
	binary := build(t)
	place := func() *place {
		p := newPlace(t, binary, "")
		if err := os.WriteFile(filepath.Join(p.dir, "experiment.cue"), []byte(slidingSpec), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := place()
	p.do(0, "run")
	reference := p.contents()

	p = place()
	for _, part := range []string{"windows s m book 001", "windows s m book 004", "windows s m book refine-002"} {
		c := p.start("run", "--cores", "1")
		c.await(t, "done      "+part)
		c.signal(t, syscall.SIGKILL)
		c.wait()
		p.noProcesses()
		var windows int
		for _, e := range p.status().Entries {
			if strings.HasPrefix(e.Action, "windows ") && (e.State == "done" || e.State == "cached") {
				windows++
			}
		}
		if windows == 0 {
			t.Fatalf("no part is done when %s is", part)
		}
		t.Logf("killed after %s: %d parts are done", part, windows)
	}
	stdout, _ := p.do(0, "run")
	if !strings.Contains(stdout, " were cached (") || strings.Contains(stdout, ", 0 were cached (") {
		t.Errorf("nothing is cached:\n%s", stdout)
	}
	p.mustEqual(reference)

	p = place()
	p.killBackend("windows s m book 002")
	p.mustEqual(reference)
}

// killBackend starts a run and kills its backend after a part of the book. The run starts the backend again, and repeats
// only the part that it was working on.
func (p *place) killBackend(after string) {
	p.t.Helper()
	c := p.start("run", "--cores", "1")
	c.await(p.t, "done      "+after)
	killed := 0
	for _, pid := range p.processes(0) {
		if strings.Contains(commandLine(pid), "serve backend") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				p.t.Fatal(err)
			}
			killed++
		}
	}
	if code := c.wait(); code != 0 || killed != 1 {
		p.t.Fatalf("exit code %d after the end of %d backends:\n%s", code, killed, &c.stderr)
	}
	if n := strings.Count(c.stderr.String(), "restarting it"); n != 1 {
		p.t.Errorf("%d actions are repeated:\n%s", n, &c.stderr)
	}
}
