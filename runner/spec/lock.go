package spec

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/internal/confine"
	"surprisal.dev/internal/filelock"
	"surprisal.dev/plugins/protocol"
)

// LockFile is the file in an experiment directory that records the resolutions of its sources. Users commit it.
const LockFile = "surprisal.lock"

const lockVersion = 1

// Lock holds the pinned resolutions of sources, and the pinned baselines.
type Lock struct {
	entries   map[sourceKey]json.RawMessage
	baselines map[string]Baseline
}

type sourceKey struct{ provider, config string }

// lockFile is the layout of the file. Entries are sorted, so that a change of one source changes one entry.
type lockFile struct {
	Version int         `json:"version"`
	Sources []lockEntry `json:"sources"`
	// Baselines are absent if there are none, so that older programs can read the file.
	Baselines []Baseline `json:"baselines,omitempty"`
}

type lockEntry struct {
	Provider   string          `json:"provider"`
	Config     json.RawMessage `json:"config"`
	Resolution json.RawMessage `json:"resolution"`
}

// lockAdvice says how to get a lock file that can be read. Only `runner baseline set` brings baselines back.
const lockAdvice = "restore it from version control, or delete it and run `runner pin`, and `runner baseline set` for each baseline again"

// maxLock is the maximum size of a lock file in bytes. A hundred thousand sources with one file each need about half of
// it.
const maxLock = 64 << 20

// ReadLock reads the lock file in the experiment directory dir. Without a file, the lock is empty. It returns mistakes
// in the file as Errors. If confined is set, a link that leads out of that directory is a mistake.
func ReadLock(dir, confined string) (*Lock, error) {
	fsys, err := lockFS(dir, confined)
	if err != nil {
		return nil, err
	}
	return readLock(fsys)
}

// lockFS returns the files of dir, those in the directory confined if it is set.
func lockFS(dir, confined string) (fs.FS, error) {
	if confined == "" {
		return os.DirFS(dir), nil
	}
	if err := confine.Check(confined, filepath.Join(dir, LockFile)); err != nil {
		return nil, Errors{{Pos: Position{File: LockFile}, Message: err.Error()}}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return confine.FS(confined, dir), nil
}

// damagedLock returns the text of a lock file that cannot be read as one. ok is false if it cannot be read at all.
func damagedLock(dir, confined string) (text string, ok bool) {
	fsys, err := lockFS(dir, confined)
	if err != nil {
		return "", false
	}
	data, err := bounded.ReadFile(fsys, LockFile, maxLock)
	return string(data), err == nil
}

func readLock(fsys fs.FS) (*Lock, error) {
	l := &Lock{entries: map[sourceKey]json.RawMessage{}, baselines: map[string]Baseline{}}
	data, err := bounded.ReadFile(fsys, LockFile, maxLock)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, Errors{{Pos: Position{File: LockFile}, Message: fmt.Sprintf("cannot read the file: %v; %s", err, lockAdvice)}}
	}
	if n := conflictLine(data); n > 0 {
		return nil, lockError(n, "merge conflict; resolve it; or "+lockAdvice)
	}
	var file lockFile
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, lockError(lineOf(data, err), "%v; %s", jsonProblem(err), lockAdvice)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, lockError(1+bytes.Count(data[:decoder.InputOffset()], []byte("\n")), "trailing data; "+lockAdvice)
	}
	if file.Version != lockVersion {
		return nil, lockError(1, "expected version %d, got %d; use the program that wrote the file; or %s", lockVersion, file.Version, lockAdvice)
	}
	for i, e := range file.Sources {
		if e.Provider == "" || e.Config == nil || e.Resolution == nil {
			return nil, lockError(1, "source %d has no provider, config or resolution; %s", i, lockAdvice)
		}
		key, err := keyOf(e.Provider, e.Config)
		if err != nil {
			return nil, err
		}
		if _, duplicate := l.entries[key]; duplicate {
			return nil, lockError(1, "duplicate entry %d for source %s %s; remove one and run `runner pin`", i, abbreviate(e.Provider, 100), abbreviate(key.config, 300))
		}
		if err := l.Set(e.Provider, e.Config, e.Resolution); err != nil {
			return nil, err
		}
	}
	if err := l.setBaselines(file.Baselines, data); err != nil {
		return nil, err
	}
	return l, nil
}

func lockError(line int, format string, args ...any) Errors {
	return tidy([]Error{{Pos: Position{LockFile, line, 1}, Message: fmt.Sprintf(format, args...)}})
}

// conflictLine returns the line number of the first merge conflict marker, counted from 1, or 0.
func conflictLine(data []byte) int {
	for i, line := range strings.Split(string(data), "\n") {
		for _, marker := range []string{"<<<<<<<", "|||||||", "=======", ">>>>>>>"} {
			if strings.HasPrefix(line, marker) {
				return i + 1
			}
		}
	}
	return 0
}

// lineOf returns the line number of a JSON error, counted from 1.
func lineOf(data []byte, err error) int {
	offset := int64(len(data))
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = kind.Offset
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		offset = int64(bytes.Index(data, []byte(name)))
	}
	return bytes.Count(data[:max(0, min(offset, int64(len(data))))], []byte("\n")) + 1
}

// jsonProblem describes a JSON error without Go types.
func jsonProblem(err error) string {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return "unexpected end of file"
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("the field %q has the wrong type: got %s", abbreviate(kind.Field, 100), abbreviate(kind.Value, 100))
	}
	return abbreviate(strings.TrimPrefix(err.Error(), "json: "), 300)
}

// ChangeLock reads the lock file in dir, changes it and writes it. Other processes that change it so wait meanwhile. The
// file stays as it is if change returns an error. change is not called if the file cannot be written.
func ChangeLock(ctx context.Context, dir, confined string, change func(*Lock) error) (err error) {
	// The directory is locked, because the file itself is replaced.
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := filelock.Wait(ctx, d, filelock.Exclusive); err != nil && !cannotLock(err) {
		return err
	}
	l, err := ReadLock(dir, confined)
	if err != nil {
		return err
	}
	f, err := temporaryLock(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return err
	}
	if err := change(l); err != nil {
		return err
	}
	return l.Write(dir)
}

// temporaryLock creates a file that can replace the lock file in dir.
func temporaryLock(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, LockFile+".*")
	if err != nil {
		return nil, fmt.Errorf("cannot write %s: %w; check the owner and the permissions of the directory, and that its disk is not read-only or full", LockFile, err)
	}
	return f, nil
}

// cannotLock reports whether the file system does not lock directories, as some network file systems. Only changes at the
// same moment are then at risk.
func cannotLock(err error) bool {
	return slices.ContainsFunc([]error{syscall.EBADF, syscall.ENOTSUP, syscall.ENOSYS, syscall.ENOLCK, syscall.EINVAL},
		func(target error) bool { return errors.Is(err, target) })
}

// Get returns the pinned resolution of a source.
func (l *Lock) Get(provider string, config json.RawMessage) (resolution json.RawMessage, ok bool) {
	key, err := keyOf(provider, config)
	if err != nil {
		return nil, false
	}
	resolution, ok = l.entries[key]
	return resolution, ok
}

// Set pins a source. Config and resolution must be JSON.
func (l *Lock) Set(provider string, config, resolution json.RawMessage) error {
	key, err := keyOf(provider, config)
	if err != nil {
		return err
	}
	if l.entries[key], err = recode(resolution); err != nil {
		return fmt.Errorf("the resolution of %s %s: %w", provider, config, err)
	}
	return nil
}

// Retain removes all sources that are neither of a dataset, nor an imported table, nor weights of e.
func (l *Lock) Retain(e *Experiment) {
	used := map[sourceKey]bool{}
	use := func(provider string, config json.RawMessage) {
		if key, err := keyOf(provider, config); err == nil {
			used[key] = true
		}
	}
	for _, d := range e.Datasets {
		use(d.Source.Provider, d.Source.Config)
	}
	for _, m := range e.Models {
		if m.Scores != nil {
			use(m.Scores.Source())
		}
		if m.Weights != nil && m.Weights.Remote() {
			use(m.Weights.Source())
		}
	}
	for key := range l.entries {
		if !used[key] {
			delete(l.entries, key)
		}
	}
}

// Write atomically replaces the lock file in dir. Equal locks give equal files.
func (l *Lock) Write(dir string) (err error) {
	file := lockFile{Version: lockVersion, Sources: []lockEntry{}, Baselines: l.Baselines()}
	for key, resolution := range l.entries {
		file.Sources = append(file.Sources, lockEntry{key.provider, json.RawMessage(key.config), resolution})
	}
	slices.SortFunc(file.Sources, func(a, b lockEntry) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), bytes.Compare(a.Config, b.Config))
	})
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "\t")
	if err := encoder.Encode(file); err != nil {
		return err
	}
	f, err := temporaryLock(dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(protocol.VisibleJSON(b.Bytes()))
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, LockFile))
}

func keyOf(provider string, config json.RawMessage) (sourceKey, error) {
	text, err := recode(config)
	if err != nil {
		return sourceKey{}, fmt.Errorf("the configuration of %s: %w", provider, err)
	}
	return sourceKey{provider, string(text)}, nil
}

// recode returns JSON with sorted keys and without white space.
func recode(text json.RawMessage) (json.RawMessage, error) {
	var x any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&x); err != nil {
		return nil, err
	}
	return canonical(x)
}
