package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// made is a kind of action whose work a test defines.
type made func(ctx context.Context, t *action.Task) (action.Result, error)

func (made) Name() string             { return "kind" }
func (made) Schema() int              { return 3 }
func (made) Plan(*plan.Builder) error { return nil }
func (m made) Work(ctx context.Context, t *action.Task) (action.Result, error) {
	return m(ctx, t)
}

func workerOf(s *store.Store, log hclog.Logger, work made) *Worker {
	return NewWorker(WorkerOptions{Store: s, Kinds: []action.Kind{work}, Log: log})
}

func none(action.Progress) {}

// alone is the control of a job without an executor.
func alone(advance func(action.Progress)) Control {
	return Control{Wait: func(store.Holder) {}, Start: func() {}, Advance: advance}
}

// writes makes a file of a task.
func writes(t *action.Task, name, content string) error {
	if err := os.MkdirAll(filepath.Dir(t.Path(name)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(t.Path(name), []byte(content), 0o644)
}

// A worker passes a job on unchanged, with the local paths of its inputs, and stores the outputs and how they were
// computed.
func TestWorker(t *testing.T) {
	s := openStore(t)
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	digest, _, err := s.PutFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	job := plan.Job{
		Descriptor: plan.Descriptor{Kind: "kind", Schema: 3, Parameters: json.RawMessage(`{"p":1}`), Inputs: map[string]string{"in/file": digest}},
		Name:       "kind m d", Labels: plan.Labels{Dataset: "d", Model: "m", Tags: []string{"t"}}, Machine: json.RawMessage(`{"at":"home"}`),
	}
	key, canonical, err := job.Descriptor.Key()
	if err != nil {
		t.Fatal(err)
	}
	job.Key = key
	done, dir := 0, ""
	var progress action.Progress
	w := workerOf(s, hclog.NewNullLogger(), func(_ context.Context, task *action.Task) (action.Result, error) {
		done++
		dir = task.Dir
		if d := cmp.Diff(job, plan.Job{Key: key, Descriptor: task.Descriptor, Name: task.Name, Labels: task.Labels, Machine: task.Machine}); d != "" {
			t.Error(d)
		}
		if data, err := os.ReadFile(task.Inputs["in/file"]); err != nil || string(data) != "content" || len(task.Inputs) != 1 {
			t.Errorf("got the inputs %v: %q, %v", task.Inputs, data, err)
		}
		task.Advance(action.Progress{Documents: 2})
		return action.Result{
			Files: []string{"a", "b/c"}, Warnings: []string{"w"}, Measured: map[string]float64{"m": 1}, Computed: map[string]string{"device": "abacus"},
		}, errors.Join(writes(task, "a", "1"), writes(task, "b/c", "22"), writes(task, "left", "behind"))
	})
	record, found, err := w.Do(t.Context(), job, alone(progress.Add))
	if err != nil || found || progress != (action.Progress{Documents: 2}) {
		t.Fatalf("got %v, %v; progress %+v", found, err, progress)
	}
	if _, ok := record.Measured[plan.MeasuredSeconds]; !ok || record.Started.IsZero() || record.Finished.Before(record.Started) {
		t.Errorf("measured %v from %v to %v", record.Measured, record.Started, record.Finished)
	}
	want := &store.Record{
		Key: key, Descriptor: canonical, Name: "kind m d", Warnings: []string{"w"}, Started: record.Started, Finished: record.Finished,
		Measured: map[string]float64{"m": 1, plan.MeasuredSeconds: record.Measured[plan.MeasuredSeconds]},
		Computed: map[string]string{"device": "abacus", "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH},
		Outputs:  []store.File{{Name: "a", Digest: protocol.Digest([]byte("1")), Bytes: 1}, {Name: "b/c", Digest: protocol.Digest([]byte("22")), Bytes: 2}},
	}
	if d := cmp.Diff(want, record); d != "" {
		t.Error(d)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its temporary directory is left: %v", err)
	}
	again, found, err := w.Do(t.Context(), job, alone(none))
	if err != nil || !found || done != 1 || again == nil || again.Key != key || len(again.Outputs) != 2 {
		t.Errorf("once more: got %+v, %v, %v; it was done %d times", again, found, err, done)
	}
	// Redo returns the files, and leaves the store and the directory of temporary files unchanged.
	t.Setenv("TMPDIR", t.TempDir())
	files, err := w.Redo(t.Context(), job)
	if d := cmp.Diff(want.Outputs, files); d != "" || err != nil || done != 2 {
		t.Errorf("again: %v: %s; it was done %d times", err, d, done)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v left behind", left, err)
	}
}

// Failed work leaves nothing, and others can try again. A result without measurements has its duration.
func TestWorkerFails(t *testing.T) {
	s := openStore(t)
	failure := errors.New("disk on fire")
	for _, test := range []struct {
		name   string
		inputs map[string]string
		result action.Result
		err    error
		want   string
	}{
		{"fails", nil, action.Result{}, failure, "disk on fire"},
		{"promises", nil, action.Result{Files: []string{"missing"}}, nil, "missing"},
		{"lacks", map[string]string{"in/file": protocol.Digest([]byte("nothing"))}, action.Result{}, nil, "input in/file: "},
	} {
		job := jobOf(t, test.name)
		job.Descriptor.Inputs = test.inputs
		var err error
		if job.Key, _, err = job.Descriptor.Key(); err != nil {
			t.Fatal(err)
		}
		dirs := []string{}
		w := workerOf(s, hclog.NewNullLogger(), func(_ context.Context, task *action.Task) (action.Result, error) {
			dirs = append(dirs, task.Dir)
			return test.result, test.err
		})
		for range 2 {
			record, found, err := w.Do(t.Context(), job, alone(none))
			if record != nil || found || err == nil || !strings.Contains(err.Error(), test.want) || test.err != nil && !errors.Is(err, test.err) {
				t.Errorf("%s: got %v, %v, %v", test.name, record, found, err)
			}
		}
		if files, err := w.Redo(t.Context(), job); err == nil || files != nil {
			t.Errorf("%s: again, found %v, %v", test.name, files, err)
		}
		if _, hit, err := s.Lookup(t.Context(), job.Key); hit || err != nil {
			t.Errorf("%s: got a record (%v)", test.name, err)
		}
		for _, dir := range dirs {
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: its temporary directory is left: %v", test.name, err)
			}
		}
	}
	w := workerOf(s, hclog.NewNullLogger(), func(context.Context, *action.Task) (action.Result, error) { return action.Result{}, nil })
	record, _, err := w.Do(t.Context(), jobOf(t, "nothing"), alone(none))
	if err != nil || len(record.Measured) != 1 {
		t.Errorf("got %+v, %v", record, err)
	}
	if _, err := w.Redo(t.Context(), plan.Job{Descriptor: plan.Descriptor{Parameters: json.RawMessage("{}")}}); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("a job without its key is done again: %v", err)
	}
}

// The result that was published first stays. It counts as found only if it differs.
func TestFirstResultStays(t *testing.T) {
	s := openStore(t)
	for content, differs := range map[string]bool{"same": false, "other": true} {
		job := jobOf(t, content)
		var log bytes.Buffer
		w := workerOf(s, hclog.New(&hclog.LoggerOptions{Output: &log}), func(ctx context.Context, task *action.Task) (action.Result, error) {
			if err := writes(task, "theirs", content); err != nil {
				return action.Result{}, err
			}
			digest, size, err := s.PutFile(ctx, task.Path("theirs"))
			if err != nil {
				return action.Result{}, err
			}
			canonical, err := task.Descriptor.Canonical()
			if err != nil {
				return action.Result{}, err
			}
			theirs := &store.Record{Key: job.Key, Descriptor: canonical, Name: "theirs", Outputs: []store.File{{Name: "f", Digest: digest, Bytes: size}}}
			if _, err := s.PutRecord(ctx, theirs); err != nil {
				return action.Result{}, err
			}
			return action.Result{Files: []string{"f"}}, writes(task, "f", "same")
		})
		record, found, err := w.Do(t.Context(), job, alone(none))
		if err != nil || found != differs || record.Name != "theirs" || record.Outputs[0].Digest != protocol.Digest([]byte(content)) {
			t.Errorf("%s: got %+v, %v, %v", content, record, found, err)
		}
		if warned := strings.Contains(log.String(), "another process published a different result first") && strings.Contains(log.String(), "files=f"); warned != differs {
			t.Errorf("%s: got the log %s", content, log.String())
		}
	}
}

// A built-in plugin is identified by its version, and others also by their binary. A job uses the plugin of its
// descriptor.
func TestPluginIdentity(t *testing.T) {
	info := host.Info{Name: "n", Version: "v", Protocol: 4, BinaryDigest: "sha256:x", Path: "/p"}
	outside := plan.Worker{Name: "n", Version: "v", Protocol: 4, Digest: "sha256:x"}
	if got := WorkerOf(info); got != outside {
		t.Errorf("got %+v, want %+v", got, outside)
	}
	builtin := info
	builtin.Builtin = true
	inside := plan.Worker{Name: "n", Version: "v", Protocol: 4}
	if got := WorkerOf(builtin); got != inside {
		t.Errorf("got %+v, want %+v", got, inside)
	}
	if err := errors.Join(same(outside, info), same(inside, builtin)); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*host.Info){
		func(i *host.Info) { i.Version = "w" }, func(i *host.Info) { i.BinaryDigest = "sha256:y" }, func(i *host.Info) { i.Protocol = 5 }, func(i *host.Info) { i.Builtin = true },
	} {
		other := info
		change(&other)
		if err := same(outside, other); protocol.KindOf(err) != protocol.Changed || !strings.HasPrefix(err.Error(), "the plugin n changed since the plan was made: ") {
			t.Errorf("%+v: got error %v", other, err)
		}
	}
	p := plugins{job: plan.Job{Name: "kind d"}}
	_, _, modelErr := p.Model(t.Context(), protocol.Model{})
	_, providerErr := p.Provider(t.Context())
	_, backendErr := p.Backend(t.Context())
	var messages []string
	for _, err := range []error{providerErr, backendErr, modelErr} {
		if err == nil {
			t.Fatal("got no error")
		}
		messages = append(messages, err.Error())
	}
	if want := []string{"the descriptor of kind d has no plugin", "the descriptor of kind d has no plugin", "kind d was planned without a model"}; !slices.Equal(messages, want) {
		t.Errorf("got %q, want %q", messages, want)
	}
}

// A job whose key another process has claimed waits, and says so once. A stop ends it before it has started. Otherwise it
// starts when the claim ends.
func TestJobWaits(t *testing.T) {
	for _, stops := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := openStore(t)
			job := jobOf(t, "claimed")
			release, err := s.Claim(t.Context(), job.Key)
			if err != nil {
				t.Fatal(err)
			}
			l := NewLocal(NewBudget(plan.Resources{Cores: 1}, nil, nil), workerOf(s, hclog.NewNullLogger(), func(context.Context, *action.Task) (action.Result, error) {
				return action.Result{}, nil
			}))
			began := time.Now()
			l.Submit(t.Context(), []plan.Job{job})
			if u := <-l.Updates(); !strings.HasPrefix(u.Waits, fmt.Sprintf("process %d", os.Getpid())) || u.Started || u.Ended || time.Since(began) < patience {
				t.Errorf("got %+v after %s", u, time.Since(began))
			}
			time.Sleep(time.Hour)
			if stops {
				l.Stop()
				if u := <-l.Updates(); !u.Ended || !IsStopped(u.Err) {
					t.Errorf("after the stop: %+v", u)
				}
			}
			if err := release(); err != nil {
				t.Error(err)
			}
			if stops {
				return
			}
			if u := <-l.Updates(); !u.Started {
				t.Errorf("after the claim: %+v", u)
			}
			if u := <-l.Updates(); !u.Ended || u.Err != nil || u.Record == nil {
				t.Errorf("at the end: %+v", u)
			}
		})
	}
}
