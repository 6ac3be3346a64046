package spec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/internal/bounded"
)

func TestAbbreviate(t *testing.T) {
	for _, test := range []struct {
		text string
		most int
		want string
	}{
		{"", 8, ""},
		{"abcdefgh", 8, "abcdefgh"},
		{"abcdefghi", 8, "abcdef...(1 bytes)...hi"},
		{"abcdefghijklmnopqrst", 8, "abcdef...(12 bytes)...st"},
		{"aéééé", 8, "aéé...(2 bytes)...é"},
		{"éééé1", 8, "ééé...(2 bytes)...1"},
	} {
		if got := abbreviate(test.text, test.most); got != test.want {
			t.Errorf("%q: %q, want %q", test.text, got, test.want)
		}
	}
}

func TestShort(t *testing.T) {
	long := strings.Repeat("é", 80)
	for text, want := range map[string]string{
		strings.Join([]string{" a", "\tb  c "}, "\n"): "a b c", long: long, long + "x": strings.Repeat("é", 77) + "...", strings.Repeat(" ", 4096) + "x": "",
	} {
		if got := short(text); got != want {
			t.Errorf("%.100q: %q, want %q", text, got, want)
		}
	}
}

func TestAlternatives(t *testing.T) {
	names := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("n%02d", n-1-i))
		}
		return all
	}
	listed := func(n int) string {
		all := names(n)
		slices.Sort(all)
		return strings.Join(all, ", ")
	}
	for _, test := range []struct {
		found   string
		allowed []string
		want    string
	}{
		{"x", nil, "there are no models"},
		{"other", []string{"a", "a"}, "the only one is a"},
		{"other", []string{"b", "a", "b"}, "models are a, b"},
		{"mode", []string{"other", "model"}, "models are model, other; did you mean model?"},
		{"other", names(16), "models are " + listed(16)},
		{"other", names(17), "models are " + listed(16) + " and 1 more"},
		{"n99x", append(names(18), "n99"), "models are " + listed(16) + " and 3 more; did you mean n99?"},
		{"x", []string{strings.Repeat("a", 101)}, "the only one is " + strings.Repeat("a", 75) + "...(1 bytes)..." + strings.Repeat("a", 25)},
	} {
		if got := alternatives("models", test.found, test.allowed); got != test.want {
			t.Errorf("%s: %q, want %q", test.found, got, test.want)
		}
	}
}

func TestDistances(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"ab", "ba", 1}, {"ca", "abc", 3}, {"kitten", "sitting", 3}, {"größe", "grosse", 3}, {"abcd", "acbd", 1}, {"abcd", "badc", 2},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%q and %q are %d apart, want %d", test.a, test.b, got, test.want)
		}
	}
}

// Mistakes are sorted by position, without repetition and with bounded lengths.
func TestTidy(t *testing.T) {
	want := Errors{
		{Message: "no place"},
		{Pos: Position{"a", 1, 9}, Path: "z", Message: "z"},
		{Pos: Position{"a", 2, 1}, Path: "y", Message: "y"},
		{Pos: Position{"a", 2, 3}, Path: "x", Message: "b"},
		{Pos: Position{"a", 2, 3}, Path: "x", Message: "c"},
		{Pos: Position{"a", 2, 3}, Path: "y", Message: "a"},
		{Pos: Position{"a", 10, 1}, Message: "late"},
		{Pos: Position{"b", 1, 1}, Path: strings.Repeat("p", 300), Message: strings.Repeat("m", 3000)},
		{Pos: Position{"b", 2, 1}, Path: strings.Repeat("p", 225) + "...(1 bytes)..." + strings.Repeat("p", 75), Message: strings.Repeat("m", 2250) + "...(1 bytes)..." + strings.Repeat("m", 750)},
	}
	given := slices.Clone(want)
	given[8].Path, given[8].Message = strings.Repeat("p", 301), strings.Repeat("m", 3001)
	given = append(given, given[3], given[0])
	slices.Reverse(given)
	if diff := cmp.Diff(want, tidy(given)); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		e    Error
		want string
	}{
		{Error{Message: "m"}, "m"}, {Error{Pos: Position{File: "f"}, Path: "p", Message: "m"}, "f: p: m"},
		{Error{Pos: Position{"f", 3, 4}, Message: "m\n  kept\nindented\x1b"}, "f:3:4: m\n  kept\n    indented\\x1b"},
	} {
		if got := test.e.Error(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

func TestSourceFiles(t *testing.T) {
	for config, want := range map[string][]string{
		`{"path":"a.txt"}`: {"a.txt"}, `{"path":["a","b"]}`: {"a", "b"}, `{"path":""}`: nil, `{}`: nil, `{"path":3}`: nil, `"a"`: nil, `{"path":[]}`: {},
	} {
		if got := SourceFiles(json.RawMessage(config)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", config, got, want)
		}
	}
}

// A file of exactly the maximum size is read.
func TestReadFile(t *testing.T) {
	files := fstest.MapFS{"a": {Data: []byte("12345")}, "d/x": {}}
	for _, test := range []struct {
		name string
		most int64
		want string
	}{
		{"a", 5, ""}, {"a", 6, ""}, {"a", 4, "it is larger than 4 B"}, {"d", 5, "not a regular file (d"}, {"none", 5, "file does not exist"}, {"d/x", 0, ""},
	} {
		data, err := bounded.ReadFile(files, test.name, test.most)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) || err == nil && string(data) != string(files[test.name].Data) {
			t.Errorf("%s, %d: %q, %v; want %q", test.name, test.most, data, err, test.want)
		}
	}
}

// Paths inside and outside of a directory after links are followed, including paths of files that do not exist.
func TestConfined(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{"in/a", "in2", "out"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"in/later": "a/later", "in/leads": "../out/later", "in/absolute": filepath.Join(top, "in/a/x"), "in/far": "../out", "in/round": "round", "inside": "in",
		"in/home": "../inside/a", "in/twice": "leads",
	} {
		if err := os.Symlink(target, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"in", "inside"} {
		for file, outside := range map[string]bool{
			"": false, ".": false, "a": false, "a/../a/none/deep": false, "later": false, "absolute": false, "home/x": false, filepath.Join(top, "in/a"): false,
			filepath.Join(top, "inside/a/none"): false,
			"..":                                true, "../in2": true, "leads": true, "twice": true, "far/none/x": true, filepath.Join(top, "out"): true, "a/../../out": true, "/": true,
		} {
			err := Confined(filepath.Join(top, dir), file)
			if (err != nil) != outside || err != nil && !strings.Contains(err.Error(), " is outside of the directory "+filepath.Join(top, "in")+" of --confine") {
				t.Errorf("%s, %s: %v; want it outside: %v", dir, file, err, outside)
			}
		}
	}
	if err := Confined(filepath.Join(top, "in"), "round"); err == nil {
		t.Error("a cyclic link has a target")
	}
	if err := Confined(filepath.Join(top, "none"), "a"); err == nil || !strings.Contains(err.Error(), "cannot read the directory ") {
		t.Errorf("a directory that is not there: %v", err)
	}
	if err := Confined("/", "/none/x"); err != nil {
		t.Errorf("every file is in /: %v", err)
	}
}

// Each way in which the process that reads a spec can end has its own message. The spec is only blamed for its own
// mistakes.
func TestBoundedEnds(t *testing.T) {
	t.Setenv("SURPRISAL_TEST_SECRET", "secret")
	const own = "cannot evaluate the specification: the process ended unexpectedly (exit status 3: "
	bounds := "cannot evaluate the specification within 1m0s and 4.0 KiB of memory: "
	for _, test := range []struct {
		name, script, want string
		spec               bool // the spec is to blame
	}{
		{"too much memory", "exit 97", bounds + "it needs more memory", true},
		{"no memory", "echo fatal error: out of memory >&2; exit 2", bounds + "it needs more memory", true},
		{"no mapping", "echo runtime: cannot allocate memory >&2; exit 2", bounds + "it needs more memory", true},
		{"no stack with cgo", "echo runtime/cgo: pthread_create failed: Resource temporarily unavailable >&2; exit 2", bounds + "it needs more memory", true},
		{"no stack", "echo 'runtime: failed to create new OS thread (have 9 already; errno=11)' >&2; exit 2", bounds + "it needs more memory", true},
		{"no memory for the garbage collector", "printf 'SIGSEGV: segmentation violation\\nPC=0x43abdd m=6 sigcode=1 addr=0x0\\n' >&2; exit 2", bounds + "it needs more memory", true},
		{"too deep", "echo 'runtime: goroutine stack exceeds 1-byte limit'; echo 'stack exceeds' >&2; exit 2", bounds + "it is nested too deeply", true},
		{"overflow", "echo fatal error: stack overflow, out of memory >&2; exit 2", bounds + "it is nested too deeply", true},
		{"killed", "kill -9 $$", bounds + "its process was killed, most likely because the machine is out of memory", true},
		{"another signal", "kill -15 $$", "the process ended unexpectedly (signal: terminated: ", true},
		{"a bug", "echo first >&2; echo second >&2; exit 3", own + `"first")`, true},
		{"no word", "exit 3", own + `"")`, true},
		{"the environment", `echo "x$SURPRISAL_TEST_SECRET" >&2; exit 3`, own + `"x")`, true},
		{"a large answer", "head -c 1 >/dev/null; printf %01025d 0", bounds + "its experiment is larger than 1.0 KiB, a quarter of the memory limit", true},
		{"the largest answer", "head -c 1 >/dev/null; printf %01024d 0", "did not answer in JSON", false},
		{"no answer", "head -c 1 >/dev/null; echo '{}'", "the process that reads the specification gave no answer", false},
		{"a failure", `head -c 1 >/dev/null; echo '{"failure":"broken"}'`, "broken", false},
		{"mistakes", `head -c 1 >/dev/null; echo '{"experiment":{"Name":"x"},"errors":[{"Message":"bad"}]}'`, "bad", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, err := (Bounded{Command: []string{"sh", "-c", test.script}, Time: time.Minute, Memory: 4096}).Load(t.Context(), ".", Options{})
			_, blamed := errors.AsType[Errors](err)
			if err == nil || !strings.Contains(err.Error(), test.want) || blamed != test.spec {
				t.Errorf("%v, as a mistake of the spec: %v; want %q", err, blamed, test.want)
			}
			if (e != nil) != (test.name == "mistakes") {
				t.Errorf("the experiment is %+v", e)
			}
		})
	}
	late := Bounded{Command: []string{"sh", "-c", "sleep 100 & wait"}, Time: 20 * time.Millisecond, Memory: 1 << 30}
	if _, err := late.Load(t.Context(), ".", Options{}); err == nil || !strings.Contains(err.Error(), "within 20ms and 1.0 GiB of memory: it takes longer than 20ms; ") {
		t.Errorf("a process that takes too long: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := late.Load(canceled, ".", Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a load that was canceled: %v", err)
	}
	// Cancellation is reported as such, and not as a spec that takes too long.
	soon, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	patient := Bounded{Command: late.Command, Time: time.Hour, Memory: 1 << 30}
	if _, err := patient.Load(soon, ".", Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a load that was given up: %v", err)
	}
	if _, err := Load(canceled, t.TempDir(), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a load in this process that was canceled: %v", err)
	}
	none := Bounded{Command: []string{"/nonexistent/program"}, Time: time.Minute, Memory: 1 << 20}
	if _, err := none.Load(t.Context(), ".", Options{}); err == nil || !strings.HasPrefix(err.Error(), "starting /nonexistent/program to read the specification: ") {
		t.Errorf("a program that is not there: %v", err)
	}
	for _, request := range []string{"", "nonsense", "{}"} {
		if code, err := Serve(strings.NewReader(request), nil, nil); code != 1 || err == nil {
			t.Errorf("asked %q, Serve returns %d, %v", request, code, err)
		}
	}
}

// Output is kept up to a limit, and accepted beyond it.
func TestHead(t *testing.T) {
	h := &head{most: 5}
	for _, text := range []string{"ab", "cdef", "g"} {
		if n, err := h.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("Write(%q) gives %d, %v", text, n, err)
		}
	}
	if h.String() != "abcde" {
		t.Errorf("it kept %q", h)
	}
}

func TestDomainLabel(t *testing.T) {
	for name, want := range map[string]string{"A.b+c_d": "a-b-c-d", "x_": "x", "x.-+": "x", "held-out": "held-out", "2026": "2026"} {
		if got := domainLabel(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"a.b+c-d": "a_b_c_d", "held-out": "held_out", "x": "x", "1.5": "experiment_1_5"} {
		if got := identifier(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// A lock file is replaced atomically and readable for all. If that fails, no temporary file remains. Invalid JSON is
// neither pinned nor found.
func TestWriteLock(t *testing.T) {
	l := &Lock{entries: map[sourceKey]json.RawMessage{}}
	for _, test := range []struct{ config, resolution, want string }{
		{"{", "{}", "the configuration of text: "}, {"{}", "[", "the resolution of text {}: "},
	} {
		if err := l.Set("text", json.RawMessage(test.config), json.RawMessage(test.resolution)); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s, %s: %v; want %q", test.config, test.resolution, err, test.want)
		}
	}
	if got, ok := l.Get("text", json.RawMessage("{")); ok {
		t.Errorf("found %s", got)
	}
	if err := l.Set("text", json.RawMessage("{}"), json.RawMessage("[]")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := l.Write(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, LockFile)); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the lock file has the mode %v, %v", info.Mode(), err)
	}
	taken := t.TempDir()
	if err := os.MkdirAll(filepath.Join(taken, LockFile, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.Write(taken); err == nil {
		t.Error("a directory was replaced")
	}
	if entries, err := os.ReadDir(taken); err != nil || len(entries) != 1 {
		t.Errorf("%v %v: a temporary file is left", entries, err)
	}
	if err := l.Write(filepath.Join(dir, "none")); err == nil {
		t.Error("a lock was written to a directory that is not there")
	}
}
