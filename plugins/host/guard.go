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

// guardScript waits for the end of its input, which is that of the runner, and then kills the session of a plugin and, where
// the system shows environments, all processes that carry its mark.
const guardScript = `while read -r line; do :; done
kill -s KILL -- "-$1"
for environment in /proc/[0-9]*/environ; do
	if grep -qsF -e "$2" "$environment"; then
		process="${environment%/environ}"
		kill -s KILL "${process#/proc/}"
	fi
done`

// shell runs guards. POSIX has it; an image of a container may lack it.
const shell = "/bin/sh"

// guard is a process that outlives the runner, however that dies, and ends a plugin that does not listen for this itself.
type guard struct{ cmd *exec.Cmd }

// startGuard starts the guard of a process that leads a session. At the end of lifeline it kills the session and what has
// mark in its environment. There is none, and no error, on a system without a shell.
func startGuard(lifeline *os.File, leader int, mark string) (*guard, error) {
	c := exec.Command(shell, "-c", guardScript, shell, strconv.Itoa(leader), mark)
	c.Stdin, c.Dir, c.Env = lifeline, "/", []string{"PATH=/usr/bin:/bin"}
	// What ends the runner and its group is not to end the guard.
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err := c.Start()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("starting the process that ends the plugin with the runner: %w", err)
	}
	return &guard{c}, nil
}

// dismiss ends the guard, whose plugin has ended.
func (g *guard) dismiss() error {
	if g == nil {
		return nil
	}
	err := g.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	// It ends by the signal.
	if waitErr := g.cmd.Wait(); waitErr != nil {
		if _, ok := errors.AsType[*exec.ExitError](waitErr); !ok {
			err = errors.Join(err, waitErr)
		}
	}
	return err
}
