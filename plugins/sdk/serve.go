package sdk

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
	"surprisal.dev/plugins/protocol/wire"
)

// ServeProvider serves p until the runner no longer needs it. Call it from main. A process that the runner did not
// start prints an explanation and exits.
func ServeProvider(p Provider) {
	serve(protocol.KindProvider, func(s *grpc.Server) { pluginpb.RegisterProviderServer(s, &providerServer{provider: p}) })
}

// ServeBackend serves b until the runner no longer needs it. Call it from main. A process that the runner did not start
// prints an explanation and exits.
func ServeBackend(b Backend) {
	serve(protocol.KindBackend, func(s *grpc.Server) {
		pluginpb.RegisterBackendServer(s, &backendServer{backend: b, models: map[string]Model{}})
	})
}

func serve(kind protocol.Kind, register func(*grpc.Server)) {
	handshake := wire.Handshake()
	if os.Getenv(handshake.MagicCookieKey) != handshake.MagicCookieValue {
		fmt.Fprintf(os.Stderr, "This is a %s plugin, which runner starts. Name it runner-%s-NAME, put it on the PATH, "+
			"and check it with: runner plugin test %s\n", kind, kind, os.Args[0])
		os.Exit(1)
	}
	// Lists of processes would otherwise show a process that was started by its descriptor under the descriptor's name.
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0) // for people; there may be no such file
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: os.Stderr, JSONFormat: true})
	followLifeline(log)
	streams, err := divertStdout()
	if err != nil {
		log.Error("cannot prepare the standard streams", "error", err)
		os.Exit(1)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugin.PluginSet{string(kind): service{register: register}},
		Logger:          log,
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options,
				grpc.MaxRecvMsgSize(wire.MaxMessageBytes),
				grpc.MaxSendMsgSize(wire.MaxMessageBytes),
				grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
					streams.restore()
					response, err := handle(withLogger(ctx, log), request)
					return response, wire.ToStatus(err)
				}),
				grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
					streams.restore()
					return wire.ToStatus(handle(server, &loggedStream{stream, withLogger(stream.Context(), log)}))
				}))...)
		},
	})
}

// service makes a gRPC service a plugin that go-plugin can serve.
type service struct {
	plugin.NetRPCUnsupportedPlugin
	register func(*grpc.Server)
}

func (s service) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	s.register(server)
	return nil
}

func (service) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("a plugin has no client side")
}

// loggedStream is a stream whose context carries a logger.
type loggedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *loggedStream) Context() context.Context { return s.ctx }

// withLogger gives ctx the logger for one call. The logger's fields identify the work for which the runner makes the
// call.
func withLogger(ctx context.Context, log hclog.Logger) context.Context {
	var fields []any
	for _, field := range metadata.ValueFromIncomingContext(ctx, wire.LogFieldsKey) {
		fields = append(fields, field)
	}
	return hclog.WithContext(ctx, log.With(fields...))
}

// standardStreams are the process's streams while go-plugin changes them.
type standardStreams struct {
	stdout, stderr, handshake *os.File
	once                      sync.Once
}

// divertStdout reserves the real standard output for the handshake. Descriptor 1 becomes a second standard error, so
// that nothing a library prints, from Go or C, disturbs the handshake or is lost later.
func divertStdout() (*standardStreams, error) {
	fd, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("duplicating standard output: %w", err)
	}
	if err := unix.Dup2(2, 1); err != nil {
		return nil, fmt.Errorf("replacing standard output: %w", err)
	}
	s := &standardStreams{stdout: os.Stdout, stderr: os.Stderr, handshake: os.NewFile(uintptr(fd), "handshake")}
	// Earlier output may have left a line unfinished.
	if _, err := s.handshake.WriteString("\n"); err != nil {
		return nil, fmt.Errorf("writing to standard output: %w", err)
	}
	os.Stdout = s.handshake
	return s, nil
}

// restore undoes go-plugin's changes to the streams after the handshake: go-plugin swaps them for pipes that it copies
// over the connection, which loses the last output of a dying plugin.
func (s *standardStreams) restore() {
	s.once.Do(func() {
		os.Stdout, os.Stderr = s.stdout, s.stderr
		_ = s.handshake.Close() // everything written there has arrived
	})
}

// followLifeline ends the process, and the processes in its process group, when the runner exits. The runner starts a
// plugin as the leader of a session, so that the group is not the runner's, even if the plugin is the child of a
// script.
func followLifeline(log hclog.Logger) {
	fd, err := strconv.Atoi(os.Getenv(wire.LifelineVariable))
	if err != nil {
		return
	}
	_ = os.Unsetenv(wire.LifelineVariable) // the plugin's children have no use for the number
	unix.CloseOnExec(fd)
	go func() {
		_, err := io.Copy(io.Discard, os.NewFile(uintptr(fd), "lifeline"))
		log.Error("the runner has exited", "error", err)
		if session, err := unix.Getsid(0); err == nil && session == unix.Getpgrp() {
			_ = unix.Kill(0, unix.SIGKILL) // if this fails, Exit follows
		}
		os.Exit(1)
	}()
}
