package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// sidecar is the file beside an exported artifact that says what it is.
const sidecar = ".artifact"

// Export writes a record's outputs and a file .artifact, which is the record itself, to dir: whole or not at all. dir must
// not exist, or be empty. The files are made beside it as .NAME.partial, which the next Export there removes if it was left
// by a process that died.
func (s *Store) Export(ctx context.Context, r *Record, dir string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("export %s to %s: %w", r.Name, dir, explain(err))
		}
	}()
	if err := r.checkOutputs(); err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if len(entries) > 0 {
		return invalid("it is not empty; remove it or name another folder")
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return invalid("it is a file; remove it or name a folder")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return err
	}
	partial := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".partial")
	lock, err := os.OpenFile(partial+".lock", os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer lock.Close()
	if free, err := tryLock(lock, syscall.LOCK_EX); err != nil {
		return err
	} else if !free || !isAt(lock, lock.Name()) {
		return errors.New("another export to this folder is under way; wait for it")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(partial), os.Remove(lock.Name())) }()
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	for _, f := range r.Outputs {
		if err := s.exportFile(ctx, f, filepath.Join(partial, filepath.FromSlash(f.Name))); err != nil {
			return err
		}
	}
	record, err := encode(r)
	if err != nil {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, record, "", "  "); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(partial, sidecar), &pretty); err != nil {
		return err
	}
	if err := syncDir(partial); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(partial, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// Exported returns the record of the artifact that Export wrote to dir. Where there is none, it is fs.ErrNotExist.
func Exported(dir string) (*Record, error) {
	path := filepath.Join(dir, sidecar)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(Record)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func (s *Store) exportFile(ctx context.Context, f File, path string) error {
	r, err := s.Open(ctx, f.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	return writeFile(path, contextReader{ctx, r})
}

func writeFile(path string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
