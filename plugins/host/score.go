package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
	"surprisal.dev/plugins/protocol/wire"
)

// sendBytes is how much text is collected before it is sent. It is small, so that a slow source does not leave the
// model idle for long.
const sendBytes = 64 << 10

// Score scores documents and calls emit with each document and its answer, in the order of the documents, which it
// numbers from 0. Every answer has passed protocol.Check. An error from emit or from documents ends the call and is
// returned unchanged.
//
// If the plugin dies, the model is loaded again and only the unanswered documents are scored again. If the model runs
// out of memory, fewer documents are sent at a time. A plugin that something else than the host has killed before it
// answered any document is assumed to have run out of memory. Its model is also loaded with more halvings.
func (m *Model) Score(
	ctx context.Context, s protocol.Settings, documents iter.Seq2[protocol.Document, error],
	emit func(protocol.Document, protocol.ScoredDocument) error,
) error {
	next, stop := iter.Pull2(documents)
	defer stop()
	window := m.backend.host.window
	c := &scoring{model: m, settings: s, next: next, emit: emit, window: window, limit: window}
	c.room.L = &c.mu
	err := m.backend.do(ctx, c.what, c.progress, c.score)
	if lost, ok := errors.AsType[*lostError](err); ok && lost.killed && c.computing() {
		return &protocol.Error{Kind: protocol.OutOfMemory, Message: err.Error()}
	}
	return err
}

// scoring is one Score call, across all the streams that it needs.
type scoring struct {
	model    *Model
	settings protocol.Settings
	next     func() (protocol.Document, error, bool)
	emit     func(protocol.Document, protocol.ScoredDocument) error

	mu      sync.Mutex
	room    sync.Cond // signaled when the fields below change
	stopped bool      // the stream has ended
	// pending are the documents from the first unemitted answer onward, in order.
	pending   []*pendingDocument
	first     int64 // index of pending[0]
	unseen    int64 // every earlier document has been sent on this stream or is answered
	exhausted bool  // all documents are in pending or done
	held      int64 // bytes of text in pending
	limit     int64 // bounds held
	sent      int64 // bytes of text that this stream has sent and that have no answer yet
	sentCount int
	window    int64 // bounds sent
	answered  int64
	halved    int64 // how often less is sent or computed at a time because a process was killed
}

type pendingDocument struct {
	document       protocol.Document
	sent, answered bool
	answer         protocol.ScoredDocument
}

func (d *pendingDocument) bytes() int64 { return int64(len(d.document.Text)) }

// progress counts the answers and the reductions after a kill: after either, the next process may not be killed.
func (c *scoring) progress() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered + c.halved
}

// computing reports whether the last stream ended with documents that were sent and not answered.
func (c *scoring) computing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sentCount > 0
}

func (c *scoring) what() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.pending {
		if !d.answered {
			return fmt.Sprintf("scoring documents from %v on", d.document)
		}
	}
	return "scoring documents"
}

// score scores the remaining documents in the process p.
func (c *scoring) score(ctx context.Context, p *process) error {
	log := c.model.backend.log.With(hclog.FromContext(ctx).ImpliedArgs()...)
	for {
		before := c.progress()
		err := c.stream(ctx, p)
		var r *remoteError
		if !errors.As(err, &r) || ctx.Err() != nil {
			return err
		}
		if protocol.KindOf(wire.FromStatus(r.err)) != protocol.OutOfMemory || !c.halve() {
			if c.progress() == before && c.computing() && p.died(r.err) && p.command.killedByOthers() {
				c.afterKill(log, p)
			}
			return err
		}
		log.Warn("the backend ran out of memory; sending half as much at a time", "bytes", c.window, "error", received(r.err))
	}
}

// Each kill loads the model again, so there are few steps for a single document: its halvings grow by loneHalvings until
// they are maxHalvings, which leaves the smallest part of every document.
const (
	loneHalvings = 8
	maxHalvings  = 24
)

// afterKill reduces what is sent and computed at a time after p was killed without having answered a document.
func (c *scoring) afterKill(log hclog.Logger, p *process) {
	fewer, halvings := c.halve(), 1
	if !fewer {
		halvings = loneHalvings
	}
	if !c.model.computeLess(p, halvings) && !fewer {
		return
	}
	c.mu.Lock()
	c.halved++
	c.mu.Unlock()
	const reason = "the plugin was killed, possibly because memory ran out; "
	if fewer {
		log.Warn(reason+"sending and computing half as much at a time", "bytes", c.window)
	} else {
		log.Warn(reason + "computing less of a document at a time")
	}
}

// halve reduces the window after a stream has run out of memory. It returns false if a single document was too
// large.
func (c *scoring) halve() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sentCount <= 1 {
		return false
	}
	c.window = max(min(c.window, c.sent)/2, 1)
	return true
}

func (c *scoring) stream(ctx context.Context, p *process) error {
	c.mu.Lock()
	c.stopped, c.sent, c.sentCount, c.unseen = false, 0, 0, 0
	for _, d := range c.pending {
		d.sent = d.answered
	}
	c.mu.Unlock()
	handle, err := c.model.loadedIn(ctx, p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pluginpb.NewBackendClient(p.conn).Score(ctx, maxChunk)
	if err != nil {
		return remote(err)
	}
	var sender sync.WaitGroup
	var sendErr error
	sender.Go(func() {
		if sendErr = c.send(stream, handle); sendErr != nil && !errors.Is(sendErr, errStreamEnded) {
			cancel()
		}
	})
	err = c.receive(stream)
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.room.Broadcast()
	cancel()
	sender.Wait()
	if sendErr != nil && !errors.Is(sendErr, errStreamEnded) {
		return sendErr
	}
	return err
}

// errStreamEnded means that the sender found the stream ended. The receiver learns the reason.
var errStreamEnded = errors.New("the stream has ended")

// send sends the unanswered documents, then new ones. It returns an error of documents, or errStreamEnded.
func (c *scoring) send(stream grpc.BidiStreamingClient[pluginpb.ScoreRequest, pluginpb.ScoreResponse], handle string) error {
	if stream.Send(&pluginpb.ScoreRequest{Handle: handle, Settings: wire.FromSettings(c.settings)}) != nil {
		return errStreamEnded
	}
	w := wire.NewDocumentWriter(func(documents []*pluginpb.Document) error {
		return stream.Send(&pluginpb.ScoreRequest{Documents: documents})
	})
	for {
		d, err := c.unsent()
		if err != nil {
			return err
		}
		if d == nil {
			break
		}
		c.mu.Lock()
		if !c.hasRoom(d) && !c.stopped {
			c.mu.Unlock()
			if w.Flush() != nil || stream.Send(&pluginpb.ScoreRequest{Flush: true}) != nil {
				return errStreamEnded
			}
			c.mu.Lock()
			for !c.hasRoom(d) && !c.stopped {
				c.room.Wait()
			}
		}
		if c.stopped {
			c.mu.Unlock()
			return errStreamEnded
		}
		d.sent = true
		c.sent += d.bytes()
		c.sentCount++
		c.mu.Unlock()
		if w.Write(d.document) != nil || w.Bytes() >= sendBytes && w.Flush() != nil {
			return errStreamEnded
		}
	}
	if w.Flush() != nil || stream.CloseSend() != nil {
		return errStreamEnded
	}
	return nil
}

// hasRoom needs c.mu. One document is always allowed, however large.
func (c *scoring) hasRoom(d *pendingDocument) bool {
	return c.sentCount == 0 || c.sent+d.bytes() <= c.window && c.held <= c.limit
}

// unsent returns the next document to send, or nil at the end.
func (c *scoring) unsent() (*pendingDocument, error) {
	c.mu.Lock()
	for c.unseen = max(c.unseen, c.first); c.unseen < c.first+int64(len(c.pending)); c.unseen++ {
		if d := c.pending[c.unseen-c.first]; !d.sent {
			c.mu.Unlock()
			return d, nil
		}
	}
	exhausted, index := c.exhausted, c.first+int64(len(c.pending))
	c.mu.Unlock()
	if exhausted {
		return nil, nil
	}
	document, err, ok := c.next()
	if err != nil {
		return nil, err
	}
	if !ok {
		c.mu.Lock()
		c.exhausted = true
		c.mu.Unlock()
		return nil, nil
	}
	document.Index = index
	if err := document.Check(); err != nil {
		return nil, err
	}
	d := &pendingDocument{document: document}
	c.mu.Lock()
	c.pending = append(c.pending, d)
	c.held += d.bytes()
	c.mu.Unlock()
	return d, nil
}

func (c *scoring) receive(stream grpc.BidiStreamingClient[pluginpb.ScoreRequest, pluginpb.ScoreResponse]) error {
	joiner := wire.NewAnswerJoiner(c.expect)
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			c.mu.Lock()
			complete := c.exhausted && len(c.pending) == 0
			c.mu.Unlock()
			if err := joiner.End(); err != nil || complete {
				return c.model.backend.broken(err)
			}
			return c.model.backend.broken(fmt.Errorf("%s: it ended without an answer", c.what()))
		}
		if tooLarge(err) {
			return c.model.backend.broken(received(err))
		}
		if err != nil {
			return remote(err)
		}
		var answerErr error
		err = joiner.Join(response.GetDocuments(), func(s protocol.ScoredDocument) error {
			answerErr = c.answer(s)
			return answerErr
		})
		if answerErr != nil {
			return answerErr
		}
		if err != nil {
			return c.model.backend.broken(err)
		}
	}
}

// Bounds of an answer. If the tokenizer normalizes text, the text may have more tokens than bytes; this does not
// happen for long texts.
const (
	tokensPerByte = 16
	fewTokens     = 1 << 20
)

// expect returns the maximum number of tokens in the answer for a document.
func (c *scoring) expect(index int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := index - c.first
	switch {
	case at >= int64(len(c.pending)) || at >= 0 && !c.pending[at].sent || index < 0:
		return 0, fmt.Errorf("it answered document %d, which it was not sent", index)
	case at < 0 || c.pending[at].answered:
		return 0, fmt.Errorf("it sent a duplicate answer for document %d", index)
	}
	bytes := len(c.pending[at].document.Text)
	return max(2*bytes, min(tokensPerByte*bytes+1000, fewTokens)), nil
}

// answer accepts the answer to an expected document and emits the answers that have become complete, in order.
func (c *scoring) answer(s protocol.ScoredDocument) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.pending[s.Index-c.first]
	c.mu.Unlock()
	model := c.model.Describe()
	err := protocol.Check(d.document, s, model)
	if err == nil {
		if err = c.settings.CheckRequest(s, model); err != nil {
			err = fmt.Errorf("%v: %w", d.document, err)
		}
	}
	c.mu.Lock()
	if err != nil {
		return c.model.backend.broken(err)
	}
	d.answer, d.answered = s, true
	c.answered++
	c.sent -= d.bytes()
	c.sentCount--
	c.room.Broadcast()
	for len(c.pending) > 0 && c.pending[0].answered {
		d := c.pending[0]
		c.pending[0] = nil
		c.pending = c.pending[1:]
		c.first++
		c.held -= d.bytes()
		c.mu.Unlock()
		err := c.emit(d.document, d.answer)
		c.mu.Lock()
		if err != nil {
			return err
		}
		c.room.Broadcast()
	}
	return nil
}
