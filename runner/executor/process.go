package executor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// maxGroup is the maximum number of jobs per process.
const maxGroup = 32

// killDelay is the time that a process has to exit after its input was closed.
const killDelay = 20 * time.Second

// Processes executes jobs in separate processes, one for each group. It stores the jobs, starts a program with their
// keys and reads the results from the store.
type Processes struct {
	budget  *Budget
	program func(ctx context.Context) *exec.Cmd
	store   *store.Store
	log     hclog.Logger
	updates chan Update

	working sync.WaitGroup

	mu      sync.Mutex
	inputs  map[io.Writer]struct{}
	stopped bool
}

// NewProcesses returns an executor that starts program for each group of jobs. The program must communicate as Serve
// does.
func NewProcesses(b *Budget, program func(ctx context.Context) *exec.Cmd, s *store.Store, log hclog.Logger) *Processes {
	return &Processes{budget: b, program: program, store: s, log: log, updates: make(chan Update), inputs: map[io.Writer]struct{}{}}
}

// Slots implements Executor.
func (p *Processes) Slots() int { return int(p.budget.has.Cores) }

// Group implements Executor.
func (p *Processes) Group() int { return maxGroup }

// Updates implements Executor.
func (p *Processes) Updates() <-chan Update { return p.updates }

// Retire implements Executor. A process closes its model when it exits.
func (p *Processes) Retire(string) {}

// Close implements Executor. It waits for processes that have finished their jobs to exit.
func (p *Processes) Close() error {
	p.working.Wait()
	return nil
}

// Stop implements Executor.
func (p *Processes) Stop() {
	p.budget.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for input := range p.inputs {
		// The process may have exited already.
		_, _ = io.WriteString(input, stopLine)
	}
}

// Submit implements Executor. If a process crashes, the jobs that it had started fail, and another process continues
// with the others.
func (p *Processes) Submit(ctx context.Context, group []plan.Job) {
	p.working.Go(func() {
		group = p.feasible(group)
		for len(group) > 0 {
			open := make(map[string]*jobState, len(group))
			for _, job := range group {
				open[job.Key] = &jobState{}
			}
			err := p.do(ctx, group, open)
			if err == nil && len(open) > 0 {
				err = errors.New("the process exited without reporting a result for the job")
			}
			if err != nil && len(open) == 0 && ctx.Err() == nil {
				p.log.Warn("a process finished its jobs and then failed", "error", err)
			}
			group = p.fail(ctx, group, open, err)
		}
	})
}

// jobState is the state of a job in a process.
type jobState struct{ started bool }

// feasible ends the jobs that need more than the budget, so that they do not fail other jobs of the group.
func (p *Processes) feasible(group []plan.Job) []plan.Job {
	return slices.DeleteFunc(group, func(job plan.Job) bool {
		err := p.budget.Check(WithModel(job.Resources, job.Model), nil)
		if err != nil {
			p.updates <- Update{Key: job.Key, Ended: true, Err: err}
		}
		return err != nil
	})
}

// fail ends the open jobs that may have made a process fail: those that had started, or all if none had or if the run
// must not continue. It returns the others, in order.
func (p *Processes) fail(ctx context.Context, group []plan.Job, open map[string]*jobState, err error) (rest []plan.Job) {
	begun := len(open) < len(group)
	for _, state := range open {
		begun = begun || state.started
	}
	for _, job := range group {
		state, ok := open[job.Key]
		switch {
		case !ok:
		case !begun || state.started || IsStopped(err) || ctx.Err() != nil:
			p.updates <- Update{Key: job.Key, Ended: true, Err: err}
		default:
			rest = append(rest, job)
		}
	}
	return rest
}

// groupResources returns the resources of a process that executes the jobs of a group one after the other.
func groupResources(group []plan.Job) plan.Resources {
	var own plan.Resources
	for _, job := range group {
		own = plan.Resources{
			Cores: max(own.Cores, job.Resources.Cores), Memory: max(own.Memory, job.Resources.Memory),
			Devices: max(own.Devices, job.Resources.Devices), DeviceMemory: max(own.DeviceMemory, job.Resources.DeviceMemory),
		}
	}
	return WithModel(own, group[0].Model)
}

// do runs a process for a group and removes the jobs that it ends from open.
func (p *Processes) do(ctx context.Context, group []plan.Job, open map[string]*jobState) error {
	release, err := p.budget.Acquire(ctx, groupResources(group), nil)
	if err != nil {
		return err
	}
	defer release()
	keys := make([]string, len(group))
	for i, job := range group {
		data, err := json.Marshal(job)
		if err != nil {
			return err
		}
		if err := p.store.PutJob(ctx, job.Key, data); err != nil {
			return err
		}
		keys[i] = job.Key
	}
	c := p.program(ctx)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.WaitDelay = killDelay
	input, err := c.StdinPipe()
	if err != nil {
		return err
	}
	// Closing its input asks the process to exit. It is killed later if it does not.
	c.Cancel = input.Close
	output, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start a process for %d actions: %w", len(group), err)
	}
	communicateErr := p.communicate(ctx, keys, input, output, open)
	waitErr := c.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := errors.Join(communicateErr, waitErr); err != nil {
		return fmt.Errorf("the process that executed it: %w", err)
	}
	return nil
}

// communicate sends a process its keys and forwards its updates until its output ends.
func (p *Processes) communicate(ctx context.Context, keys []string, input io.WriteCloser, output io.Reader, open map[string]*jobState) error {
	if _, err := io.WriteString(input, strings.Join(keys, "\n")+"\n\n"); err != nil {
		return err
	}
	p.mu.Lock()
	p.inputs[input] = struct{}{}
	if p.stopped {
		_, _ = io.WriteString(input, stopLine)
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.inputs, input)
		p.mu.Unlock()
		_ = input.Close()
	}()
	lines := json.NewDecoder(output)
	for len(open) > 0 {
		var m message
		if err := lines.Decode(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("its output: %w", err)
		}
		state, ours := open[m.Key]
		if !ours {
			return fmt.Errorf("it reported the key %q, which is not one of its jobs", m.Key)
		}
		u := m.update()
		state.started = state.started || u.Started
		if u.Ended && u.Err == nil {
			// The record in the store is authoritative.
			record, hit, err := p.store.Lookup(ctx, m.Key)
			switch {
			case err != nil:
				u.Err = err
			case !hit:
				u.Err = errors.New("the process reported that the job is done, but the store has no result")
			}
			u.Record = record
		}
		if u.Ended {
			delete(open, m.Key)
		}
		p.updates <- u
	}
	return nil
}

// stopLine asks a process not to start another job.
const stopLine = "stop\n"

// message is an Update between processes, one JSON object per line.
type message struct {
	Key      string           `json:"key"`
	Waits    string           `json:"waits,omitempty"`
	Started  bool             `json:"started,omitempty"`
	Progress *action.Progress `json:"progress,omitempty"`
	Ended    bool             `json:"ended,omitempty"`
	Found    bool             `json:"found,omitempty"`
	Stopped  bool             `json:"stopped,omitempty"`
	Error    string           `json:"error,omitempty"`
	// ErrorKind is the kind of a protocol.Error, or "" for other errors.
	ErrorKind protocol.ErrorKind `json:"errorKind,omitempty"`
}

func messageOf(u Update) message {
	m := message{Key: u.Key, Waits: u.Waits, Started: u.Started, Ended: u.Ended, Found: u.Found}
	if u.Progress != (action.Progress{}) {
		m.Progress = &u.Progress
	}
	switch {
	case IsStopped(u.Err):
		m.Stopped = true
	case u.Err != nil:
		m.Error, m.ErrorKind = u.Err.Error(), protocol.KindOf(u.Err)
	}
	return m
}

func (m message) update() Update {
	u := Update{Key: m.Key, Waits: m.Waits, Started: m.Started, Ended: m.Ended, Found: m.Found}
	if m.Progress != nil {
		u.Progress = *m.Progress
	}
	switch {
	case m.Stopped:
		u.Err = ErrStopped
	case m.ErrorKind != "":
		u.Err = &protocol.Error{Kind: m.ErrorKind, Message: m.Error}
	case m.Error != "":
		u.Err = errors.New(m.Error)
	}
	return u
}

// Serve is the counterpart of Processes. It reads keys from in, one per line up to an empty line, executes the stored
// jobs one after the other and writes their updates to out. The end of in means that the parent process has exited, and
// cancels the work. A line "stop" prevents jobs from starting. Serve returns the keys and, like Do, the errors
// of jobs.
func Serve(ctx context.Context, s *store.Store, d Doer, in io.Reader, out io.Writer) (keys []string, failed map[string]error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := bufio.NewScanner(in)
	if keys, err = readKeys(lines); err != nil {
		return nil, nil, err
	}
	stop := make(chan struct{})
	go func() {
		stopping := sync.OnceFunc(func() { close(stop) })
		for lines.Scan() {
			if lines.Text() == strings.TrimSpace(stopLine) {
				stopping()
			}
		}
		cancel()
	}()
	failed, err = Do(ctx, s, d, keys, stop, out)
	return keys, failed, err
}

// readKeys reads keys up to an empty line. Without that line, the parent process has exited, and readKeys returns an
// error.
func readKeys(lines *bufio.Scanner) (keys []string, err error) {
	for lines.Scan() {
		if lines.Text() == "" {
			return keys, nil
		}
		keys = append(keys, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return nil, errors.New("the list of keys on the input ends without an empty line")
}

// Do executes stored jobs one after the other and writes their updates to out. Once stop is closed, no job starts. Do
// returns the errors of jobs by their keys; err means that writing to out failed.
func Do(
	ctx context.Context, s *store.Store, d Doer, keys []string, stop <-chan struct{}, out io.Writer,
) (failed map[string]error, err error) {
	failed = map[string]error{}
	var mu sync.Mutex
	encoder := json.NewEncoder(out)
	var writeErr error
	tell := func(u Update) {
		mu.Lock()
		defer mu.Unlock()
		writeErr = errors.Join(writeErr, encoder.Encode(messageOf(u)))
	}
	for _, key := range keys {
		select {
		case <-stop:
			failed[key] = ErrStopped
			tell(Update{Key: key, Ended: true, Err: ErrStopped})
			continue
		default:
		}
		u := doStored(ctx, s, d, key, stop, tell)
		if tell(u); u.Err != nil {
			failed[key] = u.Err
		}
	}
	mu.Lock()
	defer mu.Unlock()
	return failed, writeErr
}

func doStored(ctx context.Context, s *store.Store, d Doer, key string, stop <-chan struct{}, tell func(Update)) Update {
	job, err := Stored(ctx, s, key)
	if err != nil {
		return Update{Key: key, Ended: true, Err: err}
	}
	return execute(ctx, d, job, stop, tell)
}

// Stored returns the job that a run put into the store under a key.
func Stored(ctx context.Context, s *store.Store, key string) (job plan.Job, err error) {
	data, err := s.Job(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return job, &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(
			"the store %s has no job with the key %s; `runner run --processes` stores jobs", s, key)}
	}
	if err == nil {
		err = json.Unmarshal(data, &job)
	}
	if err != nil {
		return job, fmt.Errorf("job %s: %w", key, err)
	}
	return job, nil
}
