package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
)

// Exit codes of the command.
const (
	exitDone     = 0
	exitFailed   = 1
	exitInvalid  = 2
	exitSome     = 3
	exitGate     = 4
	exitUnknown  = 5
	exitCanceled = 130
)

// exitError is an error with the exit code of the command. Its message, if any, is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage returns an error of wrong usage.
func usage(format string, args ...any) error {
	return &exitError{exitInvalid, fmt.Errorf(format, args...)}
}

// exitCode returns the exit code for an error.
func exitCode(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if isInvalid(err) {
		return exitInvalid
	}
	if errors.Is(err, context.Canceled) {
		return exitCanceled
	}
	if err != nil {
		return exitFailed
	}
	return exitDone
}

// interrupted returns the error to print for an interrupted command: the parts of err other than the cancellation, and
// the name of the command.
func interrupted(c *cobra.Command, err error) error {
	if _, ok := errors.AsType[*exitError](err); ok {
		return err // It has its own message.
	}
	var others []error
	var sort func(error)
	sort = func(err error) {
		if parts := joined(err); parts != nil {
			for _, part := range parts {
				sort(part)
			}
		} else if !errors.Is(err, context.Canceled) {
			others = append(others, err)
		}
	}
	sort(err)
	return &exitError{exitCanceled, errors.Join(append(others, fmt.Errorf("interrupted: %s did not finish", c.CommandPath()))...)}
}

// joined returns the parts of an error of errors.Join, and nil for any other error.
func joined(err error) []error {
	of, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // Only of the outermost layer.
	if !ok || errors.Join(of.Unwrap()...).Error() != err.Error() {
		return nil
	}
	return of.Unwrap()
}

// isInvalid reports whether an error is caused by user input.
func isInvalid(err error) bool {
	if _, ok := errors.AsType[spec.Errors](err); ok {
		return true
	}
	switch protocol.KindOf(err) {
	case protocol.InvalidInput, protocol.NeedsNetwork, protocol.Changed:
		return true
	}
	return false
}
