package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/plugins/protocol"
)

func source(t *testing.T, content string) protocol.Source {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sayings"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return protocol.Source{Config: json.RawMessage(`{"path": "sayings"}`), Dir: dir}
}

func read(t *testing.T, s protocol.Source, from, to int64) []string {
	t.Helper()
	pinned, err := provider{}.Resolve(t.Context(), protocol.ResolveRequest{Source: s})
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	request := protocol.ReadRequest{Source: s, Pinned: pinned, Fields: []string{"text"}, From: from, To: to}
	err = provider{}.Read(t.Context(), request, func(r protocol.Row) error {
		rows = append(rows, fmt.Sprintf("%d %s:%d %q", r.Ordinal, r.Shard, r.Number, r.Values[0]))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestSayings(t *testing.T) {
	for content, want := range map[string][]string{
		"":                                nil,
		"%\n%\n":                          nil,
		"one":                             {`0 sayings:0 "one"`},
		"one\ntwo\n%\n\nthree\n%\n":       {`0 sayings:0 "one\ntwo"`, `1 sayings:1 "\nthree"`},
		"one\r\n%\r\n100 %\n%%\r\n%":      {`0 sayings:0 "one"`, `1 sayings:1 "100 %\n%%"`},
		"%\n\xff is not UTF-8\n%\n%\nend": {`0 sayings:0 "\xff is not UTF-8"`, `1 sayings:1 "end"`},
	} {
		if got := read(t, source(t, content), 0, 0); !slices.Equal(got, want) {
			t.Errorf("%q: rows %q; want %q", content, got, want)
		}
	}
}

func TestRanges(t *testing.T) {
	s := source(t, "a\n%\nb\n%\nc\n")
	all := read(t, s, 0, 0)
	for from := range int64(5) {
		for to := from; to < 5; to++ {
			end := min(to, 3)
			if to == 0 {
				end = 3
			}
			if got := read(t, s, from, to); !slices.Equal(got, all[min(from, end):end]) {
				t.Errorf("rows [%d, %d) are %q", from, to, got)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	s := source(t, "one\n")
	pinned, err := provider{}.Resolve(t.Context(), protocol.ResolveRequest{Source: s})
	if err != nil {
		t.Fatal(err)
	}
	emit := func(protocol.Row) error { return nil }
	err = provider{}.Read(t.Context(), protocol.ReadRequest{Source: s, Pinned: pinned, Fields: []string{"body"}}, emit)
	if protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("reading a field that is not there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "sayings"), []byte("two\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err = provider{}.Read(t.Context(), protocol.ReadRequest{Source: s, Pinned: pinned, Fields: []string{"text"}}, emit)
	if protocol.KindOf(err) != protocol.Changed {
		t.Errorf("reading a changed file: %v", err)
	}
	for _, config := range []string{`{"path": "gone"}`, `{"path": "."}`, `{"path": 1}`} {
		s.Config = json.RawMessage(config)
		if _, err := (provider{}).Resolve(t.Context(), protocol.ResolveRequest{Source: s}); protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// TestBinary starts the plugin directly, as a user might by mistake: it prints an explanation and exits.
func TestBinary(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "runner-provider-fortune")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(binary).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "provider plugin") {
		t.Errorf("error %v, output %q", err, out)
	}
}
