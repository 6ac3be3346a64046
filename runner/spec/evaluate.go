package spec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
)

// Evaluator reads specs, in another process than Load.
type Evaluator interface {
	// Load reads the experiment in directory dir. What is wrong with the spec, or more than may be spent on it, is returned
	// as Errors.
	Load(ctx context.Context, dir string, o Options) (*Experiment, error)
}

// What reading a spec may cost unless something else is asked for. 100 models and 1,000 datasets take about a second and
// 200 MB.
const (
	DefaultTime   = 30 * time.Second
	DefaultMemory = 2 << 30
)

// Bounded reads each spec in another process, within bounds of time and memory: Go cannot go on after it has run out of
// memory or stack, and CUE does not stop when it is asked to.
type Bounded struct {
	// Command is a program and its arguments. It calls Serve with its standard input and output, and the sections of the
	// language.
	Command []string
	// Time and Memory are the most that a spec may take, in bytes of memory.
	Time   time.Duration
	Memory int64
}

// request is what the process is asked, and answer what it says: an experiment, the spec's mistakes, and what else
// went wrong. Both are JSON.
type request struct {
	Dir     string  `json:"dir"`
	Options Options `json:"options"`
	// Memory is the bound, in bytes.
	Memory int64 `json:"memory"`
}

type answer struct {
	Experiment *Experiment `json:"experiment,omitempty"`
	Errors     Errors      `json:"errors,omitempty"`
	Failure    string      `json:"failure,omitempty"`
}

// exitMemory is how the process ends that needs more memory than it may have.
const exitMemory = 97

// Load asks a new process.
func (b Bounded) Load(ctx context.Context, dir string, o Options) (*Experiment, error) {
	question, err := json.Marshal(request{dir, o, b.Memory})
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, b.Time)
	defer cancel()
	c := exec.CommandContext(limited, b.Command[0], b.Command[1:]...)
	c.Env = []string{"GOTRACEBACK=none"}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second
	last := &head{most: 1 << 16}
	c.Stderr = last
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			return nil, b.late()
		}
		return nil, fmt.Errorf("starting %s to read the spec: %w", b.Command[0], err)
	}
	// Its input stays open: its end tells the process that this one has died. If the process dies first, it says why.
	_, writeErr := in.Write(question)
	most := b.Memory / 4
	data, readErr := io.ReadAll(io.LimitReader(out, most+1))
	tooLarge := int64(len(data)) > most
	if tooLarge {
		cancel()
	}
	waitErr := c.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case tooLarge:
		return nil, b.beyond("its experiment is larger than " + humanize.IBytes(uint64(most)) + ", a quarter of the memory that it may take")
	case limited.Err() != nil:
		return nil, b.late()
	case waitErr != nil:
		return nil, b.died(waitErr, last.String())
	}
	if err := errors.Join(writeErr, readErr); err != nil {
		return nil, fmt.Errorf("asking %s to read the spec: %w", b.Command[0], err)
	}
	return decodeAnswer(data)
}

func decodeAnswer(data []byte) (*Experiment, error) {
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("the process that reads the spec does not answer in JSON: %w", err)
	}
	switch {
	case a.Failure != "":
		return nil, errors.New(a.Failure)
	case len(a.Errors) > 0:
		return a.Experiment, a.Errors
	case a.Experiment == nil:
		return nil, errors.New("the process that reads the spec gave no answer")
	}
	return a.Experiment, nil
}

// late says that a spec takes too long.
func (b Bounded) late() Errors { return b.beyond(fmt.Sprintf("it takes longer than %v", b.Time)) }

// beyond says that a spec needs more than it may have.
func (b Bounded) beyond(what string) Errors {
	return Errors{{Message: fmt.Sprintf("the spec cannot be evaluated within %v and %s of memory: %s; look for a comprehension, "+
		"a repeated string or a nesting that grows, or allow more with --spec-time and --spec-memory",
		b.Time, humanize.IBytes(uint64(b.Memory)), what)}}
}

// died says why the process ended, from how it ended and the beginning of what it printed.
func (b Bounded) died(err error, printed string) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return fmt.Errorf("waiting for %s to read the spec: %w", b.Command[0], err)
	}
	status, _ := exit.Sys().(syscall.WaitStatus)
	switch {
	case strings.Contains(printed, "stack exceeds") || strings.Contains(printed, "stack overflow"):
		return b.beyond("it is nested too deeply")
	case exit.ExitCode() == exitMemory, slices.ContainsFunc(outOfMemory, func(text string) bool { return strings.Contains(printed, text) }):
		return b.beyond("it needs more memory")
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		return b.beyond("its process was killed, most likely because the machine has no more memory")
	}
	first, _, _ := strings.Cut(strings.TrimSpace(printed), "\n")
	return Errors{{Message: fmt.Sprintf("the spec cannot be evaluated: the process that does so ended (%v: %s); this is a mistake of "+
		"this program; leave out what was added last, and report it", exit, strconv.Quote(short(first)))}}
}

// outOfMemory is what Go's runtime prints where the system gives it no more memory, be it for a value or for a thread's stack.
var outOfMemory = []string{"out of memory", "cannot allocate", "pthread_create failed", "failed to create new OS thread"}

// head keeps the beginning of what is written to it.
type head struct {
	bytes.Buffer
	most int
}

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), max(0, h.most-h.Len()))])
	return len(p), nil
}

// Serve answers one request for Bounded, in the language with these sections, and returns the exit code of the process. It changes the limits of the process,
// and ends it when it takes more memory than it may or when in ends early.
func Serve(in io.Reader, out io.Writer, sections []Section) int {
	var r request
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return 1
	}
	r.Options.Sections = sections
	// It ends when it has answered: memory below the limit is there to be used, not to be collected.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(r.Memory - r.Memory/8)
	debug.SetMaxStack(int(r.Memory / 8))
	// What lets a single allocation fail that is larger than the watcher could notice in time.
	if err := limitData(r.Memory + 256<<20); err != nil {
		return 1
	}
	go watchMemory(r.Memory)
	go func() {
		// Either way nobody waits for the answer any more.
		_, _ = io.Copy(io.Discard, in)
		os.Exit(1)
	}()
	if err := json.NewEncoder(out).Encode(answerTo(r)); err != nil {
		return 1
	}
	return 0
}

func answerTo(r request) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			a = answer{Errors: Errors{{Message: fmt.Sprintf("CUE cannot evaluate the spec and stops with %s; leave out what was added last",
				strconv.Quote(short(fmt.Sprint(p))))}}}
		}
	}()
	e, err := Load(context.Background(), r.Dir, r.Options)
	if err == nil {
		return answer{Experiment: e}
	}
	if wrong, ok := errors.AsType[Errors](err); ok {
		return answer{Experiment: e, Errors: wrong}
	}
	return answer{Failure: err.Error()}
}

// watchMemory ends the process when it takes more than most bytes.
func watchMemory(most int64) {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for ; ; time.Sleep(5 * time.Millisecond) {
		metrics.Read(samples)
		if samples[0].Value.Uint64()-samples[1].Value.Uint64() > uint64(most) {
			os.Exit(exitMemory)
		}
	}
}
