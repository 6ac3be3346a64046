package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/wire"
	"surprisal.dev/plugins/sdk"
)

// The test binary is also the runner: started with "plugin serve KIND NAME" it is the plugin NAME, and with "host" it
// is a runner that gets killed. Under the name runner-KIND-NAME it is a plugin in a separate program.
func TestMain(m *testing.M) {
	kind, name, external := strings.Cut(strings.TrimPrefix(filepath.Base(os.Args[0]), "runner-"), "-")
	switch {
	case external && strings.HasPrefix(filepath.Base(os.Args[0]), "runner-"):
		serveFake(protocol.Kind(kind), name)
	case len(os.Args) == 5 && os.Args[1] == "plugin":
		serveFake(protocol.Kind(os.Args[3]), os.Args[4])
	case len(os.Args) == 4 && os.Args[1] == "host":
		runDoomedHost(os.Args[2], os.Args[3])
	default:
		os.Exit(m.Run())
	}
}

// serveFake is the main function of a plugin whose name determines how it starts.
func serveFake(kind protocol.Kind, name string) {
	switch name {
	case "ends":
		fmt.Fprintln(os.Stderr, "cannot find my library")
		os.Exit(3)
	case "dies": // whenever it starts
		die()
	case "faints": // when it starts for the first time, and then once more after the handshake
		switch start := countStarts(); start {
		case 1:
			die()
		case 2:
			fmt.Printf("1|%d|unix|/nonexistent/socket|grpc\n", protocol.Version)
			die()
		}
	case "stalls": // when it starts for the first time
		if countStarts() == 1 {
			time.Sleep(time.Hour)
		}
	case "hangs":
		time.Sleep(time.Hour)
	case "deaf": // announces an address and does not listen there
		fmt.Printf("1|%d|unix|/nonexistent/socket|grpc\n", protocol.Version)
		time.Sleep(time.Hour)
	case "newer":
		fmt.Printf("1|%d|unix|/nonexistent/socket|grpc\n", protocol.Version+1)
		time.Sleep(time.Hour)
	case "chatty": // before the handshake
		fmt.Println("loading", strings.Repeat("x", 200<<10))
		writeRaw("a line without an end")
	case "stays": // after the runner's end, and so do its children, one of which leaves the session
		must(0, os.Unsetenv(wire.LifelineVariable))
		for _, outside := range []bool{false, true} {
			child := exec.Command("sleep", "1000")
			child.SysProcAttr = &syscall.SysProcAttr{Setsid: outside}
			must(0, child.Start())
			fmt.Fprintln(os.Stderr, "child", child.Process.Pid)
		}
	case "impostor":
		name = "someone-else"
	case "raw", "mute", "rude":
		serveRaw(kind, name)
		return
	}
	if kind == protocol.KindProvider {
		sdk.ServeProvider(fakeProvider{name})
	} else {
		sdk.ServeBackend(fakeBackend{name})
	}
	if name == "lingers" { // once it was asked to end
		time.Sleep(200 * time.Millisecond)
	}
}

// writeRaw writes to standard output as a library in C does, past os.Stdout. A signal may end a write before its end.
func writeRaw(text string) {
	for len(text) > 0 {
		n, err := syscall.Write(1, []byte(text))
		if !errors.Is(err, syscall.EINTR) {
			must(n, err)
		}
		text = text[max(n, 0):]
	}
}

func die() { must(0, syscall.Kill(os.Getpid(), syscall.SIGKILL)) }

// countStarts returns how many processes with the same temporary directory have called it.
func countStarts() int {
	f := must(os.OpenFile(filepath.Join(os.TempDir(), "starts"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600))
	must(f.Write([]byte{1}))
	starts := int(must(f.Stat()).Size())
	must(0, f.Close())
	return starts
}

// behavior is the configuration of a fake: what it does, and how it misbehaves.
type behavior struct {
	Rows  int64 `json:"rows"`
	Bytes int   `json:"bytes"`
	// At is the row or document at which Do strikes, in at most Times processes one after another (0: in all).
	At    int64  `json:"at"`
	Do    string `json:"do"`
	Times int    `json:"times"`
	// Batch makes a backend answer only when it has that many documents, or there are no more.
	Batch int `json:"batch"`
	// Memory is the maximum number of documents that a backend can hold. MemoryBytes is the maximum number of bytes that
	// it can compute at once, or else it is killed: those of a batch, divided by 2 to the power of the model's halvings.
	Memory      int `json:"memory"`
	MemoryBytes int `json:"memoryBytes"`
	// Log records the requests in a file in the temporary directory.
	Log string `json:"log"`
}

func decode(config json.RawMessage) (behavior, error) {
	var b behavior
	d := json.NewDecoder(strings.NewReader(string(config)))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return b, sdk.Invalid("configuration: %v", err)
	}
	return b, nil
}

// strikes counts a strike in the temporary directory, which outlives the process, and reports whether it happens.
func (b behavior) strikes() bool {
	for i := 0; b.Times == 0 || i < b.Times; i++ {
		f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprint("strike", i)), os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return f.Close() == nil
		}
	}
	return false
}

func (b behavior) record(what string) {
	if b.Log == "" {
		return
	}
	f, err := os.OpenFile(filepath.Join(os.TempDir(), b.Log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintln(f, what)
		err = f.Close()
	}
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// misbehave performs b.Do if it does not depend on the place.
func (b behavior) misbehave() {
	switch b.Do {
	case "die":
		fmt.Fprintln(os.Stderr, "something terrible happened")
		must(0, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	case "panic":
		go panic("a bug")
		select {}
	case "freeze":
		must(0, syscall.Kill(os.Getpid(), syscall.SIGSTOP))
	case "wait": // as a model that computes, here until the file "go" is in the temporary directory
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(os.TempDir(), "go")); err == nil {
				return
			}
			if time.Now().After(deadline) {
				panic("nobody said go")
			}
		}
	case "flood":
		fmt.Println("go line")
		fmt.Println(strings.Repeat("o", 300<<10), "go long line")
		writeRaw("c line\n" + strings.Repeat("c", 300<<10) + " c long line\n")
		fmt.Fprintln(os.Stderr, "error line")
		fmt.Fprintln(os.Stderr, `{"@message": 1, "@level": {}}`)
		for i := range 20_000 {
			fmt.Fprintln(os.Stderr, "flood", i)
		}
		fmt.Println("last line")
	}
}

const token = "SURPRISAL_TEST_TOKEN"

type fakeProvider struct{ name string }

func (p fakeProvider) Describe(context.Context) (protocol.ProviderDescription, error) {
	return protocol.ProviderDescription{Name: p.name, Version: "1", Schema: "#Config: {...}", Environment: []string{token},
		Capabilities: []string{"flight"}}, nil
}

func (fakeProvider) Resolve(ctx context.Context, r protocol.ResolveRequest) (protocol.Resolution, error) {
	b, err := decode(r.Source.Config)
	if err != nil {
		return protocol.Resolution{}, err
	}
	hclog.FromContext(ctx).Info("resolving", "rows", b.Rows)
	if b.strikes() {
		b.misbehave()
	}
	if b.Do == "fail" {
		return protocol.Resolution{}, errors.New("no such luck")
	}
	environment, err := json.Marshal(os.Environ())
	return protocol.Resolution{
		Parameters: environment, Files: []protocol.File{{Name: "s", Digest: protocol.Digest(nil)}}, Revision: os.Getenv(token),
	}, err
}

func (fakeProvider) Read(ctx context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error {
	b, err := decode(r.Source.Config)
	if err != nil {
		return err
	}
	b.record(fmt.Sprintf("read from %d", r.From))
	zeros := bytes.Repeat([]byte("0"), b.Bytes)
	for i := r.From; i < b.Rows && (r.To == 0 || i < r.To); i++ {
		row := protocol.Row{Ordinal: i, Shard: "s", Number: i, Values: [][]byte{fmt.Append(zeros[:max(0, b.Bytes-len(fmt.Sprint(i)))], i)}}
		if i == b.At && b.Do != "" && b.strikes() {
			b.misbehave()
			switch b.Do {
			case "skip":
				continue
			case "fail":
				return sdk.Changed("file x is not what it was")
			}
		}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

type fakeBackend struct{ name string }

func (f fakeBackend) Describe(context.Context) (protocol.BackendDescription, error) {
	return protocol.BackendDescription{Name: f.name, Version: "1", Schema: "#Config: {...}", Trains: true,
		Capabilities: []string{"flight"}, NeutralSettings: []string{"batch"}}, nil
}

func (fakeBackend) Plan(_ context.Context, m protocol.Model, s protocol.Settings) (protocol.Estimate, error) {
	_, err := decode(m.Config)
	return protocol.Estimate{Parameters: 7, WeightBytes: 8, FLOPsPerToken: 9, MemoryBytes: 10, BytesPerToken: float64(s.Context)}, err
}

// Train writes what it reads.
func (fakeBackend) Train(_ context.Context, m protocol.Model, documents iter.Seq2[protocol.Document, error], w io.Writer) error {
	b, err := decode(m.Config)
	if err != nil {
		return err
	}
	for d, err := range documents {
		if err != nil {
			return err
		}
		if d.Index == b.At && b.Do != "" {
			b.misbehave()
		}
		if _, err := io.WriteString(w, d.Text); err != nil {
			return err
		}
	}
	return nil
}

func (fakeBackend) Load(_ context.Context, m protocol.Model) (sdk.Model, error) {
	b, err := decode(m.Config)
	if err != nil {
		return nil, err
	}
	b.record("load")
	return &fakeModel{b, m.Halvings}, nil
}

type fakeModel struct {
	behavior
	halvings int
}

func (m *fakeModel) Describe() protocol.LoadedModel {
	return protocol.LoadedModel{ContextLimit: 5, VocabularySize: 256, Device: "cpu", Dtype: "float64"}
}

func (m *fakeModel) Close() error { m.record("close"); return nil }

// Score gives each document of n bytes one token of n nats.
func (m *fakeModel) Score(ctx context.Context, _ protocol.Settings, documents sdk.Documents, emit func(protocol.ScoredDocument) error) error {
	var batch []protocol.Document
	var held []protocol.ScoredDocument // answered when documents end
	flush := func() error {
		if m.Memory > 0 && len(batch) > m.Memory {
			m.record(fmt.Sprintf("no memory for %d", len(batch)))
			return sdk.OutOfMemory("no memory for %d documents", len(batch))
		}
		size := 0
		for _, d := range batch {
			size += len(d.Text)
		}
		if size >>= m.halvings; m.MemoryBytes > 0 && size > m.MemoryBytes {
			m.record(fmt.Sprintf("killed by %d bytes", size))
			die()
		}
		for i := range batch {
			if err := ctx.Err(); err != nil {
				return err
			}
			d := batch[len(batch)-1-i] // out of order
			s := protocol.ScoredDocument{
				Index: d.Index, TokenIDs: []int32{1}, TokenStarts: []int32{0}, TokenEnds: []int32{int32(len(d.Text))},
				TokenNLL: []float64{float64(len(d.Text))}, TotalNLL: float64(len(d.Text)),
			}
			if d.Index == m.At && m.Do != "" && m.strikes() {
				m.misbehave()
				switch m.Do {
				case "never":
					continue
				case "last":
					held = append(held, s)
					continue
				case "twice":
					if err := emit(s); err != nil {
						return err
					}
				case "exhaust":
					return sdk.OutOfMemory("no memory for document %d", d.Index)
				case "unasked":
					s.Index += 1000
				case "break":
					s.TokenNLL[0]++
				case "unscored eos":
					s.Unscored = []protocol.Unscored{{Start: s.TokenEnds[0], End: s.TokenEnds[0], Reason: protocol.ReasonNoContext}}
				case "eos":
					s.EOSNLL, s.TotalNLL = 1, s.TotalNLL+1
				}
			}
			if err := emit(s); err != nil {
				return err
			}
		}
		batch = batch[:0]
		return nil
	}
	for d, err := range documents(ctx) {
		if err != nil {
			return err
		}
		m.record(fmt.Sprintf("document %d", d.Index))
		if m.Do == "leave" && d.Index == m.At {
			return nil
		}
		batch = append(batch, d)
		if len(batch) >= m.Batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	for _, s := range held {
		if err := emit(s); err != nil {
			return err
		}
	}
	return flush()
}

// runDoomedHost reads rows from a plugin, prints the plugin's process ID and output, and continues until it is killed.
func runDoomedHost(dir, name string) {
	err := func() error {
		h, err := New(Options{Providers: []string{"honest"}, Dir: dir, SearchDirs: []string{dir}})
		if err != nil {
			return err
		}
		p, err := h.Provider(context.Background(), name)
		if err != nil {
			return err
		}
		source := protocol.Source{Config: json.RawMessage(`{"rows": 1000000000, "bytes": 10}`)}
		return p.Read(context.Background(), protocol.ReadRequest{Source: source, Fields: []string{"text"}}, func(r protocol.Row) error {
			if r.Ordinal == 0 {
				fmt.Printf("%s %q\n", p.current.command.ID(), p.current.command.out.quote())
			}
			return nil
		})
	}()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
