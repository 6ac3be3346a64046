package engine

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/internal/filelock"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
)

// JournalFile is the name of the journal in a run's directory.
const JournalFile = "journal.jsonl"

// Journal records the events of a run, one JSON object per line, so that it can be read during the run and after the
// run was killed.
type Journal struct {
	mu   sync.Mutex
	file *os.File
	err  error
	// advances holds the progress of running actions, which is written at most once per interval every.
	advances map[*plan.Action]*advance
	every    time.Duration
}

type advance struct {
	documents int64
	written   time.Time
}

// advanceEvery is the interval at which the progress of a running action is written.
const advanceEvery = 5 * time.Second

// Entry is a line of a journal. The first line of a run has Run, the last one Finished, and the others Action.
type Entry struct {
	Time       time.Time `json:"time"`
	Run        string    `json:"run,omitempty"`
	Experiment string    `json:"experiment,omitempty"`
	Actions    int       `json:"actions,omitempty"`
	// Sequence is larger than that of every run that was in the directory when this run began, because clocks may be
	// wrong.
	Sequence int        `json:"sequence,omitempty"`
	Finished string     `json:"finished,omitempty"`
	Action   string     `json:"action,omitempty"`
	Kind     string     `json:"kind,omitempty"`
	Who      string     `json:"who,omitempty"` // the model or provider that worked
	State    plan.State `json:"state,omitempty"`
	Key      string     `json:"key,omitempty"`
	Attempt  int        `json:"attempt,omitempty"`
	Error    string     `json:"error,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	// Documents is the progress of a running action, out of Expected documents if that is known.
	Documents int64 `json:"documents,omitempty"`
	Expected  int64 `json:"expected,omitempty"`
	// Bytes and Seconds are the size and duration of a finished action.
	Bytes   int64   `json:"bytes,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

// NewJournal starts the journal of a run in its directory. The journal's file is locked while the process lives.
func NewJournal(dir, run, experiment string, actions int) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	before, err := JournalDirs(filepath.Dir(dir))
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	number := 1
	if len(before) > 0 {
		number += sequence(before[0])
	}
	f, err := os.OpenFile(filepath.Join(dir, JournalFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	// A reader may hold the lock for a moment.
	if err := filelock.Wait(context.Background(), f, filelock.Exclusive); err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), f.Close())
	}
	j := &Journal{file: f, advances: map[*plan.Action]*advance{}, every: advanceEvery}
	j.write(Entry{Run: run, Experiment: experiment, Actions: actions, Sequence: number})
	if j.err != nil {
		return nil, errors.Join(j.err, f.Close())
	}
	return j, nil
}

// Observe writes an event.
func (j *Journal) Observe(e Event) {
	a := e.Action
	entry := Entry{
		Time: e.Time.UTC(), Action: a.Name, Kind: a.Kind, Who: a.Rates.Who, State: e.State, Key: a.Key, Attempt: e.Attempt,
		Reason: truncated(e.Reason()),
	}
	if e.Err != nil {
		entry.Error = truncated(e.Err.Error())
	}
	if e.State == plan.Done {
		entry.Bytes, entry.Seconds = a.Cost.Bytes, a.Seconds
	}
	if e.State == plan.Running && !a.Cost.AtMost {
		entry.Expected = a.Cost.Documents
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.advances, a)
	if e.State == plan.Running {
		j.advances[a] = &advance{written: e.Time}
	}
	j.write(entry)
}

// truncated returns the beginning of a long text, without dividing a character.
func truncated(s string) string {
	if len(s) <= maxReason {
		return s
	}
	return strings.ToValidUTF8(s[:maxReason], "") + "..."
}

// Advance writes the progress of a running action, at most once per interval.
func (j *Journal) Advance(a *plan.Action, p action.Progress) {
	j.mu.Lock()
	defer j.mu.Unlock()
	of := j.advances[a]
	if of == nil {
		return
	}
	of.documents += p.Documents
	if now := time.Now(); now.Sub(of.written) >= j.every {
		of.written = now
		j.write(Entry{Action: a.Name, State: plan.Running, Documents: of.documents})
	}
}

// Close writes the final state of the run, "failed" if state is empty, and closes the file. It returns the first error
// of all writes.
func (j *Journal) Close(state string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write(Entry{Finished: cmp.Or(state, string(plan.Failed))})
	return errors.Join(j.err, j.file.Close())
}

// write writes nothing after an error, so that only the last line of a journal can be incomplete.
func (j *Journal) write(e Entry) {
	if j.err != nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = j.file.Write(append(protocol.VisibleJSON(line), '\n'))
	}
	if err != nil {
		j.err = fmt.Errorf("journal %s: %w", j.file.Name(), err)
	}
}

// Report is a run according to its journal.
type Report struct {
	Run        string `json:"run"`
	Experiment string `json:"experiment"`
	// Started is zero if the run ended before it wrote its first line.
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// State is "running", "interrupted" (the process exited without finishing the journal) or the final state of the
	// run.
	State string `json:"state"`
	// Actions counts the plan's actions. Entries holds the last entry of each action that has one, in the order of the
	// plan.
	Actions int     `json:"actions"`
	Entries []Entry `json:"entries"`
}

// Limits of a journal that is read, in bytes: of a line, and of the entries in memory. A journal may come with a
// repository.
const (
	maxLine    = 1 << 20
	maxEntries = 1 << 30
)

// maxReason is the maximum length in bytes of an error or a reason in a journal, so that its line is shorter than
// maxLine even if every character is escaped.
const maxReason = maxLine / 16

// entries are the last entries of actions in a report.
type entries struct {
	report *Report
	// last is the place of each action's entry, by the action's name. sizes holds the sizes of the entries, and total
	// their sum.
	last  map[string]int
	sizes []int
	total int
}

// add adds a line of a journal.
func (x *entries) add(line []byte) error {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	r := x.report
	switch {
	case e.Run != "":
		r.Run, r.Experiment, r.Started, r.Actions = e.Run, e.Experiment, e.Time, e.Actions
	case e.Finished != "":
		r.State, r.Ended = e.Finished, e.Time
	case e.Action == "":
		// Ignore an unknown entry.
	default:
		i, known := x.last[e.Action]
		if known && e.State == plan.Running && e.Attempt == 0 {
			r.Entries[i].Documents = e.Documents
			return nil
		}
		if !known {
			i = len(r.Entries)
			x.last[e.Action] = i
			r.Entries, x.sizes = append(r.Entries, e), append(x.sizes, 0)
		}
		x.total += len(line) - x.sizes[i]
		r.Entries[i], x.sizes[i] = e, len(line)
		if x.total > maxEntries {
			return fmt.Errorf("the entries of its %d actions are larger than %s", len(r.Entries), humanize.IBytes(maxEntries))
		}
	}
	return nil
}

// ReadJournal reads the journal in a run's directory, during or after the run.
func ReadJournal(dir string) (r Report, err error) {
	path := filepath.Join(dir, JournalFile)
	r.Run = filepath.Base(dir)
	f, err := os.Open(path)
	if err != nil {
		return r, fmt.Errorf("journal: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	free, err := filelock.Try(f, filelock.Shared)
	if err != nil {
		return r, fmt.Errorf("journal: %w", err)
	}
	alive := !free
	in := bufio.NewReader(f)
	found := entries{report: &r, last: map[string]int{}}
	for n := 1; ; n++ {
		line, err := bounded.ReadLine(in, maxLine)
		if errors.Is(err, io.EOF) {
			// A killed run may leave an incomplete line.
			break
		}
		if err == nil {
			err = found.add(line)
		}
		if err != nil {
			return r, fmt.Errorf("%s:%d: %w; remove the directory of this run: this deletes its log, but no result", path, n, err)
		}
	}
	switch {
	case r.State != "":
	case alive:
		r.State = "running"
	default:
		r.State = "interrupted"
	}
	return r, nil
}

// JournalDirs lists the directories of runs, the most recently begun first, independent of clocks.
func JournalDirs(runs string) ([]string, error) {
	entries, err := os.ReadDir(runs)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var dirs []string
	sequences := map[string]int{}
	for _, e := range entries {
		dir := filepath.Join(runs, e.Name())
		// A link or a pipe is not a journal.
		if info, err := os.Lstat(filepath.Join(dir, JournalFile)); e.IsDir() && err == nil && info.Mode().IsRegular() {
			dirs = append(dirs, dir)
			sequences[dir] = sequence(dir)
		}
	}
	slices.SortFunc(dirs, func(x, y string) int {
		return cmp.Or(cmp.Compare(sequences[y], sequences[x]), strings.Compare(y, x))
	})
	return dirs, nil
}

// maxFirstLine bounds the part of a journal that is read to find the run's sequence number.
const maxFirstLine = 1 << 16

// sequence returns the sequence number of a run, or 0 if its journal has none.
func sequence(dir string) int {
	f, err := os.Open(filepath.Join(dir, JournalFile))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }() // opened only for reading
	var first Entry
	if json.NewDecoder(io.LimitReader(f, maxFirstLine)).Decode(&first) != nil {
		return 0
	}
	return first.Sequence
}
