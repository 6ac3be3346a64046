package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/wire"
	"surprisal.dev/plugins/sdk"
)

var (
	_ sdk.Provider = (*Provider)(nil)
	_ sdk.Trainer  = trainer{}
)

// trainer shows that a Backend has the methods of the sdk's Backend except Load, whose Model restores the order.
type trainer struct{ *Backend }

func (trainer) Load(context.Context, protocol.Model) (sdk.Model, error) { return nil, nil }

// journal is a log that tests can read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// eventually waits for an effect of another process.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func newHost(t *testing.T) (*Host, *journal) {
	t.Helper()
	var log journal
	names := []string{"honest", "ends", "dies", "faints", "hangs", "stalls", "deaf", "newer", "chatty", "impostor", "raw", "mute", "rude"}
	h, err := New(Options{
		Providers: names, Backends: names, Dir: t.TempDir(),
		Log: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug}),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.timing.backoff = time.Millisecond
	h.timing.stop = 500 * time.Millisecond
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(h.dir.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", h.dir.path, err)
		}
		if t.Failed() {
			text := log.String()
			t.Logf("log:\n%s", text[:min(len(text), 5000)])
		}
	})
	return h, &log
}

func provider(t *testing.T, h *Host, name string) *Provider {
	t.Helper()
	p, err := h.Provider(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func source(format string, values ...any) protocol.Source {
	return protocol.Source{Config: json.RawMessage(fmt.Sprintf(format, values...))}
}

func alive(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !errors.Is(err, os.ErrNotExist)
	}
	_, state, _ := strings.Cut(string(status), ") ")
	return !strings.HasPrefix(state, "Z")
}

func (s *subprocess) pid(t *testing.T) int {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	pid, err := strconv.Atoi(s.current.command.ID())
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestInfo(t *testing.T) {
	h, _ := newHost(t)
	got := provider(t, h, "honest").Info()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The binary's digest would change with every other part of the runner.
	want := Info{
		Name: "honest", Kind: protocol.KindProvider, Version: "1", Protocol: 1, Path: program, Builtin: true,
		Schema: "#Config: {...}", Environment: []string{token}, Capabilities: []string{"flight"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a provider that is built in (-want +got):\n%s", diff)
	}
	h.options.SearchDirs = []string{t.TempDir()}
	external := filepath.Join(h.options.SearchDirs[0], "runner-backend-external")
	if err := os.Symlink(program, external); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.Backend(t.Context(), "external")
	if err != nil {
		t.Fatal(err)
	}
	want = Info{
		Name: "external", Kind: protocol.KindBackend, Version: "1", Protocol: 1, Path: external, BinaryDigest: protocol.Digest(content),
		Schema: "#Config: {...}", Capabilities: []string{"flight"}, NeutralSettings: []string{"batch"},
	}
	if diff := cmp.Diff(want, b.Info()); diff != "" {
		t.Errorf("a backend in a separate program (-want +got):\n%s", diff)
	}
	if again := provider(t, h, "honest"); again.pid(t) != provider(t, h, "honest").pid(t) {
		t.Error("a second process was started for the same plugin")
	}
}

// TestStart checks the errors for plugins that do not start.
func TestStart(t *testing.T) {
	programs := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(programs, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("runner-provider-text", "I am a text file", 0o755)
	write("runner-provider-locked", "#!/bin/sh\n", 0o644)
	write("runner-provider-script", "#!/bin/sh\necho I am a script >&2\nexit 4\n", 0o755)
	write("runner-provider-honest", "#!/bin/sh\n", 0o755)
	write("runner-provider-double", "#!/bin/sh\n", 0o755)
	write("runner-provider-noshell", "#!/nonexistent/shell\n", 0o755)
	second := t.TempDir()
	if err := os.WriteFile(filepath.Join(second, "runner-provider-double"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/bin/true", filepath.Join(programs, "runner-provider-true")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", second+":"+os.Getenv("PATH"))

	for _, test := range []struct {
		name string
		want []string
	}{
		{"ends", []string{"ended (exit status 3) without the handshake of a Surprisal plugin", "cannot find my library"}},
		{"dies", []string{" plugin serve provider dies crashed 3 times in a row", "it ended (signal: killed, possibly killed by the system"}},
		{"hangs", []string{" plugin serve provider hangs did not start 3 times in a row", "no handshake within 300ms", "its process is in state ", " s of processor time"}},
		{"deaf", []string{"no such file"}},
		{"newer", []string{"uses version 2 of the plugin protocol", "this runner uses version 1", "build the plugin"}},
		{"impostor", []string{`calls itself "someone-else"`, "runner-provider-someone-else"}},
		{"true", []string{"runner-provider-true ended (exit status 0) without the handshake"}},
		{"script", []string{"ended (exit status 4)", "I am a script"}},
		{"text", []string{"not a program for this machine"}},
		{"noshell", []string{"runner-provider-noshell", "no such file"}},
		{"locked", []string{"is not executable; run chmod +x"}},
		{"honest", []string{`provider "honest" is built in, and`, "rename or remove"}},
		{"double", []string{`provider "double" is ambiguous`, programs, second}},
		{"missing", []string{`no provider is called "missing"; known are`, "chatty", "a program called runner-provider-missing next to runner, on the PATH or in a --plugins directory"}},
		{"../evil", []string{`provider "../evil"`, "letters, digits"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, _ := newHost(t)
			h.options.SearchDirs = []string{programs}
			if test.name == "hangs" {
				h.timing.start = 300 * time.Millisecond
			}
			_, err := h.Provider(t.Context(), test.name)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

// TestStartAgain checks that a plugin which is killed or hangs while it starts is restarted.
func TestStartAgain(t *testing.T) {
	for name, want := range map[string]string{"faints": "the plugin crashed", "stalls": "the plugin did not start; restarting it"} {
		h, log := newHost(t)
		if name == "stalls" {
			h.timing.start = 5 * time.Second
		}
		if _, err := h.Provider(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s: the log is %q, want %q in it", name, log, want)
		}
	}
}

func TestStartCanceled(t *testing.T) {
	h, _ := newHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := h.Provider(ctx, "hangs"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it to be canceled", err)
	}
}

func TestWrongKind(t *testing.T) {
	h, _ := newHost(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.OpenBackend(t.Context(), []string{program, "plugin", "serve", "provider", "honest"})
	if err == nil || !strings.Contains(err.Error(), "it does not implement this backend operation") {
		t.Errorf("got %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv(token, "secret")
	t.Setenv("SURPRISAL_TEST_OTHER", "must not pass")
	h, _ := newHost(t)
	r, err := provider(t, h, "honest").Resolve(t.Context(), protocol.ResolveRequest{Source: source(`{"rows": 1}`)})
	if err != nil {
		t.Fatal(err)
	}
	if r.Revision != "secret" {
		t.Errorf("the variable that the plugin asked for is %q", r.Revision)
	}
	if strings.Contains(string(r.Parameters), "must not pass") {
		t.Errorf("a variable that the plugin did not ask for: %s", r.Parameters)
	}
	if strings.Contains(string(r.Parameters), wire.LifelineVariable) {
		t.Errorf("what the plugin starts would inherit its lifeline: %s", r.Parameters)
	}
	for _, want := range []string{`"` + wire.ProcessVariable + `=`, `"TMPDIR=` + h.dir.path + `"`, `"PATH=` + os.Getenv("PATH") + `"`} {
		if !strings.Contains(string(r.Parameters), want) {
			t.Errorf("not in the environment: %s", want)
		}
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	h, _ := newHost(t)
	p := provider(t, h, "honest")
	_, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: source(`{"rosw": 1}`)})
	if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), `unknown field "rosw"`) {
		t.Errorf("got %v of kind %q", err, protocol.KindOf(err))
	}
	_, err = p.Resolve(t.Context(), protocol.ResolveRequest{Source: source(`{"do": "fail"}`)})
	if protocol.KindOf(err) != "" || !strings.Contains(err.Error(), "no such luck") || !strings.Contains(err.Error(), p.Info().Path) {
		t.Errorf("got %v of kind %q", err, protocol.KindOf(err))
	}
	rows := 0
	err = p.Read(t.Context(), protocol.ReadRequest{Source: source(`{"rows": 5, "at": 2, "do": "fail"}`), Fields: []string{"text"}},
		func(protocol.Row) error { rows++; return nil })
	if protocol.KindOf(err) != protocol.Changed || err.Error() != "file x is not what it was" || rows != 2 {
		t.Errorf("got %v of kind %q after %d rows", err, protocol.KindOf(err), rows)
	}
}

// read reads all rows, checks their order and values, and returns how many came.
func read(ctx context.Context, p *Provider, from, to int64, config string) (int64, error) {
	next := from
	err := p.Read(ctx, protocol.ReadRequest{Source: source("%s", config), Fields: []string{"text"}, From: from, To: to}, func(r protocol.Row) error {
		value := string(r.Values[0])
		if got, err := strconv.ParseInt(value, 10, 64); r.Ordinal != next || got != next || err != nil || r.Number != next || r.Shard != "s" {
			return fmt.Errorf("got row %d of value %.20q, want %d", r.Ordinal, value, next)
		}
		next++
		return nil
	})
	return next, err
}

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, config string
		from, to     int64
		end          int64
		want         string // in the error
	}{
		{name: "many rows", config: `{"rows": 200000, "bytes": 20}`, end: 200000},
		{name: "a range", config: `{"rows": 1000, "bytes": 20}`, from: 10, to: 20, end: 20},
		{name: "no rows", config: `{"rows": 0}`, end: 0},
		{name: "killed", config: `{"rows": 50000, "bytes": 100, "at": 40000, "do": "die", "times": 2}`, end: 50000},
		{name: "panic", config: `{"rows": 50000, "bytes": 100, "at": 40000, "do": "panic", "times": 1}`, end: 50000},
		{name: "killed at the last row", config: `{"rows": 10, "at": 9, "do": "die", "times": 1}`, from: 5, to: 10, end: 10},
		{name: "frozen", config: `{"rows": 50000, "bytes": 100, "at": 40000, "do": "freeze", "times": 1}`, end: 50000},
		{name: "killed again and again", config: `{"rows": 50000, "bytes": 100, "at": 40000, "do": "die"}`,
			want: "crashed 3 times in a row; the last time it ended (signal: killed, possibly killed by the system"},
		{name: "panics again and again", config: `{"rows": 10, "at": 5, "do": "panic"}`, want: "panic: a bug"},
		{name: "a missing row", config: `{"rows": 10, "at": 5, "do": "skip"}`, want: "it sent row 6 of shard \"s\", expected row 5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, _ := newHost(t)
			if test.name == "frozen" {
				h.timing.ping, h.timing.answer = 100*time.Millisecond, 400*time.Millisecond
			}
			end, err := read(t.Context(), provider(t, h, "honest"), test.from, test.to, test.config)
			switch {
			case test.want == "" && (err != nil || end != test.end):
				t.Errorf("got %v after row %d, want the end after row %d", err, end, test.end)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestReadLargeRow(t *testing.T) {
	h, _ := newHost(t)
	var got []int
	err := provider(t, h, "honest").Read(t.Context(),
		protocol.ReadRequest{Source: source(`{"rows": 2, "bytes": %d}`, 64<<20), Fields: []string{"text"}},
		func(r protocol.Row) error {
			got = append(got, len(r.Values[0]), bytes.Count(r.Values[0], []byte("0")))
			return nil
		})
	if want := []int{64 << 20, 64 << 20, 64 << 20, 64<<20 - 1}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v and %v, want %v", got, err, want)
	}
}

func TestReadStops(t *testing.T) {
	h, _ := newHost(t)
	p := provider(t, h, "honest")
	errEnough := errors.New("enough")
	err := p.Read(t.Context(), protocol.ReadRequest{Source: source(`{"rows": 1000000000, "bytes": 10}`), Fields: []string{"text"}},
		func(r protocol.Row) error {
			if r.Ordinal == 5 {
				return errEnough
			}
			return nil
		})
	if !errors.Is(err, errEnough) {
		t.Errorf("got %v, want emit's error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = p.Read(ctx, protocol.ReadRequest{Source: source(`{"rows": 1000000000, "bytes": 10}`), Fields: []string{"text"}},
		func(r protocol.Row) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it to be canceled", err)
	}
}

// TestOutput checks that whatever a plugin prints, before the handshake and after, in Go and in C, reaches the log and
// disturbs nothing. The transport may print in the middle of a long line, so that the number of omitted bytes is not
// checked here.
func TestOutput(t *testing.T) {
	h, log := newHost(t)
	p := provider(t, h, "chatty")
	ctx := hclog.WithContext(t.Context(), h.log.With("model", "m", "action", "a1"))
	if _, err := p.Resolve(ctx, protocol.ResolveRequest{Source: source(`{"rows": 1, "do": "flood"}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), p, 0, 0, `{"rows": 10}`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last line is in the log", func() bool { return strings.Contains(log.String(), "last line") })
	text := log.String()
	for _, want := range []string{
		"loading xxxx", "a line without an end", "go line", "ooo ... (", "c line", "ccc ... (", "error line",
		`{"@message": 1, "@level": {}}`, "flood 0\x00", "flood 19999\x00", "last line",
		"plugin=chatty", "resolving", "action=a1", "model=m",
	} {
		want, end, _ := strings.Cut(want, "\x00")
		if !strings.Contains(text, want+end) {
			t.Errorf("not in the log: %q", want)
		}
	}
}

// TestReadManyDeaths checks that a plugin that dies often is restarted as long as there is progress in between.
func TestReadManyDeaths(t *testing.T) {
	h, _ := newHost(t)
	p := provider(t, h, "honest")
	next, deaths := int64(0), 0
	err := p.Read(t.Context(), protocol.ReadRequest{Source: source(`{"rows": 200000, "bytes": 100}`), Fields: []string{"text"}}, func(r protocol.Row) error {
		if r.Ordinal != next {
			return fmt.Errorf("got row %d, want %d", r.Ordinal, next)
		}
		if next++; next%40_000 == 0 {
			deaths++
			p.Kill()
		}
		return nil
	})
	if err != nil || next != 200_000 || deaths < 4 {
		t.Errorf("%d rows and %d deaths: %v", next, deaths, err)
	}
}

// TestNothingStaysOpen checks that the resources that a process takes of this one are released when it ends.
func TestNothingStaysOpen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("open files are counted in /proc")
	}
	h, _ := newHost(t)
	h.options.SearchDirs = []string{t.TempDir()}
	path := filepath.Join(h.options.SearchDirs[0], "runner-provider-opened")
	if err := os.Symlink(must(os.Executable()), path); err != nil {
		t.Fatal(err)
	}
	// The garbage collector would close forgotten files.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	open := func() int { return len(must(os.ReadDir("/proc/self/fd"))) }
	before := 0
	for i := range 5 {
		p, err := h.OpenProvider(t.Context(), []string{path})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: source(`{"rows": 1}`)}); err != nil {
			t.Fatal(err)
		}
		p.close()
		if _, err := h.OpenProvider(t.Context(), []string{"/bin/true"}); err == nil {
			t.Error("/bin/true is a plugin")
		}
		if i == 0 {
			before = open() // what the runtime opens once is open now
		}
	}
	eventually(t, "all files are closed", func() bool { return open() <= before })
}

// TestStoppedBeforeItStarts checks that a command that is stopped before it has started does not start.
func TestStoppedBeforeItStarts(t *testing.T) {
	path := must(os.Executable())
	c := newCommand(ownProgram(path), []string{path, "plugin", "serve", "provider", "honest"}, nil, &output{log: hclog.NewNullLogger(), gate: newGate()})
	if c.ID() != "not started" || c.Name() != path {
		t.Errorf("process %q of %q", c.ID(), c.Name())
	}
	if err := c.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Start(t.Context()); err == nil || err.Error() != "stopped before it started" || c.ID() != "not started" {
		t.Errorf("started as %s: %v", c.ID(), err)
	}
}

// TestOpen checks commands that cannot start a plugin.
func TestOpen(t *testing.T) {
	h, _ := newHost(t)
	locked := filepath.Join(t.TempDir(), "locked")
	if err := os.WriteFile(locked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, command := range map[string][]string{
		"no command to start a plugin with":                                  nil,
		"plugin /nonexistent/plugin: ":                                       {"/nonexistent/plugin"},
		"plugin " + locked + " is not executable; run chmod +x on it":        {locked},
		"plugin no-such-program: exec: \"no-such-program\": executable file": {"no-such-program"},
	} {
		if _, err := h.OpenProvider(t.Context(), command); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("provider %q: %v", command, err)
		}
		if _, err := h.OpenBackend(t.Context(), command); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("backend %q: %v", command, err)
		}
	}
	// A failure is not kept.
	h.options.SearchDirs = []string{t.TempDir()}
	if _, err := h.Provider(t.Context(), "late"); err == nil {
		t.Fatal("a missing provider was found")
	}
	if err := os.Symlink(must(os.Executable()), filepath.Join(h.options.SearchDirs[0], "runner-provider-late")); err != nil {
		t.Fatal(err)
	}
	provider(t, h, "late")
}

// TestOpened checks that a plugin that is started by a command is known by its program, whatever the program is. A
// plugin that is found by name is started once, however many callers ask for it.
func TestOpened(t *testing.T) {
	h, _ := newHost(t)
	program := must(os.Executable())
	command := []string{program, "plugin", "serve", "provider", "honest"}
	p, err := h.OpenProvider(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	content := must(os.ReadFile(program))
	if i := p.Info(); i.Builtin || i.BinaryDigest != protocol.Digest(content) || i.Path != program || i.Name != "honest" {
		t.Errorf("started as %+v", i)
	}
	if got := p.String(); got != strings.Join(command, " ") {
		t.Errorf("called %s", got)
	}
	var group sync.WaitGroup
	var found [8]*Provider
	for i := range found {
		group.Go(func() { found[i], _ = h.Provider(t.Context(), "honest") })
	}
	group.Wait()
	for _, p := range found {
		if p == nil || p != found[0] {
			t.Fatalf("got %p, want %p", p, found[0])
		}
	}
	if len(h.opened) != 2 {
		t.Errorf("%d plugins were opened, want 2", len(h.opened))
	}
}

// TestFirstHandshake checks that the first handshake line that a plugin prints is used, and that every other line goes
// to the log.
func TestFirstHandshake(t *testing.T) {
	c := &command{out: &output{log: hclog.NewNullLogger(), gate: newGate()}}
	read, write := io.Pipe()
	take := c.firstHandshake(write)
	passed := make(chan string)
	go func() { passed <- string(must(io.ReadAll(read))) }()
	for _, line := range []string{"hello", "1|x|unix|/a|grpc", "1|7|unix|/b|grpc|", "1|8|unix|/c|grpc|", "bye"} {
		take([]byte(line), 0)
	}
	if got := <-passed; got != "1|7|unix|/b|grpc|\n" || c.version != "7" {
		t.Errorf("passed on %q of version %q", got, c.version)
	}
	if got, want := c.out.quote(), "; its last output:\n  | hello\n  | 1|x|unix|/a|grpc\n  | 1|8|unix|/c|grpc|\n  | bye"; got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// TestQuote checks which output an error quotes: the last lines, truncated, without debug messages.
func TestQuote(t *testing.T) {
	var log journal
	out := &output{log: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug}), gate: newGate()}
	if out.quote() != "" {
		t.Errorf("nothing is quoted as %q", out.quote())
	}
	for i := range 30 {
		out.print(fmt.Append(nil, "line ", i), 0)
	}
	long := strings.Repeat("é", 600)
	out.print([]byte(long), 0)
	for line, cut := range map[string]int64{"": 0, "\r\r": 0, `{"@level": "debug", "@message": "detail", "n": 1}`: 0} {
		out.print([]byte(line), cut)
	}
	out.print([]byte(`{"@level": "info", "@message": "known", "@timestamp": "now", "b": true, "a": 1}`), 0)
	out.print([]byte("ends\r"), 0)
	out.print([]byte(`{"@level": "info", "@message": "cut"}`), 3)
	out.print([]byte(`{"@level": "loud", "@message": "x"}`), 0)
	lines := strings.Split(out.quote(), "\n  | ")
	want := []string{
		"; its last output:", "line 15", long[:1000] + " ...", "known a=1 b=true", "ends",
		`{"@level": "info", "@message": "cut"} ... (3 bytes more)`, `{"@level": "loud", "@message": "x"}`,
	}
	if len(lines) != 1+lastLines || !slices.Equal(slices.Concat(lines[:2], lines[len(lines)-5:]), want) {
		t.Errorf("%d lines are quoted:\n%s", len(lines)-1, strings.Join(lines, "\n"))
	}
	for _, want := range []string{"[DEBUG] detail: n=1", "[INFO]  known: a=1 b=true", "[DEBUG] ends\n", "[DEBUG] line 0\n", "(3 bytes more)"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("not in the log: %q", want)
		}
	}
}

// TestCloseStoppedPlugin checks that closing the host does not wait for a stopped plugin, which neither ends nor
// answers.
func TestCloseStoppedPlugin(t *testing.T) {
	h, err := New(Options{Providers: []string{"honest"}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p := provider(t, h, "honest")
	pid := p.pid(t)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("closed in %v", time.Since(start))
	if alive(pid) {
		t.Error("the plugin is still alive")
	}
	if _, err := p.Resolve(t.Context(), protocol.ResolveRequest{}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v from a closed host", err)
	}
	if _, err := h.OpenProvider(t.Context(), p.args); err == nil || err.Error() != "the plugin host is closed" {
		t.Errorf("a closed host opens a plugin: %v", err)
	}
}

// TestLingeringPlugin checks that a plugin that takes time to end, such as one that frees a GPU, does not count as one
// that hangs.
func TestLingeringPlugin(t *testing.T) {
	var log journal
	h, err := New(Options{Providers: []string{"lingers"}, Dir: t.TempDir(), Log: hclog.New(&hclog.LoggerOptions{Output: &log})})
	if err != nil {
		t.Fatal(err)
	}
	h.timing.ping = 10 * time.Millisecond
	provider(t, h, "lingers")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Contains(text, "no longer answers") {
		t.Errorf("the log is\n%s", text)
	}
}

// killedHost starts a host that uses the plugin called name. It returns the host, which is to be killed, the plugin's
// process ID and the plugin's output.
func killedHost(t *testing.T, dir, name string) (cmd *exec.Cmd, pid int, printed string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(program, "host", dir, name)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // unless the test does
	if _, err := fmt.Fscanf(stdout, "%d %q\n", &pid, &printed); err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Fatal("the plugin does not run")
	}
	return cmd, pid, printed
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the host was not killed")
	}
}

// TestKilledHostOfStayingPlugin kills a host whose plugin does not watch for that.
func TestKilledHostOfStayingPlugin(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(must(os.Executable()), filepath.Join(dir, "runner-provider-stays")); err != nil {
		t.Fatal(err)
	}
	cmd, pid, printed := killedHost(t, dir, "stays")
	_, after, _ := strings.Cut(printed, "child ")
	var child, escaped int
	if _, err := fmt.Sscanf(after, "%d\n  | child %d", &child, &escaped); err != nil {
		t.Fatalf("the plugin printed %q: %v", printed, err)
	}
	for _, process := range []int{pid, child, escaped} {
		if !alive(process) {
			t.Fatal("the plugin or one of its children does not run")
		}
		t.Cleanup(func() { _ = syscall.Kill(process, syscall.SIGKILL) }) // if it is still alive
	}
	kill(t, cmd)
	eventually(t, "the plugin ends", func() bool { return !alive(pid) })
	eventually(t, "its child ends", func() bool { return !alive(child) })
	if runtime.GOOS == "linux" {
		eventually(t, "its child that left the session ends", func() bool { return !alive(escaped) })
	}
}

// TestSession checks that a plugin leads a session, so that a signal to the runner's process group does not reach it.
func TestSession(t *testing.T) {
	cmd, pid, _ := killedHost(t, t.TempDir(), "honest")
	if session, err := unix.Getsid(pid); err != nil || session != pid {
		t.Errorf("process %d is in session %d: %v", pid, session, err)
	}
	group, err := syscall.Getpgid(pid)
	if err != nil || group != pid {
		t.Errorf("process %d is in group %d: %v", pid, group, err)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the host has not stopped: %v, %v", status, err)
	}
	if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(state), ") T ") {
		t.Error("a signal to the host's group stopped the plugin")
	}
	kill(t, cmd)
	eventually(t, "the plugin ends", func() bool { return !alive(pid) })
}

func TestKilledHost(t *testing.T) {
	dir := t.TempDir()
	cmd, pid, _ := killedHost(t, dir, "honest")
	left := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "*", "run*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}

	neighbor, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if got := left(); len(got) != 2 {
		t.Errorf("a new host removed the directory of a running one: %v", got)
	}
	if err := neighbor.Close(); err != nil {
		t.Fatal(err)
	}

	kill(t, cmd)
	eventually(t, "the orphan ends", func() bool { return !alive(pid) })

	next, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if got := left(); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestRunDir(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	f, err := newRunDir(long)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(f.path, long) || len(f.path)+len(socketSuffix) > maxSocketPath {
		t.Errorf("%s is too long for sockets", f.path)
	}
	if err := f.remove(); err != nil {
		t.Fatal(err)
	}

	open := t.TempDir()
	if err := os.Mkdir(filepath.Join(open, fmt.Sprintf("runner-plugins-%d", os.Getuid())), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := newRunDir(open); err == nil || !strings.Contains(err.Error(), "only you can open") {
		t.Errorf("got %v for a directory that others can open", err)
	}
	linked, private := t.TempDir(), t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(private, filepath.Join(linked, fmt.Sprintf("runner-plugins-%d", os.Getuid()))); err != nil {
		t.Fatal(err)
	}
	if _, err := newRunDir(linked); err == nil || !strings.Contains(err.Error(), "only you can open") {
		t.Errorf("got %v for a link in place of the directory", err)
	}

	// A path is used if a socket fits in it.
	base := t.TempDir()
	room := maxSocketPath - len(base) - len(fmt.Sprintf("//runner-plugins-%d/run4294967295", os.Getuid())) - len(socketSuffix)
	if room < 2 {
		t.Skipf("%s is too long", base)
	}
	for size, fits := range map[int]bool{room: true, room + 1: false} {
		dir := filepath.Join(base, strings.Repeat("x", size))
		f, err := newRunDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(f.path, dir) != fits {
			t.Errorf("the directory is %s, whose given parent has %d bytes", f.path, len(dir))
		}
		if err := f.remove(); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TMPDIR", long)
	if _, err := newRunDir(""); err == nil || !strings.Contains(err.Error(), "the path of the temporary directory "+long+" is too long for a socket; set TMPDIR") {
		t.Errorf("got %v for a temporary directory whose path is too long", err)
	}
}

// TestDescribed checks that a built-in plugin whose description the host has starts only when it gets work, and that a
// separate program is asked anyway.
func TestDescribed(t *testing.T) {
	programs := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(programs, "runner-provider-honest")); err != nil {
		t.Fatal(err)
	}
	described := protocol.ProviderDescription{Name: "ends", Version: "7", Schema: "#Config: {}", Environment: []string{"TOKEN"}, Capabilities: []string{"much"}}
	h, err := New(Options{
		Providers: []string{"ends"}, Backends: []string{"ends"}, SearchDirs: []string{programs}, Dir: t.TempDir(),
		ProviderDescriptions: map[string]protocol.ProviderDescription{"ends": described, "honest": {Name: "honest", Version: "not asked"}},
		BackendDescriptions:  map[string]protocol.BackendDescription{"ends": {Name: "ends", Version: "8", NeutralSettings: []string{"threads"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	p, err := h.Provider(t.Context(), "ends")
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.Backend(t.Context(), "ends")
	if err != nil {
		t.Fatal(err)
	}
	if i := p.Info(); !i.Builtin || i.Version != "7" || i.Schema != described.Schema || i.BinaryDigest != "" || len(i.Capabilities) != 1 {
		t.Errorf("the provider is %+v", i)
	}
	if i := b.Info(); !i.Builtin || i.Version != "8" || len(i.NeutralSettings) != 1 {
		t.Errorf("the backend is %+v", i)
	}
	// Its process ends before the handshake.
	if _, err := p.Resolve(t.Context(), protocol.ResolveRequest{}); err == nil || !strings.Contains(err.Error(), "cannot find my library") {
		t.Errorf("resolved with error %v", err)
	}
	if _, err := b.Plan(t.Context(), protocol.Model{}, protocol.Settings{}); err == nil || !strings.Contains(err.Error(), "cannot find my library") {
		t.Errorf("estimated with error %v", err)
	}
	if own := provider(t, h, "honest"); own.Info().Version == "not asked" || own.Info().Builtin {
		t.Errorf("the provider in a separate program is %+v", own.Info())
	}
}
