package libtorch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExamine(t *testing.T) {
	t.Setenv("LD_LIBRARY_PATH", "")
	t.Setenv("OMP_NUM_THREADS", "3")
	site := t.TempDir()
	write(t, site, torchFiles(t, Version))
	write(t, site, map[string][]byte{
		"torch/lib/libtorch_cuda.so": sharedLibrary(t, nvidiaPath, []string{"libtorch_cpu.so", "libcublas.so.13"}),
		"bin/" + program:             sharedLibrary(t, site+"/torch/lib", []string{"libtorch_cpu.so", "libc.so.6"}),
		"alone/" + program:           sharedLibrary(t, "/no/such/directory", []string{"libtorch_cpu.so"}),
		"text/" + program:            []byte("not ELF"),
		"locked/" + program:          sharedLibrary(t, "", nil),
		"smi/nvidia-smi":             []byte("#!/bin/sh\necho 'NVIDIA H200, 143771 MiB, 9.0, 580.1'\n"),
		"sick/nvidia-smi":            []byte("#!/bin/sh\necho 'driver mismatch'; exit 9\n"),
	})
	if err := os.Chmod(filepath.Join(site, "locked", program), 0o644); err != nil {
		t.Fatal(err)
	}
	full := Finder{LibTorch: site + "/torch", Python: "/no/python3", Cache: t.TempDir()}
	for _, test := range []struct {
		name      string
		finder    Finder
		directory string // the directory of the backend
		path      string // the PATH
		finding   string
		found     string // part of the finding
		fix       string // part of the command; "-" for none
	}{
		{name: "libtorch is there", finder: full, finding: "libtorch", found: Version + ", C++11 ABI, " + site, fix: "-"},
		{name: "libtorch is missing", finder: Finder{Python: "/no/python3", Cache: t.TempDir()}, finding: "libtorch", found: "none", fix: "./just torch"},
		{name: "LIBTORCH is wrong", finder: Finder{LibTorch: "/no"}, finding: "libtorch", found: "LIBTORCH=/no", fix: "unset LIBTORCH"},
		{name: "the backend is there", finder: full, directory: "bin", finding: program, found: site + "/bin/", fix: "-"},
		{name: "the backend is missing", finder: full, finding: program, found: "not found next to runner", fix: "./just torch"},
		{name: "the backend lost its libraries", finder: full, directory: "alone", finding: program, found: "does not find libtorch_cpu.so", fix: "LD_LIBRARY_PATH"},
		{name: "the backend is not a program", finder: full, directory: "text", finding: program, found: "not a usable program", fix: "./just torch"},
		{name: "the backend is not executable", finder: full, directory: "locked", finding: program, found: "not executable", fix: "chmod +x"},
		{name: "no tools", finder: full, finding: "build tools", found: "no go, no g++, no cargo, no /no/python3", fix: "install go"},
		{name: "threads", finder: full, finding: "threads", found: "OMP_NUM_THREADS=3", fix: "-"},
		{name: "the CPU", finder: full, finding: "CPU", found: "float32", fix: "-"},
		{name: "no GPU", finder: full, finding: "CUDA", found: "no device", fix: "-"},
		{name: "CUDA's libraries are incomplete", finder: full, path: site + "/smi", finding: "CUDA", found: "does not find libcublas.so.13", fix: "pip install torch==2.11.0"},
		{name: "the driver is sick", finder: full, path: site + "/sick", finding: "CUDA", found: "driver mismatch", fix: "nvidia-smi"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("PATH", test.path)
			directories := []string{"/no/such/directory", filepath.Join(site, "no"), filepath.Join(site, test.directory)}
			findings := Examine(t.Context(), test.finder, directories)
			i := slices.IndexFunc(findings, func(f Finding) bool { return f.Name == test.finding })
			if i < 0 {
				t.Fatalf("no finding %q in %v", test.finding, findings)
			}
			f := findings[i]
			if !strings.Contains(f.Found, test.found) || test.fix == "-" && f.Fix != "" || test.fix != "-" && !strings.Contains(f.Fix, test.fix) {
				t.Errorf("found %q, fix %q; want %q, %q", f.Found, f.Fix, test.found, test.fix)
			}
		})
	}
}
