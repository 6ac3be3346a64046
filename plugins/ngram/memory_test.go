//go:build linux

package ngram

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
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
)

// memoryWork is set for a process of the test binary that trains or scores, prints its peak resident size in bytes and
// exits. In the test's own process, training and scoring would be measured together with everything else.
const memoryWork = "SURPRISAL_NGRAM_MEMORY_WORK"

// workload is the work of such a process: it trains a model on the text at Text if Train is set, and otherwise scores
// the text.
type workload struct {
	Train      bool
	Config     json.RawMessage
	Text, File string
}

func TestMain(m *testing.M) {
	work := os.Getenv(memoryWork)
	if work == "" {
		os.Exit(m.Run())
	}
	var w workload
	err := json.Unmarshal([]byte(work), &w)
	if err == nil {
		err = w.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (w workload) run() error {
	ctx := context.Background()
	text, err := os.Open(w.Text)
	if err != nil {
		return err
	}
	// Documents of 32 KiB, read one after the other, as a dataset's are.
	documents := func(yield func(protocol.Document, error) bool) {
		for buffer := make([]byte, 32<<10); ; {
			n, err := io.ReadFull(text, buffer)
			if n > 0 && !yield(protocol.Document{Text: string(buffer[:n])}, nil) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
			if err != nil {
				yield(protocol.Document{}, err)
				return
			}
		}
	}
	if w.Train {
		var f *os.File
		if f, err = os.Create(w.File); err != nil {
			return err
		}
		err = errors.Join(backend{}.Train(ctx, protocol.Model{Config: w.Config}, documents, f), f.Close())
	} else {
		m, problem := backend{}.Load(ctx, protocol.Model{Config: w.Config, Files: []protocol.ModelFile{{Path: w.File}}})
		if problem != nil {
			return problem
		}
		err = m.Score(ctx, protocol.Settings{Confidence: true}, always(documents), func(protocol.ScoredDocument) error { return nil })
	}
	if err != nil {
		return err
	}
	return printPeak()
}

func printPeak() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, line, found := strings.Cut(string(status), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscan(line, &kilobytes); !found || err != nil {
		return fmt.Errorf("no VmHWM in /proc/self/status: %w", err)
	}
	fmt.Println(kilobytes << 10)
	return nil
}

func (w workload) peak(t *testing.T) int64 {
	t.Helper()
	work, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), memoryWork+"="+string(work))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	var peak int64
	if _, scan := fmt.Sscan(string(out), &peak); err != nil || scan != nil {
		t.Fatalf("%v, %v: %s%s", err, scan, out, stderr.String())
	}
	return peak
}

// The peak of a process that trains or scores is at most the planned memory, and at least a fifth of it.
func TestMemory(t *testing.T) {
	dir := t.TempDir()
	prose := filepath.Join(standardLibrary(t), "testdata", "Isaac.Newton-Opticks.txt")
	source := filepath.Join(dir, "source.txt")
	if err := os.WriteFile(source, []byte(strings.Join(goSources(t), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, text, tokens string
		order              int
	}{
		{"prose", prose, tokensBytes, 1},
		{"prose", prose, tokensBytes, 5},
		{"prose", prose, tokensBytes, 10},
		{"prose", prose, tokensWords, 2},
		{"source", source, tokensWords, 3},
		{"prose", prose, tokensWords, 10},
	} {
		t.Run(fmt.Sprintf("%s, %s of order %d", test.name, test.tokens, test.order), func(t *testing.T) {
			info, err := os.Stat(test.text)
			if err != nil {
				t.Fatal(err)
			}
			w := workload{Train: true, Config: fmt.Appendf(nil, `{"order": %d, "tokens": %q}`, test.order, test.tokens),
				Text: test.text, File: filepath.Join(dir, "model")}
			plan := func(files ...protocol.ModelFile) protocol.Estimate {
				e, err := backend{}.Plan(t.Context(), protocol.Model{Config: w.Config, Files: files}, protocol.Settings{})
				if err != nil {
					t.Fatal(err)
				}
				return e
			}
			check := func(what string, said, peak int64) {
				t.Logf("%s: %d bytes, said %d", what, peak, said)
				if peak > said || peak < said/5 {
					t.Errorf("%s takes %d bytes; %d are said, which is to be at most five times as many", what, peak, said)
				}
			}
			before := plan()
			check("training", before.TrainingMemory(info.Size()), w.peak(t))
			w.Train = false
			peak := w.peak(t)
			check("scoring, before training", before.ScoringMemory(info.Size()), peak)
			check("scoring, after training", plan(protocol.ModelFile{Path: w.File}).ScoringMemory(info.Size()), peak)
		})
	}
	gone := []protocol.ModelFile{{Path: filepath.Join(dir, "gone")}}
	if _, err := (backend{}).Plan(t.Context(), protocol.Model{Config: []byte(`{}`), Files: gone}, protocol.Settings{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a model file that is gone: %v", err)
	}
}
