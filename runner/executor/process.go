package executor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
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

// maxGroup is how many jobs at most a process does.
const maxGroup = 32

// killDelay is how long a process has to end once its input has ended.
const killDelay = 20 * time.Second

// Processes does jobs in processes of their own, one for each group. It stores the jobs, starts a program with their keys
// and finds what became of them in the store.
type Processes struct {
	budget  *Budget
	program func(ctx context.Context) *exec.Cmd
	store   *store.Store
	log     hclog.Logger
	updates chan Update

	mu      sync.Mutex
	inputs  map[io.Writer]struct{}
	stopped bool
}

// NewProcesses returns an executor that starts program for each group of jobs. The program talks as Serve does.
func NewProcesses(b *Budget, program func(ctx context.Context) *exec.Cmd, s *store.Store, log hclog.Logger) *Processes {
	return &Processes{budget: b, program: program, store: s, log: log, updates: make(chan Update), inputs: map[io.Writer]struct{}{}}
}

// Slots implements Executor.
func (p *Processes) Slots() int { return int(p.budget.has.Cores) }

// Group implements Executor.
func (p *Processes) Group() int { return maxGroup }

// Updates implements Executor.
func (p *Processes) Updates() <-chan Update { return p.updates }

// Retire implements Executor. A process takes its model along when it ends.
func (p *Processes) Retire(string) {}

// Close implements Executor.
func (p *Processes) Close() error { return nil }

// Stop implements Executor.
func (p *Processes) Stop() {
	p.budget.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for input := range p.inputs {
		// A process that has ended needs no telling.
		_, _ = io.WriteString(input, stopLine)
	}
}

// Submit implements Executor.
func (p *Processes) Submit(ctx context.Context, group []plan.Job) {
	go func() {
		open := make(map[string]plan.Job, len(group))
		var own plan.Resources
		for _, job := range group {
			open[job.Key] = job
			own = plan.Resources{
				Cores: max(own.Cores, job.Resources.Cores), Memory: max(own.Memory, job.Resources.Memory),
				Devices: max(own.Devices, job.Resources.Devices), DeviceMemory: max(own.DeviceMemory, job.Resources.DeviceMemory),
			}
		}
		err := p.do(ctx, group, Whole(own, group[0].Model), open)
		if err == nil && len(open) > 0 {
			err = errors.New("the process ended without a word about the job")
		}
		for key := range open {
			p.updates <- Update{Key: key, Ended: true, Err: err}
		}
	}()
}

// do runs a process for a group and takes the jobs that it ends out of open.
func (p *Processes) do(ctx context.Context, group []plan.Job, takes plan.Resources, open map[string]plan.Job) error {
	release, err := p.budget.Acquire(ctx, takes, nil)
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
	// The end of its input tells the process to end; whoever does not listen is killed later.
	c.Cancel = input.Close
	output, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start a process for %d actions: %w", len(group), err)
	}
	talkErr := p.talk(ctx, keys, input, output, open)
	waitErr := c.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := errors.Join(talkErr, waitErr); err != nil {
		return fmt.Errorf("the process that worked on it: %w", err)
	}
	return nil
}

// talk tells a process its keys and passes on what it says, until its output ends.
func (p *Processes) talk(ctx context.Context, keys []string, input io.WriteCloser, output io.Reader, open map[string]plan.Job) error {
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
		if _, ours := open[m.Key]; !ours {
			return fmt.Errorf("it speaks of the key %q, which is not its job", m.Key)
		}
		u := m.update()
		if u.Ended && u.Err == nil {
			// The truth is in the store.
			record, hit, err := p.store.Lookup(ctx, m.Key)
			switch {
			case err != nil:
				u.Err = err
			case !hit:
				u.Err = errors.New("the process said that the job is done, and the store has no result")
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

// stopLine asks a process to begin no other job.
const stopLine = "stop\n"

// message is an Update between processes, a JSON object a line.
type message struct {
	Key      string           `json:"key"`
	Started  bool             `json:"started,omitempty"`
	Progress *action.Progress `json:"progress,omitempty"`
	Ended    bool             `json:"ended,omitempty"`
	Found    bool             `json:"found,omitempty"`
	Stopped  bool             `json:"stopped,omitempty"`
	Error    string           `json:"error,omitempty"`
	// ErrorKind is the kind of a protocol.Error, "" for other errors.
	ErrorKind protocol.ErrorKind `json:"errorKind,omitempty"`
}

func messageOf(u Update) message {
	m := message{Key: u.Key, Started: u.Started, Ended: u.Ended, Found: u.Found}
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
	u := Update{Key: m.Key, Started: m.Started, Ended: m.Ended, Found: m.Found}
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

// Serve is the other side of Processes: it reads keys from in, a line each up to an empty line, does the stored jobs one
// after the other and writes what becomes of them to out. The end of in, which is the end of the process that asked, cancels
// the work; a line "stop" lets no other job begin.
func Serve(ctx context.Context, s *store.Store, d Doer, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := bufio.NewScanner(in)
	var keys []string
	for lines.Scan() && lines.Text() != "" {
		keys = append(keys, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return err
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
	return Do(ctx, s, d, keys, stop, out)
}

// Do does stored jobs one after the other and writes what becomes of them to out. Once stop is closed no other job begins.
func Do(ctx context.Context, s *store.Store, d Doer, keys []string, stop <-chan struct{}, out io.Writer) error {
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
			tell(Update{Key: key, Ended: true, Err: ErrStopped})
			continue
		default:
		}
		tell(doStored(ctx, s, d, key, tell))
	}
	mu.Lock()
	defer mu.Unlock()
	return writeErr
}

func doStored(ctx context.Context, s *store.Store, d Doer, key string, tell func(Update)) Update {
	u := Update{Key: key, Ended: true}
	var job plan.Job
	data, err := s.Job(ctx, key)
	if err == nil {
		err = json.Unmarshal(data, &job)
	}
	if err != nil {
		u.Err = fmt.Errorf("job %s: %w", key, err)
		return u
	}
	tell(Update{Key: key, Started: true})
	m := &meter{tell: func(p action.Progress) { tell(Update{Key: key, Progress: p}) }}
	u.Record, u.Found, u.Err = d.Do(ctx, job, m.advance)
	m.flush()
	return u
}
