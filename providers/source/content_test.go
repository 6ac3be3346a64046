package source

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/providers/source/sourcetest"
)

func zst(t testing.TB, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

func gz(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// skipped returns a skippable zstd frame.
func skipped(content string) string {
	return "\x5a\x2a\x4d\x18" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(content)))) + content
}

func TestContent(t *testing.T) {
	const mark = "\ufeff"
	for _, test := range []struct {
		name, content, want string
		compressed          bool
	}{
		{"a", "text", "text", false},
		{"a", "", "", false},
		{"a", mark + "text", "text", false},
		{"a", mark + mark + "text", mark + "text", false},
		{"a", "te" + mark + "xt", "te" + mark + "xt", false},
		{"a", gz(t, mark+"text"), "text", true},
		{"a.gz", gz(t, ""), "", true},
		{"a", zst(t, mark+"text"), "text", true},
		{"a.zst", skipped("hello") + skipped("") + zst(t, "te") + skipped("") + zst(t, "xt"), "text", true},
		{"a", skipped(strings.Repeat("x", 10000)) + zst(t, "text"), "text", true},
		{"a", "P*M\x18 is text", "P*M\x18 is text", false},
		{"a", skipped("nothing follows"), skipped("nothing follows"), false},
		{"a.GZ", "\x1f", `!a.GZ: its name ends in .gz, but its first bytes "\x1f" are not gzip; download or copy the file again, or rename it`, false},
		{"a.zst", skipped("nothing follows"), `!a.zst: its name ends in .zst, but its first bytes "Z*M\x18" are not zstd`, false},
		{"a", "\xff\xfet\x00", `!a begins with the UTF-16 byte order mark "\xff\xfe", but text must be UTF-8; convert it: iconv -f UTF-16 -t UTF-8 FILE`, false},
		{"a", gz(t, "\xfe\xff\x00t"), `!a begins with the UTF-16 byte order mark "\xfe\xff"`, true},
		// Empty frames, with a window of 2 GiB and with a dictionary.
		{"a", "\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", "!a: its zstd data needs a window of 2147483648 bytes, but at most 134217728 bytes are allowed; compress it again", true},
		{"a", "\x28\xb5\x2f\xfd\x01\x08\x07\x01\x00\x00", "!a: it was compressed with the zstd dictionary 7, which is not supported; compress it again without one", true},
		{"a", "\x1f\x8b", "!a: truncated gzip data after 0 bytes of content: ", true},
		{"a", "\x1f\x8bdamaged data", "!a: damaged gzip data after 0 bytes of content: ", true},
		{"a", gz(t, "text")[:15], "!a: truncated gzip data after ", true},
		{"a", gz(t, "one ") + gz(t, "two"), "one two", true},
		{"a", "\x1f", "\x1f", false},
		{"a", "\xfe", "\xfe", false},
		{"a", "\x60\x2a\x4d\x18\x00\x00\x00\x00" + zst(t, "text"), "\x60\x2a\x4d\x18\x00\x00\x00\x00" + zst(t, "text"), false},
		{"a", "\x5f\x2a\x4d\x18\x00\x00\x00\x00" + zst(t, "text"), "text", true},
		{"a", "\x50\x2a\x4d\x18\x00\x00\x00", "\x50\x2a\x4d\x18\x00\x00\x00", false},
		{"a.zst.txt", "text", "text", false},
		{"a.gz", zst(t, "text"), "text", true},
		{"a.zst", gz(t, "text"), "text", true},
		{"a", zst(t, strings.Repeat("text", 1000))[:20], "!a: truncated zstd data after 0 bytes of content: unexpected EOF; download or copy the file again", true},
	} {
		s := sourcetest.Source(sourcetest.Dir(t, map[string]string{test.name: test.content}), pathConfig(t, test.name))
		pinned, err := newWhole().Resolve(t.Context(), protocol.ResolveRequest{Source: s})
		if err != nil {
			t.Fatal(err)
		}
		if got := pinned.Files[0].Compressed; got != test.compressed {
			t.Errorf("%q: compressed %v, want %v", test.content, got, test.compressed)
		}
		rows, err := sourcetest.ReadPinned(t, newWhole(), s, pinned, 0, 0, "text")
		if want, isError := strings.CutPrefix(test.want, "!"); isError {
			if err == nil || !strings.Contains(err.Error(), want) || protocol.KindOf(err) != protocol.InvalidInput {
				t.Errorf("%q: error %v of kind %q; want one of invalid input with %q", test.content, err, protocol.KindOf(err), want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", test.content, err)
			continue
		}
		if diff := cmp.Diff(test.want, string(rows[0].Values[0])); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.content, diff)
		}
	}
}

// FuzzContent reads arbitrary bytes as a file: this gives text or an error of kind InvalidInput.
func FuzzContent(f *testing.F) {
	for _, seed := range []string{"", "text", "\ufefftext", gz(f, "text"), zst(f, "text"), skipped("x") + zst(f, "text"), "\xff\xfe",
		"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", "\x28\xb5\x2f\xfd\x01\x08\x07\x01\x00\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		s := sourcetest.Source(sourcetest.Dir(t, map[string]string{"a": string(content)}), `{"path": "a"}`)
		if _, err := sourcetest.Read(t, newWhole(), s, 0, 0, "text"); err != nil && protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%q: error %v of kind %q", content, err, protocol.KindOf(err))
		}
	})
}
