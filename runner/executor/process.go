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

	working sync.WaitGroup

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

// Close implements Executor. It waits for processes that have done their jobs and are about to end.
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
		// A process that has ended needs no telling.
		_, _ = io.WriteString(input, stopLine)
	}
}

// Submit implements Executor. A process that dies fails the jobs that it had begun; another one goes on with the others.
func (p *Processes) Submit(ctx context.Context, group []plan.Job) {
	p.working.Go(func() {
		group = p.possible(group)
		for len(group) > 0 {
			open := make(map[string]*jobState, len(group))
			for _, job := range group {
				open[job.Key] = &jobState{}
			}
			err := p.do(ctx, group, open)
			if err == nil && len(open) > 0 {
				err = errors.New("the process ended without a word about the job")
			}
			if err != nil && len(open) == 0 && ctx.Err() == nil {
				p.log.Warn("a process did its jobs and then failed", "error", err)
			}
			group = p.fail(ctx, group, open, err)
		}
	})
}

// jobState is what is known of a job that a process works on.
type jobState struct{ started bool }

// possible ends the jobs for which this machine is too small, so that they do not fail those with which they share a model.
func (p *Processes) possible(group []plan.Job) []plan.Job {
	return slices.DeleteFunc(group, func(job plan.Job) bool {
		err := p.budget.Check(Whole(job.Resources, job.Model), nil)
		if err != nil {
			p.updates <- Update{Key: job.Key, Ended: true, Err: err}
		}
		return err != nil
	})
}

// fail ends those of the open jobs that are to blame for a process that failed: those that had begun, or all if none had or
// if nothing may go on. It returns the others, in order.
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

// groupTakes returns what a process takes that does the jobs of a group one after the other.
func groupTakes(group []plan.Job) plan.Resources {
	var own plan.Resources
	for _, job := range group {
		own = plan.Resources{
			Cores: max(own.Cores, job.Resources.Cores), Memory: max(own.Memory, job.Resources.Memory),
			Devices: max(own.Devices, job.Resources.Devices), DeviceMemory: max(own.DeviceMemory, job.Resources.DeviceMemory),
		}
	}
	return Whole(own, group[0].Model)
}

// do runs a process for a group and takes the jobs that it ends out of open.
func (p *Processes) do(ctx context.Context, group []plan.Job, open map[string]*jobState) error {
	release, err := p.budget.Acquire(ctx, groupTakes(group), nil)
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
func (p *Processes) talk(ctx context.Context, keys []string, input io.WriteCloser, output io.Reader, open map[string]*jobState) error {
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
			return fmt.Errorf("it speaks of the key %q, which is not its job", m.Key)
		}
		u := m.update()
		state.started = state.started || u.Started
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
// the work; a line "stop" lets no other job begin. It returns the keys, and as Do does the errors of jobs.
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

// readKeys reads keys up to an empty line. Without one, whoever asked is gone and nothing is to be done.
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

// Do does stored jobs one after the other and writes what becomes of them to out. Once stop is closed no other job begins. It
// returns the errors of jobs by their keys; err says that out could not be written to.
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
		u := doStored(ctx, s, d, key, tell)
		if tell(u); u.Err != nil {
			failed[key] = u.Err
		}
	}
	mu.Lock()
	defer mu.Unlock()
	return failed, writeErr
}

func doStored(ctx context.Context, s *store.Store, d Doer, key string, tell func(Update)) Update {
	u := Update{Key: key, Ended: true}
	job, err := Stored(ctx, s, key)
	if err != nil {
		u.Err = err
		return u
	}
	tell(Update{Key: key, Started: true})
	m := &meter{tell: func(p action.Progress) { tell(Update{Key: key, Progress: p}) }}
	u.Record, u.Found, u.Err = d.Do(ctx, job, m.advance)
	m.flush()
	return u
}

// Stored returns the job that a run put into the store under a key.
func Stored(ctx context.Context, s *store.Store, key string) (job plan.Job, err error) {
	data, err := s.Job(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return job, &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(
			"the store %s holds no job with the key %s; runner run --processes puts jobs there", s, key)}
	}
	if err == nil {
		err = json.Unmarshal(data, &job)
	}
	if err != nil {
		return job, fmt.Errorf("job %s: %w", key, err)
	}
	return job, nil
}
