package host

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"surprisal.dev/plugins/protocol"
)

// program is a plugin's file, open and digested, from which one process is started.
type program struct {
	path   string // for people
	digest string // "" for the runner's own binary
	// run is the path that a child of this process executes.
	run  string
	file *os.File
	at   fileState // when it was digested
}

// fileState changes whenever a file is written.
type fileState struct {
	size     int64
	modified time.Time
}

// ownProgram returns the running binary, even if another file has replaced it on disk.
func ownProgram(path string) *program {
	if runtime.GOOS == "linux" {
		return &program{path: path, run: "/proc/self/exe"}
	}
	return &program{path: path, run: path}
}

// openProgram opens and digests the file that name refers to: a path, or a program on the PATH.
func openProgram(name string) (_ *program, err error) {
	path, err := exec.LookPath(name)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("plugin %s is not executable; run chmod +x on it", name)
	}
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", name, err)
	}
	p := &program{path: path, run: path}
	if p.file, err = openHigh(path); err != nil {
		return nil, fmt.Errorf("plugin %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("plugin %s: %w", path, err), p.close())
		}
	}()
	if p.at, err = stateOf(p.file); err != nil {
		return nil, err
	}
	if p.digest, err = digestOf(p.file); err != nil {
		return nil, err
	}
	// Execution by descriptor runs exactly the file that was digested, whatever happens to its path in the meantime.
	// This does not work for a script: its interpreter opens the path, which locates the script's other files.
	magic := make([]byte, 4)
	if _, err := p.file.ReadAt(magic, 0); err == nil && bytes.Equal(magic, []byte("\x7fELF")) {
		if run := fmt.Sprintf("/proc/self/fd/%d", p.file.Fd()); exists(run) {
			p.run = run
		}
	}
	return p, nil
}

// openHigh opens a file on a high descriptor, which a child's standard or extra files do not replace before it
// executes the file.
func openHigh(path string) (_ *os.File, err error) {
	low, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, low.Close()) }()
	fd, err := unix.FcntlInt(low.Fd(), unix.F_DUPFD_CLOEXEC, 16)
	if err != nil {
		return nil, fmt.Errorf("duplicating the descriptor of %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func stateOf(f *os.File) (fileState, error) {
	info, err := f.Stat()
	if err != nil {
		return fileState{}, err
	}
	return fileState{info.Size(), info.ModTime()}, nil
}

func digestOf(f *os.File) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, 1<<62)); err != nil {
		return "", fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil)), nil
}

// verify checks that a process started from the program runs the file that was digested.
func (p *program) verify() error {
	if p.file == nil {
		return nil
	}
	changed := func() error {
		return &protocol.Error{Kind: protocol.Changed, Message: fmt.Sprintf("plugin %s changed while it was being started; run again", p.path)}
	}
	if now, err := stateOf(p.file); err != nil || now != p.at {
		return errors.Join(changed(), err)
	}
	if p.run != p.path {
		return nil
	}
	again, err := os.Open(p.path)
	if err != nil {
		return errors.Join(changed(), err)
	}
	digest, err := digestOf(again)
	if err := errors.Join(err, again.Close()); err != nil {
		return err
	}
	if digest != p.digest {
		return changed()
	}
	return nil
}

func (p *program) close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}
