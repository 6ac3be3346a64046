//go:build torch

package backend

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/decoder"
)

// The test binary is also a plugin: as the built-in backend killedName, it serves killedBackend.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "plugin" && os.Args[4] == killedName {
		sdk.ServeBackend(killedBackend{New()})
		return
	}
	os.Exit(m.Run())
}

const killedName = "killed"

// killedBackend is the torch backend in a process that the system kills when a batch of several sequences has more than
// killedTokens tokens.
type killedBackend struct{ sdk.Backend }

const killedTokens = 300

func (b killedBackend) Describe(ctx context.Context) (protocol.BackendDescription, error) {
	d, err := b.Backend.Describe(ctx)
	d.Name = killedName
	return d, err
}

func (b killedBackend) Load(ctx context.Context, m protocol.Model) (sdk.Model, error) {
	loaded, err := b.Backend.Load(ctx, m)
	if err == nil {
		loaded.(*model).decoder = killedComputer{loaded.(*model).decoder}
	}
	return loaded, err
}

type killedComputer struct{ lossComputer }

func (c killedComputer) Losses(ctx context.Context, sequences []decoder.Sequence) ([]float64, error) {
	tokens := 0
	for _, s := range sequences {
		tokens += s.Read()
	}
	if len(sequences) > 1 && tokens > killedTokens {
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			return nil, err
		}
		select {}
	}
	return c.lossComputer.Losses(ctx, sequences)
}

// TestKilled checks that a process which is killed for the memory of its batches computes smaller batches when it starts
// again, for one document as for many, and that the losses stay the same.
func TestKilled(t *testing.T) {
	t.Setenv("OMP_NUM_THREADS", "1")
	h, err := host.New(host.Options{Backends: []string{killedName}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	b, err := h.Backend(t.Context(), killedName)
	if err != nil {
		t.Fatal(err)
	}
	m := tiny(t)
	m.Config = json.RawMessage(strings.Replace(defaults, "2048", "1048576", 1))
	settings := protocol.Settings{Prefix: protocol.PrefixBOS, Anchor: protocol.AnchorTokens, Context: 64, Stride: 32}
	for name, texts := range map[string][]string{
		"one document":   {strings.Repeat("It snowed for three days. ", 400)},
		"many documents": slices.Repeat([]string{"The train was late because it snowed."}, 200),
	} {
		want := score(t, opened(t, m), settings, texts...)
		loaded, err := b.Load(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		var got []protocol.ScoredDocument
		err = loaded.Score(t.Context(), settings, documents(texts...), func(_ protocol.Document, a protocol.ScoredDocument) error {
			got = append(got, a)
			return nil
		})
		if err != nil || len(got) != len(texts) {
			t.Fatalf("%s: %d answers, error %v", name, len(got), err)
		}
		for i, a := range got {
			for j, nll := range a.TokenNLL {
				if difference := nll - want[i].TokenNLL[j]; max(difference, -difference) > batchTolerance("float32") {
					t.Errorf("%s: document %d, token %d: %v, in one process %v", name, i, j, nll, want[i].TokenNLL[j])
				}
			}
		}
		if err := loaded.Close(); err != nil {
			t.Error(err)
		}
	}
}
