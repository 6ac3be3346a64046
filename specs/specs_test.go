package specs

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/hf"
	"surprisal.dev/providers/jsonl"
	"surprisal.dev/providers/parquet"
	"surprisal.dev/providers/text"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/spec"
)

var update = flag.Bool("update", false, "write the table of keys and tags")

// The test binary also serves as the torch backend, which needs libtorch: a plan asks it for its description alone.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "runner-backend-torch" {
		sdk.ServeBackend(describedTorch{})
		return
	}
	os.Exit(m.Run())
}

type describedTorch struct{}

func (describedTorch) Describe(context.Context) (protocol.BackendDescription, error) {
	return protocol.BackendDescription{
		Name: "torch", Version: "described",
		Schema: `#Config: {
			dtype: *"float32" | "bfloat16"
			device: *"cpu" | =~"^cuda(:[0-9]+)?$"
			tensorParallel: *1 | (int & >=1 & <=64)
		}`,
		Capabilities: []string{
			protocol.CapabilityActivations, protocol.CapabilityConfidence, protocol.CapabilitySpecialTokens, protocol.CapabilityTokenRange, protocol.CapabilityTopK,
		},
	}, nil
}

func (describedTorch) Plan(context.Context, protocol.Model, protocol.Settings) (protocol.Estimate, error) {
	return protocol.Estimate{}, errors.New("there are no weights to estimate")
}

func (describedTorch) Load(context.Context, protocol.Model) (sdk.Model, error) {
	return nil, errors.New("there are no weights to load")
}

// runner returns the directory of a runner and of the described backend.
func runner(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "runner"), "../runner").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(dir, "runner-backend-torch")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs the runner without a network: hubs are offline, and buckets have no credentials.
func run(t *testing.T, dir string, args ...string) (stdout, stderr string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(dir, "runner"), args...)
	command.Env = append(os.Environ(), "HF_HUB_OFFLINE=1", "HF_ENDPOINT=http://127.0.0.1:1", "AWS_EC2_METADATA_DISABLED=true")
	var out, problems strings.Builder
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		t.Fatalf("runner %q: %v\n%s", args, err, &problems)
	}
	return out.String(), problems.String()
}

// Every spec plans without a network, and says what is to be pinned and what its models need.
func TestPlans(t *testing.T) {
	dir := runner(t)
	for name, want := range map[string][]string{
		"gap-suite":    {"gap coverage/marin-8b-vs-llama-3.1-8b ", `models."qwen3-8b".weights.hf `, "8.03 billion", " operations"},
		"outliers":     {"outliers full ", "outliers smoke ", "117 billion, 5.1 billion active", "@sequences=1000,tokens=2048"},
		"sliding":      {"sliding 8b llama-3.1-8b books/gatsby ", "sliding 70b llama-3.1-70b books/gatsby ", "141 GB", " operations"},
		"smollm2":      {"scaling smollm2 ", "gap sizes/smollm2-135M-vs-smollm2-1.7B ", "3.4 GB"},
		"release-gate": {"gate release ", "series training ", `"path":"s3://surprisal-runs/base-8b/step-40000"`, "8.03 billion"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _ := run(t, dir, "plan", "--unpinned", "-C", name)
			for _, text := range append(want, "not pinned. Run `runner pin` where they can be reached") {
				if !strings.Contains(out, text) {
					t.Errorf("the plan has no %q:\n%.4000s", text, out)
				}
			}
		})
	}
}

// load reads a spec.
func load(t *testing.T, dir string) *spec.Experiment {
	t.Helper()
	backend, err := describedTorch{}.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := spec.Options{
		Providers: map[string]spec.Schema{}, Backends: map[string]spec.Schema{"torch": {CUE: backend.Schema}}, Sections: action.Sections(kinds.All()),
	}
	for _, p := range []sdk.Provider{hf.New(), jsonl.New(), parquet.New(), text.New()} {
		d, err := p.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		o.Providers[d.Name] = spec.Schema{CUE: d.Schema}
	}
	e, err := spec.Load(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Keys and tags of the gap suite are part of reports: a change is visible in the table.
func TestKeys(t *testing.T) {
	var lines []string
	for _, d := range load(t, "gap-suite").Datasets {
		for _, tag := range []string{"family:", "source:", "split:", "script:", "language:"} {
			if !slices.ContainsFunc(d.Tags, func(have string) bool { return strings.HasPrefix(have, tag) }) {
				t.Errorf("%s has no tag %s: %q", d.Name, tag, d.Tags)
			}
		}
		if d.About == nil || d.About.License == "" || d.About.Contamination == "" || d.Minimum == nil {
			t.Errorf("%s has no license, risk of contamination or minimum size", d.Name)
		}
		line := d.Name + "\t" + strings.Join(d.Tags, " ")
		if d.Skip != "" {
			line += "\tskipped: " + d.Skip
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	const table = "gap-suite/keys.txt"
	if *update {
		if err := os.WriteFile(table, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("keys and tags differ from %s; if that is intended, run the test with -update (-want +got):\n%s", table, diff)
	}
}

// The twin of the gap suite runs on text of the Go installation.
func TestTwin(t *testing.T) {
	dir := t.TempDir()
	source, err := os.ReadFile("../examples/gap-suite/experiment.cue")
	if err != nil {
		t.Fatal(err)
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "experiment.cue"), source, 0o644), os.Symlink(strings.TrimSpace(string(goroot)), filepath.Join(dir, "text"))); err != nil {
		t.Fatal(err)
	}
	out, problems := run(t, runner(t), "run", "--cores", fmt.Sprint(runtime.NumCPU()), dir)
	for _, want := range []string{"gap coverage/prose-vs-code: ", "gap coverage/prose-vs-both: ", "gap coverage/code-vs-both: ", "code/go/net"} {
		if !strings.Contains(out, want) {
			t.Errorf("the results have no %q:\n%s", want, out)
		}
	}
	for _, want := range []string{"models.both.trainedOn: the model was trained on code/go/crypto, code/go/encoding, code/go/net, on which it is scored"} {
		if !strings.Contains(problems, want) {
			t.Errorf("the warnings have no %q:\n%s", want, problems)
		}
	}
}
