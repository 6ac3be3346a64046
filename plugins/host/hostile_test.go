package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"surprisal.dev/plugins/protocol"
)

// texts are documents of dataset d, a row for each text.
func textsOf(texts ...string) iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		for i, text := range texts {
			d := protocol.Document{Dataset: "d", Shard: "s", Row: int64(i), Text: text, ScoreEnd: int32(len(text))}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// request makes each kind of call to a raw plugin.
func request(t *testing.T, h *Host, call, config string) error {
	t.Helper()
	raw := json.RawMessage(config)
	if call == "resolve" || call == "read" {
		p := provider(t, h, "raw")
		if call == "resolve" {
			_, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: protocol.Source{Config: raw}})
			return err
		}
		return p.Read(t.Context(), protocol.ReadRequest{
			Source: protocol.Source{Config: raw}, Fields: []string{"text"},
			Pinned: protocol.Resolution{Files: []protocol.File{{Name: "a"}, {Name: "b"}}},
		}, func(protocol.Row) error { return nil })
	}
	b, err := h.Backend(t.Context(), "raw")
	if err != nil {
		t.Fatal(err)
	}
	m := protocol.Model{Config: raw}
	switch call {
	case "plan":
		_, err := b.Plan(t.Context(), m, protocol.Settings{})
		return err
	case "train":
		return b.Train(t.Context(), m, textsOf("abc"), io.Discard)
	}
	loaded, err := b.Load(t.Context(), m)
	switch {
	case err != nil || call == "load":
		return err
	case call == "unload":
		return loaded.Close()
	}
	settings := map[string]protocol.Settings{
		"confide": {Confidence: true}, "range": {Range: protocol.TokenRange{To: 1}},
		"mass": {Confidence: true, TopK: 2}, "observe": {ActivationThreshold: 6},
	}
	return loaded.Score(t.Context(), settings[call], textsOf("abc", "abc"), func(protocol.Document, protocol.ScoredDocument) error { return nil })
}

const loadable = `"loaded": {"handle": "1", "device": "cpu", "dtype": "float32", "vocabularySize": 10}`

// TestHostileAnswers checks that an answer that breaks the protocol is rejected, with the plugin's name and the reason,
// and not requested again.
func TestHostileAnswers(t *testing.T) {
	good := strings.Repeat("0", 64)
	for _, test := range []struct{ call, config, want string }{
		{"resolve", `{"resolution": {"parameters": "e30="}}`, "lists no files"},
		{"resolve", `{"resolution": {"parameters": "e30=", "files": [{"name": "f", "digest": "sha256:../../x"}]}}`, `the digest of file "f" is "sha256:../../x"`},
		{"resolve", `{"resolution": {"parameters": "e30=", "files": [{"name": "f", "digest": "sha256:` + good + `", "bytes": -1}]}}`, `the size of file "f" is -1 bytes`},
		{"plan", `{"estimate": {"memoryBytes": -5}}`, "the memory in bytes is -5"},
		{"plan", `{"estimate": {"flopsPerToken": "NaN"}}`, "the number of operations per token is NaN"},
		{"load", `{"loaded": {"handle": "1", "device": "cpu", "dtype": "float32", "vocabularySize": -1}}`, "the size of the vocabulary is -1"},
		{"load", `{"loaded": {"handle": "1", "device": "cpu", "dtype": "all of them"}}`, `the dtype is "all of them"`},
		{"read", `{"rows": [{"shard": "c", "values": ["eA=="]}]}`, `row 0 belongs to shard "c", which is not a file of the source`},
		{"read", `{"rows": [{"shard": "b", "values": ["eA=="]}, {"shard": "a", "ordinal": 1, "values": ["eA=="]}]}`, "or precedes the shard of the previous row"},
		{"read", `{"rows": [{"shard": "a", "values": ["eA=="]}, {"shard": "a", "ordinal": 1, "number": 2, "values": ["eA=="]}]}`, `has the number 2 in shard "a", expected 1`},
		{"read", `{"rows": [{"shard": "a", "ordinal": 1, "values": ["eA=="]}]}`, "it sent row 1 of shard \"a\", expected row 0"},
		{"read", `{"rows": [{"shard": "a"}]}`, "has 0 values for 1 fields"},
		{"read", `{"rows": [{"shard": "a", "values": ["eA==", "eA=="]}]}`, "row 0 has more than 1 values"},
		{"read", `{"endless": 1000000}`, "row 0 has a value of more than 67108864 bytes"},
		{"read", `{"endless": 5000000}`, "larger than max"},
		{"train", `{"endless": 5000000}`, "larger than max"},
		{"score", `{"endless": 100000, ` + loadable + `}`, "the answer for document 0 has more than"},
		{"score", `{"endless": 5000000, ` + loadable + `}`, "larger than max"},
		{"score", `{"answers": [{"index": "7"}], ` + loadable + `}`, "it answered document 7, which it was not sent"},
		{"score", `{"answers": [{"index": "0", "continued": true}], ` + loadable + `}`, "ended within the answer for document 0"},
		{"score", `{` + loadable + `}`, `it ended without an answer`},
		{"score", `{"answers": [{"index": "0", "tokenIds": [1], "tokenStarts": [0], "tokenEnds": [3], "tokenNll": [1], "totalNll": 1}], ` + loadable + `}`,
			`scoring documents from dataset "d", shard "s", row 1 on: it ended without an answer`},
		{"score", `{"answers": [{"index": "0", "tokenIds": [11], "tokenStarts": [0], "tokenEnds": [3], "tokenNll": [1], "totalNll": 1}], ` + loadable + `}`,
			"has id 11, outside the vocabulary of 10"},
		{"score", `{"answers": [{"index": "0", "tokenIds": [1], "tokenStarts": [0], "tokenEnds": [3], "tokenNll": [1], "totalNll": 1, ` +
			`"topIds": [1], "topNll": [1], "ranks": [1], "entropies": [1]}], ` + loadable + `}`, "confidence of 1 tokens, which was not asked for"},
		{"confide", `{"answers": [{"index": "0", "tokenIds": [1], "tokenStarts": [0], "tokenEnds": [3], "tokenNll": [1], "totalNll": 1}], ` + loadable + `}`,
			"confidence of 0 tokens, asked for all 1"},
		{"confide", `{"answers": [{"index": "0", "tokenIds": [1], "tokenStarts": [0], "tokenEnds": [3], "tokenNll": [1], "totalNll": 1, ` +
			`"topIds": [1], "topNll": [1], "ranks": [2], "entropies": [1]}], ` + loadable + `}`, "the rank is 2 and the top token is 1"},
		{"range", `{"answers": [{"index": "0", "tokenIds": [1, 2], "tokenStarts": [0, 1], "tokenEnds": [1, 3], "tokenNll": [1, 1], "totalNll": 2}], ` + loadable + `}`,
			`token 1, [1, 3), is not marked "not requested"`},
		{"mass", `{"answers": [{"index": "0", "tokenIds": [1], "tokenStarts": [0], "tokenEnds": [3], "tokenNll": [1], "totalNll": 1, ` +
			`"topIds": [1], "topNll": [1], "ranks": [1], "entropies": [1], "topKMass": [0.5]}], ` + loadable + `}`, "the top tokens' probability is 0.5"},
		{"observe", `{"answers": [{"index": "0", "tokenIds": [1], "tokenStarts": [0], "tokenEnds": [3], "tokenNll": [1], "totalNll": 1, ` +
			`"activations": {"positions": "1", "siteLargest": [7], "siteMedian": [1]}}], ` + loadable + `}`, "activations at 1 sites, and the model has 0"},
		{"load", `{"loaded": {"handle": "1", "device": "cpu", "dtype": "float32", "hiddenSize": "4"}}`, "0 sites of activations and a hidden size of 4"},
		{"load", `{"loaded": {"handle": "1", "device": "cpu", "dtype": "float32", "sites": ["a\nb"], "hiddenSize": "4"}}`, "the name of site 0 is"},
		{"confide", `{"answers": [{"index": "0", "ranks": [` + strings.Repeat("1, ", 2000) + `1], "continued": true}], ` + loadable + `}`,
			"the answer for document 0 has more than"},
	} {
		name, _, _ := strings.Cut(test.config+`"`, loadable)
		t.Run(test.call+" "+name[:min(len(name), 60)], func(t *testing.T) {
			h, _ := newHost(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			// A backend that answers before it has been asked anything would be refused for that.
			config := strings.Replace(test.config, "{", `{"log": "calls", "after": 1, `, 1)
			if err := os.WriteFile(filepath.Join(h.dir.path, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			err := request(t, h, test.call, config)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range []string{test.want, "plugin " + os.Args[0], "breaks the protocol"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %.500v, want %q in it", err, want)
				}
			}
			served := test.call
			if slices.Contains([]string{"confide", "range", "mass", "observe"}, served) {
				served = "score"
			}
			if n := strings.Count(must(readAll(h, "calls")), served+"\n"); n != 1 {
				t.Errorf("%d calls", n)
			}
			if spent := int64(after.TotalAlloc - before.TotalAlloc); spent > 300<<20 {
				t.Errorf("%d MiB of memory were taken", spent>>20)
			}
		})
	}
}

func readAll(h *Host, name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(h.dir.path, name))
	return string(data), err
}

// TestChecks checks each bound of what plugins send.
func TestChecks(t *testing.T) {
	describe := func(change func(*Info)) error {
		i := Info{Name: "n", Version: "1"}
		change(&i)
		return checkDescription(i)
	}
	resolve := func(change func(*protocol.Resolution)) error {
		r := protocol.Resolution{Parameters: json.RawMessage("{}"), Files: []protocol.File{{Name: "f", Digest: protocol.Digest(nil)}}}
		change(&r)
		return checkResolution(r)
	}
	load := func(change func(*protocol.LoadedModel)) error {
		m := protocol.LoadedModel{Device: "cuda:1", Dtype: "q4_1", Computed: map[string]string{"device": "NVIDIA H200"}}
		change(&m)
		return checkLoaded("1", m)
	}
	long := strings.Repeat("x", maxNameBytes+1)
	for _, test := range []struct {
		err  error
		want string // "" if it is to be accepted
	}{
		{describe(func(*Info) {}), ""},
		{describe(func(i *Info) { i.Name = "a b" }), `it calls itself "a b"`},
		{describe(func(i *Info) { i.Name = "" }), `it calls itself ""`},
		{describe(func(i *Info) { i.Name = long }), `it calls itself "xxx`},
		{describe(func(i *Info) { i.Version = "" }), `its version is ""`},
		{describe(func(i *Info) { i.Version = long }), `its version is "xxx`},
		{describe(func(i *Info) { i.Version = "1\u202e" }), `its version is "1\u202e"`},
		{describe(func(i *Info) { i.Schema = strings.Repeat(" ", maxSchemaBytes+1) }), "its schema has 1048577 bytes"},
		{describe(func(i *Info) { i.Environment = []string{"A=B"} }), `the environment variable "A=B"`},
		{describe(func(i *Info) { i.Environment = make([]string, maxNames+1) }), "it names 101 environment variables"},
		{describe(func(i *Info) { i.Capabilities = []string{"from.the.future"} }), ""},
		{describe(func(i *Info) { i.Capabilities = []string{"a\n"} }), `the capability "a\n"`},
		{describe(func(i *Info) { i.NeutralSettings = []string{"batch.tokens"} }), ""},
		{describe(func(i *Info) { i.NeutralSettings = []string{"batch."} }), `the neutral setting "batch."`},
		{resolve(func(*protocol.Resolution) {}), ""},
		{resolve(func(r *protocol.Resolution) { r.Parameters = nil }), "the parameters are not JSON"},
		{resolve(func(r *protocol.Resolution) { r.Revision = "a\nb" }), `the revision is "a\nb"`},
		{resolve(func(r *protocol.Resolution) { r.Files = nil }), "it lists no files"},
		{resolve(func(r *protocol.Resolution) { r.Files[0].Name = "" }), "file 0 has a name of 0 bytes"},
		{resolve(func(r *protocol.Resolution) { r.Files = append(r.Files, r.Files[0]) }), `the duplicate file "f"`},
		{resolve(func(r *protocol.Resolution) { r.Files[0].Digest = strings.ToUpper(r.Files[0].Digest) }), `the digest of file "f"`},
		{resolve(func(r *protocol.Resolution) { r.Files[0].Digest += "0" }), `the digest of file "f"`},
		{resolve(func(r *protocol.Resolution) { r.Files[0].Bytes = -1 }), `the size of file "f" is -1`},
		{checkEstimate(protocol.Estimate{}), ""},
		{checkEstimate(protocol.Estimate{Parameters: -1}), "the number of parameters is -1"},
		{checkEstimate(protocol.Estimate{WeightBytes: math.MaxInt64}), "the size of the weights in bytes is 9223372036854775807"},
		{checkEstimate(protocol.Estimate{MemoryBytes: -1}), "the memory in bytes is -1"},
		{checkEstimate(protocol.Estimate{DeviceMemoryBytes: 1}), "it expects 1 bytes of device memory but no devices"},
		{checkEstimate(protocol.Estimate{DeviceMemoryBytes: -1, Devices: 1}), "the memory of devices in bytes is -1"},
		{checkEstimate(protocol.Estimate{DeviceMemoryBytes: 1, Devices: 1}), ""},
		{checkEstimate(protocol.Estimate{Devices: -1}), "the number of devices is -1"},
		{checkEstimate(protocol.Estimate{FLOPsPerToken: math.Inf(1)}), "the number of operations per token is +Inf"},
		{checkEstimate(protocol.Estimate{BytesPerToken: math.NaN()}), "the number of bytes per token is NaN"},
		{checkEstimate(protocol.Estimate{BytesPerToken: -0.5}), "the number of bytes per token is -0.5"},
		{checkEstimate(protocol.Estimate{TrainingMemoryPerByte: 1 << 20, MemoryPerTrainingByte: 1 << 20}), ""},
		{checkEstimate(protocol.Estimate{TrainingMemoryPerByte: math.NaN()}), "the memory of training per byte of text is NaN"},
		{checkEstimate(protocol.Estimate{TrainingMemoryPerByte: -1}), "the memory of training per byte of text is -1"},
		{checkEstimate(protocol.Estimate{MemoryPerTrainingByte: 1<<20 + 1}), "the memory of a model per byte of its training text is 1.048577e+06"},
		{load(func(*protocol.LoadedModel) {}), ""},
		// These values have the maximum size; one byte more is rejected.
		{describe(func(i *Info) { i.Name = long[1:] }), ""},
		{describe(func(i *Info) { i.Version = long[1:] }), ""},
		{describe(func(i *Info) { i.Schema = strings.Repeat(" ", maxSchemaBytes) }), ""},
		{describe(func(i *Info) { i.Environment = slices.Repeat([]string{"A_1"}, maxNames) }), ""},
		{describe(func(i *Info) { i.Environment = []string{"A", "1A"} }), `the environment variable "1A"`},
		{describe(func(i *Info) { i.Environment = []string{long} }), `the environment variable "xxx`},
		{describe(func(i *Info) { i.Environment = []string{long[1:]} }), ""},
		{describe(func(i *Info) { i.Environment = []string{"A.B"} }), `the environment variable "A.B"`},
		{describe(func(i *Info) { i.Capabilities = slices.Repeat([]string{"a"}, maxNames+1) }), "it names 101 capabilities"},
		{describe(func(i *Info) { i.NeutralSettings = slices.Repeat([]string{"a"}, maxNames+1) }), "it names 101 neutral settings"},
		{resolve(func(r *protocol.Resolution) { r.Revision = long[1:] }), ""},
		{resolve(func(r *protocol.Resolution) { r.Revision = long }), `the revision is "xxx`},
		{resolve(func(r *protocol.Resolution) { r.Files[0].Name = strings.Repeat("x", maxPathBytes) }), ""},
		{resolve(func(r *protocol.Resolution) { r.Files[0].Name = strings.Repeat("x", maxPathBytes+1) }), "file 0 has a name of 4097 bytes"},
		{resolve(func(r *protocol.Resolution) {
			r.Files = append(r.Files, protocol.File{Name: "g", Digest: "sha256:0"})
		}), `the digest of file "g" is "sha256:0"`},
		{checkEstimate(protocol.Estimate{Parameters: maxQuantity, WeightBytes: maxQuantity, MemoryBytes: maxQuantity, DeviceMemoryBytes: maxQuantity,
			Devices: maxDevices, FLOPsPerToken: math.MaxFloat64, BytesPerToken: math.MaxFloat64}), ""},
		{checkEstimate(protocol.Estimate{Parameters: maxQuantity + 1}), "the number of parameters is 1125899906842625"},
		{checkEstimate(protocol.Estimate{Parameters: 5, ActiveParameters: 5}), ""},
		{checkEstimate(protocol.Estimate{Parameters: 5, ActiveParameters: 6}), "the number of parameters that a token uses is 6"},
		{checkEstimate(protocol.Estimate{WeightBytes: -1}), "the size of the weights in bytes is -1"},
		{checkEstimate(protocol.Estimate{MemoryBytes: maxQuantity + 1}), "the memory in bytes is 1125899906842625"},
		{checkEstimate(protocol.Estimate{Devices: maxDevices + 1}), "the number of devices is 65537"},
		{checkEstimate(protocol.Estimate{DeviceMemoryBytes: maxQuantity + 1, Devices: 1}), "the memory of devices in bytes is 1125899906842625"},
		{checkEstimate(protocol.Estimate{FLOPsPerToken: -1}), "the number of operations per token is -1"},
		{checkEstimate(protocol.Estimate{BytesPerToken: math.Inf(1)}), "the number of bytes per token is +Inf"},
		{checkEstimate(protocol.Estimate{MemoryPerTrainingByte: -1}), "the memory of a model per byte of its training text is -1"},
		{checkLoaded(long[1:], protocol.LoadedModel{Device: "cpu", Dtype: "f"}), ""},
		{checkLoaded(long, protocol.LoadedModel{Device: "cpu", Dtype: "f"}), `the model's handle is "xxx`},
		{load(func(m *protocol.LoadedModel) { m.ContextLimit, m.VocabularySize = maxQuantity, math.MaxInt32 }), ""},
		{load(func(m *protocol.LoadedModel) { m.ContextLimit = maxQuantity + 1 }), "the maximum context length in tokens is 1125899906842625"},
		{load(func(m *protocol.LoadedModel) { m.Device = long }), `the device is "xxx`},
		{load(func(m *protocol.LoadedModel) { m.Dtype = long }), `the dtype is "xxx`},
		{load(func(m *protocol.LoadedModel) {
			for i := range maxNames - 1 {
				m.Computed[fmt.Sprint("part", i)] = "x"
			}
		}), ""},
		{load(func(m *protocol.LoadedModel) {
			for i := range maxNames {
				m.Computed[fmt.Sprint("part", i)] = "x"
			}
		}), "it names 101 compute components; it may name 100"},
		{checkLoaded("", protocol.LoadedModel{Device: "cpu", Dtype: "f"}), `the model's handle is ""`},
		{load(func(m *protocol.LoadedModel) { m.ContextLimit = -1 }), "the maximum context length in tokens is -1"},
		{load(func(m *protocol.LoadedModel) { m.VocabularySize = 1 << 31 }), "the size of the vocabulary is 2147483648"},
		{load(func(m *protocol.LoadedModel) { m.Device = "cuda:" }), `the device is "cuda:"`},
		{load(func(m *protocol.LoadedModel) { m.Dtype = "" }), `the dtype is ""`},
		{load(func(m *protocol.LoadedModel) { m.Computed["device"] = "a\x1b[2J" }), `the compute component device is "a\x1b[2J"`},
		{load(func(m *protocol.LoadedModel) { m.Arithmetic = "cuda, 2 ranks" }), ""},
		{load(func(m *protocol.LoadedModel) { m.Arithmetic = "a\x1b[2J" }), `the arithmetic is "a\x1b[2J"`},
		{load(func(m *protocol.LoadedModel) { m.Computed[""] = "a" }), `the name of a compute component is ""`},
	} {
		switch {
		case test.want == "" && test.err != nil:
			t.Error(test.err)
		case test.want != "" && (test.err == nil || !strings.Contains(test.err.Error(), test.want)):
			t.Errorf("got %v, want %q in it", test.err, test.want)
		}
	}
}

func TestRowCheck(t *testing.T) {
	files := []protocol.File{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	row := func(ordinal int64, shard string, number int64) protocol.Row {
		return protocol.Row{Ordinal: ordinal, Shard: shard, Number: number, Problem: "p"}
	}
	for _, test := range []struct {
		name     string
		from, to int64
		rows     []protocol.Row
		bad      bool // the last of them
	}{
		{"files without rows are skipped", 0, 0, []protocol.Row{row(0, "a", 0), row(1, "c", 0), row(2, "c", 1)}, false},
		{"a read starts anywhere", 5, 0, []protocol.Row{row(5, "b", 3), row(6, "b", 4), row(7, "c", 0)}, false},
		{"but not before a shard", 5, 0, []protocol.Row{row(5, "b", -1)}, true},
		{"a shard starts at its first row", 0, 0, []protocol.Row{row(0, "a", 1)}, true},
		{"each shard does", 0, 0, []protocol.Row{row(0, "a", 0), row(1, "b", 1)}, true},
		{"no duplicate row", 0, 0, []protocol.Row{row(0, "a", 0), row(0, "a", 0)}, true},
		{"shards in order", 0, 0, []protocol.Row{row(0, "b", 0), row(1, "a", 0)}, true},
		{"a row before its time", 0, 0, []protocol.Row{row(1, "a", 0)}, true},
		{"the last of the range", 0, 2, []protocol.Row{row(0, "a", 0), row(1, "a", 1)}, false},
		{"only the first row may start anywhere", 5, 0, []protocol.Row{row(5, "b", 3), row(6, "c", 1)}, true},
		{"no duplicate shard", 0, 0, []protocol.Row{row(0, "a", 0), row(1, "b", 0), row(2, "a", 0)}, true},
		{"no row of a shard is skipped", 0, 0, []protocol.Row{row(0, "a", 0), row(1, "a", 2)}, true},
		{"no duplicate number", 0, 0, []protocol.Row{row(0, "a", 0), row(1, "a", 0)}, true},
		{"an unknown shard", 0, 0, []protocol.Row{row(0, "d", 0)}, true},
		{"up to the end of the range", 0, 1, []protocol.Row{row(0, "a", 0), row(1, "a", 1)}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &rowCheck{next: test.from, request: protocol.ReadRequest{From: test.from, To: test.to, Pinned: protocol.Resolution{Files: files}}}
			for i, r := range test.rows {
				if err := c.check(r); (err != nil) != (test.bad && i == len(test.rows)-1) {
					t.Errorf("row %d: %v", i, err)
				}
			}
		})
	}
}

// TestTimeLimits checks that the error about a plugin that never answers contains the plugin and the request.
func TestTimeLimits(t *testing.T) {
	for _, test := range []struct{ call, want string }{
		{"describe", "describing the provider took more than 100ms and was abandoned"},
		{"resolve", "resolving a source took more than 100ms and was abandoned"},
		{"plan", "estimating a model took more than 100ms and was abandoned"},
		{"unload", "it did not unload a model within 100ms, and was killed"},
	} {
		t.Run(test.call, func(t *testing.T) {
			h, _ := newHost(t)
			var err error
			if test.call == "describe" {
				h.timing.describe = 100 * time.Millisecond
				_, err = h.Provider(t.Context(), "mute")
			} else {
				h.timing.resolve, h.timing.plan, h.timing.unload = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
				err = request(t, h, test.call, `{"hangs": "`+test.call+`"}`)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "plugin "+os.Args[0]) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

// TestSilence checks that the log repeatedly reports a plugin that works without a sign of progress.
func TestSilence(t *testing.T) {
	h, log := newHost(t)
	h.timing.silence = 20 * time.Millisecond
	ctx, cancel := context.WithCancelCause(hclog.WithContext(t.Context(), h.log.With("action", "a1")))
	errEnough := errors.New("waited long enough")
	done := make(chan error, 1)
	go func() {
		_, err := provider(t, h, "raw").Resolve(ctx, protocol.ResolveRequest{Source: source(`{"hangs": "resolve"}`)})
		done <- err
	}()
	eventually(t, "two warnings", func() bool { return strings.Count(log.String(), "no sign of progress from the plugin") >= 2 })
	cancel(errEnough)
	if err := <-done; !errors.Is(err, errEnough) || err.Error() != errEnough.Error() {
		t.Errorf("got %v, want the cause of the end", err)
	}
	for _, want := range []string{"plugin=raw", "action=a1", `work="resolving a source"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("not in the log: %q", want)
		}
	}
}

// TestStrangeText checks that no text of a plugin ends a line, begins one or reaches a terminal as a command.
func TestStrangeText(t *testing.T) {
	h, log := newHost(t)
	const evil = "a\n::error::b\r\x1b[2J\u202ec\u2028::error::d"
	quoted, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{"resolve", "plan", "read", "load", "train"} {
		err := request(t, h, call, fmt.Sprintf(`{"fails": %s, "prints": %s}`, quoted, quoted))
		if err == nil || !strings.Contains(err.Error(), `a\n::error::b\r\x1b[2J\u202ec\u2028::error::d`) {
			t.Errorf("%s: got %q", call, err)
		}
	}
	var problem string
	err = provider(t, h, "raw").Read(t.Context(), protocol.ReadRequest{Source: source(`{"rows": [{"shard": "s", "problem": %s}]}`, quoted)},
		func(r protocol.Row) error { problem = r.Problem; return nil })
	if err != nil || problem != `a\n::error::b\r\x1b[2J\u202ec\u2028::error::d` {
		t.Errorf("got the problem %q and %v", problem, err)
	}
	if _, err := h.Provider(t.Context(), "rude"); err == nil || !strings.Contains(err.Error(), `its version is "1\n::error::you have been hacked"`) {
		t.Errorf("got %v", err)
	}
	eventually(t, "what was printed is in the log", func() bool { return strings.Contains(log.String(), `::error::b\r\x1b[2J`) })
	for _, line := range strings.Split(log.String(), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "::") {
			t.Errorf("a line of the log begins with %q", line)
		}
	}
	out := &output{log: hclog.NewNullLogger(), gate: newGate()}
	out.print([]byte(`{"@level": "error", "@message": "x\n::error::y", "k\n": "v\n", "n": {"deep": "\u001b"}}`), 0)
	out.print([]byte("::error::z"), 0)
	if got, want := out.quote(), "; its last output:\n  | x\\n::error::y k\\n=v\\n n=map[deep:\\x1b]\n  | ::error::z"; got != want {
		t.Errorf("quoted as %q, want %q", got, want)
	}
}

// TestFlood checks that a plugin that prints without end does not fill the log, and that the log reports the omission.
func TestFlood(t *testing.T) {
	h, log := newHost(t)
	const printed = 16 << 20
	err := request(t, h, "resolve", fmt.Sprintf(`{"flood": %d, "fails": "done"}`, printed))
	if err == nil || !strings.Contains(err.Error(), "done") {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	if len(text) > 8<<20 || !strings.Contains(text, "some of its output is omitted: plugin=raw lines=") {
		t.Errorf("the log has %d bytes and ends with %q", len(text), text[max(0, len(text)-300):])
	}
	h.dir = must(newRunDir(t.TempDir())) // for the cleanup
}

// TestLastWordsAfterAFlood checks that a plugin's last output is remembered even when the log accepts no more of it.
func TestLastWordsAfterAFlood(t *testing.T) {
	o := &output{log: hclog.NewNullLogger(), gate: newGate()}
	flood := bytes.Repeat([]byte("x"), 1000)
	for range o.gate.burst/int64(len(flood)) + 1 {
		o.print(flood, 0)
	}
	o.print([]byte("out of luck"), 0)
	if dropped, _ := o.gate.rest(); dropped == 0 || o.last[len(o.last)-1] != "out of luck" {
		t.Errorf("%d lines were dropped, the last one remembered is %q", dropped, o.last[len(o.last)-1])
	}
}

func TestGate(t *testing.T) {
	now := time.Unix(0, 0)
	g := newGate()
	g.now = func() time.Time { return now }
	pass := func(n int) (passed int64) {
		for range n {
			if ok, _, _ := g.pass(1000 - lineOverhead); ok {
				passed++
			}
		}
		return passed
	}
	if got, want := pass(10_000), g.burst/1000; got != want {
		t.Errorf("%d lines passed at once, want %d", got, want)
	}
	now = now.Add(time.Second)
	if got := pass(100); got != 0 {
		t.Errorf("%d lines passed a second later", got)
	}
	now = now.Add(time.Minute)
	ok, lines, bytes := g.pass(100)
	if dropped := 10_100 - g.burst/1000; !ok || lines != dropped || bytes != dropped*(1000-lineOverhead) {
		t.Errorf("a minute later: %v, with %d lines and %d bytes dropped", ok, lines, bytes)
	}
	for range 200 {
		now = now.Add(time.Minute)
		pass(4500)
	}
	if g.written > g.total || g.written < g.total-1000 {
		t.Errorf("%d bytes were written in all, of %d", g.written, g.total)
	}
	lines, _ = g.rest()
	if again, _ := g.rest(); lines == 0 || again != 0 {
		t.Errorf("reported %d lines at the end, and then %d", lines, again)
	}
}

func TestLineWriter(t *testing.T) {
	var got []string
	w := &lineWriter{line: func(line []byte, cut int64) { got = append(got, fmt.Sprintf("%.3s %d %d", line, len(line), cut)) }}
	long := strings.Repeat("x", maxLineBytes)
	for _, piece := range []string{"ab", "c\nd\n\n", long, "\n", long, "y", long + "\nz"} {
		if n, err := io.WriteString(w, piece); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	w.flush()
	w.flush()
	want := []string{"abc 3 0", "d 1 0", " 0 0", "xxx 65536 0", "xxx 65536 65537", "z 1 0"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// copyProgram writes the test binary under another name, followed by the bytes of after. These do not change the
// program.
func copyProgram(t *testing.T, path, after string) {
	t.Helper()
	content, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", append(content, after...), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestUpgrade checks that a plugin that is replaced during a run continues unchanged, and that after a crash the
// replacement is not started in its place.
func TestUpgrade(t *testing.T) {
	h, _ := newHost(t)
	h.options.SearchDirs = []string{t.TempDir()}
	path := filepath.Join(h.options.SearchDirs[0], "runner-provider-upgraded")
	copyProgram(t, path, "")
	p := provider(t, h, "upgraded")
	resolve := func() error {
		_, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: source(`{"rows": 1}`)})
		return err
	}
	p.Kill()
	if err := resolve(); err != nil {
		t.Fatal(err)
	}
	copyProgram(t, path, "new")
	if err := resolve(); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	err := resolve()
	if protocol.KindOf(err) != protocol.Changed || !strings.Contains(err.Error(), "plugin "+path+" changed after this run began (sha256:") ||
		!strings.Contains(err.Error(), "run again") {
		t.Errorf("got %v of kind %q", err, protocol.KindOf(err))
	}
	// The same holds in the middle of work.
	again, _ := newHost(t)
	again.options.SearchDirs = h.options.SearchDirs
	p = provider(t, again, "upgraded")
	err = p.Read(t.Context(), protocol.ReadRequest{Source: source(`{"rows": 50000, "bytes": 100}`), Fields: []string{"text"}}, func(r protocol.Row) error {
		if r.Ordinal == 1 {
			copyProgram(t, path, "newer")
			p.Kill()
		}
		return nil
	})
	if protocol.KindOf(err) != protocol.Changed {
		t.Errorf("got %v of kind %q", err, protocol.KindOf(err))
	}
	copyProgram(t, path, "new")
	if err := resolve(); err != nil {
		t.Errorf("with the old program back: %v", err)
	}
}

// TestStartsWhatWasDigested checks that only the digested program is started when the path changes between the digest
// and the start.
func TestStartsWhatWasDigested(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runner-provider-ends")
	start := func(from *program) string {
		out := &output{log: hclog.NewNullLogger(), gate: newGate()}
		c := newCommand(from, []string{path}, nil, out)
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c.ending() + out.quote()
	}
	open := func() *program {
		from, err := openProgram(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := from.close(); err != nil {
				t.Error(err)
			}
		})
		return from
	}
	write := func(path, content string) {
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	copyProgram(t, path, "")
	from := open()
	write(path+".other", "#!/bin/sh\nexit 7\n")
	if err := os.Rename(path+".other", path); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		if got := start(from); !strings.Contains(got, "cannot find my library") {
			t.Errorf("another program was started: %s", got)
		}
		if err := from.verify(); err != nil {
			t.Error(err)
		}
	}
	script := open()
	if err := script.verify(); err != nil {
		t.Error(err)
	}
	write(path+".other", "#!/bin/sh\nexit 8\n")
	if err := os.Rename(path+".other", path); err != nil {
		t.Fatal(err)
	}
	if err := script.verify(); protocol.KindOf(err) != protocol.Changed || !strings.Contains(err.Error(), path+" changed while it was being started") {
		t.Errorf("a script that was replaced: %v", err)
	}
	copyProgram(t, path, "")
	rewritten := open()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = f.WriteString("more")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := rewritten.verify(); protocol.KindOf(err) != protocol.Changed {
		t.Errorf("a program that was written to: %v", err)
	}
}

// TestDied checks which errors of a call mean that the process has ended.
func TestDied(t *testing.T) {
	h, _ := newHost(t)
	p := provider(t, h, "honest")
	process := p.current
	for _, code := range []codes.Code{codes.Canceled, codes.Internal, codes.Unknown} {
		if process.died(status.Error(code, "")) {
			t.Errorf("%v: a living process counts as dead", code)
		}
	}
	p.Kill()
	for code, want := range map[codes.Code]bool{codes.Unavailable: true, codes.Canceled: true, codes.Internal: true, codes.Unknown: false} {
		if process.died(status.Error(code, "")) != want {
			t.Errorf("%v: the process is dead; want %v", code, want)
		}
	}
}

// TestLinkedTwice checks that one program under two directories of the PATH is one plugin.
func TestLinkedTwice(t *testing.T) {
	h, _ := newHost(t)
	a, b := t.TempDir(), t.TempDir()
	h.options.SearchDirs = []string{a, b}
	copyProgram(t, filepath.Join(a, "runner-provider-linked"), "")
	if err := os.Symlink(filepath.Join(a, "runner-provider-linked"), filepath.Join(b, "runner-provider-linked")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Provider(t.Context(), "linked"); err != nil {
		t.Error(err)
	}
}

// TestAnswerAhead checks that an answer to a document that is known here but not yet sent is rejected.
func TestAnswerAhead(t *testing.T) {
	h, _ := newHost(t)
	h.window = 1
	b, err := h.Backend(t.Context(), "raw")
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.Load(t.Context(), model(`{"after": 1, "answers": [
		{"index": "1", "tokenIds": [1], "tokenStarts": [0], "tokenEnds": [3], "tokenNll": [1], "totalNll": 1}], %s}`, loadable))
	if err != nil {
		t.Fatal(err)
	}
	err = m.Score(t.Context(), protocol.Settings{}, func(yield func(protocol.Document, error) bool) {
		for d, err := range textsOf("abc", "abc", "abc") {
			if !yield(d, err) {
				return
			}
			if d.Row == 0 {
				// The second document is known when the sender waits for room to send it.
				time.AfterFunc(200*time.Millisecond, func() { must(0, os.WriteFile(filepath.Join(h.dir.path, "go"), nil, 0o600)) })
			}
		}
	}, func(protocol.Document, protocol.ScoredDocument) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "it answered document 1, which it was not sent") {
		t.Errorf("got %v", err)
	}
}

// TestHeldTexts checks that few documents wait for the answer to the first one, however many of the others are answered.
func TestHeldTexts(t *testing.T) {
	h, _ := newHost(t)
	h.window = 4 * sendBytes
	b := backend(t, h)
	m, err := b.Load(t.Context(), model(`{"do": "last", "at": 0}`))
	if err != nil {
		t.Fatal(err)
	}
	pulled, most := 0, 0
	var emitted atomic.Int64
	err = m.Score(t.Context(), protocol.Settings{}, func(yield func(protocol.Document, error) bool) {
		for range 200 {
			pulled++
			most = max(most, pulled-int(emitted.Load()))
			time.Sleep(2 * time.Millisecond) // a slow source, so that the others are answered before there are too many
			if !yield(protocol.Document{Text: strings.Repeat("x", sendBytes/4), ScoreEnd: sendBytes / 4}, nil) {
				return
			}
		}
	}, func(protocol.Document, protocol.ScoredDocument) error { emitted.Add(1); return nil })
	if err != nil || emitted.Load() != 200 {
		t.Fatalf("%d documents of 200, %v", emitted.Load(), err)
	}
	if most > 16+3 {
		t.Errorf("%d documents were held, with room for 16", most)
	}
}

// TestChildren checks that processes that a plugin has started do not outlive it.
func TestChildren(t *testing.T) {
	h, _ := newHost(t)
	h.options.SearchDirs = []string{t.TempDir()}
	path := filepath.Join(h.options.SearchDirs[0], "runner-provider-parent")
	script := fmt.Sprintf("#!/bin/sh\nsleep 1000 &\nset $!\nsetsid sleep 1000 &\necho children $1 $! >&2\n%q plugin serve provider parent\n", os.Args[0])
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	p := provider(t, h, "parent")
	_, after, _ := strings.Cut(p.current.command.out.quote(), "children ")
	var child, escaped int
	if _, err := fmt.Sscan(after, &child, &escaped); err != nil {
		t.Fatal(err)
	}
	if !alive(child) || !alive(escaped) {
		t.Fatal("the children do not run")
	}
	p.Kill()
	eventually(t, "the child ends", func() bool { return !alive(child) })
	if runtime.GOOS == "linux" {
		eventually(t, "the child that left the session ends", func() bool { return !alive(escaped) })
	}
}

// TestSweep checks that only abandoned directories of hosts are removed.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	f, err := newRunDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	parent := filepath.Dir(f.path)
	elsewhere := t.TempDir()
	for _, name := range []string{"run12", "run", "mine", "run12x"} {
		if err := os.MkdirAll(filepath.Join(parent, name, "inside"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(parent, "run13"), []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(parent, "run14")); err != nil {
		t.Fatal(err)
	}
	next, err := newRunDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, name := range []string{"run12", "run", "mine", "run12x", "run13", "run14", filepath.Base(f.path), filepath.Base(next.path)} {
		if _, err := os.Lstat(filepath.Join(parent, name)); err == nil {
			left = append(left, name)
		}
	}
	if want := "run mine run12x run13 run14 " + filepath.Base(f.path) + " " + filepath.Base(next.path); strings.Join(left, " ") != want {
		t.Errorf("left are %q, want %q", left, want)
	}
	if err := f.remove(); err != nil {
		t.Error(err)
	}
	if err := next.remove(); err != nil {
		t.Error(err)
	}
}
