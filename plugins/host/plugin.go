package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/wire"
)

// Info identifies a plugin. Together with a request, it determines the plugin's answer.
type Info struct {
	Name    string
	Kind    protocol.Kind
	Version string
	// Protocol is the version of the plugin protocol.
	Protocol int
	// Path is the path of the binary.
	Path string
	// BinaryDigest is "sha256:" and 64 hex digits of the binary's content, "" for a plugin that is built in.
	BinaryDigest string
	// Builtin is true for a plugin that is built into the runner's binary. Its name and the version that its authors
	// raise determine its answers; the binary's digest would change with every other part of the runner.
	Builtin bool
	// Schema is CUE source that defines #Config.
	Schema string
	// Environment names the variables that the plugin asked for.
	Environment []string
	// Capabilities names the plugin's optional capabilities: those that not every plugin of its kind has.
	Capabilities []string
	// NeutralSettings are dotted names of configuration fields that do not change a backend's results.
	NeutralSettings []string
}

// subprocess is a plugin that runs whenever it is needed.
type subprocess struct {
	host *Host
	kind protocol.Kind
	args []string
	log  hclog.Logger
	// builtin is true if args start this binary again.
	builtin bool
	gate    *gate // bounds what the plugin's processes write to the log

	mu      sync.Mutex
	digest  string   // of the program that was started first; "" for this binary
	asked   []string // the environment variables the plugin asked for
	current *process
	closed  bool
}

// String returns the command that starts the plugin.
func (s *subprocess) String() string { return strings.Join(s.args, " ") }

// running returns the running process and starts one if there is none.
func (s *subprocess) running(ctx context.Context) (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the plugin host is closed")
	}
	if s.current != nil && !s.current.exited(0) {
		return s.current, nil
	}
	s.stopCurrent()
	return s.start(ctx)
}

// start starts a process. It needs s.mu.
func (s *subprocess) start(ctx context.Context) (_ *process, err error) {
	from := ownProgram(s.args[0])
	if !s.builtin {
		if from, err = openProgram(s.args[0]); err != nil {
			return nil, err
		}
	}
	defer func() { err = errors.Join(err, from.close()) }()
	if s.digest != "" && from.digest != s.digest {
		return nil, &protocol.Error{Kind: protocol.Changed, Message: fmt.Sprintf(
			"plugin %s changed after this run began (%s, now %s), and its answers would be recorded under the old digest; run again",
			s, s.digest, from.digest)}
	}
	p, err := s.startProcess(ctx, from)
	if err != nil {
		return nil, err
	}
	s.digest, s.current = from.digest, p
	return p, nil
}

// stopCurrent needs s.mu.
func (s *subprocess) stopCurrent() {
	if s.current != nil {
		s.current.stop()
		s.current = nil
	}
}

// binary returns the digest of the program that was started.
func (s *subprocess) binary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.digest
}

// askFor gives the plugin the environment variables it asked for. If any of them is set, this requires a restart.
func (s *subprocess) askFor(variables []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = variables
	if len(environment(variables)) > len(environment(nil)) {
		s.stopCurrent()
	}
}

func (s *subprocess) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.stopCurrent()
}

// Kill ends the plugin's process immediately, as a crash would. The next call starts it again.
func (s *subprocess) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.current.kill()
		<-s.current.command.done
	}
}

// remoteError is an error that came from the plugin or from the connection to it.
type remoteError struct{ err error }

func (e *remoteError) Error() string { return e.err.Error() }

func remote(err error) error {
	if err == nil {
		return nil
	}
	return &remoteError{err}
}

// do calls f with a running process. If the process does not start in time or dies during f, do restarts it and calls f
// again, until this has happened too often without an increase of progress in between. what names the work for people.
//
// f wraps errors of the connection with remote; do returns other errors unchanged.
func (s *subprocess) do(ctx context.Context, what func() string, progress func() int64, f func(context.Context, *process) error) error {
	if fields := logFields(ctx); len(fields) > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, fields...)
	}
	log := hclog.FromContext(ctx)
	if len(log.ImpliedArgs()) > 0 {
		log = s.log.With(log.ImpliedArgs()...)
	} else {
		log = s.log
	}
	reached := progress()
	for losses := 0; ; {
		p, err := s.running(ctx)
		var lost *lostError
		if err == nil {
			stop := s.watchSilence(log, what, progress)
			err = f(ctx, p)
			stop()
			var r *remoteError
			if !errors.As(err, &r) {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err = r.err; !p.died(err) {
				return s.named(err)
			}
			lost = crashed(p.command)
			err = lost
		} else if ctx.Err() != nil || !errors.As(err, &lost) && (losses == 0 || protocol.KindOf(err) != "") {
			return err
		}
		if now := progress(); now > reached {
			reached, losses = now, 0
		}
		losses++
		did := "crashed"
		if lost != nil {
			did = lost.did
		}
		if losses >= s.host.timing.attempts {
			return fmt.Errorf("%s: plugin %s %s %d times in a row; the last time %w", what(), s, did, losses, err)
		}
		wait := s.host.timing.backoff << (losses - 1)
		log.Warn("the plugin "+did+"; restarting it", "work", what(), "error", err, "attempt", losses+1, "of", s.host.timing.attempts, "wait", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// watchSilence logs a warning while progress does not grow, at intervals that double each time, until stop is
// called.
func (s *subprocess) watchSilence(log hclog.Logger, what func() string, progress func() int64) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		wait, since, reached := s.host.timing.silence, time.Now(), progress()
		for {
			select {
			case <-done:
				return
			case <-time.After(wait):
			}
			if now := progress(); now != reached {
				wait, since, reached = s.host.timing.silence, time.Now(), now
				continue
			}
			log.Warn("no sign of progress from the plugin", "work", what(), "for", time.Since(since).Round(time.Second))
			wait *= 2
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// named adds the plugin to an error that it sent, and keeps the error's kind.
func (s *subprocess) named(err error) error {
	if status.Code(err) == codes.Unimplemented {
		return fmt.Errorf("plugin %s: it does not implement this %s operation: %w", s, s.kind, shown(err))
	}
	err = received(err)
	if protocol.KindOf(err) != "" {
		return err
	}
	return fmt.Errorf("plugin %s: %w", s, err)
}

// received returns an error that came over the wire, made safe to show.
func received(err error) error { return shown(wire.FromStatus(err)) }

// shown returns err without characters with which a plugin could deceive a terminal or a log.
func shown(err error) error {
	text := protocol.Visible(err.Error())
	if kind := protocol.KindOf(err); kind != "" {
		return &protocol.Error{Kind: kind, Message: text}
	}
	if text == err.Error() {
		return err
	}
	return &shownError{text, err}
}

type shownError struct {
	text string
	err  error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.err }

// call makes an idempotent call, with a time limit for each try.
func call[Request, Response any](
	ctx context.Context, s *subprocess, what string, limit time.Duration,
	method func(context.Context, grpc.ClientConnInterface, Request) (Response, error), request Request,
) (Response, error) {
	var response Response
	err := s.do(ctx, func() string { return what }, func() int64 { return 0 }, func(ctx context.Context, p *process) (err error) {
		limited, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		response, err = method(limited, p.conn, request)
		if ctx.Err() == nil && (limited.Err() != nil || status.Code(err) == codes.DeadlineExceeded) {
			return fmt.Errorf("plugin %s: %s took more than %v and was abandoned", s, what, limit)
		}
		return remote(err)
	})
	return response, err
}

// logFields returns the fields of the logger in ctx as metadata, so that the plugin's log lines identify the work.
func logFields(ctx context.Context) []string {
	var pairs []string
	for _, field := range hclog.FromContext(ctx).ImpliedArgs() {
		pairs = append(pairs, wire.LogFieldsKey, fmt.Sprint(field))
	}
	return pairs
}

// passed lists the environment variables that every plugin gets: where programs and libraries are, and how to print.
var passed = []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}

// environment returns the variables for a plugin that asked for some.
func environment(asked []string) []string {
	var env []string
	for _, names := range [][]string{passed, asked} {
		for _, name := range names {
			if value, ok := os.LookupEnv(name); ok {
				env = append(env, name+"="+value)
			}
		}
	}
	return env
}
