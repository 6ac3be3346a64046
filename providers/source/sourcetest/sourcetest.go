// Package sourcetest holds the checks that every file provider has to pass, and helpers for further checks.
package sourcetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
)

// Dir creates a directory with the files, by name, and returns its path.
func Dir(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		Write(t, filepath.Join(dir, name), content)
	}
	return dir
}

// Write creates a file and its directories.
func Write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Source is a configuration written as JSON.
func Source(dir, config string) protocol.Source {
	return protocol.Source{Config: json.RawMessage(config), Dir: dir}
}

// Read resolves a source and reads rows [from, to) of it. The rows are copies. Values of a row become strings.
func Read(t testing.TB, p sdk.Provider, s protocol.Source, from, to int64, fields ...string) ([]protocol.Row, error) {
	t.Helper()
	pinned, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: s})
	if err != nil {
		return nil, err
	}
	return ReadPinned(t, p, s, pinned, from, to, fields...)
}

// ReadPinned is Read with an existing resolution.
func ReadPinned(t testing.TB, p sdk.Provider, s protocol.Source, pinned protocol.Resolution, from, to int64, fields ...string) ([]protocol.Row, error) {
	t.Helper()
	return read(t, p, protocol.ReadRequest{Source: s, Pinned: pinned, Fields: fields, From: from, To: to})
}

func read(t testing.TB, p sdk.Provider, r protocol.ReadRequest) (rows []protocol.Row, err error) {
	t.Helper()
	err = p.Read(t.Context(), r, func(r protocol.Row) error {
		r.Values = slices.Clone(r.Values)
		for i, v := range r.Values {
			r.Values[i] = slices.Clone(v)
		}
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

// ReadCluster reads all rows of a source with the field of a cluster. Values of a row become strings.
func ReadCluster(t testing.TB, p sdk.Provider, s protocol.Source, cluster string, fields ...string) ([]protocol.Row, error) {
	t.Helper()
	pinned, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: s})
	if err != nil {
		return nil, err
	}
	return read(t, p, protocol.ReadRequest{Source: s, Pinned: pinned, Fields: fields, Cluster: cluster})
}

// Format writes one row per line, as in `0 a.txt:0 "text"` and `1 a.txt:1 !line 2: ...` for a problem.
func Format(rows []protocol.Row) []string {
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = fmt.Sprintf("%d %s:%d", r.Ordinal, r.Shard, r.Number)
		for _, v := range r.Values {
			lines[i] += fmt.Sprintf(" %q", v)
		}
		if r.Problem != "" {
			lines[i] += " !" + r.Problem
		}
	}
	return lines
}

// Check reads the source of files, which has at least two rows, in many ways and compares the results.
func Check(t *testing.T, p sdk.Provider, files map[string]string, config string, fields ...string) {
	t.Helper()
	dir := Dir(t, files)
	s := Source(dir, config)
	pinned, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: s})
	if err != nil {
		t.Fatal(err)
	}
	all, err := ReadPinned(t, p, s, pinned, 0, 0, fields...)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 2 {
		t.Fatalf("the source has %d rows", len(all))
	}
	n := int64(len(all))

	t.Run("rows are numbered", func(t *testing.T) {
		numbers := map[string]int64{}
		for i, r := range all {
			if r.Ordinal != int64(i) || r.Number != numbers[r.Shard] {
				t.Errorf("row %d has ordinal %d and number %d; want number %d", i, r.Ordinal, r.Number, numbers[r.Shard])
			}
			numbers[r.Shard]++
		}
	})
	t.Run("every range is a part of the whole", func(t *testing.T) {
		for from := range n + 2 {
			for to := from; to <= n+2; to++ {
				end := min(to, n)
				if to == 0 {
					end = n
				}
				part, err := ReadPinned(t, p, s, pinned, from, to, fields...)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(Format(all[min(from, end):end]), Format(part)); diff != "" {
					t.Fatalf("rows [%d, %d) (-want +got):\n%s", from, to, diff)
				}
			}
		}
	})
	t.Run("a moved directory is the same source", func(t *testing.T) {
		other := Source(Dir(t, files), config)
		moved, err := p.Resolve(t.Context(), protocol.ResolveRequest{Source: other})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(pinned, moved); diff != "" {
			t.Errorf("resolutions differ (-before +after):\n%s", diff)
		}
		rows, err := ReadPinned(t, p, other, pinned, 0, 0, fields...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Format(all), Format(rows)); diff != "" {
			t.Errorf("rows differ (-before +after):\n%s", diff)
		}
	})
	t.Run("an error of emit ends the read and is returned unchanged", func(t *testing.T) {
		stop := errors.New("stop")
		calls := 0
		err := p.Read(t.Context(), protocol.ReadRequest{Source: s, Pinned: pinned, Fields: fields}, func(protocol.Row) error {
			calls++
			return stop
		})
		if !errors.Is(err, stop) || calls != 1 {
			t.Errorf("Read returned %v after %d calls", err, calls)
		}
	})
	t.Run("changed content gives no row", func(t *testing.T) {
		first := slices.Sorted(maps.Keys(files))[0]
		Write(t, filepath.Join(dir, first), files[first]+"more\n")
		rows, err := ReadPinned(t, p, s, pinned, 0, 0, fields...)
		if protocol.KindOf(err) != protocol.Changed || len(rows) > 0 {
			t.Errorf("Read returned %d rows and %v; want none and an error of kind Changed", len(rows), err)
		}
	})
}
