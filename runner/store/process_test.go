package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/store"
)

// childVariable makes the test binary one of the children below, with the store's location as its argument.
const childVariable = "SURPRISAL_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	name := os.Getenv(childVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	children := map[string]func(context.Context, *store.Store) error{
		"write": writeForever, "upload": upload, "same": writeSame, "concurrent": runDuringGC, "collect": collectForever, "idle": idle, "others": putOthers, "count": count, "claim": claimForever,
	}
	if err := runChild(os.Args[len(os.Args)-1], children[name]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runChild(location string, work func(context.Context, *store.Store) error) error {
	s, err := store.Open(context.Background(), location)
	if err != nil {
		return err
	}
	if os.Getenv("SURPRISAL_STORE_TEST_EXPIRY") != "" {
		store.SetLiveness(s, 200*time.Millisecond, time.Minute, 4*time.Second)
	}
	return errors.Join(work(context.Background(), s), s.Close())
}

type child struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(t testing.TB, name, location string, env ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0], location)}
	c.Env = append(append(os.Environ(), childVariable+"="+name), env...)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewScanner(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	return c
}

// line waits for the child's next line.
func (c *child) line(t testing.TB) string {
	t.Helper()
	if !c.out.Scan() {
		t.Fatalf("child ended: %v", c.Wait())
	}
	return c.out.Text()
}

// pause stops the child, and returns when it has stopped.
func (c *child) pause(t testing.TB) {
	t.Helper()
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(c.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the child has not stopped: %v, %v", status, err)
	}
}

// kill ends the child as kill -9 does and returns the lines it had written.
func (c *child) kill(t testing.TB) []string {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for c.out.Scan() {
		lines = append(lines, c.out.Text())
	}
	if err := c.Wait(); err == nil {
		t.Error("the child ended before it was killed")
	}
	return lines
}

// writeForever records actions of random sizes and prints the key of each that is stored.
func writeForever(ctx context.Context, s *store.Store) error {
	id := fmt.Sprint("run-", os.Getpid())
	if err := s.Begin(ctx, store.Run{ID: id, Started: time.Now(), State: "running"}); err != nil {
		return err
	}
	fmt.Println(id)
	for i := 0; ; i++ {
		dir, err := s.Scratch("")
		if err != nil {
			return err
		}
		r, err := describe([]int{os.Getpid(), i})
		if err != nil {
			return err
		}
		for j := range 3 {
			path := filepath.Join(dir, fmt.Sprint(j))
			content := strings.Repeat(fmt.Sprintln(os.Getpid(), i, j), 1+rand.IntN(40000))
			if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
				return err
			}
			digest, size, err := s.PutFile(ctx, path)
			if err != nil {
				return err
			}
			r.Outputs = append(r.Outputs, store.File{Name: fmt.Sprint(j), Digest: digest, Bytes: size})
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if _, err := s.PutRecord(ctx, r); err != nil {
			return err
		}
		fmt.Println(r.Key)
	}
}

// upload is writeForever with files that are large enough for multipart uploads.
func upload(ctx context.Context, s *store.Store) error {
	id := fmt.Sprint("run-", os.Getpid())
	if err := s.Begin(ctx, store.Run{ID: id, Started: time.Now(), State: "running"}); err != nil {
		return err
	}
	fmt.Println(id)
	for i := 0; ; i++ {
		r, err := record(ctx, s, []int{os.Getpid(), i}, strings.Repeat(fmt.Sprintln(os.Getpid(), i), rand.IntN(1<<20)))
		if err != nil {
			return err
		}
		fmt.Println(r.Key)
	}
}

// A writer that is killed at any moment loses only data that it had not stored, and its files are swept.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var stored []string
	for range 20 {
		c := start(t, "write", dir)
		run := c.line(t)
		var keys []string
		for range rand.IntN(4) {
			keys = append(keys, c.line(t))
		}
		time.Sleep(rand.N(10 * time.Millisecond))
		keys = append(keys, c.kill(t)...)
		stored = append(stored, keys...)

		s, err := store.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range []string{"tmp", "leases"} {
			if left := files(t, filepath.Join(dir, place)); len(left) != 0 {
				t.Fatalf("the dead writer's files are still there: %v", left)
			}
		}
		verify(t, s)
		// The run's manifest lists no action yet, but the run already refers to its finished actions.
		if _, err := s.GC(t.Context(), store.GCOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if !hit(t, s, key) {
				t.Errorf("%s: action %s was stored and is gone", run, key)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
	if len(stored) == 0 {
		t.Error("no writer lived long enough to store anything")
	}
	s := open(t, dir)
	for _, key := range stored {
		if !hit(t, s, key) {
			t.Errorf("action %s was stored and is gone", key)
		}
	}
	verify(t, s)
}

// A live writer's temporary files are left alone.
func TestSweepSparesTheLiving(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	begin(t, s, "r")
	scratch, err := s.Scratch("")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(scratch, "file")
	if err := os.WriteFile(path, []byte("content"), 0o666); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	c := start(t, "idle", dir)
	c.line(t)
	c.kill(t)
	if _, _, err := s.PutFile(t.Context(), path); err != nil {
		t.Error(err)
	}
}

func idle(ctx context.Context, s *store.Store) error {
	if err := s.Begin(ctx, store.Run{ID: fmt.Sprint("idle-", os.Getpid()), Started: time.Now(), State: "running"}); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// writeSame puts the same blobs as its siblings.
func writeSame(ctx context.Context, s *store.Store) error {
	if err := s.Begin(ctx, store.Run{ID: fmt.Sprint("same-", os.Getpid()), Started: time.Now(), State: "running"}); err != nil {
		return err
	}
	for i := range 20 {
		if _, err := record(ctx, s, i, strings.Repeat(fmt.Sprintln(i), 100000), "shared"); err != nil {
			return err
		}
	}
	return nil
}

func TestManyProcessesPutTheSame(t *testing.T) {
	dir := t.TempDir()
	var children []*child
	for range 4 {
		children = append(children, start(t, "same", dir))
	}
	for _, c := range children {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	if got := len(files(t, filepath.Join(dir, "blobs"))); got != 21 {
		t.Errorf("%d blobs, want 21", got)
	}
	if left := append(files(t, filepath.Join(dir, "tmp")), files(t, filepath.Join(dir, "leases"))...); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	verify(t, open(t, dir))
}

// runDuringGC uses everything that a wrong collection would remove: a record and a blob that no run reaches, and blobs
// whose record is not written yet.
func runDuringGC(ctx context.Context, s *store.Store) error {
	id := fmt.Sprint("concurrent-", os.Getpid())
	if err := s.Begin(ctx, store.Run{ID: id, Started: time.Now(), State: "running"}); err != nil {
		return err
	}
	old, err := describe("old")
	if err != nil {
		return err
	}
	if _, hit, err := s.Lookup(ctx, old.Key); err != nil || !hit {
		return fmt.Errorf("the old action is not a hit: %w", err)
	}
	orphan, size, err := putContent(ctx, s, "orphan")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	run := store.Run{ID: id, Started: time.Now(), State: "done", Actions: []store.RunAction{{Name: "old", Key: old.Key, State: "done"}}}
	for i := 0; ; i++ {
		// Outputs equal to garbage that others leave, put while collections start and end.
		r, err := record(ctx, s, []int{os.Getpid(), i}, fmt.Sprint("garbage ", i), fmt.Sprint(os.Getpid(), i))
		if err != nil {
			return err
		}
		run.Actions = append(run.Actions, store.RunAction{Name: fmt.Sprint(i), Key: r.Key, State: "done"})
		select {
		case <-stop:
		default:
			continue
		}
		break
	}
	late, err := describe([]string{id, "late"})
	if err != nil {
		return err
	}
	late.Outputs = []store.File{{Name: "orphan", Digest: orphan, Bytes: size}}
	if _, err := s.PutRecord(ctx, late); err != nil {
		return err
	}
	run.Actions = append(run.Actions, store.RunAction{Name: "late", Key: late.Key, State: "done"})
	for _, a := range run.Actions {
		if _, hit, err := s.Lookup(ctx, a.Key); err != nil || !hit {
			return fmt.Errorf("action %s (%s) is gone: %w", a.Name, a.Key, err)
		}
	}
	run.Finished = time.Now()
	if err := s.PutRun(ctx, run); err != nil {
		return err
	}
	fmt.Println(id)
	return nil
}

func TestGCBesideRuns(t *testing.T) {
	dir := t.TempDir()
	testGCBesideRuns(t, open(t, dir), dir)
}

func testGCBesideRuns(t *testing.T, s *store.Store, location string, env ...string) {
	// A dropped run leaves an unreachable action and blobs.
	begin(t, s, "dropped")
	mustRecord(t, s, "old", "old content")
	put(t, s, "orphan")
	for i := range 30 {
		put(t, s, fmt.Sprint("garbage ", i))
	}
	mustRecord(t, s, "unreached", "unreached content")
	if err := s.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	var children []*child
	for range 2 {
		c := start(t, "concurrent", location, env...)
		c.line(t)
		children = append(children, c)
	}
	removed := store.GCReport{}
	for range 2 {
		var wait sync.WaitGroup
		var mu sync.Mutex
		for range 2 {
			wait.Go(func() {
				report, err := s.GC(t.Context(), store.GCOptions{DropBefore: time.Now()})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				removed.Blobs += report.Blobs
				removed.Records += report.Records
			})
		}
		wait.Wait()
	}
	if removed.Blobs == 0 || removed.Records == 0 {
		t.Errorf("gc during runs removed nothing: %+v", removed)
	}
	for _, c := range children {
		if err := c.in.Close(); err != nil {
			t.Error(err)
		}
		id := c.line(t)
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
		run, err := s.GetRun(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range run.Actions {
			if !hit(t, s, a.Key) {
				t.Errorf("%s: action %s is gone", id, a.Name)
			}
		}
	}
	verify(t, s)
}

// collectForever collects until it is killed.
func collectForever(ctx context.Context, s *store.Store) error {
	for {
		if _, err := store.ClaimCollector(ctx, s); err != nil {
			return err
		}
		fmt.Println("ready")
		time.Sleep(time.Hour)
	}
}

// A run waits for a collection in progress, but not for a killed one.
func TestRunWaitsForGC(t *testing.T) {
	dir := t.TempDir()
	c := start(t, "collect", dir)
	c.line(t)
	s := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	store.OnWait(s, cancel)
	if err := s.Begin(ctx, store.Run{ID: "r"}); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "waiting for gc") {
		t.Errorf("Begin during gc: %v", err)
	}
	store.OnWait(s, nil)
	c.kill(t)
	begin(t, s, "r")
	mustRecord(t, s, 1, "x")
}

// A stopped writer cannot answer, so nothing is removed. The collector uses fake time, which passes when the
// collector is only waiting, even on a busy machine.
func TestGCGivesUpOnAStoppedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir)
		begin(t, s, "r")
		digest := put(t, s, "garbage")
		finish(t, s, "r")
		c := start(t, "idle", dir)
		c.line(t)
		c.pause(t)
		store.SetLiveness(s, time.Second, 10*time.Second, 0)
		if _, err := s.GC(t.Context(), store.GCOptions{}); err == nil || !strings.Contains(err.Error(), "run idle-") {
			t.Errorf("gc during a stopped run: %v", err)
		}
		read(t, s, digest)
		c.kill(t)
		if report, err := s.GC(t.Context(), store.GCOptions{}); err != nil || report.Blobs != 1 {
			t.Errorf("gc after the run was killed: %+v, %v", report, err)
		}
	})
}

// In a bucket a lease expires without refreshes. Its owner, if it is still alive, can no longer commit.
func TestLeaseExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "mem://")
		other := store.Share(s)
		begin(t, s, "r")
		r := mustRecord(t, s, 1, "finished")
		digest := put(t, s, "not finished")
		store.Strand(s)
		report, err := other.GC(t.Context(), store.GCOptions{})
		if err != nil || report.Blobs != 1 {
			t.Errorf("gc: %+v, %v", report, err)
		}
		if _, err := other.Open(t.Context(), digest); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the dead run's unfinished output is still there: %v", err)
		}
		if !hit(t, other, r.Key) {
			t.Error("the dead run's finished action is gone")
		}
		if _, _, err := putContent(t.Context(), s, "late"); !errors.Is(err, store.ErrLeaseLost) {
			t.Errorf("PutFile without a refreshed lease: %v", err)
		}
	})
}

// A run whose process died can begin again once its lease has expired, even if the lease was not removed.
func TestDeadRunIsBegunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "mem://")
		other := store.Share(s)
		begin(t, s, "r")
		store.Strand(s)
		if err := other.Begin(t.Context(), store.Run{ID: "r"}); err == nil || !strings.Contains(err.Error(), "already in progress") {
			t.Errorf("Begin of a run that may be working: %v", err)
		}
		time.Sleep(time.Hour)
		begin(t, other, "r")
		if err := other.Release(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// An idle lease stays valid while its owner refreshes it.
func TestIdleLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "mem://")
		other := store.Share(s)
		begin(t, s, "r")
		digest := put(t, s, "not finished")
		time.Sleep(time.Hour)
		if report, err := other.GC(t.Context(), store.GCOptions{}); err != nil || report.Blobs != 0 {
			t.Errorf("gc: %+v, %v", report, err)
		}
		mustRecord(t, s, 1, "finished")
		read(t, s, digest)
	})
}

// A writer that failed to publish its answer tries again, and GC waits for it.
func TestFailedAnswerIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "mem://")
		other := store.Share(s)
		begin(t, s, "r")
		digest := put(t, s, "not finished")
		failed := store.FailClaims(s, 1)
		began := time.Now()
		if report, err := other.GC(t.Context(), store.GCOptions{}); err != nil || report.Blobs != 0 {
			t.Errorf("gc: %+v, %v", report, err)
		}
		// The clock is fake: checks at 10 s and 20 s, and no refresh without a reason before 30 s.
		if waited := time.Since(began); failed() != 1 || waited > 25*time.Second {
			t.Errorf("%d answers failed, and gc waited for %v; want the second answer at the second look", failed(), waited)
		}
		read(t, s, digest)
	})
}

// An answer to one collector is not valid for another: later holds are only in a new answer.
func TestAnswerToAnotherCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "mem://")
		begin(t, s, "r")
		first := store.Share(s)
		end, err := store.ClaimCollector(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // the writer has answered
		store.Strand(s)         // and answers no other
		second := store.Share(s)
		store.SetLiveness(second, time.Second, 10*time.Second, time.Hour)
		if _, err := second.GC(t.Context(), store.GCOptions{}); err == nil || !strings.Contains(err.Error(), "run r uses this store and does not answer") {
			t.Errorf("gc: %v", err)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// Of different results of one action, the first record stays, and every PutRecord returns it.
func TestManyProcessesPutOthers(t *testing.T) {
	dir := t.TempDir()
	var children []*child
	for range 4 {
		children = append(children, start(t, "others", dir))
	}
	for range 20 {
		digests := map[string]bool{}
		for _, c := range children {
			digests[c.line(t)] = true
		}
		if len(digests) != 1 {
			t.Errorf("a key has the results %v", digests)
		}
	}
	for _, c := range children {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	verify(t, open(t, dir))
}

func putOthers(ctx context.Context, s *store.Store) error {
	id := fmt.Sprint("others-", os.Getpid())
	if err := s.Begin(ctx, store.Run{ID: id, Started: time.Now(), State: "running"}); err != nil {
		return err
	}
	for i := range 20 {
		r, err := record(ctx, s, i, id)
		if err != nil {
			return err
		}
		fmt.Println(r.Outputs[0].Digest)
	}
	return nil
}

// One process at a time holds a claim on a key, and a claim ends with its process.
func TestClaim(t *testing.T) {
	dir := t.TempDir()
	var children []*child
	for range 4 {
		children = append(children, start(t, "count", dir))
	}
	for _, c := range children {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "..", filepath.Base(dir)+".count")); err != nil || string(got) != "100" {
		t.Errorf("counted %s, %v; want 100", got, err)
	}
	if left := files(t, filepath.Join(dir, "locks")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	s := open(t, dir)
	c := start(t, "claim", dir)
	c.line(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Claim(ctx, claimedKey); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "another process holds") {
		t.Errorf("Claim of a claimed key: %v", err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if h, err := s.Holder(claimedKey); err != nil || h != (store.Holder{Process: c.Process.Pid, Host: host}) {
		t.Errorf("the holder is %+v, %v; want process %d on %s", h, err, c.Process.Pid, host)
	}
	other, err := s.Claim(t.Context(), strings.Repeat("b", 64))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other(); err != nil {
			t.Error(err)
		}
	}()
	c.kill(t)
	release, err := s.Claim(t.Context(), claimedKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if _, err := s.Claim(t.Context(), "../x"); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("Claim of a bad key: %v", err)
	}
	bucket := open(t, "mem://")
	for range 2 {
		if _, err := bucket.Claim(t.Context(), claimedKey); err != nil {
			t.Error(err)
		}
	}
}

// A holder that does not describe itself, or whose description is damaged, is another process.
func TestHolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	begin(t, s, "r")
	for content, want := range map[string]string{
		"": "another process", "{": "another process", `{"process":-1}`: "another process", "{}" + strings.Repeat(" ", 1<<20): "another process",
		`{"process":7,"host":"` + strings.Repeat("x", 256) + `"}`: "another process", `{"process":7}`: "process 7", `{"process":7,"host":"h"}`: "process 7 (h)",
	} {
		writeTree(t, dir, map[string]string{"locks/" + claimedKey: content})
		if h, err := s.Holder(claimedKey); err != nil || h.String() != want {
			t.Errorf("%.40q: got %s, %v; want %s", content, h, err, want)
		}
	}
	for _, s := range []*store.Store{s, open(t, "mem://")} {
		if h, err := s.Holder(strings.Repeat("c", 64)); err != nil || h != (store.Holder{}) {
			t.Errorf("the holder of a free claim in %s is %+v, %v", s, h, err)
		}
	}
	if _, err := s.Holder("../x"); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("a bad key: %v", err)
	}
}

var claimedKey = strings.Repeat("a", 64)

// count increments a number in a file. Without claims, increments would be lost.
func count(ctx context.Context, s *store.Store) error {
	path := s.String() + ".count"
	for range 25 {
		release, err := s.Claim(ctx, claimedKey)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		n, _ := strconv.Atoi(string(data))
		if err := os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o666); err != nil {
			return err
		}
		if err := release(); err != nil {
			return err
		}
	}
	return nil
}

func claimForever(ctx context.Context, s *store.Store) error {
	if _, err := s.Claim(ctx, claimedKey); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// The records of another process for a run that this one began are kept by that run.
func TestJoin(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	worker := open(t, dir)
	if err := worker.Join(t.Context(), "r"); protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("Join of an absent run: %v", err)
	}
	begin(t, s, "r")
	waiting, err := describe("waiting")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutJob(t.Context(), waiting.Key, []byte("do it")); err != nil {
		t.Fatal(err)
	}
	if err := worker.Join(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	if job, err := worker.Job(t.Context(), waiting.Key); err != nil || string(job) != "do it" {
		t.Errorf("Job: %q, %v", job, err)
	}
	r := mustRecord(t, worker, 1, "content")
	if err := worker.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := worker.GC(t.Context(), store.GCOptions{})
	if diff := cmp.Diff(store.GCReport{}, report); err != nil || diff != "" {
		t.Errorf("gc: %v (-want +got):\n%s", err, diff)
	}
	finish(t, s, "r", r.Key)
	if report, err := s.GC(t.Context(), store.GCOptions{}); err != nil || report.Jobs != 1 {
		t.Errorf("gc: %+v, %v; want a job less", report, err)
	}
	if _, err := s.Job(t.Context(), waiting.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Job after gc: %v", err)
	}
	if !hit(t, s, r.Key) {
		t.Error("the result of the worker is gone")
	}
}
