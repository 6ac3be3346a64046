package wire

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
)

// maxErrorBytes keeps an error within the size that gRPC allows in a response's trailer.
const maxErrorBytes = 32 << 10

// ToStatus prepares err to cross the wire with its kind.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	message := err.Error()
	if len(message) > maxErrorBytes {
		message = message[:maxErrorBytes] + " ..."
	}
	message = strings.ToValidUTF8(message, "\uFFFD")
	kind := protocol.KindOf(err)
	switch {
	case kind != "":
		s, err := status.New(code(kind), message).WithDetails(&pluginpb.Error{Kind: string(kind)})
		if err != nil {
			return status.Error(codes.Internal, message)
		}
		return s.Err()
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, message)
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, message)
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	return status.Error(codes.Unknown, message)
}

// code is for readers of gRPC's own logs. Only the status's details determine an error's kind, because the transport
// uses some of these codes for its own errors.
func code(kind protocol.ErrorKind) codes.Code {
	switch kind {
	case protocol.InvalidInput:
		return codes.InvalidArgument
	case protocol.OutOfMemory:
		return codes.ResourceExhausted
	case protocol.NeedsNetwork, protocol.Changed:
		return codes.FailedPrecondition
	}
	return codes.Unknown
}

// FromStatus undoes ToStatus. An error that the plugin did not send, such as a broken connection, is returned
// unchanged.
func FromStatus(err error) error {
	s, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	for _, detail := range s.Details() {
		if e, ok := detail.(*pluginpb.Error); ok && code(protocol.ErrorKind(e.Kind)) != codes.Unknown {
			return &protocol.Error{Kind: protocol.ErrorKind(e.Kind), Message: s.Message()}
		}
	}
	if s.Code() == codes.Unknown {
		return errors.New(s.Message())
	}
	return err
}
