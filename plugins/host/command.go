package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
	"github.com/prometheus/procfs"

	"surprisal.dev/plugins/protocol/wire"
)

// pipeDelay is how long a plugin's output is still read after its end if another process has inherited the pipe.
const pipeDelay = time.Second

// command is a plugin's process in the form that go-plugin expects. It differs from go-plugin's own implementation
// in three ways. The process leads a session, which is killed as a whole with everything it started. The process ends
// with the runner, whether or not it watches for that. No output can block or crash the runner.
type command struct {
	cmd      *exec.Cmd
	path     string // of the program, for people
	out      *output
	stdout   io.Reader // only the handshake line
	version  string    // of the protocol, from the handshake; read it after done
	done     chan struct{}
	err      error // how it ended; read it after done
	lifeline *os.File
	guarded  bool // whether a guard process ends it with the runner
	guard    *guard

	mu      sync.Mutex
	killed  bool
	started bool
	ended   bool
}

var _ runner.Runner = (*command)(nil)

// newCommand prepares the process of a program. The program must stay open until the process has started. The
// runner's own binary is known to end with the runner; other programs are guarded.
func newCommand(from *program, args, env []string, out *output) *command {
	c := &command{cmd: &exec.Cmd{Path: from.run, Args: args, Env: env}, path: from.path, out: out, done: make(chan struct{}), guarded: from.file != nil}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.cmd.WaitDelay = pipeDelay
	return c
}

// Start starts the process.
func (c *command) Start(context.Context) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		return errors.New("stopped before it started")
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, read.Close()) }()
	c.cmd.ExtraFiles = []*os.File{read}
	mark := wire.ProcessVariable + "=" + rand.Text()
	c.cmd.Env = append(c.cmd.Env, wire.LifelineVariable+"=3", mark)

	handshake, handshakeIn := io.Pipe()
	c.stdout = handshake
	stdout := &lineWriter{line: c.firstHandshake(handshakeIn)}
	stderr := &lineWriter{line: c.out.print}
	c.cmd.Stdout, c.cmd.Stderr = stdout, stderr
	if err := c.cmd.Start(); err != nil {
		return errors.Join(err, write.Close())
	}
	c.lifeline, c.started = write, true
	if c.guarded {
		if c.guard, err = startGuard(read, c.cmd.Process.Pid, mark); err != nil {
			// Without a guard the plugin must not stay.
			_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
		}
	}
	go func() {
		err := c.cmd.Wait()
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil
		}
		stdout.flush()
		stderr.flush()
		c.out.end()
		c.mu.Lock()
		// Nothing it has started may outlive it; usually there is nothing left to kill.
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
		killMarked(mark)
		c.ended = true
		c.mu.Unlock()
		// The code that waits for the handshake kills the plugin when the output ends. That must not look like the
		// cause.
		_ = handshakeIn.Close() // a pipe in memory
		c.err = errors.Join(err, c.guard.dismiss(), c.lifeline.Close())
		close(c.done)
	}()
	return err
}

// killMarked kills the processes that have mark in their environment: those that a plugin has started and that have
// left its session. It works on systems that expose environments, such as Linux.
func killMarked(mark string) {
	processes, _ := filepath.Glob("/proc/[0-9]*/environ") // its only error is a malformed pattern
	for _, path := range processes {
		// An unreadable file belongs to another user or to a process that has ended.
		environment, _ := os.ReadFile(path)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && slices.Contains(strings.Split(string(environment), "\x00"), mark) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended already
		}
	}
}

// firstHandshake returns a function that passes the first handshake line to w and all other lines to the log.
func (c *command) firstHandshake(w *io.PipeWriter) func([]byte, int64) {
	seen := false
	return func(line []byte, cut int64) {
		if match := handshakeLine.FindSubmatch(line); match != nil && !seen {
			seen = true
			c.version = string(match[1])
			fmt.Fprintf(w, "%s\n", line)
			_ = w.Close() // a pipe in memory
			return
		}
		c.out.print(line, cut)
	}
}

// Wait waits for the process to end.
func (c *command) Wait(context.Context) error {
	<-c.done
	return c.err
}

// Kill ends the process and every process in its group immediately. It may be called at any time.
func (c *command) Kill(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	c.killed = true
	if !c.started {
		return nil
	}
	if err := syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("killing process group %d: %w", c.cmd.Process.Pid, err)
	}
	return nil
}

// doing describes what the process is doing, on systems that tell: whether it runs, sleeps, or waits for a device, and
// how much processor time it has used.
func (c *command) doing() string {
	if !c.mu.TryLock() {
		return "; the system is still starting its process"
	}
	defer c.mu.Unlock()
	if !c.started {
		return ""
	}
	process, err := procfs.NewProc(c.cmd.Process.Pid)
	if err != nil {
		return ""
	}
	stat, err := process.Stat()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("; its process is in state %s after %.2f s of processor time", stat.State, stat.CPUTime())
}

// ending describes how the process ended.
func (c *command) ending() string {
	<-c.done
	switch {
	case c.err == nil:
		return "exit status 0"
	case c.killedByOthers():
		return c.err.Error() + ", possibly killed by the system because memory ran out" + memoryUse(c.cmd.ProcessState)
	}
	return c.err.Error()
}

// killedByOthers reports whether something else than this host has killed the process. On Linux, the system does so when
// memory runs out.
func (c *command) killedByOthers() bool {
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	exit, ok := errors.AsType[*exec.ExitError](c.err)
	return ok && !c.killed && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

// signaled reports whether a signal that this host did not send ended the process.
func (c *command) signaled() bool {
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	exit, ok := errors.AsType[*exec.ExitError](c.err)
	return ok && !c.killed && exit.Sys().(syscall.WaitStatus).Signaled()
}

// Stdout returns the reader from which go-plugin reads the handshake.
func (c *command) Stdout() io.ReadCloser { return io.NopCloser(c.stdout) }

// Stderr is empty: the command itself copies standard error to the log. go-plugin's way of doing so makes the runner
// panic on JSON that hclog did not write.
func (c *command) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name returns the program's path.
func (c *command) Name() string { return c.path }

// ID returns the process ID.
func (c *command) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.started {
		return "not started"
	}
	return strconv.Itoa(c.cmd.Process.Pid)
}

// Diagnose adds nothing: the host's own errors explain the failure.
func (c *command) Diagnose(context.Context) string { return "" }

// PluginToHost returns its arguments: plugin and host use the same addresses.
func (c *command) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin returns its arguments.
func (c *command) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
