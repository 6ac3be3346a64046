package libtorch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBuildAndEnvironment(t *testing.T) {
	cache := t.TempDir()
	build, err := Build(cache)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Build(cache)
	if err != nil || again != build {
		t.Fatalf("a second call returns %s, %v; want %s", again, err, build)
	}
	if entries, err := os.ReadDir(cache); err != nil || len(entries) != 1 {
		t.Errorf("the cache holds %v, %v; want one directory", entries, err)
	}
	for _, name := range []string{"libtorch.a", "libcudart.a"} {
		if text, err := os.ReadFile(filepath.Join(build, name)); err != nil || string(text) != "!<arch>\n" {
			t.Errorf("%s holds %q, %v", name, text, err)
		}
	}
	variables, err := Environment(Torch{Dir: "/opt/torch"}, build)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(variables, "\n")
	for _, want := range []string{
		"-include " + build + "/compat.h", "-I/opt/torch/include ", "-L" + build + " -L/opt/torch/lib ", "-Wl,-rpath,/opt/torch/lib",
	} {
		if !strings.Contains(text+"\n", want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, dir := range []string{"/my torch", "/it's", "/a:b", "/a,b"} {
		if _, err := Environment(Torch{Dir: dir}, build); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: error %v", dir, err)
		}
	}
}
