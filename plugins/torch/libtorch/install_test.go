package libtorch

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// testWheel packs files into a wheel.
func testWheel(t *testing.T, name, version string, files map[string][]byte, keep ...string) (wheel, []byte) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	info := strings.ReplaceAll(name, "-", "_") + "-" + version + ".dist-info/"
	all := maps.Clone(files)
	all[info+"METADATA"] = fmt.Appendf(nil, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	all[info+"WHEEL"] = []byte("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\n")
	all[info+"RECORD"] = nil
	for _, member := range slices.Sorted(maps.Keys(all)) {
		w, err := z.Create(member)
		if err == nil {
			_, err = w.Write(all[member])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return wheel{
		name: name, version: version, sha256: fmt.Sprintf("%x", sha256.Sum256(b.Bytes())), size: int64(b.Len()), unpacked: 1000, keep: keep,
	}, b.Bytes()
}

// twoWheels returns a libtorch in two wheels, with a directory entry, a library and a license that are not unpacked.
func twoWheels(t *testing.T) ([]wheel, map[string][]byte) {
	files := torchFiles(t, Version)
	cudart := map[string][]byte{"nvidia/cu13/lib/libcudart.so.13": files["nvidia/cu13/lib/libcudart.so.13"]}
	delete(files, "nvidia/cu13/lib/libcudart.so.13")
	files["torch/include/"] = nil
	files["torch/lib/libtorch_python.so"] = []byte("large")
	torch, torchBytes := testWheel(t, "torch", Version, files, "torch/include/", "torch/lib/libc10.so", "torch/lib/libtorch_cpu.so")
	runtime, runtimeBytes := testWheel(t, "nvidia-cuda-runtime", "13.0.96", cudart, "nvidia/cu13/lib/libcudart.so.13")
	return []wheel{torch, runtime}, map[string][]byte{"/torch.whl": torchBytes, "/runtime.whl": runtimeBytes}
}

// index is a server of wheels that can misbehave.
type index struct {
	files  map[string][]byte
	mu     sync.Mutex
	ranges []string // the Range headers of the requests, in order
	// disturb answers a request itself and returns true, or does nothing.
	disturb func(n int, w http.ResponseWriter, r *http.Request) bool
}

func (x *index) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	n := len(x.ranges)
	x.ranges = append(x.ranges, r.Header.Get("Range"))
	x.mu.Unlock()
	if x.disturb != nil && x.disturb(n, w, r) {
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(x.files[r.URL.Path]))
}

// testInstaller returns an installer for two small wheels, and the server from which it downloads them.
func testInstaller(t *testing.T) (*Installer, *index) {
	t.Setenv("LD_LIBRARY_PATH", "")
	wheels, files := twoWheels(t)
	x := &index{files: files}
	server := httptest.NewServer(x)
	t.Cleanup(server.Close)
	i := NewInstaller(Finder{Cache: filepath.Join(t.TempDir(), "cache"), Python: "/no/python3"}, func(string) {}, func(int64, int64) {})
	i.wheels, i.pause = wheels, time.Millisecond
	i.locate = func(context.Context, []wheel) ([]string, error) {
		return []string{server.URL + "/torch.whl", server.URL + "/runtime.whl"}, nil
	}
	return i, x
}

func TestInstall(t *testing.T) {
	half := func(files map[string][]byte) int { return len(files["/torch.whl"]) / 2 }
	cut := func(w http.ResponseWriter, body []byte) bool {
		w.Header().Set("Content-Length", fmt.Sprint(2*len(body)))
		_, _ = w.Write(body)
		return true
	}
	for _, test := range []struct {
		name     string
		disturb  func(files map[string][]byte) func(n int, w http.ResponseWriter, r *http.Request) bool
		ranges   func(files map[string][]byte) []string
		errorHas string
	}{
		{name: "all is well", ranges: func(map[string][]byte) []string { return []string{"", ""} }},
		{
			name: "an interrupted download is resumed",
			disturb: func(files map[string][]byte) func(int, http.ResponseWriter, *http.Request) bool {
				return func(n int, w http.ResponseWriter, _ *http.Request) bool {
					return n == 0 && cut(w, files["/torch.whl"][:half(files)])
				}
			},
			ranges: func(files map[string][]byte) []string { return []string{"", fmt.Sprintf("bytes=%d-", half(files)), ""} },
		},
		{
			name: "a server without ranges sends all of it again",
			disturb: func(files map[string][]byte) func(int, http.ResponseWriter, *http.Request) bool {
				return func(n int, w http.ResponseWriter, r *http.Request) bool {
					if n == 0 {
						return cut(w, files["/torch.whl"][:half(files)])
					}
					_, err := w.Write(files[r.URL.Path])
					return err == nil
				}
			},
			ranges: func(files map[string][]byte) []string { return []string{"", fmt.Sprintf("bytes=%d-", half(files)), ""} },
		},
		{
			name: "a server is busy for a moment",
			disturb: func(map[string][]byte) func(int, http.ResponseWriter, *http.Request) bool {
				return func(n int, w http.ResponseWriter, _ *http.Request) bool {
					if n == 0 {
						w.WriteHeader(http.StatusServiceUnavailable)
					}
					return n == 0
				}
			},
			ranges: func(map[string][]byte) []string { return []string{"", "", ""} },
		},
		{
			name: "a server is busy for good",
			disturb: func(map[string][]byte) func(int, http.ResponseWriter, *http.Request) bool {
				return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
					w.WriteHeader(http.StatusServiceUnavailable)
					return true
				}
			},
			ranges:   func(map[string][]byte) []string { return make([]string, 5) },
			errorHas: "503",
		},
		{
			name: "a refusal is not asked for twice",
			disturb: func(map[string][]byte) func(int, http.ResponseWriter, *http.Request) bool {
				return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
					w.WriteHeader(http.StatusForbidden)
					return true
				}
			},
			ranges:   func(map[string][]byte) []string { return []string{""} },
			errorHas: "403",
		},
		{
			name: "another file under the same name",
			disturb: func(files map[string][]byte) func(int, http.ResponseWriter, *http.Request) bool {
				return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
					_, err := w.Write(bytes.Repeat([]byte("x"), len(files["/torch.whl"])))
					return err == nil
				}
			},
			ranges:   func(map[string][]byte) []string { return []string{""} },
			errorHas: "not the pinned file: its sha256 is ",
		},
		{
			name: "a longer file under the same name",
			disturb: func(files map[string][]byte) func(int, http.ResponseWriter, *http.Request) bool {
				return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
					_, err := w.Write(append(slices.Clone(files["/torch.whl"]), 'x'))
					return err == nil
				}
			},
			ranges:   func(map[string][]byte) []string { return []string{""} },
			errorHas: "not the pinned file",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			i, x := testInstaller(t)
			if test.disturb != nil {
				x.disturb = test.disturb(x.files)
			}
			err := i.Install(t.Context())
			if want := test.ranges(x.files); !slices.Equal(x.ranges, want) {
				t.Errorf("ranges asked for: %q, want %q", x.ranges, want)
			}
			left, globErr := filepath.Glob(filepath.Join(i.Finder.Cache, "*", "*"))
			if globErr != nil {
				t.Fatal(globErr)
			}
			if test.errorHas != "" {
				if err == nil || !strings.Contains(err.Error(), test.errorHas) || !strings.Contains(err.Error(), "torch=="+Version) {
					t.Errorf("error %v, want one with %q", err, test.errorHas)
				}
				if errors.Is(err, errWrongHash) && len(left) > 0 {
					t.Errorf("the wrong file was kept: %v", left)
				}
				// Without the disturbance, the next call succeeds.
				x.disturb = nil
				if err := i.Install(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			torch, _, err := i.Finder.Find(t.Context())
			if err != nil || torch.Dir != i.Finder.installed() {
				t.Errorf("found %v, %v", torch, err)
			}
			if _, err := os.Stat(filepath.Join(torch.lib(), "libtorch_python.so")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a library that nothing needs was unpacked (%v)", err)
			}
			if entries, err := os.ReadDir(i.Finder.Cache); err != nil || len(entries) != 2 {
				t.Errorf("the cache holds %v, %v; want libtorch and its lock", entries, err)
			}
		})
	}
}

// TestInstallGoesOn starts with the files that an earlier call left.
func TestInstallGoesOn(t *testing.T) {
	for _, test := range []struct {
		name   string
		left   func(torch []byte) []byte
		ranges []string
	}{
		{"a part", func(torch []byte) []byte { return torch[:10] }, []string{"bytes=10-", ""}},
		{"a damaged part", func([]byte) []byte { return []byte("0123456789") }, []string{"bytes=10-", "", ""}},
		{"damaged as a whole", func(torch []byte) []byte { return bytes.Repeat([]byte("x"), len(torch)) }, []string{"", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			i, x := testInstaller(t)
			leave(t, i, 0, test.left(x.files["/torch.whl"]))
			if err := i.Install(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(x.ranges, test.ranges) {
				t.Errorf("ranges asked for: %q, want %q", x.ranges, test.ranges)
			}
		})
	}
	i, x := testInstaller(t)
	leave(t, i, 0, x.files["/torch.whl"])
	leave(t, i, 1, x.files["/runtime.whl"])
	i.locate = func(context.Context, []wheel) ([]string, error) { return nil, errors.New("there is no network") }
	if err := i.Install(t.Context()); err != nil || len(x.ranges) != 0 {
		t.Errorf("with all wheels there: %v after %d requests", err, len(x.ranges))
	}
}

// leave writes the part of a wheel that an earlier call downloaded.
func leave(t *testing.T, i *Installer, n int, content []byte) {
	t.Helper()
	dir := filepath.Dir(i.Finder.installed()) + ".download"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, i.wheels[n].sha256+".whl"), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestInstallDoesNotWaitForSilence(t *testing.T) {
	i, x := testInstaller(t)
	i.silence = 100 * time.Millisecond
	over := make(chan struct{})
	defer close(over)
	x.disturb = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n > 0 {
			return false
		}
		_, _ = w.Write(x.files[r.URL.Path][:10])
		w.(http.Flusher).Flush()
		<-over
		return true
	}
	var lines []string
	i.Log = func(line string) { lines = append(lines, line) }
	if err := i.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"", "bytes=10-", ""}; !slices.Equal(x.ranges, want) {
		t.Errorf("ranges asked for: %q, want %q", x.ranges, want)
	}
	if text := strings.Join(lines, "\n"); !strings.Contains(text, "the server sent nothing for 100ms; trying again") {
		t.Errorf("it said\n%s", text)
	}
}

func TestInstallOnceForTwoCallers(t *testing.T) {
	i, x := testInstaller(t)
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			if err := i.Install(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if len(x.ranges) != 2 {
		t.Errorf("%d downloads of 2 files", len(x.ranges))
	}
}

func TestInstallReplacesWhatIsIncomplete(t *testing.T) {
	i, _ := testInstaller(t)
	if err := i.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(i.Finder.installed(), "lib", "libc10.so")
	if err := os.Truncate(library, 10); err != nil {
		t.Fatal(err)
	}
	if _, passed, err := i.Finder.Find(t.Context()); !errors.Is(err, ErrNotFound) || len(passed) != 1 {
		t.Errorf("a broken library: %v, ignored %q", err, passed)
	}
	if err := i.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := i.Finder.Find(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestInstallNeedsRoom(t *testing.T) {
	i, x := testInstaller(t)
	need := i.wheels[0].size + i.wheels[1].size + 2000
	i.free = func(string) (int64, error) { return need - 1, nil }
	err := i.Install(t.Context())
	if err == nil || !strings.Contains(err.Error(), i.Finder.Cache) || !strings.Contains(err.Error(), "XDG_CACHE_HOME") || len(x.ranges) > 0 {
		t.Errorf("error %v after %d requests; want none, and a message with the directory and the way out", err, len(x.ranges))
	}
	i.free = func(string) (int64, error) { return need, nil }
	if err := i.Install(t.Context()); err != nil {
		t.Error(err)
	}
	if err := i.explain(&os.PathError{Op: "write", Path: "x", Err: unix.ENOSPC}); !strings.Contains(err.Error(), "XDG_CACHE_HOME") {
		t.Errorf("a disk that fills up: %v", err)
	}
}

func TestInstallReportsProgress(t *testing.T) {
	i, _ := testInstaller(t)
	total := i.wheels[0].size + i.wheels[1].size
	var last int64
	i.Progress = func(done, all int64) {
		if done < last || all != total {
			t.Errorf("%d of %d bytes after %d", done, all, last)
		}
		last = done
	}
	if err := i.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if last != total {
		t.Errorf("the last report was %d of %d bytes", last, total)
	}
}
