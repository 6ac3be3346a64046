package libtorch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestUnpackStaysInside(t *testing.T) {
	w, body := testWheel(t, "torch", Version, map[string][]byte{"torch/include/../../../evil": nil}, "torch/include/")
	path := filepath.Join(t.TempDir(), "wheel")
	if err := os.WriteFile(path, body, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unpack(t.Context(), w, path, t.TempDir()); err == nil {
		t.Error("a member outside of the archive was unpacked")
	}
}

func TestParseReport(t *testing.T) {
	const entry = `{"metadata": {"name": "Nvidia_Cuda.Runtime"}, "download_info": {"url": "u", "archive_info": {"hashes": {"sha256": %q}}}}`
	wheels := []wheel{{name: "nvidia-cuda-runtime", version: "13", sha256: "aa"}}
	for _, test := range []struct{ report, errorHas string }{
		{`{"install": [` + fmt.Sprintf(entry, "aa") + `]}`, ""},
		{`{"install": [` + fmt.Sprintf(entry, "") + `]}`, ""},
		{`{"install": [` + fmt.Sprintf(entry, "bb") + `]}`, "not the pinned file"},
		{`{"install": []}`, "no nvidia-cuda-runtime==13"},
		{`{`, "pip's report"},
	} {
		urls, err := parseReport([]byte(test.report), wheels)
		if test.errorHas == "" && (err != nil || !slices.Equal(urls, []string{"u"})) {
			t.Errorf("%s: %v, %v", test.report, urls, err)
		}
		if test.errorHas != "" && (err == nil || !strings.Contains(err.Error(), test.errorHas)) {
			t.Errorf("%s: error %v, want one with %q", test.report, err, test.errorHas)
		}
	}
}
