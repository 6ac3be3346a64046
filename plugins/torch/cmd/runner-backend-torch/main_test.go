//go:build torch && linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSpinning checks what the OpenMP runtime says about itself: the program limits how long its threads spin, unless
// the user does.
func TestSpinning(t *testing.T) {
	program := filepath.Join(t.TempDir(), "runner-backend-torch")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "torch", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	environment := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "GOMP_") || strings.HasPrefix(variable, "OMP_")
	})
	for _, test := range []struct{ variable, want string }{
		{"", "GOMP_SPINCOUNT = '10000'"},
		{"GOMP_SPINCOUNT=77", "GOMP_SPINCOUNT = '77'"},
		{"OMP_WAIT_POLICY=ACTIVE", "OMP_WAIT_POLICY = 'ACTIVE'"},
		{"OMP_WAIT_POLICY=PASSIVE", "GOMP_SPINCOUNT = '0'"},
	} {
		command := exec.CommandContext(t.Context(), program)
		command.Env = append(slices.Clone(environment), "OMP_DISPLAY_ENV=verbose")
		if test.variable != "" {
			command.Env = append(command.Env, test.variable)
		}
		// Without a host, the program says so and ends with an error.
		out, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(out), test.want) || strings.Count(string(out), "OPENMP DISPLAY ENVIRONMENT BEGIN") != 1 {
			t.Errorf("%s: want %s in\n%s", test.variable, test.want, out)
		}
	}
}
