package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"surprisal.dev/plugins/protocol"
)

// ErrLeaseLost says that this process could not refresh its lease in time, so that what it held may be gone.
var ErrLeaseLost = errors.New("lease lost")

// invalid is an error that the person who gave the input can fix.
func invalid(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}

// Unwritable returns nil, or, if err comes from a disk that is full or can only be read, an error that says what to do about
// it. Trying again does not help.
func (s *Store) Unwritable(err error) error {
	for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		if errors.Is(err, cause) {
			return fmt.Errorf("store %s cannot be written to: %w", s, explain(err))
		}
	}
	return nil
}

// explain adds the way out to errors of the file system, which name the path themselves.
func explain(err error) error {
	if _, done := errors.AsType[*explained](err); done || err == nil {
		return err
	}
	advice := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "free some space (runner gc removes what no run needs), then run again: finished actions are kept"
	case errors.Is(err, syscall.EROFS):
		advice = "this disk can only be read; choose a store on another one, or mount it for writing"
	case errors.Is(err, fs.ErrPermission):
		advice = "check who owns the store and its permissions, or choose another store"
	default:
		return err
	}
	return &explained{err, advice}
}

type explained struct {
	err    error
	advice string
}

func (e *explained) Error() string { return e.err.Error() + "; " + e.advice }
func (e *explained) Unwrap() error { return e.err }
