//go:build torch

package backend

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// TestChangedWhileLoading changes the weights while they are loaded.
func TestChangedWhileLoading(t *testing.T) {
	unsupported := sdk.Invalid("a tensor is strange")
	for _, test := range []struct {
		what string
		// change gets the file and its content.
		change func(*os.File, []byte) error
		load   error
		want   string
		kind   protocol.ErrorKind
	}{
		{"nothing", func(*os.File, []byte) error { return nil }, nil, "", ""},
		{"nothing, and loading fails", func(*os.File, []byte) error { return nil }, unsupported, "strange", protocol.InvalidInput},
		{"written in place", overwrite, nil, "model.safetensors changed", protocol.Changed},
		{"written in place, and loading fails", overwrite, unsupported, "model.safetensors changed", protocol.Changed},
		{"written in place, and written back", func(f *os.File, content []byte) error {
			if err := overwrite(f, content); err != nil {
				return err
			}
			_, err := f.WriteAt(content, 0)
			return err
		}, nil, "model.safetensors changed", protocol.Changed},
		{"cut", func(f *os.File, content []byte) error { return f.Truncate(int64(len(content)) - 1) }, nil, "model.safetensors changed", protocol.Changed},
	} {
		m := tiny(t)
		path := filepath.Join(filepath.Dir(m.Files[0].Path), "model.safetensors")
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// The next change has another time than this one.
		hour := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, hour, hour); err != nil {
			t.Fatal(err)
		}
		weights, err := open(m)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = backend{digests: digests.New()}.asPlanned(t.Context(), weights, m.Files, func(context.Context) error {
			return errors.Join(test.change(f, content), test.load)
		})
		if test.want == "" && err != nil || test.want != "" && (protocol.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v of kind %q", test.what, err, protocol.KindOf(err))
		}
		if err := errors.Join(f.Close(), weights.Close()); err != nil {
			t.Error(err)
		}
	}
}

// overwrite writes other bytes over the last tensor of a file.
func overwrite(f *os.File, content []byte) error {
	_, err := f.WriteAt([]byte{1, 2, 3, 4}, int64(len(content)-4))
	return err
}

// TestDifferentFileEndsLoading checks that loading does not continue for long after a file was found to differ.
func TestDifferentFileEndsLoading(t *testing.T) {
	m := tiny(t)
	m.Files[0].Digest = "sha256:0"
	weights, err := open(m)
	if err != nil {
		t.Fatal(err)
	}
	defer weights.Close()
	err = backend{digests: digests.New()}.asPlanned(t.Context(), weights, m.Files, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if protocol.KindOf(err) != protocol.Changed || !strings.Contains(err.Error(), "config.json changed since planning: the plan has sha256:0") {
		t.Error(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (backend{digests: digests.New()}).asPlanned(canceled, weights, m.Files, context.Context.Err); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestDigestsAreRemembered loads a model in several processes of a run, one after the other: only the first reads the
// weights for their digests.
func TestDigestsAreRemembered(t *testing.T) {
	m := tiny(t)
	weights := m.Files[1]
	const wrong = "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
	time.Sleep(2100 * time.Millisecond) // The digests of younger files are not remembered.
	for _, test := range []struct {
		mode  os.FileMode
		saved bool
	}{{0o700, true}, {0o755, false}} {
		dir := filepath.Join(t.TempDir(), "run")
		if err := os.Mkdir(dir, test.mode); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TMPDIR", dir)
		first := New()
		for range 2 {
			loadAndClose(t, first, m)
		}
		path := filepath.Join(dir, "digests.json")
		saved, err := os.ReadFile(path)
		if (err == nil) != test.saved {
			t.Fatalf("in a directory of mode %o: %v", test.mode, err)
		}
		if !test.saved {
			continue
		}
		loadAndClose(t, New(), m)
		if !bytes.Contains(saved, []byte(weights.Digest)) {
			t.Fatalf("%s is not in %s", weights.Digest, saved)
		}
		write(t, path, bytes.ReplaceAll(saved, []byte(weights.Digest), []byte(wrong)))
		if _, err := New().Load(t.Context(), m); protocol.KindOf(err) != protocol.Changed || !strings.Contains(err.Error(), "the file now has "+wrong) {
			t.Errorf("the digest was computed again: %v", err)
		}
		// The process that computed it does not need the file.
		loadAndClose(t, first, m)
	}
}

func loadAndClose(t *testing.T, b sdk.Backend, m protocol.Model) {
	t.Helper()
	loaded, err := b.Load(t.Context(), m)
	if err == nil {
		err = loaded.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
