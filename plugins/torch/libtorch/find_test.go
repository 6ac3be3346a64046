package libtorch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pythonWith returns a program that answers like a Python whose torch is in dir.
func pythonWith(t *testing.T, dir string) string {
	path := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+dir+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	t.Setenv("LD_LIBRARY_PATH", "")
	good, old, broken, ancient := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	spaced := filepath.Join(t.TempDir(), "my projects")
	write(t, spaced, torchFiles(t, Version))
	write(t, good, torchFiles(t, Version))
	write(t, old, torchFiles(t, "2.5.1"))
	write(t, broken, torchFiles(t, Version))
	if err := os.Remove(filepath.Join(broken, "nvidia/cu13/lib/libcudart.so.13")); err != nil {
		t.Fatal(err)
	}
	files := torchFiles(t, Version)
	files["torch/lib/libc10.so"] = sharedLibrary(t, nvidiaPath, nil, "_ZN3c105ErrorC1ESs")
	write(t, ancient, files)
	cached := t.TempDir()
	write(t, filepath.Join(cached, "libtorch-"+Version), torchFiles(t, Version))

	for _, test := range []struct {
		name     string
		finder   Finder
		dir      string // the directory that is found
		passed   string // part of the ignored candidate
		errorHas string
	}{
		{name: "nothing", finder: Finder{Python: pythonWith(t, "")}, errorHas: "no libtorch"},
		{name: "no Python", finder: Finder{Python: "/no/python3"}, errorHas: "no libtorch"},
		{name: "the variable", finder: Finder{LibTorch: good + "/torch"}, dir: good + "/torch"},
		{name: "the variable wins", finder: Finder{LibTorch: good + "/torch", Python: pythonWith(t, broken+"/torch"), Cache: cached}, dir: good + "/torch"},
		{name: "the variable names another version", finder: Finder{LibTorch: old + "/torch", Cache: cached}, errorHas: "version 2.5.1, but 2.11.0 is required"},
		{name: "the variable names no libtorch", finder: Finder{LibTorch: good, Cache: cached}, errorHas: "not a libtorch directory"},
		{name: "the libraries are incomplete", finder: Finder{LibTorch: broken + "/torch"}, errorHas: "needs libcudart.so.13"},
		{name: "another C++ ABI", finder: Finder{LibTorch: ancient + "/torch"}, errorHas: "C++ ABI"},
		{name: "Python's", finder: Finder{Python: pythonWith(t, good+"/torch"), Cache: cached}, dir: good + "/torch"},
		{name: "the cache's", finder: Finder{Python: pythonWith(t, ""), Cache: cached}, dir: cached + "/libtorch-2.11.0/torch"},
		{name: "Python has another version", finder: Finder{Python: pythonWith(t, old+"/torch"), Cache: cached}, dir: cached + "/libtorch-2.11.0/torch", passed: "2.5.1"},
		{name: "Python's path has a space", finder: Finder{Python: pythonWith(t, spaced+"/torch"), Cache: cached}, dir: cached + "/libtorch-2.11.0/torch", passed: "spaces"},
		{name: "nothing fits", finder: Finder{Python: pythonWith(t, broken+"/torch")}, errorHas: "no libtorch", passed: "libcudart.so.13"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.finder.Cache == "" {
				test.finder.Cache = t.TempDir()
			}
			torch, passed, err := test.finder.Find(t.Context())
			if test.errorHas == "" && err != nil || err != nil && (test.errorHas == "" || !strings.Contains(err.Error(), test.errorHas)) || err == nil && test.errorHas != "" {
				t.Fatalf("error %v, want one with %q", err, test.errorHas)
			}
			if torch.Dir != test.dir {
				t.Errorf("found %q, want %q", torch.Dir, test.dir)
			}
			if got := strings.Join(passed, "\n"); !strings.Contains(got, test.passed) || test.passed == "" && got != "" {
				t.Errorf("ignored %q, want %q", got, test.passed)
			}
			if test.finder.LibTorch != "" && errors.Is(err, ErrNotFound) {
				t.Error("what LIBTORCH names must not be replaced silently")
			}
		})
	}
}

func TestLibraryPathCountsAsAPlace(t *testing.T) {
	dir := t.TempDir()
	files := torchFiles(t, Version)
	write(t, dir, map[string][]byte{"program": sharedLibrary(t, "/no/such/directory", []string{"libtorch_cpu.so"})})
	write(t, filepath.Join(dir, "site"), files)
	for path, want := range map[string]string{"": "libtorch_cpu.so", dir + "/site/torch/lib": ""} {
		t.Setenv("LD_LIBRARY_PATH", path)
		missing, err := missingLibraries(filepath.Join(dir, "program"))
		if err != nil || strings.Join(missing, " ") != want {
			t.Errorf("LD_LIBRARY_PATH=%s: missing %v, %v; want %q", path, missing, err, want)
		}
	}
}
