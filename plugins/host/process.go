package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/wire"
)

// timing holds the host's time limits.
type timing struct {
	// start bounds the time until the handshake and the first answer.
	start time.Duration
	// describe, resolve and plan bound the time for the answers to these requests; unload bounds the time for
	// unloading a model.
	describe, resolve, plan, unload time.Duration
	// silence is how long a plugin may work without progress before the host logs a warning.
	silence time.Duration
	// ping is the interval between health checks; answer is the time limit of one.
	ping, answer time.Duration
	// stop is the time that a plugin has to end by itself when asked to.
	stop time.Duration
	// backoff is the wait before the first restart after a crash; each further wait is twice as long.
	backoff time.Duration
	// attempts is how many times in a row a plugin may die without any progress.
	attempts int
}

func defaultTiming() timing {
	return timing{
		start: time.Minute, describe: 30 * time.Second, resolve: 10 * time.Minute, plan: 2 * time.Minute,
		unload: 30 * time.Second, silence: 2 * time.Minute, ping: 10 * time.Second, answer: 30 * time.Second,
		stop: time.Second, backoff: 100 * time.Millisecond, attempts: 3,
	}
}

// process is a running plugin.
type process struct {
	client  *plugin.Client
	conn    *grpc.ClientConn
	command *command
	log     hclog.Logger
	timing  timing
	// stopping is set when the process has been asked to end: from then on it does not have to answer.
	stopping atomic.Bool
}

// startProcess starts args and waits until the process answers.
func (s *subprocess) startProcess(ctx context.Context, from *program) (_ *process, err error) {
	t, tempDir := s.host.timing, s.host.dir.path
	env := append(environment(s.asked), "TMPDIR="+tempDir)
	ctx, cancel := context.WithTimeoutCause(ctx, t.start, fmt.Errorf("no handshake within %v; a plugin calls "+
		"sdk.ServeProvider or sdk.ServeBackend from main before anything slow", t.start))
	defer cancel()
	p := &process{command: newCommand(from, s.args, env, &output{log: s.log, gate: s.gate}), log: s.log, timing: t}
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(),
		Plugins:          plugin.PluginSet{string(s.kind): plugin.NetRPCUnsupportedPlugin{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			p.command.cmd.Env = append(p.command.cmd.Env, spec.Env...)
			return p.command, nil
		},
		SkipHostEnv:      true,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: tempDir},
		// The host has its own deadline, which also follows ctx.
		StartTimeout: math.MaxInt64,
		Logger:       hclog.NewNullLogger(),
		SyncStdout:   &lineWriter{line: p.command.out.print},
		SyncStderr:   &lineWriter{line: p.command.out.print},
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes))},
	})
	connected := make(chan struct{})
	go func() {
		defer close(connected)
		client, connectErr := p.client.Client()
		if err = connectErr; err == nil {
			p.conn = client.(*plugin.GRPCClient).Conn
		}
	}()
	select {
	case <-connected:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil {
		err = p.askAlive(ctx)
	}
	doing := ""
	if ctx.Err() != nil {
		doing = p.command.doing()
		p.kill()
		<-connected
	}
	if err != nil {
		err = p.startError(ctx, err, doing)
	} else {
		err = from.verify()
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	go p.watch()
	return p, nil
}

// startError explains why a plugin did not start: by err, or by what is known of its process and what it was doing.
func (p *process) startError(ctx context.Context, err error, doing string) error {
	path := p.command.Name()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &lostError{did: "did not start", how: context.Cause(ctx).Error() + doing + p.command.out.quote()}
	case ctx.Err() != nil:
		return fmt.Errorf("starting plugin %s: %w%s", path, context.Cause(ctx), p.command.out.quote())
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("plugin %s is not executable; run chmod +x on it", path)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("plugin %s is not a program for this machine, nor a script with a #! line", path)
	case p.command.ID() == "not started":
		return fmt.Errorf("starting plugin %s: %w", path, err)
	}
	killedByUs := !p.exited(p.timing.stop)
	p.kill()
	<-p.command.done
	switch version := p.command.version; {
	case p.command.signaled():
		return crashed(p.command)
	case version == "" && !killedByUs:
		return fmt.Errorf("%s ended (%s) without the handshake of a Surprisal plugin%s", path, p.command.ending(), p.command.out.quote())
	case version != "" && version != fmt.Sprint(protocol.Version):
		return fmt.Errorf("plugin %s uses version %s of the plugin protocol, this runner uses version %d; "+
			"build the plugin with the sdk of this version", path, version, protocol.Version)
	}
	return fmt.Errorf("starting plugin %s: %w%s", path, shown(err), p.command.out.quote())
}

// lostError reports the loss of a process in a way that may not happen again: it crashed or did not start in time.
type lostError struct {
	did, how string
	// killed is true if something else than the host has killed the process.
	killed bool
}

func (e *lostError) Error() string { return e.how }

// crashed describes a process that has ended.
func crashed(c *command) *lostError {
	return &lostError{did: "crashed", how: fmt.Sprintf("it ended (%s)%s", c.ending(), c.out.quote()), killed: c.killedByOthers()}
}

// exited reports whether the process has ended, or ends within d.
func (p *process) exited(d time.Duration) bool {
	select {
	case <-p.command.done:
		return true
	default:
	}
	select {
	case <-p.command.done:
		return true
	case <-time.After(d):
		return false
	}
}

func (p *process) kill() {
	if err := p.command.Kill(context.Background()); err != nil {
		p.log.Error("cannot kill the plugin", "error", err)
	}
}

// stop asks the process to end, kills it if it does not, and returns when the process has ended.
func (p *process) stop() {
	p.stopping.Store(true)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		p.client.Kill()
	}()
	select {
	case <-stopped:
		return
	case <-time.After(p.timing.stop):
	}
	p.kill()
	select {
	case <-stopped:
	case <-time.After(p.timing.answer):
		// Not even the system can end a process that waits inside a driver.
		p.log.Error("the plugin was killed and has not ended; leaving it behind", "process", p.command.ID(), "waited", p.timing.answer)
	}
}

// watch kills the process when it no longer answers. This ends the calls that wait for it.
func (p *process) watch() {
	for {
		if p.exited(p.timing.ping) {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), p.timing.answer)
		err := p.askAlive(ctx)
		cancel()
		if err != nil && !p.stopping.Load() && !p.exited(0) {
			p.log.Error("the plugin no longer answers; killing it", "waited", p.timing.answer)
			p.kill()
			return
		}
	}
}

func (p *process) askAlive(ctx context.Context) error {
	_, err := grpc_health_v1.NewHealthClient(p.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	return err
}

// died reports whether err, which a call returned, means that the process has ended. It makes sure that it then has.
func (p *process) died(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable:
		// Give the process time to end by itself, so that its exit status is known.
		if !p.exited(p.timing.stop) {
			p.kill()
			<-p.command.done
		}
		return true
	case codes.Canceled, codes.Internal:
		return p.exited(p.timing.stop)
	}
	return false
}
