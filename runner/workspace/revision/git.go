package revision

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"surprisal.dev/plugins/protocol"
)

// git runs git in a directory.
type git struct{ dir string }

// command returns a git command that does not start programs of the repository's configuration or access the network,
// not even for missing objects of a partial clone. It does not accept a bare repository within a working tree.
func (g git) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "git", append([]string{
		"-C", g.dir, "--no-pager", "--no-optional-locks",
		"-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "safe.bareRepository=explicit",
	}, args...)...)
	c.Env = append(os.Environ(), "GIT_ALLOW_PROTOCOL=none", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	// The processes that git starts hold its pipes open, so they are stopped, too.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second
	return c
}

// errLate is the cause of a context that ends at a limit of time.
var errLate = errors.New("out of time")

// limited runs a step of reading a revision within maxTime. Its error is the limit's if that is exceeded.
func limited(ctx context.Context, revision string, step func(context.Context) error) error {
	ctx, stop := context.WithTimeoutCause(ctx, maxTime, errLate)
	defer stop()
	err := step(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errLate) {
		return protocol.Invalid("reading %s from git exceeds the limit of %v; compare with a smaller revision, "+
			"or one with fewer links and simpler globs", revision, maxTime)
	}
	return err
}

// ask runs git and returns its output.
func (g git) ask(ctx context.Context, args ...string) ([]byte, error) {
	c := g.command(ctx, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// stream runs git with an input and passes its output to read. If read fails, git is stopped.
func (g git) stream(ctx context.Context, input string, read func(*bufio.Reader) error, args ...string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c := g.command(ctx, args...)
	var stderr strings.Builder
	c.Stdin, c.Stderr = strings.NewReader(input), &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	err = read(bufio.NewReaderSize(out, 64<<10))
	if err != nil {
		stop()
	}
	waitErr := c.Wait()
	// If the output of git is truncated, its own error explains why.
	if waitErr != nil && (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) {
		return fmt.Errorf("git %s: %w: %s", args[0], waitErr, strings.TrimSpace(stderr.String()))
	}
	return err
}
