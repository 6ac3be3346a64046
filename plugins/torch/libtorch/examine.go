package libtorch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/cpu"
)

// Finding is the result of one check by Examine.
type Finding struct {
	Name  string `json:"name"`
	Found string `json:"found"`
	// Fix is the command that installs or repairs the missing part, or "" if nothing is missing.
	Fix string `json:"fix,omitempty"`
}

const (
	program       = "runner-backend-torch"
	buildCommand  = "./just torch"
	pythonCommand = "python3 -m pip install torch==" + Version
)

// Examine checks the requirements of the torch backend on this machine. directories are the plugin directories.
func Examine(ctx context.Context, f Finder, directories []string) []Finding {
	torch, finding := f.examineLibrary(ctx)
	findings := []Finding{finding, examineProgram(directories)}
	if findings[1].Fix != "" {
		findings = append(findings, examineTools(f.Python))
	}
	return append(findings, examineCPU(), examineThreads(), examineCUDA(ctx, torch))
}

func (f Finder) examineLibrary(ctx context.Context) (Torch, Finding) {
	torch, passed, err := f.Find(ctx)
	finding := Finding{Name: "libtorch"}
	switch {
	case errors.Is(err, ErrNotFound):
		finding.Found, finding.Fix = "none of version "+Version, buildCommand
	case err != nil:
		finding.Found, finding.Fix = err.Error(), "unset LIBTORCH"
	default:
		finding.Found = fmt.Sprintf("%s, C++11 ABI, %s (%s)", Version, torch.Dir, torch.Origin)
	}
	for _, line := range passed {
		finding.Found += "; ignored " + line
	}
	return torch, finding
}

// examineProgram checks the backend's program and the libraries to which it was linked.
func examineProgram(directories []string) Finding {
	finding := Finding{Name: program, Found: "not found next to runner, in plugin directories or on the PATH", Fix: buildCommand}
	for _, dir := range directories {
		path := filepath.Join(dir, program)
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			continue
		}
		finding.Found, finding.Fix = path, ""
		missing, err := missingLibraries(path)
		switch {
		case info.Mode().Perm()&0o111 == 0:
			finding.Found, finding.Fix = path+" is not executable", "chmod +x "+path
		case err != nil:
			finding.Found, finding.Fix = fmt.Sprintf("not a usable program: %v", err), buildCommand
		case len(missing) > 0:
			finding.Found = fmt.Sprintf("%s does not find %s", path, strings.Join(missing, ", "))
			finding.Fix = buildCommand + ", or export LD_LIBRARY_PATH=DIR with the lib directory of torch " + Version
		}
		break
	}
	return finding
}

// examineTools checks the programs that building the backend requires.
func examineTools(python string) Finding {
	finding := Finding{Name: "build tools"}
	var found, missing []string
	for _, tool := range []string{"go", "g++", "cargo", python} {
		if path, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		} else {
			found = append(found, path)
		}
	}
	finding.Found = strings.Join(found, ", ")
	if len(missing) > 0 {
		finding.Found = strings.Join(append(found, "no "+strings.Join(missing, ", no ")), ", ")
		finding.Fix = "install " + strings.Join(missing, ", ") + " (Go 1.26, g++ of GCC 11 or later, Rust 1.87, Python 3 with pip)"
	}
	return finding
}

// examineCPU reports the vector instructions that libtorch will choose, and the number formats that it multiplies
// natively.
func examineCPU() Finding {
	x := cpu.X86
	capability := "no AVX2: slow"
	switch {
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasFMA:
		capability = "AVX512"
	case x.HasAVX2 && x.HasFMA:
		capability = "AVX2"
	}
	bfloat16 := "emulated"
	switch {
	case x.HasAMXBF16:
		bfloat16 = "AMX"
	case x.HasAVX512BF16:
		bfloat16 = "AVX512_BF16"
	}
	if runtime.GOARCH != "amd64" {
		return Finding{Name: "CPU", Found: runtime.GOARCH + "; float32"}
	}
	return Finding{Name: "CPU", Found: fmt.Sprintf("%s; float32, bfloat16 (%s)", capability, bfloat16)}
}

func examineThreads() Finding {
	found := fmt.Sprintf("%d CPUs", runtime.NumCPU())
	if n := runtime.GOMAXPROCS(0); n < runtime.NumCPU() {
		found += fmt.Sprintf(", of which this process may use %d", n)
	}
	if value, ok := os.LookupEnv("OMP_NUM_THREADS"); ok {
		found += ", OMP_NUM_THREADS=" + value
	}
	return Finding{Name: "threads", Found: found}
}

// examineCUDA queries the driver for devices, and checks whether libtorch can use them. torch may be empty.
func examineCUDA(ctx context.Context, torch Torch) Finding {
	finding := Finding{Name: "CUDA"}
	smi, err := exec.LookPath("nvidia-smi")
	if err != nil {
		finding.Found = "no device: nvidia-smi, which comes with the driver, was not found"
		return finding
	}
	out, err := exec.CommandContext(ctx, smi, "--query-gpu=name,memory.total,compute_cap,driver_version", "--format=csv,noheader").CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		finding.Found, finding.Fix = fmt.Sprintf("%s: %v: %s", smi, err, text), smi
		return finding
	}
	finding.Found = strings.ReplaceAll(text, "\n", "; ")
	if torch.Dir == "" {
		return finding
	}
	library := filepath.Join(torch.lib(), "libtorch_cuda.so")
	missing, err := missingLibraries(library)
	switch {
	case errors.Is(err, os.ErrNotExist):
		finding.Found += "; this libtorch is for the CPU only"
	case err != nil:
		finding.Found += "; " + err.Error()
	case len(missing) > 0:
		finding.Found += fmt.Sprintf("; %s does not find %s", library, strings.Join(missing, ", "))
	default:
		return finding
	}
	finding.Fix = pythonCommand + " && " + buildCommand
	return finding
}
