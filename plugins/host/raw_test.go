package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
	"surprisal.dev/plugins/protocol/wire"
)

// A raw plugin is not bound to the protocol by the sdk: its configuration or its name determines what it sends.
type rawService struct {
	plugin.NetRPCUnsupportedPlugin
	name string
}

// serveRaw is the main function of a raw plugin.
func serveRaw(kind protocol.Kind, name string) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: wire.Handshake(), Plugins: plugin.PluginSet{string(kind): rawService{name: name}},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.MaxSendMsgSize(1<<30))...)
		},
	})
}

func (s rawService) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	pluginpb.RegisterProviderServer(server, rawProvider{name: s.name})
	pluginpb.RegisterBackendServer(server, rawBackend{name: s.name})
	return nil
}

func (rawService) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin has no client side")
}

// said is what a configuration makes a raw plugin send, as JSON of the message.
type said struct {
	// Hangs names the call that never answers.
	Hangs string `json:"hangs"`
	// Fails is the text of an error that every call but Describe ends with.
	Fails string `json:"fails"`
	// Prints is written to standard error first; Flood is how many bytes of lines follow.
	Prints string `json:"prints"`
	Flood  int    `json:"flood"`
	// Log records the calls in a file in the temporary directory.
	Log        string            `json:"log"`
	Resolution json.RawMessage   `json:"resolution"`
	Estimate   json.RawMessage   `json:"estimate"`
	Loaded     json.RawMessage   `json:"loaded"`
	Rows       []json.RawMessage `json:"rows"`
	Answers    []json.RawMessage `json:"answers"`
	// Endless sends a row or an answer that never ends, in messages of that many bytes.
	Endless int `json:"endless"`
	// After is how many documents a backend reads before it answers.
	After int `json:"after"`
}

func listen(config []byte, call string) (said, error) {
	var s said
	if err := json.Unmarshal(config, &s); err != nil {
		return s, err
	}
	behavior{Log: s.Log}.record(call)
	if s.Hangs == call {
		time.Sleep(time.Hour)
	}
	fmt.Fprint(os.Stderr, s.Prints)
	for n := 0; n < s.Flood; n += 100 {
		fmt.Fprintln(os.Stderr, strings.Repeat("f", 99))
	}
	if s.Fails != "" {
		return s, errors.New(s.Fails)
	}
	return s, nil
}

func say[M proto.Message](text json.RawMessage, m M) M {
	if len(text) > 0 {
		must(m, protojson.Unmarshal(text, m))
	}
	return m
}

type rawProvider struct {
	pluginpb.UnimplementedProviderServer
	name string
}

func (p rawProvider) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.ProviderDescription, error) {
	d := &pluginpb.ProviderDescription{Name: p.name, Version: "1", Schema: "#Config: {...}"}
	switch p.name {
	case "mute":
		time.Sleep(time.Hour)
	case "rude":
		d.Version = "1\n::error::you have been hacked"
	}
	return d, nil
}

func (rawProvider) Resolve(_ context.Context, r *pluginpb.ResolveRequest) (*pluginpb.Resolution, error) {
	s, err := listen(r.GetSource().GetConfig(), "resolve")
	return say(s.Resolution, &pluginpb.Resolution{}), err
}

func (rawProvider) Read(r *pluginpb.ReadRequest, stream grpc.ServerStreamingServer[pluginpb.ReadResponse]) error {
	s, err := listen(r.GetSource().GetConfig(), "read")
	if err != nil {
		return err
	}
	for _, row := range s.Rows {
		if err := stream.Send(&pluginpb.ReadResponse{Rows: []*pluginpb.Row{say(row, &pluginpb.Row{})}}); err != nil {
			return err
		}
	}
	for piece := make([]byte, s.Endless); s.Endless > 0; {
		if err := stream.Send(&pluginpb.ReadResponse{Rows: []*pluginpb.Row{{Values: [][]byte{piece}, Continued: true}}}); err != nil {
			return err
		}
	}
	return nil
}

type rawBackend struct {
	pluginpb.UnimplementedBackendServer
	name string
}

// scoreConfig is the configuration of the model that was loaded last.
var scoreConfig = make(chan []byte, 1)

func (b rawBackend) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.BackendDescription, error) {
	return &pluginpb.BackendDescription{Name: b.name, Version: "1", Schema: "#Config: {...}"}, nil
}

func (rawBackend) Plan(_ context.Context, r *pluginpb.PlanRequest) (*pluginpb.Estimate, error) {
	s, err := listen(r.GetModel().GetConfig(), "plan")
	return say(s.Estimate, &pluginpb.Estimate{}), err
}

func (rawBackend) Load(_ context.Context, r *pluginpb.LoadRequest) (*pluginpb.LoadedModel, error) {
	s, err := listen(r.GetModel().GetConfig(), "load")
	scoreConfig <- r.GetModel().GetConfig()
	return say(s.Loaded, &pluginpb.LoadedModel{Handle: "1", Device: "cpu", Dtype: "float32"}), err
}

func (rawBackend) Unload(context.Context, *pluginpb.UnloadRequest) (*pluginpb.UnloadResponse, error) {
	_, err := listen(<-scoreConfig, "unload")
	return &pluginpb.UnloadResponse{}, err
}

func (rawBackend) Train(stream grpc.BidiStreamingServer[pluginpb.TrainRequest, pluginpb.TrainResponse]) error {
	r, err := stream.Recv()
	if err != nil {
		return err
	}
	s, err := listen(r.GetModel().GetConfig(), "train")
	if err != nil {
		return err
	}
	return stream.Send(&pluginpb.TrainResponse{Data: make([]byte, s.Endless)})
}

func (rawBackend) Score(stream grpc.BidiStreamingServer[pluginpb.ScoreRequest, pluginpb.ScoreResponse]) error {
	s, err := listen(<-scoreConfig, "score")
	if err != nil {
		return err
	}
	for read := -1; read < s.After; {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		read = max(read, 0) + len(r.GetDocuments())
	}
	behavior{Do: "wait"}.misbehaveIf(s.After > 0)
	for _, a := range s.Answers {
		if err := stream.Send(&pluginpb.ScoreResponse{Documents: []*pluginpb.ScoredDocument{say(a, &pluginpb.ScoredDocument{})}}); err != nil {
			return err
		}
	}
	for piece := make([]int32, s.Endless); s.Endless > 0; {
		if err := stream.Send(&pluginpb.ScoreResponse{Documents: []*pluginpb.ScoredDocument{{TokenIds: piece, Continued: true}}}); err != nil {
			return err
		}
	}
	return nil
}

func (b behavior) misbehaveIf(yes bool) {
	if yes {
		b.misbehave()
	}
}
