package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
)

// childVariable makes the test binary a process that keeps a journal in the given directory until it is killed.
const childVariable = "SURPRISAL_TEST_JOURNAL"

func TestMain(m *testing.M) {
	dir := os.Getenv(childVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	if _, err := NewJournal(dir, "killed", "test", 3); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

func newJournal(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := NewJournal(dir, "id", "test", 2)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func readJournal(t *testing.T, dir string) Report {
	t.Helper()
	r, err := ReadJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "id")
	j := newJournal(t, dir)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a := &plan.Action{Kind: "materialize", Name: "materialize a", Status: plan.Status{Key: "k1", Seconds: 2}, Cost: plan.Cost{Bytes: 7}}
	b := &plan.Action{Kind: "gap", Name: "gap g", Status: plan.Status{Key: "k2"}, Cost: plan.Cost{Documents: 9, AtMost: true}}
	j.Observe(Event{Time: at, Action: a, State: plan.Running, Attempt: 1})
	j.Observe(Event{Time: at, Action: b, State: plan.Running, Attempt: 1})
	j.Observe(Event{Time: at, Action: a, State: plan.Running, Attempt: 2, Err: errors.New("line\nbreak")})
	want := []Entry{
		{Time: at, Action: "materialize a", Kind: "materialize", State: plan.Running, Key: "k1", Attempt: 2, Error: "line\nbreak"},
		{Time: at, Action: "gap g", Kind: "gap", State: plan.Running, Key: "k2", Attempt: 1},
	}
	r := readJournal(t, dir)
	if d := cmp.Diff(want, r.Entries); d != "" || r.State != "running" || r.Run != "id" || r.Experiment != "test" || r.Actions != 2 || !r.Ended.IsZero() {
		t.Errorf("while it runs: %+v %s", r, d)
	}
	j.Observe(Event{Time: at, Action: a, State: plan.Done})
	j.Observe(Event{Time: at, Action: b, State: plan.Failed, Err: errors.New("failure")})
	if err := j.Close("failed"); err != nil {
		t.Fatal(err)
	}
	want = []Entry{
		{Time: at, Action: "materialize a", Kind: "materialize", State: plan.Done, Key: "k1", Bytes: 7, Seconds: 2},
		{Time: at, Action: "gap g", Kind: "gap", State: plan.Failed, Key: "k2", Error: "failure"},
	}
	r = readJournal(t, dir)
	if d := cmp.Diff(want, r.Entries); d != "" || r.State != "failed" || r.Ended.Before(r.Started) {
		t.Errorf("afterwards: %+v %s", r, d)
	}
	if _, err := NewJournal(dir, "id", "test", 2); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second run in the same directory: %v", err)
	}
}

// A journal records the progress of actions from the start of each attempt, and when the attempt began.
func TestJournalTellsProgress(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "id")
	j := newJournal(t, dir)
	j.every = 0
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a := &plan.Action{Name: "score m a", Cost: plan.Cost{Documents: 9}}
	j.Advance(a, action.Progress{Documents: 100}) // before it began
	for attempt := 1; attempt <= 2; attempt++ {
		j.Observe(Event{Time: at, Action: a, State: plan.Running, Attempt: attempt})
		j.Advance(a, action.Progress{Documents: 1})
		j.Advance(a, action.Progress{Documents: 2})
	}
	want := []Entry{{Time: at, Action: "score m a", State: plan.Running, Attempt: 2, Documents: 3, Expected: 9}}
	if d := cmp.Diff(want, readJournal(t, dir).Entries); d != "" {
		t.Error(d)
	}
	j.Observe(Event{Time: at, Action: a, State: plan.Done})
	j.Advance(a, action.Progress{Documents: 100}) // after its end
	want = []Entry{{Time: at, Action: "score m a", State: plan.Done}}
	if d := cmp.Diff(want, readJournal(t, dir).Entries); d != "" {
		t.Error(d)
	}
	if err := j.Close("done"); err != nil {
		t.Fatal(err)
	}
}

// Size and duration are reported for executed actions, not for cached ones. Expected documents are reported only if
// counted.
func TestJournalFigures(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "id")
	j := newJournal(t, dir)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	for name, state := range map[string]plan.State{"a": plan.Running, "b": plan.Done, "c": plan.Cached, "d": plan.Blocked} {
		j.Observe(Event{Time: at, Action: &plan.Action{
			Name: name, Kind: "k", Rates: plan.Rates{Who: "w"}, Cost: plan.Cost{Documents: 9, Bytes: 7}, Status: plan.Status{Key: "key", Seconds: 2, Reason: "why " + name},
		}, State: state, Attempt: 3})
	}
	if err := j.Close("done"); err != nil {
		t.Fatal(err)
	}
	r := readJournal(t, dir)
	slices.SortFunc(r.Entries, func(a, b Entry) int { return strings.Compare(a.Action, b.Action) })
	entry := func(name string, state plan.State) Entry {
		return Entry{Time: at.UTC(), Action: name, Kind: "k", Who: "w", State: state, Key: "key", Attempt: 3, Reason: "why " + name}
	}
	want := []Entry{entry("a", plan.Running), entry("b", plan.Done), entry("c", plan.Cached), entry("d", plan.Blocked)}
	want[0].Expected = 9
	want[1].Bytes, want[1].Seconds = 7, 2
	if d := cmp.Diff(want, r.Entries); d != "" || r.State != "done" {
		t.Errorf("%s: %s", r.State, d)
	}
}

// A journal contains no control characters of a terminal.
func TestJournalIsVisible(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir)
	j.Observe(Event{Time: time.Now(), Action: &plan.Action{Name: "a\u202e\x1b##[group]"}, State: plan.Failed, Err: errors.New("\u2066")})
	if err := j.Close("failed"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, JournalFile))
	if err != nil || strings.ContainsAny(string(data), "\u202e\u2066\x1b") || strings.Contains(string(data), "##[") {
		t.Errorf("got %q, %v", data, err)
	}
	if r := readJournal(t, dir); len(r.Entries) != 1 || r.Entries[0].Action != "a\u202e\x1b##[group]" || r.Entries[0].Error != "\u2066" {
		t.Errorf("got %+v", r.Entries)
	}
}

// Only directories with their own journal are runs. Of runs with equal numbers, the last by name comes first.
func TestJournalDirsOfOthers(t *testing.T) {
	runs := t.TempDir()
	for dir, content := range map[string]string{
		"a": `{"run":"a","sequence":2}` + "\n", "b": `{"run":"b","sequence":2}` + "\n", "c": `{"run":"c","sequence":10}` + "\n", "d": "damaged", "e": "",
		"f": `{"run":"` + strings.Repeat("f", 1<<16) + `","sequence":99}` + "\n",
	} {
		if err := os.Mkdir(filepath.Join(runs, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(runs, dir, JournalFile), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		os.Mkdir(filepath.Join(runs, "linked"), 0o755), os.Symlink(filepath.Join(runs, "a", JournalFile), filepath.Join(runs, "linked", JournalFile)),
		os.Mkdir(filepath.Join(runs, "directory"), 0o755), os.Mkdir(filepath.Join(runs, "directory", JournalFile), 0o755),
		os.WriteFile(filepath.Join(runs, "file"), nil, 0o644), os.Symlink(filepath.Join(runs, "a"), filepath.Join(runs, "link")),
	); err != nil {
		t.Fatal(err)
	}
	dirs, err := JournalDirs(runs)
	var got []string
	for _, d := range dirs {
		got = append(got, filepath.Base(d))
	}
	if d := cmp.Diff([]string{"c", "b", "a", "f", "e", "d"}, got); d != "" || err != nil {
		t.Errorf("%v: %s", err, d)
	}
	// The next run counts on from the largest number.
	if err := newJournal(t, filepath.Join(runs, "next")).Close("done"); err != nil {
		t.Fatal(err)
	}
	if n := sequence(filepath.Join(runs, "next")); n != 11 {
		t.Errorf("got the number %d, want 11", n)
	}
	if _, err := JournalDirs(filepath.Join(runs, "file")); err == nil {
		t.Error("a file has runs")
	}
}

// Frequent progress is written at intervals.
func TestJournalIsNotFlooded(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir)
	j.every = time.Hour
	a := &plan.Action{Name: "score m a"}
	j.Observe(Event{Time: time.Now(), Action: a, State: plan.Running, Attempt: 1})
	for range 1000 {
		j.Advance(a, action.Progress{Documents: 1})
	}
	if err := j.Close("done"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, JournalFile))
	if lines := strings.Count(string(data), "\n"); err != nil || lines != 3 {
		t.Errorf("%d lines, %v", lines, err)
	}
}

// A run that ends before any action has a state and no actions. A run with an empty journal has a name.
func TestRunThatEndsEarly(t *testing.T) {
	dir := t.TempDir()
	if err := newJournal(t, dir).Close(""); err != nil {
		t.Fatal(err)
	}
	if r := readJournal(t, dir); r.State != "failed" || len(r.Entries) != 0 || r.Ended.IsZero() {
		t.Errorf("%+v", r)
	}
	empty := filepath.Join(t.TempDir(), "20260102-1")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"", "{\"time\":\"2026-01-02T03:04:05Z\"}\n"} {
		if err := os.WriteFile(filepath.Join(empty, JournalFile), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if r := readJournal(t, empty); r.Run != "20260102-1" || r.State != "interrupted" || !r.Started.IsZero() || len(r.Entries) != 0 {
			t.Errorf("%q: %+v", content, r)
		}
	}
}

func TestKilledRunIsInterrupted(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if r := readJournal(t, dir); r.State != "running" || r.Actions != 3 {
		t.Errorf("while it lives: %+v", r)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Error("the child ended well")
	}
	if r := readJournal(t, dir); r.State != "interrupted" || r.Run != "killed" {
		t.Errorf("after it was killed: %+v", r)
	}
}

func TestHalfALine(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir)
	j.Observe(Event{Time: time.Now(), Action: &plan.Action{Name: "gap g"}, State: plan.Done})
	if _, err := j.file.WriteString(`{"time":"2026-01-02T03:04:05Z","action":"gap h","sta`); err != nil {
		t.Fatal(err)
	}
	if err := j.file.Close(); err != nil {
		t.Fatal(err)
	}
	if r := readJournal(t, dir); r.State != "interrupted" || len(r.Entries) != 1 {
		t.Errorf("%+v", r)
	}
}

// After a failed write, as on a full disk, nothing more is written that would make the journal unreadable, and the
// error is returned.
func TestFailedWrite(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir)
	writable := j.file
	unwritable, err := os.Open(writable.Name())
	if err != nil {
		t.Fatal(err)
	}
	j.file = unwritable
	j.Observe(Event{Time: time.Now(), Action: &plan.Action{Name: "gap g"}, State: plan.Done})
	j.file = writable
	if err := j.Close("done"); err == nil || !strings.Contains(err.Error(), JournalFile) {
		t.Errorf("the failure is not told: %v", err)
	}
	if err := unwritable.Close(); err != nil {
		t.Fatal(err)
	}
	if r := readJournal(t, dir); r.State != "interrupted" || len(r.Entries) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestDamagedJournal(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, JournalFile), []byte("{\"run\":\"x\"}\nwhat\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadJournal(dir); err == nil || !strings.Contains(err.Error(), JournalFile+":2: ") {
		t.Errorf("%v", err)
	}
	if _, err := ReadJournal(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory without a journal: %v", err)
	}
}

func TestJournalDirs(t *testing.T) {
	runs := t.TempDir()
	for _, id := range []string{"20251231-9", "20260102-1", "20260103-1"} {
		if err := newJournal(t, filepath.Join(runs, id)).Close("done"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(runs, "99999999-no-journal"), 0o755); err != nil {
		t.Fatal(err)
	}
	dirs, err := JournalDirs(runs)
	var got []string
	for _, d := range dirs {
		got = append(got, filepath.Base(d))
	}
	if d := cmp.Diff([]string{"20260103-1", "20260102-1", "20251231-9"}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	// A clock that is set back does not hide later runs.
	if err := newJournal(t, filepath.Join(runs, "20991231-1")).Close("done"); err != nil {
		t.Fatal(err)
	}
	if err := newJournal(t, filepath.Join(runs, "20260104-1")).Close("done"); err != nil {
		t.Fatal(err)
	}
	dirs, err = JournalDirs(runs)
	if err != nil || len(dirs) != 5 || filepath.Base(dirs[0]) != "20260104-1" || filepath.Base(dirs[1]) != "20991231-1" {
		t.Errorf("after a run in the future: %v %v", dirs, err)
	}
	if dirs, err := JournalDirs(filepath.Join(runs, "missing")); err != nil || len(dirs) > 0 {
		t.Errorf("no runs yet: %v %v", dirs, err)
	}
}

// A long line of a journal is an error and is not read into memory.
func TestLargeJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "id")
	j := newJournal(t, dir)
	a := &plan.Action{Kind: "gap", Name: "gap g"}
	j.Observe(Event{Action: a, State: plan.Failed, Err: errors.New(strings.Repeat("\x1b", maxLine))})
	if err := j.Close("failed"); err != nil {
		t.Fatal(err)
	}
	if got := readJournal(t, dir).Entries[0].Error; got != strings.Repeat("\x1b", maxReason)+"..." {
		t.Errorf("an error of %d bytes, want %d", len(got), maxReason)
	}
	if err := os.Truncate(filepath.Join(dir, JournalFile), 1<<40); err != nil {
		t.Fatal(err)
	}
	const want = "journal.jsonl:4: it is larger than 1.0 MiB; remove the directory of this run: this deletes its log, but no result"
	if _, err := ReadJournal(dir); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// The entries of a journal have a limit in total.
func TestManyEntries(t *testing.T) {
	found := entries{report: &Report{}, last: map[string]int{}}
	line := []byte(`{"action":"a","state":"failed","attempt":1}`)
	for range 3 {
		if err := found.add(line); err != nil || found.total != len(line) {
			t.Fatalf("the total is %d, want %d: %v", found.total, len(line), err)
		}
	}
	found.total = maxEntries - len(line)
	if err := found.add([]byte(`{"action":"b","state":"failed"}`)); err != nil {
		t.Error(err)
	}
	if err := found.add([]byte(`{"action":"c","state":"failed"}`)); err == nil || err.Error() != "the entries of its 3 actions are larger than 1.0 GiB" {
		t.Errorf("got %v", err)
	}
}
