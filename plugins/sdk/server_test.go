package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
	"surprisal.dev/plugins/protocol/wire"
)

// pipe is the plugin's side of a stream: it receives requests followed by end, and keeps sent messages. Sending fails
// from the message with the number full onward, if that is not 0.
type pipe[Request, Response any] struct {
	grpc.ServerStream
	ctx      context.Context
	requests []*Request
	end      error // io.EOF if nil
	open     bool  // Recv waits for ctx to end after the requests
	sent     []*Response
	full     int
}

var errFull = errors.New("the pipe is full")

func (p *pipe[Request, Response]) Context() context.Context { return p.ctx }

func (p *pipe[Request, Response]) Recv() (*Request, error) {
	if len(p.requests) == 0 && p.open {
		<-p.ctx.Done()
		return nil, p.ctx.Err()
	}
	if len(p.requests) == 0 {
		if p.end != nil {
			return nil, p.end
		}
		return nil, io.EOF
	}
	r := p.requests[0]
	p.requests = p.requests[1:]
	return r, nil
}

func (p *pipe[Request, Response]) Send(r *Response) error {
	if p.full > 0 && len(p.sent)+1 >= p.full {
		return errFull
	}
	p.sent = append(p.sent, r)
	return nil
}

// grumpy fails every request.
type grumpy struct{}

var errGrumpy = errors.New("not today")

func (grumpy) Describe(context.Context) (protocol.BackendDescription, error) {
	return protocol.BackendDescription{Name: "x"}, errGrumpy
}

func (grumpy) Plan(context.Context, protocol.Model, protocol.Settings) (protocol.Estimate, error) {
	return protocol.Estimate{Parameters: 1}, errGrumpy
}

func (grumpy) Load(context.Context, protocol.Model) (Model, error) { return nil, errGrumpy }

func (grumpy) Train(context.Context, protocol.Model, iter.Seq2[protocol.Document, error], io.Writer) error {
	return errGrumpy
}

type grumpyProvider struct{}

func (grumpyProvider) Describe(context.Context) (protocol.ProviderDescription, error) {
	return protocol.ProviderDescription{Name: "x"}, errGrumpy
}

func (grumpyProvider) Resolve(context.Context, protocol.ResolveRequest) (protocol.Resolution, error) {
	return protocol.Resolution{Revision: "x"}, errGrumpy
}

// Read gives two rows first, the second with a problem of maximum length.
func (grumpyProvider) Read(_ context.Context, _ protocol.ReadRequest, emit func(protocol.Row) error) error {
	err := emit(protocol.Row{Values: [][]byte{[]byte("one")}})
	return errors.Join(err, emit(protocol.Row{Ordinal: 1, Problem: strings.Repeat("x", protocol.MaxProblemBytes)}), errGrumpy)
}

// An error of a plugin is returned unchanged.
func TestErrorsOfPlugins(t *testing.T) {
	b := &backendServer{backend: grumpy{}, models: map[string]Model{}}
	p := &providerServer{provider: grumpyProvider{}}
	rows := &pipe[pluginpb.ReadRequest, pluginpb.ReadResponse]{ctx: t.Context()}
	file := &pipe[pluginpb.TrainRequest, pluginpb.TrainResponse]{ctx: t.Context(), requests: []*pluginpb.TrainRequest{{}}}
	for name, ask := range map[string]func() (any, error){
		"describe a backend":  func() (any, error) { r, err := b.Describe(t.Context(), nil); return r == nil, err },
		"plan":                func() (any, error) { r, err := b.Plan(t.Context(), nil); return r == nil, err },
		"load":                func() (any, error) { r, err := b.Load(t.Context(), nil); return r == nil, err },
		"train":               func() (any, error) { err := b.Train(file); return len(file.sent) == 0, err },
		"describe a provider": func() (any, error) { r, err := p.Describe(t.Context(), nil); return r == nil, err },
		"resolve":             func() (any, error) { r, err := p.Resolve(t.Context(), nil); return r == nil, err },
		"read":                func() (any, error) { return true, p.Read(nil, rows) },
	} {
		if empty, err := ask(); !errors.Is(err, errGrumpy) || empty != true {
			t.Errorf("%s: error %v, no answer: %v", name, err, empty)
		}
	}
	if len(b.models) != 0 {
		t.Errorf("%d models are loaded", len(b.models))
	}
	// The rows before an error are not lost.
	if len(rows.sent) != 1 || len(rows.sent[0].GetRows()) != 2 || strings.Trim(rows.sent[0].GetRows()[1].GetProblem(), "x") != "" {
		t.Errorf("sent %d messages", len(rows.sent))
	}
	for name, work := range map[string]func() error{
		"train": func() error {
			return b.Train(&pipe[pluginpb.TrainRequest, pluginpb.TrainResponse]{ctx: t.Context(), end: errFull})
		},
		"score": func() error {
			return b.Score(&pipe[pluginpb.ScoreRequest, pluginpb.ScoreResponse]{ctx: t.Context(), end: errFull})
		},
	} {
		if err := work(); !errors.Is(err, errFull) {
			t.Errorf("%s, though nothing arrives: %v", name, err)
		}
	}
}

// Each model has its own handle, which is invalid after it is unloaded.
func TestHandles(t *testing.T) {
	b := &backendServer{backend: testBackend{}, models: map[string]Model{}}
	does := task{Dir: t.TempDir()}
	load := &pluginpb.LoadRequest{Model: &pluginpb.Model{Config: does.config()}}
	first, err := b.Load(t.Context(), load)
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Load(t.Context(), load)
	if err != nil || first.GetHandle() == second.GetHandle() || first.GetVocabularySize() != 3 {
		t.Fatalf("loaded as %q and %q, %v", first, second, err)
	}
	unload := func(handle string) codes.Code {
		_, err := b.Unload(t.Context(), &pluginpb.UnloadRequest{Handle: handle})
		return status.Code(err)
	}
	if code := unload(first.GetHandle()); code != codes.OK || !does.seen("closed") {
		t.Errorf("unloading: %v", code)
	}
	if code := unload(first.GetHandle()); code != codes.NotFound {
		t.Errorf("unloading again: %v", code)
	}
	for handle, want := range map[string]codes.Code{first.GetHandle(): codes.NotFound, "": codes.NotFound, second.GetHandle(): codes.OK} {
		stream := &pipe[pluginpb.ScoreRequest, pluginpb.ScoreResponse]{ctx: t.Context(), requests: []*pluginpb.ScoreRequest{{Handle: handle}}}
		if err := b.Score(stream); status.Code(err) != want {
			t.Errorf("scoring with %q: %v, want %v", handle, err, want)
		}
	}
	third, err := b.Load(t.Context(), load)
	if err != nil || third.GetHandle() == first.GetHandle() || third.GetHandle() == second.GetHandle() {
		t.Errorf("loaded as %q, %v", third.GetHandle(), err)
	}
}

// The documents of a stream reach the model completely and in order; a broken stream does not count as ended.
func TestScoredStreams(t *testing.T) {
	document := func(index int64, text string, continued bool) *pluginpb.Document {
		return &pluginpb.Document{Index: index, Text: []byte(text), ScoreEnd: int32(len(text)), Continued: continued}
	}
	for _, test := range []struct {
		name, do string
		requests []*pluginpb.ScoreRequest
		end      error
		full     int
		want     []int64 // the documents that are answered
		err      string
	}{
		{"documents in several messages", "", []*pluginpb.ScoreRequest{
			{Documents: []*pluginpb.Document{document(0, "a", false), document(1, "b", true)}}, {Documents: []*pluginpb.Document{document(0, "c", false)}},
			{}, {Documents: []*pluginpb.Document{document(2, "d", false)}},
		}, nil, 0, []int64{0, 1, 2}, ""},
		{"answers that are asked for", "hold", []*pluginpb.ScoreRequest{
			{Documents: []*pluginpb.Document{document(0, "a", false)}}, {Flush: true}, {Flush: true}, {Documents: []*pluginpb.Document{document(1, "b", false)}},
		}, nil, 0, []int64{0, 1}, ""},
		{"no documents", "", nil, nil, 0, nil, ""},
		{"a stream that breaks off", "", []*pluginpb.ScoreRequest{{Documents: []*pluginpb.Document{document(0, "a", false)}}}, errFull, 0, []int64{0}, "the pipe is full"},
		{"a stream that ends within a document", "", []*pluginpb.ScoreRequest{{Documents: []*pluginpb.Document{document(7, "a", true)}}},
			nil, 0, nil, "the stream ended within document 7"},
		{"answers that cannot be sent", "", []*pluginpb.ScoreRequest{{Documents: []*pluginpb.Document{document(0, "a", false)}}}, nil, 1, nil, "the pipe is full"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := testModel{task{Do: test.do, Dir: t.TempDir()}}
			b := &backendServer{models: map[string]Model{"m": m}}
			stream := &pipe[pluginpb.ScoreRequest, pluginpb.ScoreResponse]{
				ctx: t.Context(), requests: append([]*pluginpb.ScoreRequest{{Handle: "m"}}, test.requests...), end: test.end, full: test.full,
			}
			err := b.Score(stream)
			var got []int64
			for _, message := range stream.sent {
				for _, d := range message.GetDocuments() {
					got = append(got, d.GetIndex())
				}
			}
			if !slices.Equal(got, test.want) || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("answered %v, %v; want %v, %q", got, err, test.want, test.err)
			}
		})
	}
}

// A model that fails can stop its goroutine that waits for a document, while the stream is open.
func TestFailureBeforeTheNextDocument(t *testing.T) {
	b := &backendServer{models: map[string]Model{"m": reader{}}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := b.Score(&pipe[pluginpb.ScoreRequest, pluginpb.ScoreResponse]{ctx: ctx, requests: []*pluginpb.ScoreRequest{{Handle: "m"}}, open: true})
	if !errors.Is(err, errGrumpy) || ctx.Err() != nil {
		t.Errorf("a model that fails while it waits for a document: %v, after a minute: %v", err, ctx.Err())
	}
}

// reader fails while a goroutine reads documents, and waits for its end.
type reader struct{ testModel }

func (reader) Score(ctx context.Context, _ protocol.Settings, documents Documents, _ func(protocol.ScoredDocument) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for _, err := range documents(ctx) {
			if err != nil {
				return
			}
		}
	})
	cancel()
	reading.Wait()
	return errGrumpy
}

// A file crosses in messages of bounded size, without duplicates, and without data after an error.
func TestFileWriter(t *testing.T) {
	data := bytes.Repeat([]byte("0123456"), wire.ChunkBytes/2)
	stream := &pipe[pluginpb.TrainRequest, pluginpb.TrainResponse]{ctx: t.Context()}
	n, err := fileWriter{stream}.Write(data)
	var got []byte
	for _, message := range stream.sent {
		if len(message.GetData()) > wire.ChunkBytes || len(message.GetData()) == 0 {
			t.Errorf("a message of %d bytes", len(message.GetData()))
		}
		got = append(got, message.GetData()...)
	}
	if n != len(data) || err != nil || !bytes.Equal(got, data) {
		t.Errorf("wrote %d bytes of %d, %v; %d crossed", n, len(data), err, len(got))
	}
	stream = &pipe[pluginpb.TrainRequest, pluginpb.TrainResponse]{ctx: t.Context(), full: 2}
	if n, err := (fileWriter{stream}).Write(data); n != wire.ChunkBytes || !errors.Is(err, errFull) {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	if n, err := (fileWriter{stream}).Write(nil); n != 0 || err != nil || len(stream.sent) != 1 {
		t.Errorf("wrote %d bytes of none, %v", n, err)
	}
}

// Training reads the documents as sent, and fails if their stream fails.
func TestTrainingStreams(t *testing.T) {
	document := func(index int64, text string, continued bool) *pluginpb.Document {
		return &pluginpb.Document{Index: index, Text: []byte(text), Continued: continued}
	}
	for _, test := range []struct {
		name     string
		requests []*pluginpb.TrainRequest
		end      error
		want     string
		err      string
	}{
		{"documents with the model and after it", []*pluginpb.TrainRequest{
			{Documents: []*pluginpb.Document{document(0, "a", false), document(1, "b", true)}}, {Documents: []*pluginpb.Document{document(0, "c", false)}},
		}, nil, "0 a\n1 bc\n", ""},
		{"none", []*pluginpb.TrainRequest{{}, {}}, nil, "", ""},
		{"within a document", []*pluginpb.TrainRequest{{Documents: []*pluginpb.Document{document(0, "a", false), document(9, "a", true)}}}, nil,
			"", "the stream ended within document 9"},
		{"broken", []*pluginpb.TrainRequest{{Documents: []*pluginpb.Document{document(0, "a", false)}}}, errFull, "", "the pipe is full"},
	} {
		test.requests[0].Model = &pluginpb.Model{Config: task{Bytes: 1}.config()}
		stream := &pipe[pluginpb.TrainRequest, pluginpb.TrainResponse]{ctx: t.Context(), requests: test.requests, end: test.end}
		err := (&backendServer{backend: testBackend{}}).Train(stream)
		var got strings.Builder
		for _, message := range stream.sent {
			got.Write(message.GetData())
		}
		if got.String() != test.want || (err == nil) != (test.err == "") || err != nil && fmt.Sprint(err) != test.err {
			t.Errorf("%s: wrote %q, %v; want %q, %q", test.name, got.String(), err, test.want, test.err)
		}
	}
}
