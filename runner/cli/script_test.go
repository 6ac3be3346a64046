package cli_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"surprisal.dev/plugins/hub/hubtest"
	"surprisal.dev/plugins/ngram"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/hf"
	"surprisal.dev/providers/jsonl"
	"surprisal.dev/providers/parquet"
	"surprisal.dev/providers/text"
	"surprisal.dev/runner/cli"
	"surprisal.dev/runner/store"
	"surprisal.dev/runner/workspace"
)

var update = flag.Bool("update", false, "update the files that scripts compare with the output of commands")

// The test binary also serves as the runner, as its built-in plugins and, under the name of a third-party plugin, as
// that plugin.
func TestMain(m *testing.M) {
	if kind, name, ok := pluginOf(filepath.Base(os.Args[0])); ok {
		serveFake(kind, name)
		return
	}
	if len(os.Args) == 5 && os.Args[1] == "plugin" && os.Args[2] == "serve" || len(os.Args) == 2 && os.Args[1] == "evaluate" ||
		len(os.Args) > 2 && os.Args[1] == "exec" {
		runner()
	}
	testscript.Main(m, map[string]func(){"runner": runner})
}

func runner() {
	os.Exit(cli.Main(context.Background(), workspace.Builtins{
		Providers: map[string]sdk.Provider{"hf": hf.New(), "jsonl": jsonl.New(), "parquet": parquet.New(), "text": text.New()},
		Backends:  map[string]sdk.Backend{"ngram": ngram.New()},
	}))
}

func pluginOf(program string) (protocol.Kind, string, bool) {
	for _, kind := range []protocol.Kind{protocol.KindProvider, protocol.KindBackend} {
		if name, ok := strings.CutPrefix(program, "runner-"+string(kind)+"-"); ok {
			return kind, name, true
		}
	}
	return "", "", false
}

// TestScripts runs the scripts in testdata/script, which show the effect of each command and of each bad input. In
// expected output, $WORK is the directory of the script, 0.0 s is a duration, and so on; see varying.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"appears":   appears,
			"exits":     exits,
			"harmless":  harmless,
			"hub":       startHub,
			"overwrite": overwrite,
			"plugin":    linkPlugin,
			"sorted":    sorted,
			"stored":    stored,
		},
	})
}

// setup gives each script a temporary directory whose path is short enough for sockets. At the end it checks that no
// temporary files remain there or in a store.
func setup(e *testscript.Env) error {
	tmp, err := os.MkdirTemp("", "cli")
	if err != nil {
		return err
	}
	e.Setenv("TMPDIR", tmp)
	program, err := exec.LookPath("runner")
	if err != nil {
		return err
	}
	e.Setenv("RUNNER", program)
	for _, name := range []string{"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"} {
		e.Setenv(name, "script@example.org")
	}
	t := e.T().(testing.TB)
	e.Defer(func() {
		wantNoFiles(t, tmp)
		stores, err := filepath.Glob(filepath.Join(e.WorkDir, "*", ".surprisal", "store", "tmp"))
		if err != nil {
			t.Error(err)
		}
		for _, store := range stores {
			wantNoFiles(t, store)
		}
		if err := os.RemoveAll(tmp); err != nil {
			t.Error(err)
		}
	})
	return nil
}

func wantNoFiles(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// varying has patterns of text that differs between runs of a script or builds of the runner, with their replacements.
var varying = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\b[0-9]+\.[0-9]+ s\b`), "0.0 s"},
	{regexp.MustCompile(`\b[0-9]{8}-[0-9]{6}\.[0-9]{3}-[0-9a-f]{8}\b`), "RUN"},
	{regexp.MustCompile(`since [0-9:]{8}\b`), "since TIME"},
	{regexp.MustCompile(`\b[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}(\.[0-9]+)?(Z|[+-][0-9:]{5})`), "TIME"},
	{regexp.MustCompile(`\b(blobs/sha256|actions)/[0-9a-f]{2}/[0-9a-f]{64}\b`), "$1/DIGEST"},
	// A cache key depends on the digest of the runner's binary.
	{regexp.MustCompile(`(look up |key +"?)[0-9a-f]{64}\b`), "${1}KEY"},
	{regexp.MustCompile(`(?m)\b[0-9a-f]{12}(` + "`" + ` \|)?$`), "KEY$1"},
}

// exits CODE PROGRAM ARGS... runs a program and checks its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got, err = exit.ExitCode(), nil
	}
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	plain := func(s string) string {
		s = strings.ReplaceAll(s, ts.Getenv("WORK"), "$WORK")
		for _, v := range varying {
			s = v.what.ReplaceAllString(s, v.as)
		}
		return s
	}
	stdout, stderr := plain(ts.ReadFile("stdout")), plain(ts.ReadFile("stderr"))
	_, err = ts.Stdout().Write([]byte(stdout))
	_, err2 := ts.Stderr().Write([]byte(stderr))
	ts.Check(cmp.Or(err, err2))
}

// hub DIR starts a hub with the repositories of a directory, and sets the environment of its clients.
func startHub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hub DIR")
	}
	server := hubtest.New()
	ts.Defer(server.Close)
	ts.Check(server.AddFS(os.DirFS(ts.MkAbs(args[0]))))
	ts.Setenv("HF_ENDPOINT", server.URL)
	ts.Setenv("HF_HOME", ts.MkAbs("hf-home"))
	ts.Setenv("XDG_CACHE_HOME", ts.MkAbs("cache"))
}

// commands matches commands in a log that a CI system would obey.
var commands = regexp.MustCompile(`(?m)^(\s|\p{Z})*::|##[A-Za-z]*\[`)

// harmless FILE... checks that files have no control characters except line breaks and tabs, no bidirectional overrides
// and no commands to a CI system. A file is stdout or stderr of the last command, or a pattern.
func harmless(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: harmless FILE...")
	}
	for _, pattern := range args {
		files := []string{pattern}
		if pattern != "stdout" && pattern != "stderr" {
			var err error
			files, err = filepath.Glob(ts.MkAbs(pattern))
			ts.Check(err)
		}
		if len(files) == 0 {
			ts.Fatalf("no file fits %s", pattern)
		}
		for _, file := range files {
			text := ts.ReadFile(file)
			if command := commands.FindString(text); command != "" {
				ts.Fatalf("%s holds the command %q", file, command)
			}
			for line := range strings.Lines(text) {
				plain := strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "")
				if protocol.Visible(plain) != plain {
					ts.Fatalf("%s: hidden characters in %q", file, line)
				}
			}
		}
	}
}

// sorted stderr sorts the lines of the last command's stderr, where concurrent actions print in any order.
func sorted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || args[0] != "stderr" {
		ts.Fatalf("usage: sorted stderr")
	}
	lines := slices.Sorted(strings.Lines(ts.ReadFile("stderr")))
	_, err := ts.Stderr().Write([]byte(strings.Join(lines, "")))
	ts.Check(err)
}

// plugin DIR/runner-KIND-NAME creates a plugin from one of the fakes of this package.
func linkPlugin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: plugin FILE")
	}
	if _, _, ok := pluginOf(filepath.Base(args[0])); !ok {
		ts.Fatalf("%s: not called runner-provider-NAME or runner-backend-NAME", args[0])
	}
	program, err := os.Executable()
	ts.Check(err)
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.Symlink(program, ts.MkAbs(args[0])))
}

// overwrite FILE TEXT overwrites a file in place, as an editor or a failing disk does.
func overwrite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: overwrite FILE TEXT")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("%s matches %d files", args[0], len(files))
	}
	ts.Check(os.Chmod(files[0], 0o644))
	ts.Check(os.WriteFile(files[0], []byte(args[1]), 0o644))
}

// stored VARIABLE DIR ACTION [FILE] sets a variable to the path of the record of an action, or of one of its files, in
// the store of an experiment directory.
func stored(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: stored VARIABLE DIR ACTION [FILE]")
	}
	ts.Check(ts.Exec("runner", "show", "-C", args[1], "--json", args[2]))
	var record store.Record
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &record))
	name := filepath.Join("actions", record.Key[:2], record.Key+".json")
	if len(args) == 4 {
		i := slices.IndexFunc(record.Outputs, func(f store.File) bool { return f.Name == args[3] })
		if i < 0 {
			ts.Fatalf("%s has no file %s", args[2], args[3])
		}
		_, digest, _ := strings.Cut(record.Outputs[i].Digest, ":")
		name = filepath.Join("blobs", "sha256", digest[:2], digest)
	}
	ts.Setenv(args[0], ts.MkAbs(filepath.Join(args[1], ".surprisal", "store", name)))
}

// appears FILE [PATTERN] waits until a file exists, or until it has a line that matches the pattern.
func appears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: appears FILE [PATTERN]")
	}
	pattern, err := regexp.Compile("(?m)" + strings.Join(args[1:], ""))
	ts.Check(err)
	for {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && pattern.Match(data) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
