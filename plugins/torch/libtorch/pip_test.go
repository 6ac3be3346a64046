//go:build python

package libtorch

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstallAsksPip lets pip find the wheels by its configuration: on an index, and in a directory.
func TestInstallAsksPip(t *testing.T) {
	const torchFile = "torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl"
	const runtimeFile = "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
	for _, place := range []string{"index", "directory"} {
		t.Run(place, func(t *testing.T) {
			i, x := testInstaller(t)
			i.Finder.Python = os.Getenv("SURPRISAL_PYTHON")
			i.locate = i.askPip
			t.Setenv("PIP_CONFIG_FILE", os.DevNull)
			t.Setenv("PIP_FIND_LINKS", "")
			directory := t.TempDir()
			mux := http.NewServeMux()
			for file, body := range map[string][]byte{torchFile: x.files["/torch.whl"], runtimeFile: x.files["/runtime.whl"]} {
				if err := os.WriteFile(filepath.Join(directory, file), body, 0o644); err != nil {
					t.Fatal(err)
				}
				project, _, _ := strings.Cut(file, "-")
				mux.HandleFunc("/simple/"+strings.ReplaceAll(project, "_", "-")+"/", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/html")
					fmt.Fprintf(w, "<!DOCTYPE html><a href=\"/files/%s\">%s</a>", file, file)
				})
			}
			mux.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(directory))))
			if place == "index" {
				server := httptest.NewServer(mux)
				defer server.Close()
				t.Setenv("PIP_INDEX_URL", server.URL+"/simple")
			} else {
				t.Setenv("PIP_NO_INDEX", "1")
				t.Setenv("PIP_FIND_LINKS", directory)
			}
			if err := i.Install(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, _, err := i.Finder.Find(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
