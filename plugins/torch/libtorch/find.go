package libtorch

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// ErrNotFound means that the machine has no suitable libtorch; Install provides one.
var ErrNotFound = errors.New("no libtorch " + Version + " was found")

// Finder looks for libtorch.
type Finder struct {
	Cache    string // the cache directory, shared by all checkouts
	LibTorch string // the value of the variable LIBTORCH; "" if it is not set
	Python   string // the program to ask for torch, such as "python3"
}

// DefaultFinder returns the finder for the user's environment. All checkouts share the directory surprisal under
// XDG_CACHE_HOME or ~/.cache.
func DefaultFinder() (Finder, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return Finder{}, fmt.Errorf("no cache directory: %w; set XDG_CACHE_HOME or HOME", err)
	}
	return Finder{Cache: filepath.Join(cache, "surprisal"), LibTorch: os.Getenv("LIBTORCH"), Python: "python3"}, nil
}

// Torch is a suitable libtorch.
type Torch struct {
	Dir    string // the directory that contains lib and include
	Origin string // its source, for messages
}

func (t Torch) lib() string     { return filepath.Join(t.Dir, "lib") }
func (t Torch) include() string { return filepath.Join(t.Dir, "include") }

// Find returns the libtorch to use, and descriptions of the candidates that it ignored, with reasons. If there is no
// suitable one, the error is ErrNotFound.
func (f Finder) Find(ctx context.Context) (t Torch, passed []string, err error) {
	if f.LibTorch != "" {
		dir, err := filepath.Abs(f.LibTorch)
		if err == nil {
			err = check(dir)
		}
		if err != nil {
			return Torch{}, nil, fmt.Errorf("LIBTORCH=%s: %w; set it to a directory with torch %s, or unset it", f.LibTorch, err, Version)
		}
		return Torch{Dir: dir, Origin: "LIBTORCH"}, nil, nil
	}
	candidates := []Torch{{Dir: f.installed(), Origin: "installed in the cache"}}
	if dir := f.fromPython(ctx); dir != "" {
		candidates = slices.Insert(candidates, 0, Torch{Dir: dir, Origin: "the torch of " + f.Python})
	}
	for _, t := range candidates {
		err := check(t.Dir)
		if err == nil {
			return t, passed, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || t.Dir != f.installed() {
			passed = append(passed, fmt.Sprintf("%s (%s): %v", t.Dir, t.Origin, err))
		}
	}
	return Torch{}, passed, ErrNotFound
}

func (f Finder) installed() string {
	return filepath.Join(f.Cache, "libtorch-"+Version, "torch")
}

// fromPython returns the directory of Python's torch package, or "" if there is no such package or no Python. It does
// not import the package, which would take seconds.
func (f Finder) fromPython(ctx context.Context) string {
	const program = `import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")`
	out, err := exec.CommandContext(ctx, f.Python, "-c", program).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// check explains why a directory is not a suitable libtorch.
func check(dir string) error {
	if err := checkPath(dir); err != nil {
		return err
	}
	version, err := versionOf(dir)
	if err != nil {
		return err
	}
	if version != Version {
		return fmt.Errorf("version %s, but %s is required", version, Version)
	}
	cpu := filepath.Join(dir, "lib", "libtorch_cpu.so")
	missing, err := missingLibraries(cpu)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s needs %s, which it cannot find", cpu, strings.Join(missing, ", "))
	}
	newABI, err := hasCXX11ABI(filepath.Join(dir, "lib", "libc10.so"))
	if err != nil {
		return err
	}
	if !newABI {
		return errors.New("built for the pre-C++11 C++ ABI")
	}
	return nil
}

var versionPart = regexp.MustCompile(`(?m)^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) (\d+)`)

// versionOf reads the version from torch's headers.
func versionOf(dir string) (string, error) {
	// Releases before 2.9 have the numbers in the second file.
	files := []string{"torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h"}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, "include", filepath.FromSlash(file)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if parts := versionPart.FindAllSubmatch(text, 3); len(parts) == 3 {
			return string(bytes.Join([][]byte{parts[0][2], parts[1][2], parts[2][2]}, []byte("."))), nil
		}
	}
	return "", fmt.Errorf("not a libtorch directory: include/%s is missing: %w", files[0], fs.ErrNotExist)
}

// missingLibraries returns which libraries of torch and of CUDA the dynamic linker would not find for a library and its
// dependencies. It ignores other libraries, which belong to the system.
func missingLibraries(library string) ([]string, error) {
	var missing []string
	seen := map[string]bool{}
	var visit func(path string) error
	visit = func(path string) error {
		file, err := elf.Open(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		defer file.Close()
		needed, err := file.ImportedLibraries()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		directories := filepath.SplitList(os.Getenv("LD_LIBRARY_PATH"))
		for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
			values, err := file.DynString(tag)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			for _, value := range values {
				origin := filepath.Dir(path)
				directories = append(directories, filepath.SplitList(strings.ReplaceAll(value, "$ORIGIN", origin))...)
			}
		}
		for _, name := range needed {
			if !ofTorch.MatchString(name) || seen[name] {
				continue
			}
			seen[name] = true
			i := slices.IndexFunc(directories, func(dir string) bool {
				_, err := os.Stat(filepath.Join(dir, name))
				return err == nil
			})
			if i < 0 {
				missing = append(missing, name)
				continue
			}
			if err := visit(filepath.Join(directories[i], name)); err != nil {
				return err
			}
		}
		return nil
	}
	return missing, visit(library)
}

// ofTorch matches the libraries that torch's package and its dependencies provide. libcuda belongs to the driver.
var ofTorch = regexp.MustCompile(`^lib(c10|torch|gomp|cu[a-z]+|nccl|nvshmem|nvJitLink|nvrtc)[A-Za-z0-9_]*\.so`)

// hasCXX11ABI reports whether a C++ library exports names with the strings of C++11, as all releases since 2.7 do.
func hasCXX11ABI(library string) (bool, error) {
	file, err := elf.Open(library)
	if err != nil {
		return false, fmt.Errorf("%s: %w", library, err)
	}
	defer file.Close()
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return false, fmt.Errorf("%s: %w", library, err)
	}
	return slices.ContainsFunc(symbols, func(s elf.Symbol) bool {
		return s.Section != elf.SHN_UNDEF && strings.Contains(s.Name, "__cxx11")
	}), nil
}
