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

// Evaluator reads specs, unlike Load not in this process.
type Evaluator interface {
	// Load reads the experiment in directory dir. It returns mistakes of the spec, and exceeded limits, as Errors; see
	// the function Load.
	Load(ctx context.Context, dir string, o Options) (*Experiment, error)
}

// Default limits of reading a spec. 100 models and 1,000 datasets take about a second and 200 MB.
const (
	DefaultTime   = 30 * time.Second
	DefaultMemory = 2 << 30
)

// Bounded reads each spec in a separate process, within limits of time and memory. A separate process is needed because
// Go cannot continue after it runs out of memory or stack, and CUE cannot be canceled.
type Bounded struct {
	// Command is a program and its arguments. It calls Serve with its standard input and output, and the sections of
	// the language.
	Command []string
	// Time and Memory are the limits of a spec, Memory in bytes.
	Time   time.Duration
	Memory int64
}

// request is the input of the process, and answer its output: an experiment, the mistakes of the spec, and any other
// error. Both are JSON.
type request struct {
	Dir     string  `json:"dir"`
	Options Options `json:"options"`
	// Memory is the limit in bytes.
	Memory int64 `json:"memory"`
}

type answer struct {
	Experiment *Experiment `json:"experiment,omitempty"`
	Errors     Errors      `json:"errors,omitempty"`
	Failure    string      `json:"failure,omitempty"`
}

// exitMemory is the exit code of a process that exceeds its memory limit.
const exitMemory = 97

// Load reads the experiment in a new process.
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
		return nil, fmt.Errorf("starting %s to read the specification: %w", b.Command[0], err)
	}
	// The input stays open: its end tells the process that this one has died. If the process dies first, Wait reports
	// why.
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
		return nil, b.beyond("its experiment is larger than " + humanize.IBytes(uint64(most)) + ", a quarter of the memory limit")
	case limited.Err() != nil:
		return nil, b.late()
	case waitErr != nil:
		return nil, b.died(waitErr, last.String())
	}
	if err := errors.Join(writeErr, readErr); err != nil {
		return nil, fmt.Errorf("asking %s to read the specification: %w", b.Command[0], err)
	}
	return decodeAnswer(data)
}

func decodeAnswer(data []byte) (*Experiment, error) {
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("the process that reads the specification did not answer in JSON: %w", err)
	}
	switch {
	case a.Failure != "":
		return nil, errors.New(a.Failure)
	case len(a.Errors) > 0:
		return a.Experiment, a.Errors
	case a.Experiment == nil:
		return nil, errors.New("the process that reads the specification gave no answer")
	}
	return a.Experiment, nil
}

// late is the error of a spec that takes too long.
func (b Bounded) late() Errors { return b.beyond(fmt.Sprintf("it takes longer than %v", b.Time)) }

// beyond is the error of a spec that exceeds its limits.
func (b Bounded) beyond(what string) Errors {
	return Errors{{Message: fmt.Sprintf("cannot evaluate the specification within %v and %s of memory: %s; look for a comprehension, "+
		"a repeated string or a nesting that grows, or raise the limits with --spec-time and --spec-memory",
		b.Time, humanize.IBytes(uint64(b.Memory)), what)}}
}

// died explains why the process ended, from its exit status and the beginning of its output.
func (b Bounded) died(err error, printed string) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return fmt.Errorf("waiting for %s to read the specification: %w", b.Command[0], err)
	}
	status, _ := exit.Sys().(syscall.WaitStatus)
	switch {
	case strings.Contains(printed, "stack exceeds") || strings.Contains(printed, "stack overflow"):
		return b.beyond("it is nested too deeply")
	case exit.ExitCode() == exitMemory, slices.ContainsFunc(outOfMemory, func(text string) bool { return strings.Contains(printed, text) }):
		return b.beyond("it needs more memory")
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		return b.beyond("its process was killed, most likely because the machine is out of memory")
	}
	first, _, _ := strings.Cut(strings.TrimSpace(printed), "\n")
	return Errors{{Message: fmt.Sprintf("cannot evaluate the specification: the process ended unexpectedly (%v: %s); this is a bug; "+
		"please report it; to work around it, remove the latest addition", exit, strconv.Quote(short(first)))}}
}

// outOfMemory are messages of the Go runtime when it cannot allocate memory for values, for the stack of a thread, or
// for the work of the garbage collector, which does not check that its memory was granted. A fault in Go code prints
// "panic:" instead.
var outOfMemory = []string{"out of memory", "cannot allocate", "pthread_create failed", "failed to create new OS thread",
	"SIGSEGV: segmentation violation\nPC="}

// head keeps the first bytes that are written to it.
type head struct {
	bytes.Buffer
	most int
}

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), max(0, h.most-h.Len()))])
	return len(p), nil
}

// ErrNoRequest means that no other process asked this one to read a spec.
var ErrNoRequest = errors.New("no request to read a specification")

// Serve answers one request for Bounded, in the language with the given sections, and returns the exit code of the
// process. It changes the limits of the process. It ends the process if that exceeds its memory limit, or if in ends
// early. The error is ErrNoRequest if in has no request.
func Serve(in io.Reader, out io.Writer, sections []Section) (code int, err error) {
	var r request
	if json.NewDecoder(in).Decode(&r) != nil || r.Memory <= 0 {
		return 1, ErrNoRequest
	}
	r.Options.Sections = sections
	// The process ends after its answer, so it can use all memory below the limit.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(r.Memory - r.Memory/8)
	debug.SetMaxStack(int(r.Memory / 8))
	// This limit makes large single allocations fail, which the watcher would not notice in time.
	if err := limitData(r.Memory + 256<<20); err != nil {
		return 1, err
	}
	go watchMemory(r.Memory)
	go func() {
		// With or without an error, no process waits for the answer anymore.
		_, _ = io.Copy(io.Discard, in)
		os.Exit(1)
	}()
	if err := json.NewEncoder(out).Encode(answerTo(r)); err != nil {
		return 1, err
	}
	return 0, nil
}

func answerTo(r request) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			a = answer{Errors: Errors{{Message: fmt.Sprintf("CUE failed to evaluate the specification: %s; remove the latest addition",
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

// watchMemory ends the process when it uses more than most bytes.
func watchMemory(most int64) {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for ; ; time.Sleep(5 * time.Millisecond) {
		metrics.Read(samples)
		if samples[0].Value.Uint64()-samples[1].Value.Uint64() > uint64(most) {
			os.Exit(exitMemory)
		}
	}
}
