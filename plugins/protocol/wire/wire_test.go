package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
)

// sizes are lengths on either side of what fits into one message.
func sizes(perMessage int) []int {
	return []int{0, 7, perMessage - 150, perMessage - 80, perMessage - 1, perMessage, 2*perMessage + 50}
}

// crosses checks that m can cross the wire and has about the intended size of messages, and returns the received
// message.
func crosses[M proto.Message](t *testing.T, m, into M) M {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > ChunkBytes+ChunkBytes/8 {
		t.Errorf("a message has %d bytes", len(data))
	}
	if err := proto.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
	return into
}

func TestRowsCross(t *testing.T) {
	var want, got []protocol.Row
	for _, a := range sizes(ChunkBytes) {
		for _, b := range sizes(ChunkBytes) {
			i := int64(len(want))
			want = append(want,
				protocol.Row{Ordinal: i, Shard: fmt.Sprint("s", i), Number: i + 7, Values: [][]byte{bytes.Repeat([]byte("a"), a), bytes.Repeat([]byte("b"), b)}},
				protocol.Row{Ordinal: i + 1, Shard: "s", Number: i + 8, Problem: "unreadable"})
		}
	}
	j := NewRowJoiner(2)
	w := NewRowWriter(func(rows []*pluginpb.Row) error {
		m := crosses(t, &pluginpb.ReadResponse{Rows: rows}, &pluginpb.ReadResponse{})
		return j.Join(m.Rows, func(r protocol.Row) error { got = append(got, r); return nil })
	})
	for _, row := range want {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Flush(), j.End()); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%d rows came as %d others", len(want), len(got))
	}
}

func TestDocumentsCross(t *testing.T) {
	var want, got []protocol.Document
	for _, a := range sizes(ChunkBytes / 2) {
		for _, b := range sizes(ChunkBytes / 2) {
			for _, size := range []int{a, b} {
				want = append(want, protocol.Document{
					Index: int64(len(want)), Dataset: "d", Shard: "s", Row: 5, Text: strings.Repeat("é", size),
					ScoreStart: 1, ScoreEnd: 2, ParseSpecial: true,
				})
			}
		}
	}
	var j DocumentJoiner
	w := NewDocumentWriter(func(documents []*pluginpb.Document) error {
		m := crosses(t, &pluginpb.ScoreRequest{Documents: documents}, &pluginpb.ScoreRequest{})
		return j.Join(m.Documents, func(d protocol.Document) error { got = append(got, d); return nil })
	})
	for _, d := range want {
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Flush(), j.End()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(want, got) {
		t.Errorf("%d documents came as %d others", len(want), len(got))
	}
}

func anything(int64) (int, error) { return 1 << 30, nil }

func TestAnswersCross(t *testing.T) {
	var want, got []protocol.ScoredDocument
	for _, size := range append(sizes(ChunkBytes/tokenBytes), 1, ChunkBytes/tokenBytes-20, ChunkBytes/(tokenBytes+confidenceBytes)) {
		s := protocol.ScoredDocument{Index: int64(len(want)), EOSNLL: 1, TotalNLL: 2}
		for k := range size {
			s.TokenIDs = append(s.TokenIDs, int32(k))
			s.TokenStarts = append(s.TokenStarts, 1<<30+int32(k))
			s.TokenEnds = append(s.TokenEnds, 1<<30+int32(k)+1)
			s.TokenNLL = append(s.TokenNLL, float64(k))
		}
		for k := range int32(size % 5) {
			s.Unscored = append(s.Unscored, protocol.Unscored{Start: k, End: k + 1, Reason: protocol.ReasonNoToken})
		}
		if len(want)%4 == 0 {
			for k := range size {
				s.Confidence.Top = append(s.Confidence.Top, 1<<30-int32(k))
				s.Confidence.TopNLL = append(s.Confidence.TopNLL, float64(k)/2)
				s.Confidence.Ranks = append(s.Confidence.Ranks, 1<<30+int32(k))
				s.Confidence.Entropies = append(s.Confidence.Entropies, float64(k)/4)
				if len(want)%8 == 0 {
					s.Confidence.TopKMass = append(s.Confidence.TopKMass, -float64(k)/8)
				}
			}
		}
		if len(want)%3 == 0 {
			s.Activations = activations(size % 300)
		}
		broken := s // the wire does not validate
		broken.Index++
		broken.TokenNLL = s.TokenNLL[:size/2]
		broken.Confidence.Ranks = append(broken.Confidence.Ranks[:len(broken.Confidence.Ranks):len(broken.Confidence.Ranks)], 1, 2)
		apart := s // a token that does not start where the one before ends
		apart.Index += 2
		apart.TokenStarts = slices.Clone(s.TokenStarts)
		if size > 0 {
			apart.TokenStarts[size-1]--
		}
		want = append(want, s, broken, apart)
	}
	j := NewAnswerJoiner(anything)
	w := NewAnswerWriter(func(documents []*pluginpb.ScoredDocument) error {
		m := crosses(t, &pluginpb.ScoreResponse{Documents: documents}, &pluginpb.ScoreResponse{})
		return j.Join(m.Documents, func(s protocol.ScoredDocument) error { got = append(got, s); return nil })
	})
	for _, s := range want {
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Flush(), j.End()); err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(want, got, equal) {
		t.Errorf("%d answers came as %d others", len(want), len(got))
	}
	for i, s := range got {
		if _ = append(s.TokenStarts, -1); !equal(s, want[i]) {
			t.Errorf("answer %d: what follows its starts is not free", i)
		}
	}
}

// activations describes that many dimensions at 9 sites.
func activations(dimensions int) protocol.Activations {
	a := protocol.Activations{Positions: 1 << 40, Sites: make([]protocol.SiteActivations, 9)}
	for i := range a.Sites {
		a.Sites[i] = protocol.SiteActivations{Largest: float32(i) + 0.5, Median: float32(i) / 4}
	}
	for i := range int32(dimensions) {
		a.Dimensions = append(a.Dimensions, protocol.DimensionActivations{
			Dimension: 2 * i, Sites: []byte{byte(i), 1}, Positions: 1<<40 - int64(i), Largest: float32(i) + 6,
		})
	}
	return a
}

// TestActivationsCross checks that activations arrive once, in an answer of one message and of several.
func TestActivationsCross(t *testing.T) {
	for _, tokens := range []int{0, 1, 3 * ChunkBytes / tokenBytes} {
		for _, dimensions := range []int{0, 1, 3000} {
			want := protocol.ScoredDocument{Index: 1, TokenIDs: make([]int32, tokens), Activations: activations(dimensions)}
			j := NewAnswerJoiner(anything)
			var got []protocol.ScoredDocument
			w := NewAnswerWriter(func(documents []*pluginpb.ScoredDocument) error {
				m := crosses(t, &pluginpb.ScoreResponse{Documents: documents}, &pluginpb.ScoreResponse{})
				return j.Join(m.Documents, func(s protocol.ScoredDocument) error { got = append(got, s); return nil })
			})
			if err := errors.Join(w.Write(want), w.Flush(), j.End()); err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || !equal(want, got[0]) {
				t.Errorf("an answer of %d tokens and %d dimensions came as %d others", tokens, dimensions, len(got))
			}
		}
	}
	uneven := toActivations(&pluginpb.Activations{SiteLargest: []float32{1}, SiteMedian: []float32{0.5, 0.25}})
	if want := []protocol.SiteActivations{{Largest: 1, Median: 0.5}, {Median: 0.25}}; !slices.Equal(uneven.Sites, want) {
		t.Errorf("sites came as %v, want %v", uneven.Sites, want)
	}
}

func equal(a, b protocol.ScoredDocument) bool {
	return a.Index == b.Index && a.EOSNLL == b.EOSNLL && a.TotalNLL == b.TotalNLL &&
		slices.Equal(a.TokenIDs, b.TokenIDs) && slices.Equal(a.TokenStarts, b.TokenStarts) &&
		slices.Equal(a.TokenEnds, b.TokenEnds) && slices.Equal(a.TokenNLL, b.TokenNLL) && slices.Equal(a.Unscored, b.Unscored) &&
		cmp.Equal(a.Confidence, b.Confidence, cmpopts.EquateEmpty()) && cmp.Equal(a.Activations, b.Activations, cmpopts.EquateEmpty())
}

func TestManyUnscoredRangesCross(t *testing.T) {
	want := protocol.ScoredDocument{Index: 1}
	for i := range int32(100_000) {
		want.Unscored = append(want.Unscored, protocol.Unscored{Start: 2 * i, End: 2*i + 1, Reason: protocol.ReasonNoToken})
	}
	j := NewAnswerJoiner(anything)
	messages, got := 0, protocol.ScoredDocument{}
	w := NewAnswerWriter(func(documents []*pluginpb.ScoredDocument) error {
		messages++
		return j.Join(documents, func(s protocol.ScoredDocument) error { got = s; return nil })
	})
	if err := errors.Join(w.Write(want), w.Flush(), j.End()); err != nil {
		t.Fatal(err)
	}
	if messages < 2 || !equal(want, got) {
		t.Errorf("%d ranges came as %d in %d messages", len(want.Unscored), len(got.Unscored), messages)
	}
}

// Errors for a stream that breaks off, or that is inconsistent.
func TestBrokenStreams(t *testing.T) {
	nothing := func(protocol.Row) error { return nil }
	rows := NewRowJoiner(1)
	err := rows.Join([]*pluginpb.Row{{Ordinal: 4, Continued: true}}, nothing)
	if err := errors.Join(err, rows.End()); err == nil || err.Error() != "the stream ended within row 4" {
		t.Error(err)
	}
	if err := rows.Join([]*pluginpb.Row{{Values: [][]byte{nil}}}, nothing); err == nil || !strings.Contains(err.Error(), "was not begun") {
		t.Error(err)
	}
	var documents DocumentJoiner
	err = documents.Join([]*pluginpb.Document{{Index: 4, Continued: true}}, func(protocol.Document) error { return nil })
	if err := errors.Join(err, documents.End()); err == nil || err.Error() != "the stream ended within document 4" {
		t.Error(err)
	}
	answers := NewAnswerJoiner(anything)
	err = answers.Join([]*pluginpb.ScoredDocument{{Index: 4, Continued: true}}, func(protocol.ScoredDocument) error { return nil })
	if err := errors.Join(err, answers.End()); err == nil || err.Error() != "the stream ended within the answer for document 4" {
		t.Error(err)
	}
}

// TestBounds checks that data above a limit is rejected when the first excess piece arrives, and that data at the limit
// is accepted.
func TestBounds(t *testing.T) {
	piece := make([]byte, ChunkBytes)
	row := func(values ...[]byte) *pluginpb.Row {
		return &pluginpb.Row{Ordinal: 3, Values: values, Continued: true}
	}
	for _, test := range []struct {
		name  string
		parts func(i int) *pluginpb.Row
		want  int // accepted pieces
		err   string
	}{
		{"a value", func(int) *pluginpb.Row { return row(piece) }, 64, "row 3 has a value of more than 67108864 bytes"},
		{"a second value", func(i int) *pluginpb.Row {
			if i == 10 {
				return row(piece, piece)
			}
			return row(piece)
		}, 10 + 64, "row 3 has a value of more than 67108864 bytes"},
		{"a value too many", func(i int) *pluginpb.Row { return row(piece, nil) }, 1, "row 3 has more than 2 values, one for each field"},
		{"a problem", func(i int) *pluginpb.Row {
			return &pluginpb.Row{Ordinal: 3, Problem: strings.Repeat("x", protocol.MaxProblemBytes+i), Continued: i == 1}
		}, 1, "row 3 has a problem of 65537 bytes; it may have 65536"},
	} {
		t.Run("row: "+test.name, func(t *testing.T) {
			j := NewRowJoiner(2)
			for i := 0; ; i++ {
				err := j.Join([]*pluginpb.Row{test.parts(i)}, func(protocol.Row) error { return nil })
				if err == nil && i <= test.want {
					continue
				}
				if err == nil || !strings.Contains(err.Error(), test.err) || i != test.want {
					t.Errorf("after %d pieces: %v; want %d and %q", i, err, test.want, test.err)
				}
				break
			}
		})
	}
	var documents DocumentJoiner
	for i := 0; ; i++ {
		err := documents.Join([]*pluginpb.Document{{Index: 4, Text: piece, Continued: true}}, func(protocol.Document) error { return nil })
		if err == nil && i < 64 {
			continue
		}
		if err == nil || i != 64 || !strings.Contains(err.Error(), "document 4 has more than 67108864 bytes") {
			t.Errorf("document: after %d pieces: %v", i, err)
		}
		break
	}
	for _, part := range []*pluginpb.ScoredDocument{
		{TokenIds: make([]int32, 5)}, {TokenStarts: make([]int32, 5)}, {TokenEnds: make([]int32, 5)}, {TokenNll: make([]float64, 5)},
		{Unscored: make([]*pluginpb.Unscored, 5)},
	} {
		part.Index, part.Continued = 6, true
		j := NewAnswerJoiner(func(index int64) (int, error) { return int(index) + 4, nil })
		for i := range 3 {
			err := j.Join([]*pluginpb.ScoredDocument{part}, func(protocol.ScoredDocument) error { return nil })
			if i < 2 && err != nil || i == 2 && (err == nil || !strings.Contains(err.Error(), "the answer for document 6 has more than 10 tokens")) {
				t.Errorf("answer: after %d pieces: %v", i, err)
			}
		}
	}
	j := NewAnswerJoiner(func(int64) (int, error) { return 0, errors.New("nobody asked") })
	err := j.Join([]*pluginpb.ScoredDocument{{Index: 6, Continued: true}}, func(protocol.ScoredDocument) error { return nil })
	if err == nil || err.Error() != "nobody asked" {
		t.Errorf("an answer that nobody asked for: %v", err)
	}
}

// A row's values may be reused once they are written.
func TestRowsAreCopied(t *testing.T) {
	var got []protocol.Row
	j := NewRowJoiner(1)
	w := NewRowWriter(func(rows []*pluginpb.Row) error {
		return j.Join(rows, func(r protocol.Row) error { got = append(got, r); return nil })
	})
	value := []byte("one")
	first := w.Write(protocol.Row{Values: [][]byte{value}})
	copy(value, "two")
	if err := errors.Join(first, w.Write(protocol.Row{Ordinal: 1, Values: [][]byte{value}}), w.Flush()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || string(got[0].Values[0]) != "one" || string(got[1].Values[0]) != "two" {
		t.Errorf("found %v", got)
	}
}

// An error of the receiver, or of the data to send, ends the work and is returned unchanged.
func TestErrorsOfOthers(t *testing.T) {
	errStop := errors.New("stop")
	count := 0
	stop := func() error { count++; return errStop }
	var documents DocumentJoiner
	begun := 0
	answers := NewAnswerJoiner(func(int64) (int, error) { begun++; return 5, nil })
	piece := &pluginpb.ScoredDocument{TokenIds: []int32{1}, Continued: true}
	for name, work := range map[string]func() error{
		"rows": func() error {
			return NewRowJoiner(1).Join([]*pluginpb.Row{{}, {}}, func(protocol.Row) error { return stop() })
		},
		"documents": func() error {
			return documents.Join([]*pluginpb.Document{{}, {}}, func(protocol.Document) error { return stop() })
		},
		"answers": func() error {
			return answers.Join([]*pluginpb.ScoredDocument{piece, piece, {}, {}}, func(protocol.ScoredDocument) error { return stop() })
		},
		"sent rows": func() error {
			w := NewRowWriter(func([]*pluginpb.Row) error { return stop() })
			return w.Write(protocol.Row{Values: [][]byte{make([]byte, 3*ChunkBytes)}})
		},
		"sent documents": func() error {
			w := NewDocumentWriter(func([]*pluginpb.Document) error { return stop() })
			return w.Write(protocol.Document{Text: strings.Repeat("x", 3*ChunkBytes)})
		},
		"sent answers": func() error {
			w := NewAnswerWriter(func([]*pluginpb.ScoredDocument) error { return stop() })
			return w.Write(protocol.ScoredDocument{TokenIDs: make([]int32, ChunkBytes)})
		},
		"flushed rows": func() error {
			w := NewRowWriter(func([]*pluginpb.Row) error { return stop() })
			return errors.Join(w.Flush(), w.Write(protocol.Row{}), w.Flush())
		},
	} {
		count = 0
		err := work()
		if !errors.Is(err, errStop) || !strings.HasSuffix(err.Error(), "stop") || len(err.Error()) > len("stop") || count != 1 {
			t.Errorf("%s: error %v after %d times", name, err, count)
		}
	}
	if begun != 1 {
		t.Errorf("an answer of three messages was begun %d times", begun)
	}
}

// Bytes is the amount of data that waits for Flush, so that a sender does not wait too long.
func TestWaitingBytes(t *testing.T) {
	sent := 0
	w := NewDocumentWriter(func([]*pluginpb.Document) error { sent++; return nil })
	if err := w.Write(protocol.Document{Text: strings.Repeat("x", 1000)}); err != nil {
		t.Fatal(err)
	}
	if n := w.Bytes(); n < 1000 || n > 1200 || sent != 0 {
		t.Errorf("%d bytes wait after a document of 1000, and %d messages are sent", n, sent)
	}
	if err := errors.Join(w.Flush(), w.Flush()); err != nil || w.Bytes() != 0 || sent != 1 {
		t.Errorf("%d bytes wait after two flushes, and %d messages are sent: %v", w.Bytes(), sent, err)
	}
}

// The codes in gRPC's own logs, and the conversion of errors that are not a plugin's.
func TestStatuses(t *testing.T) {
	for _, test := range []struct {
		err  error
		want codes.Code
	}{
		{&protocol.Error{Kind: protocol.InvalidInput}, codes.InvalidArgument},
		{&protocol.Error{Kind: protocol.OutOfMemory}, codes.ResourceExhausted},
		{&protocol.Error{Kind: protocol.NeedsNetwork}, codes.FailedPrecondition},
		{&protocol.Error{Kind: protocol.Changed}, codes.FailedPrecondition},
		{fmt.Errorf("reading: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
		{status.Error(codes.NotFound, "no"), codes.NotFound},
		{errors.New("plain"), codes.Unknown},
	} {
		if got := status.Code(ToStatus(test.err)); got != test.want {
			t.Errorf("%v became %v, want %v", test.err, got, test.want)
		}
	}
	for _, code := range []codes.Code{codes.Unavailable, codes.Canceled, codes.NotFound} {
		if err := FromStatus(status.Error(code, "no")); status.Code(err) != code {
			t.Errorf("%v came as %v", code, err)
		}
	}
	own := errors.New("not of the wire")
	if err := FromStatus(own); !errors.Is(err, own) {
		t.Errorf("%v became %v", own, err)
	}
	for _, n := range []int{maxErrorBytes, maxErrorBytes + 1} {
		err := FromStatus(ToStatus(errors.New(strings.Repeat("x", n))))
		if cut := strings.HasSuffix(err.Error(), " ..."); cut != (n > maxErrorBytes) || strings.Count(err.Error(), "x") != maxErrorBytes {
			t.Errorf("a message of %d bytes came with %d", n, len(err.Error()))
		}
	}
}

func TestErrorsCross(t *testing.T) {
	for _, kind := range []protocol.ErrorKind{protocol.InvalidInput, protocol.NeedsNetwork, protocol.Changed, protocol.OutOfMemory} {
		err := FromStatus(ToStatus(fmt.Errorf("datasets.x: %w", &protocol.Error{Kind: kind, Message: "no"})))
		if protocol.KindOf(err) != kind || err.Error() != "datasets.x: no" {
			t.Errorf("%s came as %q: %v", kind, protocol.KindOf(err), err)
		}
	}
	if err := FromStatus(ToStatus(errors.New("plain"))); err.Error() != "plain" || protocol.KindOf(err) != "" {
		t.Errorf("a plain error came as %v", err)
	}
	if err := ToStatus(fmt.Errorf("reading: %w", context.Canceled)); status.Code(err) != codes.Canceled {
		t.Errorf("a canceled call became %v", err)
	}
	// The transport's own error for a large message has the code for exhausted memory.
	if err := FromStatus(status.Error(codes.ResourceExhausted, "message too large")); protocol.KindOf(err) != "" {
		t.Errorf("got kind %q", protocol.KindOf(err))
	}
	if err := FromStatus(ToStatus(errors.New("\xff" + strings.Repeat("long", 1<<20)))); !strings.HasPrefix(err.Error(), "\uFFFDlong") || len(err.Error()) > maxErrorBytes+10 {
		t.Errorf("a long error came with %d bytes", len(err.Error()))
	}
	odd, err := status.New(codes.Unknown, "no").WithDetails(&pluginpb.Error{Kind: "rude"})
	if err != nil {
		t.Fatal(err)
	}
	if err := FromStatus(odd.Err()); protocol.KindOf(err) != "" || err.Error() != "no" {
		t.Errorf("an error of an unknown kind came as %q: %v", protocol.KindOf(err), err)
	}
	if ToStatus(nil) != nil || FromStatus(nil) != nil {
		t.Error("no error became one")
	}
}

func TestValuesCross(t *testing.T) {
	allSettings := protocol.Settings{
		Prefix: "bos", Context: 1, Stride: 2, Anchor: "bytes", EOS: true, Confidence: true,
		Range: protocol.TokenRange{From: 3, Score: 4, To: 5}, TopK: 6, ActivationThreshold: 7.5,
	}
	source := protocol.Source{Config: []byte(`{"a":1}`), Dir: "dir", Confine: "/c"}
	resolution := protocol.Resolution{
		Parameters: []byte(`{}`), Files: []protocol.File{{Name: "n", Digest: "sha256:0", Bytes: 3, Compressed: true}, {Name: "m"}}, Revision: "r", Local: true,
	}
	m := protocol.Model{Config: []byte(`{"b":2}`), Files: []protocol.ModelFile{{Name: "n", Path: "p", Digest: "d"}}}
	for _, test := range []struct{ want, got any }{
		{resolution, ToResolution(FromResolution(resolution))},
		{m, ToModel(FromModel(m))},
		{
			protocol.ReadRequest{Source: source, Pinned: resolution, Fields: []string{"x", "y"}, Cluster: "c", From: 1, To: 2},
			ToReadRequest(FromReadRequest(protocol.ReadRequest{Source: source, Pinned: resolution, Fields: []string{"x", "y"}, Cluster: "c", From: 1, To: 2})),
		},
		{
			protocol.ResolveRequest{Source: source, Network: true, Cache: "c", CacheReadOnly: true},
			ToResolveRequest(FromResolveRequest(protocol.ResolveRequest{Source: source, Network: true, Cache: "c", CacheReadOnly: true})),
		},
		{
			protocol.ProviderDescription{Name: "n", Version: "v", Schema: "s", Environment: []string{"e"}, Capabilities: []string{"c"}},
			ToProviderDescription(FromProviderDescription(protocol.ProviderDescription{Name: "n", Version: "v", Schema: "s", Environment: []string{"e"}, Capabilities: []string{"c"}})),
		},
		{
			protocol.BackendDescription{Name: "n", Version: "v", Schema: "s", Environment: []string{"e"}, Trains: true, Capabilities: []string{"c"}, NeutralSettings: []string{"a.b"}},
			ToBackendDescription(FromBackendDescription(protocol.BackendDescription{Name: "n", Version: "v", Schema: "s", Environment: []string{"e"}, Trains: true, Capabilities: []string{"c"}, NeutralSettings: []string{"a.b"}})),
		},
		{allSettings, ToSettings(FromSettings(allSettings))},
		{
			protocol.Estimate{Parameters: 1, WeightBytes: 2, FLOPsPerToken: 3, MemoryBytes: 4, BytesPerToken: 5, DeviceMemoryBytes: 6, Devices: 7, TrainingMemoryPerByte: 8, MemoryPerTrainingByte: 9, Context: 10},
			ToEstimate(FromEstimate(protocol.Estimate{Parameters: 1, WeightBytes: 2, FLOPsPerToken: 3, MemoryBytes: 4, BytesPerToken: 5, DeviceMemoryBytes: 6, Devices: 7, TrainingMemoryPerByte: 8, MemoryPerTrainingByte: 9, Context: 10})),
		},
		{
			protocol.Model{Config: []byte("{}"), Files: []protocol.ModelFile{{Name: "n", Path: "p", Digest: "d"}}, Halvings: 3},
			ToModel(FromModel(protocol.Model{Config: []byte("{}"), Files: []protocol.ModelFile{{Name: "n", Path: "p", Digest: "d"}}, Halvings: 3})),
		},
		{
			protocol.LoadedModel{ContextLimit: 1, VocabularySize: 2, Device: "d", Dtype: "t", Computed: map[string]string{"p": "q"}, Arithmetic: "a", Sites: []string{"s"}, HiddenSize: 3},
			ToLoadedModel(FromLoadedModel("h", protocol.LoadedModel{ContextLimit: 1, VocabularySize: 2, Device: "d", Dtype: "t", Computed: map[string]string{"p": "q"}, Arithmetic: "a", Sites: []string{"s"}, HiddenSize: 3})),
		},
		{protocol.ResolveRequest{Network: true}, ToResolveRequest(FromResolveRequest(protocol.ResolveRequest{Network: true}))},
		{protocol.ResolveRequest{CacheReadOnly: true}, ToResolveRequest(FromResolveRequest(protocol.ResolveRequest{CacheReadOnly: true}))},
		{protocol.Resolution{Local: true}, ToResolution(FromResolution(protocol.Resolution{Local: true}))},
		{
			protocol.Resolution{Files: []protocol.File{{Name: "a", Compressed: true}}},
			ToResolution(FromResolution(protocol.Resolution{Files: []protocol.File{{Name: "a", Compressed: true}}})),
		},
		{"h", FromLoadedModel("h", protocol.LoadedModel{}).GetHandle()},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
