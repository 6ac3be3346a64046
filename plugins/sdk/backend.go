package sdk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
	"surprisal.dev/plugins/protocol/wire"
)

type backendServer struct {
	pluginpb.UnimplementedBackendServer
	backend Backend

	mu     sync.Mutex
	loaded int
	models map[string]Model // by handle
}

func (s *backendServer) Describe(ctx context.Context, _ *pluginpb.DescribeRequest) (*pluginpb.BackendDescription, error) {
	d, err := s.backend.Describe(ctx)
	if err != nil {
		return nil, err
	}
	return wire.FromBackendDescription(d), nil
}

func (s *backendServer) Plan(ctx context.Context, r *pluginpb.PlanRequest) (*pluginpb.Estimate, error) {
	e, err := s.backend.Plan(ctx, wire.ToModel(r.GetModel()), wire.ToSettings(r.GetSettings()))
	if err != nil {
		return nil, err
	}
	return wire.FromEstimate(e), nil
}

func (s *backendServer) Load(ctx context.Context, r *pluginpb.LoadRequest) (*pluginpb.LoadedModel, error) {
	m, err := s.backend.Load(ctx, wire.ToModel(r.GetModel()))
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded++
	handle := strconv.Itoa(s.loaded)
	s.models[handle] = m
	return wire.FromLoadedModel(handle, m.Describe()), nil
}

func (s *backendServer) Unload(_ context.Context, r *pluginpb.UnloadRequest) (*pluginpb.UnloadResponse, error) {
	s.mu.Lock()
	m, ok := s.models[r.GetHandle()]
	delete(s.models, r.GetHandle())
	s.mu.Unlock()
	if !ok {
		return nil, noModel(r.GetHandle())
	}
	if err := m.Close(); err != nil {
		return nil, err
	}
	return &pluginpb.UnloadResponse{}, nil
}

func noModel(handle string) error {
	return status.Errorf(codes.NotFound, "no model is loaded as %q", handle)
}

func (s *backendServer) Train(stream grpc.BidiStreamingServer[pluginpb.TrainRequest, pluginpb.TrainResponse]) error {
	trainer, ok := s.backend.(Trainer)
	if !ok {
		return status.Error(codes.Unimplemented, "this backend does not train models")
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(fileWriter{stream}, wire.ChunkBytes)
	if err := trainer.Train(stream.Context(), wire.ToModel(first.GetModel()), trainingDocuments(first, stream), w); err != nil {
		return err
	}
	return w.Flush()
}

func trainingDocuments(
	r *pluginpb.TrainRequest, stream grpc.BidiStreamingServer[pluginpb.TrainRequest, pluginpb.TrainResponse],
) iter.Seq2[protocol.Document, error] {
	errStop := errors.New("no more documents needed")
	return func(yield func(protocol.Document, error) bool) {
		var joiner wire.DocumentJoiner
		for {
			err := joiner.Join(r.GetDocuments(), func(d protocol.Document) error {
				if !yield(d, nil) {
					return errStop
				}
				return nil
			})
			if err == nil {
				if r, err = stream.Recv(); errors.Is(err, io.EOF) {
					if err = joiner.End(); err == nil {
						return
					}
				}
			}
			if errors.Is(err, errStop) {
				return
			}
			if err != nil {
				yield(protocol.Document{}, err)
				return
			}
		}
	}
}

// fileWriter sends a model file.
type fileWriter struct {
	stream grpc.ServerStreamingServer[pluginpb.TrainResponse]
}

func (w fileWriter) Write(data []byte) (int, error) {
	for written := 0; ; {
		n := min(len(data)-written, wire.ChunkBytes)
		if n == 0 {
			return written, nil
		}
		if err := w.stream.Send(&pluginpb.TrainResponse{Data: data[written : written+n]}); err != nil {
			return written, err
		}
		written += n
	}
}

func (s *backendServer) Score(stream grpc.BidiStreamingServer[pluginpb.ScoreRequest, pluginpb.ScoreResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	s.mu.Lock()
	model, ok := s.models[first.GetHandle()]
	s.mu.Unlock()
	if !ok {
		return noModel(first.GetHandle())
	}
	c := &scoring{
		ctx:      stream.Context(),
		requests: make(chan scoreRequest),
		answers: wire.NewAnswerWriter(func(documents []*pluginpb.ScoredDocument) error {
			return stream.Send(&pluginpb.ScoreResponse{Documents: documents})
		}),
	}
	defer c.close()
	go c.receive(stream, first)
	settings := wire.ToSettings(first.GetSettings())
	for !c.ended {
		c.paused = false
		err := model.Score(c.ctx, settings, c.documents, c.emit)
		if err := errors.Join(err, c.sendAnswers()); err != nil {
			return err
		}
		switch {
		case !c.paused && !c.ended:
			return errors.New("the backend returned before the end of its documents")
		case c.owed != 0:
			return fmt.Errorf("the backend returned without an answer for %d of its documents", c.owed)
		}
	}
	return nil
}

// answerBytes is how much of answers is collected before it is sent. answerDelay is how long an answer waits for
// others, unless the backend waits for documents. Answers that a model gives together are sent together, before the
// model's next long computation, so that a crash does not lose them.
const (
	answerBytes = 64 << 10
	answerDelay = 20 * time.Millisecond
)

// scoring is one Score call of the runner. It is one Score call of the model, or several in sequence if the runner
// requested the answers that the model held back.
type scoring struct {
	ctx      context.Context
	requests chan scoreRequest

	// Only the model's goroutine that pulls documents uses these.
	queue []protocol.Document
	flush bool // the runner waits for answers
	// One of them is true when the documents of a Score call of the model have ended.
	paused, ended bool

	mu      sync.Mutex
	answers *wire.AnswerWriter
	owed    int  // documents pulled minus documents answered
	waiting bool // the model waits for documents, so answers must not wait for more answers
	timed   bool // sendDue is about to be called
	failed  error
	closed  bool
}

type scoreRequest struct {
	documents []protocol.Document
	flush     bool
	err       error
}

// receive reads the stream ahead of the model, so that documents cross while the model works.
func (c *scoring) receive(stream grpc.BidiStreamingServer[pluginpb.ScoreRequest, pluginpb.ScoreResponse], r *pluginpb.ScoreRequest) {
	defer close(c.requests)
	var joiner wire.DocumentJoiner
	for {
		request := scoreRequest{flush: r.GetFlush()}
		request.err = joiner.Join(r.GetDocuments(), func(d protocol.Document) error {
			request.documents = append(request.documents, d)
			return nil
		})
		if !c.pass(request) {
			return
		}
		var err error
		if r, err = stream.Recv(); err != nil {
			if errors.Is(err, io.EOF) {
				err = joiner.End()
			}
			if err != nil {
				c.pass(scoreRequest{err: err})
			}
			return
		}
	}
}

// pass hands r to the model and reports whether more requests may follow.
func (c *scoring) pass(r scoreRequest) bool {
	select {
	case c.requests <- r:
		return r.err == nil
	case <-c.ctx.Done():
		return false
	}
}

// documents yields the documents up to the end of the stream, up to the point where the runner waits for answers, or
// until ctx ends.
func (c *scoring) documents(ctx context.Context) iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) { c.yieldDocuments(ctx, yield) }
}

func (c *scoring) yieldDocuments(ctx context.Context, yield func(protocol.Document, error) bool) {
	for {
		if len(c.queue) > 0 {
			d := c.queue[0]
			c.queue = c.queue[1:]
			c.mu.Lock()
			c.owed++
			c.mu.Unlock()
			if !yield(d, nil) {
				return
			}
			continue
		}
		request, ok, err := c.next(ctx)
		switch {
		case err != nil:
			c.ended = true
			yield(protocol.Document{}, err)
			return
		case !ok:
			return
		}
		c.queue, c.flush = request.documents, request.flush
	}
}

// next returns the next request. ok is false if the documents of this Score call of the model have ended.
func (c *scoring) next(ctx context.Context) (r scoreRequest, ok bool, err error) {
	select {
	case r, ok = <-c.requests:
	default:
		c.mu.Lock()
		owes := c.owed > 0
		c.waiting = true
		err := c.send()
		c.mu.Unlock()
		defer func() {
			c.mu.Lock()
			c.waiting = false
			c.mu.Unlock()
		}()
		if err != nil {
			return r, false, err
		}
		// Only a model that owes answers holds some back. It need not give them up if more documents follow.
		if c.flush && owes {
			c.flush, c.paused = false, true
			return r, false, nil
		}
		select {
		case r, ok = <-c.requests:
		case <-c.ctx.Done():
			return r, false, c.ctx.Err()
		case <-ctx.Done():
			return r, false, ctx.Err()
		}
	}
	if !ok {
		c.ended = true
		return r, false, c.ctx.Err()
	}
	return r, true, r.err
}

func (c *scoring) sendAnswers() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send()
}

// send sends the collected answers. mu is held.
func (c *scoring) send() error {
	if c.failed == nil {
		c.failed = c.answers.Flush()
	}
	return c.failed
}

// sendDue sends answers that have waited for answerDelay, unless they have been sent. The next call that sends reports
// an error.
func (c *scoring) sendDue() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timed = false
	if !c.closed {
		_ = c.send()
	}
}

// close prevents use of the stream after its handler has returned.
func (c *scoring) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

func (c *scoring) emit(s protocol.ScoredDocument) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owed--
	if err := c.answers.Write(s); err != nil {
		return err
	}
	if c.waiting || c.answers.Bytes() >= answerBytes {
		return c.send()
	}
	if !c.timed {
		c.timed = true
		time.AfterFunc(answerDelay, c.sendDue)
	}
	return c.failed
}
