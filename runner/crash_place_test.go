//go:build slow

package main_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// spec trains and scores models with two tokenizers, on text from two providers.
const spec = `package crash

import "surprisal.dev/experiment"

experiment.#Experiment

name: "crash"

// Documents are truncated to this many bytes; 0 means never.
limits: bytes: *0 | int @tag(bytes,type=int)

datasets: {
	"train/a": {source: text: {path: "train-a.txt", split: "paragraphs"}, use: "train"}
	"train/b": {source: jsonl: path: "train-b.jsonl", use: "train"}
	"held-out/a": {source: text: {path: "a.txt", split: "paragraphs"}, tags: ["a"]}
	"held-out/b": {source: text: {path: "b.txt", split: "lines"}, limits: bytes: 200}
	"rows/c": {source: jsonl: path: "c.jsonl"}
	"rows/sample": {source: jsonl: path: "c.jsonl", sample: {documents: 50, seed: 7}}
}

models: {
	"a": backend: ngram: {order: 4, train: "train/a"}
	"byte-ngram": backend: ngram: {order: 4, train: ["train/a", "train/b"]}
	"word-ngram": backend: ngram: {order: 2, tokens: "words", train: ["train/a", "train/b"]}
}

sweeps: order: {models: ["byte-ngram"], over: "backend.ngram.order": [1, 2]}

gaps: {
	"word-vs-byte": {a: "word-ngram", b: "byte-ngram"}
	"a-vs-byte": {a: "a", b: "byte-ngram", datasets: ["held-out/*"]}
}
`

// writeSpec writes the spec and its text, which is always the same, to dir.
func writeSpec(t *testing.T, dir string) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	files := map[string]string{"experiment.cue": spec}
	for _, f := range []struct {
		name  string
		bytes int
	}{{"train-a.txt", 200_000}, {"train-b.jsonl", 100_000}, {"a.txt", 60_000}, {"b.txt", 60_000}, {"c.jsonl", 80_000}} {
		files[f.name] = corpus(random, f.name, f.bytes)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// corpus generates text of words with realistic frequencies, some of them not ASCII.
func corpus(random *rand.Rand, name string, size int) string {
	var text strings.Builder
	for text.Len() < size {
		var line []string
		for range 5 + random.IntN(60) {
			word := int(math.Exp(random.Float64() * math.Log(3000)))
			line = append(line, []string{"", "é", "ß", "語"}[word%97%4]+strconv.FormatInt(int64(word)*7919, 36))
		}
		row := strings.Join(line, " ")
		if strings.HasSuffix(name, ".jsonl") {
			fmt.Fprintf(&text, "{\"text\": %q}\n", row)
		} else {
			text.WriteString(row + "\n" + strings.Repeat("\n", random.IntN(2)))
		}
	}
	return text.String()
}

// place is a directory with the spec, and a separate temporary directory, so that all files that a run leaves can be
// found.
type place struct {
	t *testing.T
	// binary is a link to the runner that is unique to this place, so that its processes can be identified.
	binary   string
	dir, tmp string
	store    string
	umask    string
	env      []string
}

// newPlace makes a place in the system's temporary directory, because the path of a socket must be short and
// t.TempDir's is not. The spec is in the directory dir, which must not exist; "" means a new directory.
func newPlace(t *testing.T, binary, dir string) *place {
	t.Helper()
	root, err := os.MkdirTemp("", "crash")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	p := &place{
		t: t, binary: filepath.Join(root, "runner"), dir: cmp.Or(dir, filepath.Join(root, "dir")), tmp: filepath.Join(root, "tmp"), umask: "022",
	}
	p.store = filepath.Join(p.dir, ".surprisal", "store")
	for _, dir := range []string{p.tmp, p.dir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(binary, p.binary); err != nil {
		t.Fatal(err)
	}
	writeSpec(t, p.dir)
	return p
}

// process is a running runner. It leads its own process group, like one that a shell started.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
}

// output can be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (p *place) start(args ...string) *process {
	p.t.Helper()
	args = append([]string{"--store", p.store}, args...)
	c := &process{cmd: exec.Command("sh", append([]string{"-c", `umask "$0" && exec "$@"`, p.umask, p.binary}, args...)...)}
	c.cmd.Dir = p.dir
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + p.tmp}, p.env...)
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// An orphan may keep the output open; it is found and reported later.
	c.cmd.WaitDelay = 5 * time.Second
	if err := c.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return c
}

// wait returns the exit code, or -1 if a signal ended the process.
func (c *process) wait() int {
	_ = c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

func (c *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// ended reports whether the process has ended. The caller must still call wait.
func (c *process) ended() bool { return state(c.cmd.Process.Pid) == 'Z' }

// do runs the runner, which must exit with the given code, and returns its output.
func (p *place) do(code int, args ...string) (stdout, stderr string) {
	p.t.Helper()
	c := p.start(args...)
	if got := c.wait(); got != code {
		p.t.Fatalf("runner %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, &c.stdout, &c.stderr)
	}
	return c.stdout.String(), c.stderr.String()
}

// doJSON is do with exit code 0 and JSON output.
func (p *place) doJSON(into any, args ...string) {
	p.t.Helper()
	stdout, _ := p.do(0, append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		p.t.Fatalf("runner %s: %v in %s", strings.Join(args, " "), err, stdout)
	}
}

// journal is the output of `runner status --json`.
type journal struct {
	Run     string
	State   string
	Entries []struct{ Action, State string }
}

func (j journal) count(state string) (n int) {
	for _, e := range j.Entries {
		if e.State == state {
			n++
		}
	}
	return n
}

func (p *place) status() (j journal) {
	p.t.Helper()
	p.doJSON(&j, "status")
	return j
}

// verify checks the store.
func (p *place) verify() {
	p.t.Helper()
	stdout, stderr := p.do(0, "verify")
	if !strings.Contains(stdout, ", 0 problems") {
		p.t.Fatalf("runner verify:\n%s%s", stdout, stderr)
	}
}

// mustEqual checks that a finished run has left exactly the files of the reference.
func (p *place) mustEqual(reference map[string]string) {
	p.t.Helper()
	p.verify()
	p.noProcesses()
	if diff := gocmp.Diff(reference, p.contents()); diff != "" {
		p.t.Fatalf("not what an uninterrupted run leaves (-want +got):\n%s", diff)
	}
}

// size returns the disk space of the store's files.
func (p *place) size() (bytes int64) {
	p.t.Helper()
	err := filepath.WalkDir(p.store, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		bytes += (info.Size() + page - 1) / page * page
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return bytes
}

// page is the unit of disk space.
const page = 4096

// perRun matches files that are specific to a run: journals, the digests of files on a disk, and the
// jobs of runs that use processes.
var perRun = regexp.MustCompile(`^dir/\.surprisal/(runs/[^/]+/(journal\.jsonl|log\.jsonl|rates\.json)|digests\.(json|lock))$|^store/runs/[^/]+\.json$|^store/runs/[^/]+/[0-9a-f]{64}$|^store/jobs/[0-9a-f]{64}\.json$`)

// isRecord matches the paths of actions' records.
var isRecord = regexp.MustCompile(`/actions/[0-9a-f]{2}/[0-9a-f]{64}\.json$|/\.artifact$`)

// contents returns the digest of every file of the directory, the store and the temporary directory, and the content of
// records without times.
func (p *place) contents() map[string]string {
	p.t.Helper()
	contents := map[string]string{}
	walk := func(name, root string, dirs bool) {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if path == p.store && name != "store" {
				return fs.SkipDir
			}
			key := filepath.ToSlash(filepath.Join(name, strings.TrimPrefix(path, root)))
			switch {
			case e.IsDir() && dirs:
				contents[key] = "a directory"
			case e.IsDir() || perRun.MatchString(key):
			default:
				contents[key], err = summary(path)
			}
			return err
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
	walk("dir", p.dir, false)
	walk("store", p.store, false)
	walk("store/tmp", filepath.Join(p.store, "tmp"), true)
	walk("tmp", p.tmp, true)
	return contents
}

func summary(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if isRecord.MatchString(path) {
		var record map[string]any
		if err := json.Unmarshal(data, &record); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		for _, field := range []string{"started", "finished", "measured"} {
			delete(record, field)
		}
		text, err := json.Marshal(record)
		return string(text), err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// noProcesses fails if a process of the runner's binary outlives it by more than a short time.
func (p *place) noProcesses() {
	p.t.Helper()
	var left []int
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if left = p.processes(0); len(left) == 0 {
			return
		}
	}
	for _, pid := range left {
		p.t.Errorf("process %d outlives the runner: %s", pid, commandLine(pid))
	}
	p.t.FailNow()
}

// processes lists the live processes of the binary under test, only children of parent if that is not 0.
func (p *place) processes(parent int) (pids []int) {
	p.t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// A process that has ended, or of another user, has no such link.
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if exe == p.binary && (parent == 0 || parentOf(pid) == parent) && state(pid) != 'Z' {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat returns the fields of /proc/PID/stat after the command's name, or nil if the process does not exist.
func stat(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
}

func state(pid int) byte {
	if fields := stat(pid); len(fields) > 0 {
		return fields[0][0]
	}
	return 'Z'
}

func parentOf(pid int) int {
	if fields := stat(pid); len(fields) > 1 {
		parent, _ := strconv.Atoi(fields[1])
		return parent
	}
	return 0
}

func commandLine(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(strings.TrimRight(string(data), "\x00"), "\x00", " ")
}

// await waits until the process has printed a text on standard error.
func (c *process) await(t *testing.T, what string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(c.stderr.String(), what); time.Sleep(time.Millisecond) {
		if c.ended() || time.Now().After(deadline) {
			t.Fatalf("the runner does not print %q; its output is:\n%s", what, &c.stderr)
		}
	}
}
