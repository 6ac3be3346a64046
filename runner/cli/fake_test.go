package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// serveFake is the main function of a third-party plugin. Its name selects its behavior.
func serveFake(kind protocol.Kind, name string) {
	switch name {
	case "crashes":
		fmt.Fprintln(os.Stderr, "cannot open libfoo.so.1")
		os.Exit(3)
	case "newer":
		fmt.Printf("1|%d|unix|/nonexistent/socket|grpc\n", protocol.Version+1)
		return
	case "renamed":
		name = "other"
	}
	switch {
	case kind == protocol.KindProvider:
		sdk.ServeProvider(fakeProvider{name})
	case name == "observant":
		sdk.ServeBackend(observant{fakeBackend{name}})
	case name == "capable":
		sdk.ServeBackend(capable{observant{fakeBackend{name}}})
	default:
		sdk.ServeBackend(fakeBackend{name})
	}
}

// hostile is text that tries to control a terminal and a CI system.
const hostile = " \n::error::planted\r##[error]planted ##vso[task.setvariable]planted \x1b[2J\x1b]0;planted\a\u202etxt\u2066\u0085"

// fakeProvider is a provider with a configurable number of rows.
type fakeProvider struct{ name string }

func (p fakeProvider) Describe(context.Context) (protocol.ProviderDescription, error) {
	schema := "#Config: rows!: int & >=0"
	if p.name == "garbled" {
		schema = "#Config: {rows!: int"
	}
	version := "1"
	if p.name == "hostile-version" {
		version += hostile
	}
	return protocol.ProviderDescription{Name: p.name, Version: version, Schema: schema}, nil
}

func (fakeProvider) Resolve(_ context.Context, r protocol.ResolveRequest) (protocol.Resolution, error) {
	_, err := rows(r.Source)
	return protocol.Resolution{
		Parameters: r.Source.Config, Local: true, Files: []protocol.File{{Name: "rows", Digest: protocol.Digest(r.Source.Config)}},
	}, err
}

func rows(s protocol.Source) (int64, error) {
	var config struct{ Rows int64 }
	if err := json.Unmarshal(s.Config, &config); err != nil {
		return 0, sdk.Invalid("configuration %s: %v", s.Config, err)
	}
	return config.Rows, nil
}

func (p fakeProvider) Read(_ context.Context, r protocol.ReadRequest, emit func(protocol.Row) error) error {
	count, err := rows(r.Source)
	if err != nil {
		return err
	}
	for i := r.From; i < count && (r.To == 0 || i < r.To); i++ {
		if p.name == "hostile" {
			fmt.Fprintln(os.Stderr, hostile)
			hclog.New(&hclog.LoggerOptions{JSONFormat: true}).Warn("a warning"+hostile, "field"+hostile, hostile)
			if i == 1 {
				return sdk.Invalid("an error%s", hostile)
			}
			row := protocol.Row{Ordinal: i, Shard: "rows", Number: i, Problem: "a problem" + hostile}
			if err := emit(row); err != nil {
				return err
			}
			continue
		}
		if p.name == "dying" && i == 1 {
			fmt.Fprintln(os.Stderr, "lost the connection to the archive")
			os.Exit(4)
		}
		row := protocol.Row{Ordinal: i, Shard: "rows", Number: i, Values: [][]byte{fmt.Appendf(nil, "row %d", i)}}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

// fakeBackend gives every byte the same probability. The model selects how it answers.
type fakeBackend struct{ name string }

type fakeModel struct {
	// Answer is "honest" or a kind of broken answer.
	Answer string `json:"answer"`
}

func (b fakeBackend) Describe(context.Context) (protocol.BackendDescription, error) {
	return protocol.BackendDescription{Name: b.name, Version: "1", Schema: `#Config: answer: *"honest" | string`}, nil
}

func (fakeBackend) Plan(_ context.Context, m protocol.Model, _ protocol.Settings) (protocol.Estimate, error) {
	var model fakeModel
	// It accepts an invalid configuration, which the conformance suite detects.
	_ = json.Unmarshal(m.Config, &model)
	e := protocol.Estimate{BytesPerToken: 1}
	var err error
	if e.WeightBytes, err = sizeOf(m.Files); err != nil {
		return e, err
	}
	e.MemoryBytes = e.WeightBytes
	if model.Answer == "device" {
		e.Devices = 1
	}
	return e, nil
}

// sizeOf returns the total size of weights. All of them must be readable.
func sizeOf(files []protocol.ModelFile) (total int64, err error) {
	for _, f := range files {
		info, err := os.Stat(f.Path)
		if err != nil {
			return 0, sdk.Invalid("the weights %s: %v", f.Name, err)
		}
		total += info.Size()
	}
	return total, nil
}

func (fakeBackend) Load(_ context.Context, m protocol.Model) (sdk.Model, error) {
	var model fakeModel
	for _, f := range m.Files {
		data, err := os.ReadFile(f.Path)
		if err != nil || protocol.Digest(data) != f.Digest {
			return nil, sdk.Invalid("the weights %s: %v, or another digest", f.Path, err)
		}
	}
	if err := json.Unmarshal(m.Config, &model); err != nil {
		return nil, sdk.Invalid("configuration %s: %v", m.Config, err)
	}
	if model.Answer == "no weights" {
		return nil, sdk.Invalid("the weights are not here; download them first")
	}
	return model, nil
}

func (fakeModel) Describe() protocol.LoadedModel {
	return protocol.LoadedModel{VocabularySize: 256, Device: "cpu", Dtype: "float64"}
}

func (fakeModel) Close() error { return nil }

func (m fakeModel) Score(
	ctx context.Context, _ protocol.Settings, documents sdk.Documents, emit func(protocol.ScoredDocument) error,
) error {
	for d, err := range documents(ctx) {
		if err != nil {
			return err
		}
		s := uniform(d)
		switch m.Answer {
		case "negative loss":
			s.TokenNLL[0] = -1
		case "NaN":
			s.TokenNLL[0] = math.NaN()
		case "wrong sum":
			s.TotalNLL++
		case "missing bytes":
			s.TokenIDs, s.TokenStarts, s.TokenEnds, s.TokenNLL = s.TokenIDs[1:], s.TokenStarts[1:], s.TokenEnds[1:], s.TokenNLL[1:]
		case "unknown token":
			s.TokenIDs[0] = 256
		case "no answer":
			continue
		case "two answers":
			if err := emit(s); err != nil {
				return err
			}
		case "hostile":
			return errors.New("a bug" + hostile)
		case "out of memory":
			return sdk.OutOfMemory("no memory for %d bytes", len(d.Text))
		case "bug":
			return errors.New("index out of range")
		case "late":
			if err := waitFor(ctx, "go-on"); err != nil {
				return err
			}
		}
		if err := emit(s); err != nil {
			return err
		}
	}
	return nil
}

func uniform(d protocol.Document) protocol.ScoredDocument {
	s := protocol.ScoredDocument{Index: d.Index}
	for i := range len(d.Text) {
		s.TokenIDs = append(s.TokenIDs, int32(d.Text[i]))
		s.TokenStarts = append(s.TokenStarts, int32(i))
		s.TokenEnds = append(s.TokenEnds, int32(i+1))
		s.TokenNLL = append(s.TokenNLL, 8*math.Ln2)
	}
	s.TotalNLL = 8 * math.Ln2 * float64(len(d.Text))
	return s
}

// waitFor creates the file "scoring" and then waits for another file.
func waitFor(ctx context.Context, file string) error {
	if err := os.WriteFile("scoring", nil, 0o644); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
