package libtorch

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed compat.h
var compat []byte

// stubs are libraries that gotch names and to which the program must not be linked: those of a CUDA toolkit, and those
// that would make it depend on CUDA everywhere.
var stubs = []string{
	"c10_cuda", "caffe2_nvrtc", "cublas", "cuda", "cudart", "cudnn", "nvToolsExt", "nvrtc", "nvrtc-builtins", "torch", "torch_cuda",
}

// emptyArchive is a static library without members, as described in ar(5).
const emptyArchive = "!<arch>\n"

// Build writes the additional files of the build into a directory of the cache, and returns the directory. Its name
// contains the hash of its contents, because Go's build cache considers compiler flags but not the files that they
// name.
func Build(cache string) (string, error) {
	sum := sha256.Sum256([]byte(string(compat) + strings.Join(stubs, "\n")))
	dir := filepath.Join(cache, fmt.Sprintf("libtorch-build-%x", sum[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	part, err := os.MkdirTemp(cache, "libtorch-build-*.part")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(part) }()
	if err := os.Chmod(part, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(part, "compat.h"), compat, 0o644); err != nil {
		return "", err
	}
	for _, name := range stubs {
		if err := os.WriteFile(filepath.Join(part, "lib"+name+".a"), []byte(emptyArchive), 0o644); err != nil {
			return "", err
		}
	}
	if err := os.Rename(part, dir); err != nil {
		// Another process wrote the same directory first.
		if _, statErr := os.Stat(dir); statErr == nil {
			return dir, nil
		}
		return "", err
	}
	return dir, nil
}

// checkPath rejects a directory that cannot be passed to a compiler.
func checkPath(dir string) error {
	if strings.ContainsAny(dir, " \t\n'\"\\:,$") {
		return fmt.Errorf("%s: compilers and linkers cannot handle this path; use one without spaces, quotes, colons, commas, "+
			"backslashes and dollars (set LIBTORCH or XDG_CACHE_HOME)", dir)
	}
	return nil
}

// Environment returns the variables, as NAME=value, with which go build -tags torch finds libtorch. build is Build's
// directory. Packages, including gotch and those of this module, append -g to these flags; -gtoggle disables it
// regardless of the order.
func Environment(t Torch, build string) ([]string, error) {
	for _, dir := range []string{t.Dir, build} {
		if err := checkPath(dir); err != nil {
			return nil, err
		}
	}
	// Empty archives come first on the path: they take precedence over the libraries of the same names in torch's own
	// directory.
	link := []string{"-L" + build, "-L" + t.lib(), "-Wl,-rpath," + t.lib()}
	return []string{
		"CGO_ENABLED=1",
		"CGO_CFLAGS=-O2 -g0",
		"CGO_CXXFLAGS=-O2 -gtoggle -Wno-deprecated-declarations -include " + filepath.Join(build, "compat.h") +
			" -I" + t.include() + " -I" + filepath.Join(t.include(), "torch/csrc/api/include"),
		"CGO_LDFLAGS=" + strings.Join(link, " "),
	}, nil
}
