package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"surprisal.dev/plugins/hub/hubtest"
)

// machine has the runner, a backend that takes weights, and the caches that all processes on it share.
type machine struct {
	dir, home string
	// temporary is short enough for sockets.
	temporary string
	server    *hubtest.Server
	// environment has more variables of the processes, NAME=VALUE.
	environment []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir(), home: t.TempDir(), server: hubtest.New()}
	t.Cleanup(m.server.Close)
	var err error
	if m.temporary, err = os.MkdirTemp("", "cli"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(m.temporary); err != nil {
			t.Error(err)
		}
	})
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"runner", "runner-backend-uniform"} {
		if err := os.Symlink(program, filepath.Join(m.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// experiment makes a directory with an experiment.
func (m *machine) experiment(t *testing.T, name, fields string) {
	t.Helper()
	dir := filepath.Join(m.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "package x\n\nimport \"surprisal.dev/experiment\"\n\nexperiment.#Experiment\n\nname: \"x\"\n" + fields
	if err := os.WriteFile(filepath.Join(dir, "x.cue"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// process is a command that runs.
type process struct {
	*exec.Cmd
	out bytes.Buffer
}

func (m *machine) start(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, filepath.Join(m.dir, "runner"), append(args, "--plugins", m.dir)...)}
	p.Dir = m.dir
	p.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + m.home, "TMPDIR=" + m.temporary, "HF_ENDPOINT=" + m.server.URL, "HF_HOME=" + filepath.Join(m.home, "hf"),
		"XDG_CACHE_HOME=" + filepath.Join(m.home, "cache"),
	}, m.environment...)
	p.Stdout, p.Stderr = &p.out, &p.out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// until waits until something is so while a command runs.
func (p *process) until(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = p.Process.Kill() // the test has failed already
			_, out := p.end()
			t.Errorf("runner %s does not get there:\n%s", strings.Join(p.Args[1:], " "), out)
			t.FailNow()
		}
	}
}

// end waits for the end of a command and returns its exit code and its output.
func (p *process) end() (int, string) {
	_ = p.Wait() // the exit code says it
	return p.ProcessState.ExitCode(), p.out.String()
}

func (m *machine) must(t *testing.T, args ...string) {
	t.Helper()
	if code, out := m.start(t, args...).end(); code != 0 {
		t.Fatalf("runner %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
}

// part returns the size of the only download in the hub's cache that is incomplete, or -1.
func (m *machine) part(t *testing.T) int64 {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(m.home, "hf", "hub", "*", "blobs", "*.incomplete"))
	if err != nil || len(found) > 1 {
		t.Fatalf("incomplete downloads %q, error %v", found, err)
	}
	if len(found) == 0 {
		return -1
	}
	info, err := os.Stat(found[0])
	if err != nil {
		return -1 // it just got its name
	}
	return info.Size()
}

const onHub = `
datasets: pages: source: hf: id: "org/pages"
models: m: {backend: uniform: {}, weights: hf: {id: "org/tiny", file: "m.gguf"}}
`

// Two processes want the same weights and the same dataset in one cache. One is killed in the middle of its download: the
// other continues it, and nothing corrupt or incomplete is left.
func TestKilledDownload(t *testing.T) {
	m := newMachine(t)
	random := rand.New(rand.NewPCG(1, 2))
	weights := make([]byte, 4<<20)
	for i := range weights {
		weights[i] = byte(random.Uint32())
	}
	m.server.Add("models", "org/tiny", hubtest.Public).Commit("main", map[string]string{"m.gguf": string(weights)})
	m.server.Add("datasets", "org/pages", hubtest.Public).Commit("main", map[string]string{"train.jsonl": `{"text": "One page."}` + "\n"})
	m.experiment(t, "x", onHub)
	m.experiment(t, "y", onHub)

	// Both pin at once: the same content gets the same lock file.
	pins := []*process{m.start(t, "pin", "x"), m.start(t, "pin", "y")}
	var locks []string
	for i, dir := range []string{"x", "y"} {
		if code, out := pins[i].end(); code != 0 {
			t.Fatalf("pin %s: exit code %d\n%s", dir, code, out)
		}
		lock, err := os.ReadFile(filepath.Join(m.dir, dir, "surprisal.lock"))
		if err != nil {
			t.Fatal(err)
		}
		locks = append(locks, string(lock))
	}
	if locks[0] != locks[1] || !strings.Contains(locks[0], hubtest.SHA256(string(weights))) {
		t.Fatalf("lock files:\n%s\n%s", locks[0], locks[1])
	}

	// The first answer with weights stops after 1 MiB until the process that asked for it is gone.
	var answers atomic.Int32
	m.server.Fail(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("signature") == "" || answers.Add(1) > 1 {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(weights)))
		_, _ = w.Write(weights[:1<<20])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	first := m.start(t, "run", "x")
	first.until(t, func() bool { return m.part(t) == 1<<20 })
	m.server.Requests()
	second := m.start(t, "run", "y")
	second.until(t, func() bool {
		return slices.ContainsFunc(m.server.Requests(), func(q hubtest.Request) bool { return strings.HasSuffix(q.Path, "/m.gguf") })
	})
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if code, _ := first.end(); code != -1 {
		t.Errorf("the first ended by itself, with code %d", code)
	}
	if code, out := second.end(); code != 0 {
		t.Fatalf("the second: exit code %d\n%s", code, out)
	}
	resumed := false
	for _, q := range m.server.Requests() {
		resumed = resumed || q.Storage && q.Range == "bytes=1048576-"
	}
	if !resumed || m.part(t) >= 0 {
		t.Errorf("continued after 1 MiB: %v; an incomplete download of %d bytes is left", resumed, m.part(t))
	}
	blob, err := os.ReadFile(filepath.Join(m.home, "hf", "hub", "models--org--tiny", "blobs", hubtest.SHA256(string(weights))))
	if err != nil || !bytes.Equal(blob, weights) {
		t.Errorf("the cache has %d bytes, error %v", len(blob), err)
	}

	// The experiment of the killed process needs no download any more.
	m.must(t, "run", "x")
	for _, q := range m.server.Requests() {
		if q.Storage {
			t.Errorf("another download: %+v", q)
		}
	}
}

// What a hub answers to a command becomes an exit code and a message that says what to do.
func TestHubFaults(t *testing.T) {
	m := newMachine(t)
	files := map[string]string{"m.gguf": "weights"}
	m.server.Add("models", "org/gated", hubtest.Gated).Commit("main", files)
	m.server.Add("models", "org/tiny", hubtest.Public).Commit("main", files)
	model := func(id string) string {
		return fmt.Sprintf("datasets: d: source: text: path: \"x.cue\"\nmodels: m: {backend: uniform: {}, weights: hf: {id: %q, file: \"m.gguf\"}}\n", id)
	}
	status := func(code int, header, value string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set(header, value)
			w.WriteHeader(code)
			return true
		}
	}
	for _, test := range []struct {
		name, fields string
		fault        func(http.ResponseWriter, *http.Request) bool
		code         int
		want         string
	}{
		{"gated", model("org/gated"), nil, 2, "the repository is gated; accept its conditions at"},
		{"missing", model("org/none"), nil, 2, "there is no such repository, or it is private"},
		{"401", model("org/tiny"), status(http.StatusUnauthorized, "X-Error-Message", "Invalid username or password."), 2, "or set HF_TOKEN to a token that may read it (no token is set)"},
		{"403", model("org/tiny"), status(http.StatusForbidden, "X-Error-Message", "no"), 2, "access is refused; check the permissions of the token"},
		{"429", model("org/tiny"), status(http.StatusTooManyRequests, "Retry-After", "3600"), 1, "too many requests; run again after 1h0m0s"},
		{"no hub", model("org/tiny"), func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, "<html>Sign in to the network</html>")
			return true
		}, 1, "is not JSON: invalid character '<' looking for beginning of value; check HF_ENDPOINT"},
		{"name", model("../tiny"), nil, 2, `repository "../tiny": expected OWNER/NAME`},
		{"URL as id", model("https://hub.example/org/tiny"), nil, 2, `repository "https://hub.example/org/tiny": expected OWNER/NAME`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m.server.Fail(test.fault)
			dir := strings.ReplaceAll(test.name, " ", "-")
			m.experiment(t, dir, test.fields)
			code, out := m.start(t, "pin", dir).end()
			if code != test.code || !strings.Contains(out, test.want) {
				t.Errorf("exit code %d, want %d; output\n%s\nwant %q", code, test.code, out, test.want)
			}
			if _, err := os.Stat(filepath.Join(m.dir, dir, "surprisal.lock")); err == nil {
				t.Error("a lock file is written")
			}
		})
	}
}

// Addresses of weights and datasets that cannot be right are refused by what is wrong with them, before any request.
func TestBadAddresses(t *testing.T) {
	m := newMachine(t)
	for i, test := range []struct{ fields, want string }{
		{`safetensors: path: "ftp://bucket/tiny"`, `unknown scheme "ftp"; schemes are file, gs and s3`},
		{`safetensors: path: "https://host/tiny"`, `unknown scheme "https"; schemes are file, gs and s3`},
		{`safetensors: path: "https://AKIA:SeKrEt@host/tiny"`, `path "https://...": unknown scheme "https"`},
		{`gguf: path: "S3://bucket/tiny.gguf?X-Amz-Signature=SeKrEt"`, `path "S3://...": unknown scheme "S3"`},
		{`gguf: path: "s3://bucket"`, `path "s3://bucket": expected s3://BUCKET/KEY`},
		{`gguf: path: "s3:///tiny.gguf"`, `path "s3:///tiny.gguf": expected s3://BUCKET/KEY`},
		{`gguf: path: "s3://buc ket/tiny.gguf"`, `invalid bucket name: use letters, digits, dots, hyphens and underscores`},
		{`gguf: path: "s3://bucket/../tiny.gguf"`, `has a part "." or ".."`},
		{`gguf: path: "s3://bucket//tiny.gguf"`, `has an empty part`},
		{`gguf: path: "s3://bucket/tiny.gguf?region=%zz"`, "malformed options"},
		{`gguf: path: "s3://bucket/tiny.gguf?profile=mine"`, `an option is not allowed in a spec`},
		{`gguf: path: "gs://bucket/tiny.gguf?endpoint=http://127.0.0.1:1"`, `an option is not allowed in a spec`},
		{`hf: {id: "org/tiny", revision: "../main"}`, `revision "../main": expected a commit of 40 hexadecimal digits`},
		{`hf: {id: "org/tiny", file: "../m.gguf"}`, `file "../m.gguf": expected a path within the repository`},
		{`hf: id: "org/tiny/more"`, `repository "org/tiny/more": expected OWNER/NAME`},
	} {
		dir := fmt.Sprint("e", i)
		m.experiment(t, dir, "datasets: d: source: text: path: \"x.cue\"\nmodels: m: {backend: uniform: {}, weights: "+test.fields+"}\n")
		code, out := m.start(t, "pin", dir).end()
		if code != 2 || !strings.Contains(out, test.want) || strings.Contains(out, "SeKrEt") {
			t.Errorf("%s: exit code %d; output\n%s\nwant %q", test.fields, code, out, test.want)
		}
	}
	if requests := m.server.Requests(); len(requests) > 0 {
		t.Errorf("requests %v", requests)
	}
}
