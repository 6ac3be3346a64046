package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
	"surprisal.dev/plugins/sdk"
)

var (
	_ sdk.Provider = (*Provider)(nil)
	_ sdk.Trainer  = trainer{}
)

// trainer shows that a Backend has the methods of the sdk's, but for Load, whose Model restores order.
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

// eventually waits for something that another process does.
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
	names := []string{"honest", "ends", "dies", "faints", "hangs", "deaf", "newer", "chatty", "impostor", "raw", "mute", "rude"}
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
		if _, err := os.Stat(h.folder.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", h.folder.path, err)
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
	h.options.Folders = []string{t.TempDir()}
	external := filepath.Join(h.options.Folders[0], "runner-backend-external")
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
		t.Errorf("a backend in a program of its own (-want +got):\n%s", diff)
	}
	if again := provider(t, h, "honest"); again.pid(t) != provider(t, h, "honest").pid(t) {
		t.Error("a second process was started for the same plugin")
	}
}

// What must be said of a plugin that does not start.
func TestStart(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), mode); err != nil {
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
	if err := os.Symlink("/bin/true", filepath.Join(folder, "runner-provider-true")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", second+":"+os.Getenv("PATH"))

	for _, test := range []struct {
		name string
		want []string
	}{
		{"ends", []string{"ended (exit status 3) without a handshake", "with which a Surprisal plugin starts", "cannot find my library"}},
		{"dies", []string{" plugin serve provider dies died 3 times in a row", "it ended (signal: killed, perhaps by the system"}},
		{"hangs", []string{"no handshake within 300ms"}},
		{"deaf", []string{"no such file"}},
		{"newer", []string{"speaks version 2 of the plugin protocol", "this runner speaks version 1", "build the plugin"}},
		{"impostor", []string{`calls itself "someone-else"`, "runner-provider-someone-else"}},
		{"true", []string{"runner-provider-true ended (exit status 0) without a handshake"}},
		{"script", []string{"ended (exit status 4)", "I am a script"}},
		{"text", []string{"not a program for this machine"}},
		{"noshell", []string{"runner-provider-noshell", "no such file"}},
		{"locked", []string{"is not executable; run chmod +x"}},
		{"honest", []string{`provider "honest" is built in, and`, "rename or remove"}},
		{"double", []string{`provider "double" is ambiguous`, folder, second}},
		{"missing", []string{`no provider is called "missing"; known are`, "chatty", "runner-provider-missing beside this one, on the PATH or in a --plugins folder"}},
		{"../evil", []string{`provider "../evil"`, "letters, digits"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, _ := newHost(t)
			h.options.Folders = []string{folder}
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

// TestStartAgain checks that a plugin which is killed while it starts is started again.
func TestStartAgain(t *testing.T) {
	h, _ := newHost(t)
	if _, err := h.Provider(t.Context(), "faints"); err != nil {
		t.Error(err)
	}
}

func TestStartCancelled(t *testing.T) {
	h, _ := newHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := h.Provider(ctx, "hangs"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it to be cancelled", err)
	}
}

func TestWrongKind(t *testing.T) {
	h, _ := newHost(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.OpenBackend(t.Context(), []string{program, "plugin", "serve", "provider", "honest"})
	if err == nil || !strings.Contains(err.Error(), "it is not a backend") {
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
	err = p.Read(t.Context(), protocol.ReadRequest{Source: source(`{"rows": 5, "at": 2, "do": "fail"}`), Fields: []string{"text"}},
		func(protocol.Row) error { return nil })
	if protocol.KindOf(err) != protocol.Changed || err.Error() != "file x is not what it was" {
		t.Errorf("got %v of kind %q", err, protocol.KindOf(err))
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
			want: "died 3 times in a row; the last time it ended (signal: killed, perhaps by the system"},
		{name: "panics again and again", config: `{"rows": 10, "at": 5, "do": "panic"}`, want: "panic: a bug"},
		{name: "a missing row", config: `{"rows": 10, "at": 5, "do": "skip"}`, want: "it sent row 6 of shard \"s\" where row 5"},
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
		t.Errorf("got %v, want it to be cancelled", err)
	}
}

// Whatever a plugin prints, before the handshake and after, in Go and in C, reaches the log and disturbs nothing.
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
		"loading xxxx", "a line without an end", "go line", "ooo ... (241677 bytes more)", "c line", "ccc ... (241676 bytes more)", "error line",
		`{"@message": 1, "@level": {}}`, "flood 0\x00", "flood 19999\x00", "last line",
		"plugin=chatty", "resolving", "action=a1", "model=m",
	} {
		want, end, _ := strings.Cut(want, "\x00")
		if !strings.Contains(text, want+end) {
			t.Errorf("not in the log: %q", want)
		}
	}
}

// A stopped plugin neither ends by itself nor answers; closing the host must not wait for either.
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
		t.Error("the plugin lives on")
	}
	if _, err := p.Resolve(t.Context(), protocol.ResolveRequest{}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v from a closed host", err)
	}
}

// TestLingeringPlugin checks that a plugin which takes its time to end, as one does that frees a GPU, is not taken for one that
// hangs.
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
		t.Errorf("the log says\n%s", text)
	}
}

// killedHost starts a host that uses the plugin called name, and returns what is to be killed, the process number of the
// plugin and what the plugin printed.
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
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // where the test does not
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

// TestKilledHostOfStayingPlugin kills a host whose plugin does not listen for that.
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
		t.Cleanup(func() { _ = syscall.Kill(process, syscall.SIGKILL) }) // what the test finds alive
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

	neighbour, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if got := left(); len(got) != 2 {
		t.Errorf("a new host removed the folder of a living one: %v", got)
	}
	if err := neighbour.Close(); err != nil {
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

func TestRunFolder(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	f, err := newRunFolder(long)
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
	if _, err := newRunFolder(open); err == nil || !strings.Contains(err.Error(), "only you can open") {
		t.Errorf("got %v for a folder that others can open", err)
	}
}

// TestDescribed checks that a built-in plugin of which the host has a description starts no sooner than it gets work, and that
// a program of its own is asked all the same.
func TestDescribed(t *testing.T) {
	folder := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(folder, "runner-provider-honest")); err != nil {
		t.Fatal(err)
	}
	described := protocol.ProviderDescription{Name: "ends", Version: "7", Schema: "#Config: {}", Environment: []string{"TOKEN"}, Capabilities: []string{"much"}}
	h, err := New(Options{
		Providers: []string{"ends"}, Backends: []string{"ends"}, Folders: []string{folder}, Dir: t.TempDir(),
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
		t.Errorf("the provider in a program of its own is %+v", own.Info())
	}
}
