package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// guardScript waits for the end of its input, which the runner's exit causes. It then kills the session of a plugin
// and, on systems that expose environments, all processes that carry the plugin's mark.
const guardScript = `while read -r line; do :; done
kill -s KILL -- "-$1"
for environment in /proc/[0-9]*/environ; do
	if grep -qsF -e "$2" "$environment"; then
		process="${environment%/environ}"
		kill -s KILL "${process#/proc/}"
	fi
done`

// shell runs guards. POSIX requires it; a container image may lack it.
const shell = "/bin/sh"

// guard is a process that outlives the runner, even one that is killed, and ends a plugin that does not watch for
// this itself.
type guard struct{ cmd *exec.Cmd }

// startGuard starts the guard of a process that leads a session. When lifeline is closed, the guard kills the
// session and all processes that have mark in their environment. On a system without a shell it returns neither a guard
// nor an error.
func startGuard(lifeline *os.File, leader int, mark string) (*guard, error) {
	c := exec.Command(shell, "-c", guardScript, shell, strconv.Itoa(leader), mark)
	c.Stdin, c.Dir, c.Env = lifeline, "/", []string{"PATH=/usr/bin:/bin"}
	// A signal to the runner's process group must not end the guard.
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err := c.Start()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("starting the guard process that ends the plugin with the runner: %w", err)
	}
	return &guard{c}, nil
}

// dismiss ends the guard after its plugin has ended.
func (g *guard) dismiss() error {
	if g == nil {
		return nil
	}
	err := g.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	// The guard ends by the signal.
	if waitErr := g.cmd.Wait(); waitErr != nil {
		if _, ok := errors.AsType[*exec.ExitError](waitErr); !ok {
			err = errors.Join(err, waitErr)
		}
	}
	return err
}
