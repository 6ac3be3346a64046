package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// openStore returns a store in a new directory, with a run.
func openStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(t.Context(), store.Run{ID: "run", Started: time.Now(), State: "running"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Release(context.Background()), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// jobOf returns a job with a name, from which its key is derived.
func jobOf(t *testing.T, name string) plan.Job {
	t.Helper()
	d := plan.Descriptor{Kind: "kind", Schema: 3, Parameters: json.RawMessage(`{"name":"` + name + `"}`)}
	key, _, err := d.Key()
	if err != nil {
		t.Fatal(err)
	}
	return plan.Job{Key: key, Descriptor: d, Name: name, Resources: plan.Resources{Cores: 1}}
}

// putJobs stores jobs of these names and returns their keys.
func putJobs(t *testing.T, s *store.Store, names ...string) (keys []string) {
	t.Helper()
	for _, name := range names {
		job := jobOf(t, name)
		data, err := json.Marshal(job)
		if err := errors.Join(err, s.PutJob(t.Context(), job.Key, data)); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, job.Key)
	}
	return keys
}

// doer executes jobs as a test defines. They start at once.
type doer func(ctx context.Context, job plan.Job, advance func(action.Progress)) (*store.Record, bool, error)

func (d doer) Do(ctx context.Context, job plan.Job, c Control) (*store.Record, bool, error) {
	c.Start()
	return d(ctx, job, c.Advance)
}

// An update survives encoding as a line, except its record, which is in the store.
func TestMessages(t *testing.T) {
	for _, u := range []Update{
		{Key: "k", Waits: "process 7 (host)"},
		{Key: "k", Started: true},
		{Key: "k", Progress: action.Progress{Documents: 1, Bytes: 2, Tokens: 3, Nats: 4, ScoredBytes: 5}},
		{Key: "k", Ended: true},
		{Key: "k", Ended: true, Found: true},
		{Key: "k", Ended: true, Err: ErrStopped},
		{Key: "k", Ended: true, Err: errors.New("disk on fire")},
		{Key: "k", Ended: true, Err: &protocol.Error{Kind: protocol.InvalidInput, Message: "bad text"}},
	} {
		line, err := json.Marshal(messageOf(u))
		if err != nil {
			t.Fatal(err)
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		got := m.update()
		if (got.Err == nil) != (u.Err == nil) || u.Err != nil && (got.Err.Error() != u.Err.Error() || protocol.KindOf(got.Err) != protocol.KindOf(u.Err)) || IsStopped(got.Err) != IsStopped(u.Err) {
			t.Errorf("%s: got error %v, want %v", line, got.Err, u.Err)
		}
		got.Err, u.Err = nil, nil
		if d := cmp.Diff(u, got); d != "" {
			t.Errorf("%s: %s", line, d)
		}
	}
}

// A failed process fails the jobs that it had started, or all jobs if none had started or the run must not continue.
func TestFail(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	failure := errors.New("failure")
	for _, test := range []struct {
		what         string
		ctx          context.Context
		open         map[string]*jobState
		err          error
		failed, rest string
	}{
		{"none had begun", t.Context(), map[string]*jobState{"a": {}, "b": {}, "c": {}}, failure, "abc", ""},
		{"one had begun", t.Context(), map[string]*jobState{"a": {}, "b": {started: true}, "c": {}}, failure, "b", "ac"},
		{"one was done", t.Context(), map[string]*jobState{"b": {}, "c": {}}, failure, "", "bc"},
		{"one was done and one had begun", t.Context(), map[string]*jobState{"b": {started: true}, "c": {}}, failure, "b", "c"},
		{"all were done", t.Context(), map[string]*jobState{}, failure, "", ""},
		{"stopped", t.Context(), map[string]*jobState{"b": {}, "c": {}}, ErrStopped, "bc", ""},
		{"canceled", canceled, map[string]*jobState{"b": {}, "c": {}}, failure, "bc", ""},
	} {
		p := &Processes{updates: make(chan Update, 3)}
		rest := ""
		for _, job := range p.fail(test.ctx, []plan.Job{{Key: "a"}, {Key: "b"}, {Key: "c"}}, test.open, test.err) {
			rest += job.Key
		}
		close(p.updates)
		failed := ""
		for u := range p.updates {
			failed += u.Key
			if !u.Ended || !errors.Is(u.Err, test.err) {
				t.Errorf("%s: got %+v", test.what, u)
			}
		}
		if failed != test.failed || rest != test.rest {
			t.Errorf("%s: %q failed and %q are left, want %q and %q", test.what, failed, rest, test.failed, test.rest)
		}
	}
}

// Jobs that need more than the machine has, with their models, fail individually.
func TestPossible(t *testing.T) {
	p := &Processes{budget: NewBudget(plan.Resources{Cores: 2, Memory: 10}, nil, nil), updates: make(chan Update, 4)}
	model := &plan.Model{ID: "m", Resources: plan.Resources{Memory: 6}}
	group := p.feasible([]plan.Job{
		{Key: "a", Resources: plan.Resources{Cores: 2, Memory: 4}, Model: model}, {Key: "b", Resources: plan.Resources{Memory: 5}, Model: model},
		{Key: "c", Resources: plan.Resources{Cores: 3}}, {Key: "d"},
	})
	close(p.updates)
	var failed []string
	for u := range p.updates {
		if failed = append(failed, u.Key); !u.Ended || protocol.KindOf(u.Err) != protocol.InvalidInput {
			t.Errorf("got %+v", u)
		}
	}
	if len(group) != 2 || group[0].Key != "a" || group[1].Key != "d" || !slices.Equal(failed, []string{"b", "c"}) {
		t.Errorf("got %+v and the failed %q", group, failed)
	}
	if p.Group() != 32 || p.Slots() != 2 {
		t.Errorf("%d jobs in a group and %d slots", p.Group(), p.Slots())
	}
}

// The resources of work on a model are the sum of both, except for cores, where the larger number counts.
func TestWhole(t *testing.T) {
	own := plan.Resources{Cores: 2, Memory: 10, Devices: 1, DeviceMemory: 100}
	for _, test := range []struct {
		model *plan.Model
		want  plan.Resources
	}{
		{nil, own},
		{&plan.Model{}, own},
		{&plan.Model{Resources: plan.Resources{Cores: 1, Memory: 5, Devices: 2, DeviceMemory: 7}}, plan.Resources{Cores: 2, Memory: 15, Devices: 3, DeviceMemory: 107}},
		{&plan.Model{Resources: plan.Resources{Cores: 3}}, plan.Resources{Cores: 3, Memory: 10, Devices: 1, DeviceMemory: 100}},
	} {
		if got := WithModel(own, test.model); got != test.want {
			t.Errorf("got %+v, want %+v", got, test.want)
		}
	}
}

// wire is the input of a process.
type wire struct {
	bytes.Buffer
	closed bool
}

func (w *wire) Close() error {
	w.closed = true
	return nil
}

// A process gets its keys. Its updates are forwarded, and its results are read from the store.
func TestTalk(t *testing.T) {
	s := openStore(t)
	made, other := jobOf(t, "made"), jobOf(t, "other")
	canonical, err := made.Descriptor.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutRecord(t.Context(), &store.Record{Key: made.Key, Descriptor: canonical, Name: "made"}); err != nil {
		t.Fatal(err)
	}
	line := func(m message) string {
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(data) + "\n"
	}
	for _, test := range []struct {
		output, want string // of the process, and its updates
		open         int
		err          string
	}{
		{line(message{Key: made.Key, Started: true}) + line(message{Key: made.Key, Ended: true, Found: true}), "made started; made ended found made; ", 1, ""},
		{line(message{Key: other.Key, Ended: true}), "other ended the process reported that the job is done, but the store has no result; ", 1, ""},
		{line(message{Key: made.Key, Ended: true, Error: "bad"}), "made ended bad; ", 1, ""},
		{line(message{Key: made.Key, Progress: &action.Progress{Documents: 7}}), "made 7; ", 2, ""},
		{line(message{Key: "theirs"}), "", 2, `it reported the key "theirs", which is not one of its jobs`},
		{"Segmentation fault", "", 2, "its output: invalid character"},
		{"", "", 2, ""},
	} {
		for _, stopped := range []bool{false, true} {
			p := NewProcesses(NewBudget(plan.Resources{Cores: 1}, nil, nil), nil, s, hclog.NewNullLogger())
			p.updates, p.stopped = make(chan Update, 5), stopped
			open := map[string]*jobState{made.Key: {}, other.Key: {}}
			var in wire
			err := p.communicate(t.Context(), []string{made.Key, other.Key}, &in, strings.NewReader(test.output), open)
			if (err == nil) != (test.err == "") || err != nil && !strings.HasPrefix(err.Error(), test.err) {
				t.Errorf("%q: got error %v, want %q", test.output, err, test.err)
			}
			close(p.updates)
			got := ""
			for u := range p.updates {
				got += told(u, made.Key)
			}
			if got != test.want || len(open) != test.open {
				t.Errorf("%q: got %q and %d open, want %q and %d", test.output, got, len(open), test.want, test.open)
			}
			want := made.Key + "\n" + other.Key + "\n\n"
			if stopped {
				want += "stop\n"
			}
			if in.String() != want || !in.closed || len(p.inputs) > 0 {
				t.Errorf("it was told %q, closed: %t; %d inputs are kept", in.String(), in.closed, len(p.inputs))
			}
		}
	}
}

func told(u Update, made string) string {
	s := map[bool]string{true: "made", false: "other"}[u.Key == made]
	if u.Started {
		s += " started"
	}
	if u.Progress.Documents > 0 {
		s += " 7"
	}
	if u.Ended {
		s += " ended"
	}
	if u.Found {
		s += " found"
	}
	if u.Record != nil {
		s += " " + u.Record.Name
	}
	if u.Err != nil {
		s += " " + u.Err.Error()
	}
	return s + "; "
}

// A stop reaches running processes.
func TestStopTellsProcesses(t *testing.T) {
	p := NewProcesses(NewBudget(plan.Resources{Cores: 1}, nil, nil), nil, nil, hclog.NewNullLogger())
	output, writer := io.Pipe()
	var in wire
	over := make(chan error)
	go func() { over <- p.communicate(t.Context(), []string{"k"}, &in, output, map[string]*jobState{"k": {}}) }()
	tell := func(m message) Update {
		go func() { _ = json.NewEncoder(writer).Encode(m) }()
		return <-p.Updates()
	}
	if u := tell(message{Key: "k", Started: true}); !u.Started || u.Ended {
		t.Errorf("got %+v", u)
	}
	p.Stop()
	if u := tell(message{Key: "k", Ended: true, Stopped: true}); !IsStopped(u.Err) {
		t.Errorf("got %+v", u)
	}
	if err := <-over; err != nil || in.String() != "k\n\nstop\n" {
		t.Errorf("got %v; it was told %q", err, in.String())
	}
	if _, err := p.budget.Acquire(t.Context(), plan.Resources{Cores: 1}, nil); !IsStopped(err) {
		t.Errorf("after the stop: %v", err)
	}
}

// Updates of stored jobs are written line by line, the progress of each before its end.
func TestDo(t *testing.T) {
	s := openStore(t)
	keys := putJobs(t, s, "good", "bad", "found")
	unknown, damaged := jobOf(t, "unknown").Key, jobOf(t, "damaged").Key
	if err := s.PutJob(t.Context(), damaged, []byte("{")); err != nil {
		t.Fatal(err)
	}
	d := doer(func(_ context.Context, job plan.Job, advance func(action.Progress)) (*store.Record, bool, error) {
		for range 3 {
			advance(action.Progress{Documents: 1, Bytes: 5})
		}
		if job.Name == "bad" {
			return nil, false, errors.New("disk on fire")
		}
		return &store.Record{Key: job.Key}, job.Name == "found", nil
	})
	var out strings.Builder
	failed, err := Do(t.Context(), s, d, append(keys, unknown, damaged), nil, &out)
	if err != nil {
		t.Fatal(err)
	}
	if len(failed) != 3 || failed[keys[1]].Error() != "disk on fire" || protocol.KindOf(failed[unknown]) != protocol.InvalidInput ||
		!strings.Contains(failed[unknown].Error(), "has no job with the key "+unknown) || !strings.HasPrefix(failed[damaged].Error(), "job "+damaged+": ") {
		t.Errorf("got %v", failed)
	}
	got := map[string][]string{}
	sums := map[string]action.Progress{}
	for decoder := json.NewDecoder(strings.NewReader(out.String())); decoder.More(); {
		var m message
		if err := decoder.Decode(&m); err != nil {
			t.Fatal(err)
		}
		switch {
		case m.Progress != nil:
			sum := sums[m.Key]
			sum.Add(*m.Progress)
			sums[m.Key] = sum
			if n := len(got[m.Key]); n != 1 {
				t.Errorf("progress comes after %q", got[m.Key])
			}
		case m.Started:
			got[m.Key] = append(got[m.Key], "started")
		case m.Ended && m.Found:
			got[m.Key] = append(got[m.Key], "found")
		case m.Ended:
			got[m.Key] = append(got[m.Key], "ended"+m.Error)
		}
	}
	for key, want := range map[string][]string{
		keys[0]: {"started", "ended"}, keys[1]: {"started", "endeddisk on fire"}, keys[2]: {"started", "found"},
		unknown: {"ended" + failed[unknown].Error()}, damaged: {"ended" + failed[damaged].Error()},
	} {
		if !slices.Equal(got[key], want) {
			t.Errorf("got %q, want %q", got[key], want)
		}
		if sum := (action.Progress{Documents: 3, Bytes: 15}); want[0] == "started" && sums[key] != sum {
			t.Errorf("told the progress %+v, want %+v", sums[key], sum)
		}
	}
	if _, err := Do(t.Context(), s, d, keys[:1], nil, full{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("an output that takes nothing: got error %v", err)
	}
}

// full is a writer that always fails.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// A line "stop" lets the running job continue, and prevents others from starting. The end of the input also cancels the
// running job.
func TestServe(t *testing.T) {
	for _, ends := range []string{"stop\n", ""} {
		synctest.Test(t, func(t *testing.T) {
			s := openStore(t)
			keys := putJobs(t, s, "first", "second")
			release := make(chan struct{})
			d := doer(func(ctx context.Context, job plan.Job, _ func(action.Progress)) (*store.Record, bool, error) {
				if job.Name != "first" && ends != "" {
					t.Errorf("%s began", job.Name)
				}
				select {
				case <-release:
				case <-ctx.Done():
				}
				return &store.Record{}, false, ctx.Err()
			})
			in, tell := io.Pipe()
			over := make(chan struct{})
			go func() {
				defer close(over)
				got, failed, err := Serve(t.Context(), s, d, in, io.Discard)
				if err != nil || !slices.Equal(got, keys) {
					t.Errorf("got the keys %q, %v", got, err)
				}
				if ends != "" && (len(failed) != 1 || !IsStopped(failed[keys[1]])) || ends == "" && !errors.Is(failed[keys[0]], context.Canceled) {
					t.Errorf("%q: got %v", ends, failed)
				}
			}()
			if _, err := io.WriteString(tell, strings.Join(keys, "\n")+"\n\n"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if ends == "" {
				if err := tell.Close(); err != nil {
					t.Fatal(err)
				}
			} else if _, err := io.WriteString(tell, "other\n"+ends+ends); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			close(release)
			<-over
			_ = tell.Close()
			synctest.Wait()
		})
	}
	if keys, _, err := Serve(t.Context(), nil, nil, strings.NewReader("a\nb\n"), io.Discard); err == nil || keys != nil || !strings.Contains(err.Error(), "ends without an empty line") {
		t.Errorf("got %q, %v", keys, err)
	}
}

// A job in this process is reported from start to end, and releases its resources.
func TestLocal(t *testing.T) {
	failure := errors.New("failure")
	record := &store.Record{Key: "found"}
	d := doer(func(_ context.Context, job plan.Job, advance func(action.Progress)) (*store.Record, bool, error) {
		for range 4 {
			advance(action.Progress{Documents: 1, Tokens: 2})
		}
		if job.Key == "fails" {
			return nil, false, failure
		}
		return record, true, nil
	})
	l := NewLocal(NewBudget(plan.Resources{Cores: 3}, nil, nil), d)
	if l.Slots() != 3 || l.Group() != 1 {
		t.Errorf("%d slots, groups of %d", l.Slots(), l.Group())
	}
	whole := plan.Resources{Cores: 3}
	l.Submit(t.Context(), []plan.Job{{Key: "fails", Resources: whole}, {Key: "too large", Resources: plan.Resources{Cores: 4}}, {Key: "found", Resources: whole}})
	for _, want := range []Update{{Key: "fails", Err: failure}, {Key: "too large"}, {Key: "found", Record: record, Found: true}} {
		var sum action.Progress
		for n := 0; ; n++ {
			u := <-l.Updates()
			if u.Key != want.Key || u.Started != (n == 0 && want.Key != "too large") {
				t.Fatalf("got %+v of %s", u, want.Key)
			}
			sum.Add(u.Progress)
			if !u.Ended {
				continue
			}
			if want.Key == "too large" {
				if protocol.KindOf(u.Err) != protocol.InvalidInput {
					t.Errorf("got %+v", u)
				}
			} else if u.Record != want.Record || u.Found != want.Found || !errors.Is(u.Err, want.Err) || sum != (action.Progress{Documents: 4, Tokens: 8}) {
				t.Errorf("got %+v with the progress %+v", u, sum)
			}
			break
		}
	}
	l.Stop()
	l.Submit(t.Context(), []plan.Job{{Key: "late", Resources: whole}})
	if u := <-l.Updates(); !u.Ended || !IsStopped(u.Err) || l.Close() != nil {
		t.Errorf("after the stop: %+v", u)
	}
}
