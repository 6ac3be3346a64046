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
)

// git runs git in a directory.
type git struct{ dir string }

// command prepares git so that it starts no program that the repository's configuration names, reaches no network, not
// even for objects that a partial clone lacks, and takes no directory for a repository that is not checked out as one.
func (g git) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "git", append([]string{
		"-C", g.dir, "--no-pager", "--no-optional-locks",
		"-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "safe.bareRepository=explicit",
	}, args...)...)
	c.Env = append(os.Environ(), "GIT_ALLOW_PROTOCOL=none", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	return c
}

// ask runs git and returns what it prints.
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

// stream runs git with an input and has read take what it prints. If read fails, git is stopped.
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
	// Where git printed too little, it says itself why.
	if waitErr != nil && (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) {
		return fmt.Errorf("git %s: %w: %s", args[0], waitErr, strings.TrimSpace(stderr.String()))
	}
	return err
}
