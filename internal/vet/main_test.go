package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":           "module example.org/m\n\ngo 1.26\n",
		"good.go":          "package m\n",
		"format_darwin.go": "package m\n\nimport \"fmt\"\n\nfunc format() { fmt.Printf(\"%d\", \"x\") }\n",
		"type_windows.go":  "package m\n\nvar number int = \"x\"\n",
		"type_test.go":     "//go:build slow\n\npackage m\n\nvar other int = \"x\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for platform, want := range map[string]string{
		"linux": "", "darwin": "format_darwin.go:5:", "windows": "type_windows.go:3:", "linux slow": "type_test.go:5:",
	} {
		goos, tags, _ := strings.Cut(platform, " ")
		problems, err := check(&packages.Config{
			Dir: dir, Env: append(os.Environ(), "GOOS="+goos, "GOARCH=arm64", "CGO_ENABLED=0", "GOWORK=off"), BuildFlags: []string{"-tags=" + tags},
		}, "./...")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(problems, "\n"); len(problems) > 1 || !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want one problem at %q", platform, problems, want)
		}
	}
}
