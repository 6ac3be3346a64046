package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"surprisal.dev/plugins/protocol"
)

// ErrLeaseLost means that this process could not refresh its lease in time, so that held objects may have been removed.
var ErrLeaseLost = errors.New("lease lost")

// invalid returns an error that the user can fix.
func invalid(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}

// Unwritable returns an error with advice if err comes from a disk that is full or read-only, and nil otherwise.
// Retrying does not help.
func (s *Store) Unwritable(err error) error {
	for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		if errors.Is(err, cause) {
			return fmt.Errorf("store %s cannot be written to: %w", s, explain(err))
		}
	}
	return nil
}

// explain adds advice to errors of the file system, which already contain the path.
func explain(err error) error {
	if _, done := errors.AsType[*explained](err); done || err == nil {
		return err
	}
	advice := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "free some space (`runner gc` removes artifacts that no run refers to), then run again: finished actions are kept"
	case errors.Is(err, syscall.EROFS):
		advice = "this disk is read-only; choose a store on another disk, or mount this one for writing"
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
