package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"go.yaml.in/yaml/v3"

	"surprisal.dev/runner/ci/junittest"
)

// TestGitHub runs the steps of the workflow for GitHub Actions as the page shows them, with the variables of that place:
// a pull request whose gate fails, and then one that repairs it.
func TestGitHub(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	w := j.workflow("gates.yml")
	j.propose(failing)
	got := j.github(w.Jobs["gates"].Steps)
	if diff := cmp.Diff(map[string]int{"Build the runner": 0, "Compare, run and judge": 4, "Post or update the comment": 0}, got.codes); diff != "" {
		t.Fatalf("exit codes: %s\n%s", diff, got.log)
	}
	j.wantFailure(got.summary)
	if want := "verdict=fail\nexit-code=4\n"; got.outputs != want {
		t.Errorf("outputs %q, want %q", got.outputs, want)
	}
	j.wantAnnotation(got.log)
	posted := j.calls()
	if len(posted) != 1 || posted[0].Method != http.MethodPost || posted[0].Path != "7" || !strings.HasPrefix(posted[0].Body, marker) {
		t.Fatalf("posted %+v", posted)
	}

	// The next run finds its comment among those of others, and changes it.
	j.comments([]map[string]any{
		{"id": 1, "body": marker + "\nnot by a program", "user": map[string]any{"type": "User"}},
		{"id": 2, "body": "<!-- surprisal run: other -->\n", "user": map[string]any{"type": "Bot"}},
		{"id": 3, "body": posted[0].Body, "user": map[string]any{"type": "Bot"}},
		{"id": 4, "body": posted[0].Body, "user": map[string]any{"type": "Bot"}},
	})
	j.propose(passing)
	got = j.github(w.Jobs["gates"].Steps)
	if got.codes["Compare, run and judge"] != 0 || !strings.HasPrefix(got.summary, "## PASS: `gate night`\n") || strings.Contains(got.log, "::error") {
		t.Errorf("%v\n%s\n%s", got.codes, got.summary, got.log)
	}
	posted = j.calls()
	if len(posted) != 1 || posted[0].Method != http.MethodPatch || posted[0].Path != "repos/me/mine/issues/comments/3" || !strings.Contains(posted[0].Body, "PASS") {
		t.Errorf("changed %+v", posted)
	}
}

// TestGitHubErrors breaks the run of the same workflow. Its outputs are there, and its last step posts them.
func TestGitHubErrors(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	w := j.workflow("gates.yml")
	j.propose("datasets: nowhere: source: text: path: \"nowhere.txt\"\n")
	got := j.github(w.Jobs["gates"].Steps)
	if got.codes["Compare, run and judge"] != 2 || !strings.HasPrefix(got.summary, "## ERROR: see `experiments/mine/change.cue:3`\n") {
		t.Errorf("%v\n%s\n%s", got.codes, got.summary, got.log)
	}
	if !strings.Contains(got.log, "\n::error file=experiments/mine/change.cue,line=3,title=error::datasets.nowhere.source.text: ") {
		t.Errorf("no annotation in\n%s", got.log)
	}
	cases := j.junit()
	if len(cases) != 1 || cases[0].Outcome != "error" || cases[0].File != "experiments/mine/change.cue" {
		t.Errorf("%+v", cases)
	}
	if posted := j.calls(); len(posted) != 1 || !strings.Contains(posted[0].Body, "nowhere.txt") {
		t.Errorf("posted %+v", posted)
	}
	// A clone without the base says how to clone.
	j.git("update-ref", "-d", "refs/remotes/origin/main")
	if err := os.WriteFile(filepath.Join(j.dir, ".git", "shallow"), []byte(j.git("rev-parse", "HEAD")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	j.propose(passing)
	got = j.github(w.Jobs["gates"].Steps)
	if got.codes["Compare, run and judge"] != 2 || !strings.Contains(got.summary, "fetch-depth: 0") {
		t.Errorf("%v\n%s", got.codes, got.summary)
	}
}

// TestGitLab runs the job for GitLab as the page shows it, with the variables of that place.
func TestGitLab(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	var file map[string]struct {
		Variables map[string]string
		Before    []string `yaml:"before_script"`
		Script    []string
		After     []string `yaml:"after_script"`
		Artifacts struct {
			When    string
			Paths   []string
			Reports map[string]string
		}
		Image, Rules, Cache yaml.Node
	}
	strict(t, j.files[".gitlab-ci.yml"], &file)
	job := file["gates"]
	j.propose(failing)
	env := []string{
		"CI=true", "GITLAB_CI=true", "CI_PROJECT_DIR=" + j.dir, "CI_PIPELINE_SOURCE=merge_request_event", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME=main",
		"CI_MERGE_REQUEST_DIFF_BASE_SHA=" + j.git("rev-parse", "origin/main"), "CI_MERGE_REQUEST_IID=7", "CI_PROJECT_ID=12",
		"CI_API_V4_URL=https://gitlab.example/api/v4", "CI_COMMIT_SHA=" + j.git("rev-parse", "HEAD"),
		"SURPRISAL_REPOSITORY=https://gitlab.example/surprisal.git", "SURPRISAL_TOKEN=secret",
	}
	for name, value := range job.Variables {
		env = append(env, name+"="+value)
	}
	// GitLab stops at the first command that fails, and runs after_script in another shell.
	out, code := j.shell("set -eo pipefail\n"+strings.Join(slices.Concat(job.Before, job.Script), "\n"), env)
	if code != 4 || strings.Contains(out, "::error") {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	if out, code := j.shell("set -eo pipefail\n"+strings.Join(job.After, "\n"), env); code != 0 {
		t.Fatalf("after_script: exit code %d\n%s", code, out)
	}
	posted := j.calls()
	const notes = "https://gitlab.example/api/v4/projects/12/merge_requests/7/notes"
	if len(posted) != 1 || posted[0].Method != http.MethodPost || posted[0].Path != notes || !strings.HasPrefix(posted[0].Body, marker) {
		t.Fatalf("posted %+v", posted)
	}
	j.wantFailure(j.read("results/summary.md"))
	if job.Artifacts.Reports["junit"] != "results/junit.xml" || job.Artifacts.Reports["dotenv"] != "results/verdict.env" || job.Artifacts.Paths[0] != "results" {
		t.Errorf("artifacts %+v", job.Artifacts)
	}
	if got, want := j.read("results/verdict.env"), "SURPRISAL_VERDICT=fail\nSURPRISAL_EXIT_CODE=4\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	j.comments([]map[string]any{{"id": 1, "body": "hello"}, {"id": 8, "body": posted[0].Body}, {"id": 9, "body": posted[0].Body}})
	if out, code := j.shell(strings.Join(job.After, "\n"), env); code != 0 {
		t.Fatalf("after_script: exit code %d\n%s", code, out)
	}
	if posted := j.calls(); len(posted) != 1 || posted[0].Method != http.MethodPut || posted[0].Path != notes+"/8" {
		t.Errorf("changed %+v", posted)
	}
	// Without a token there is no comment, and no error.
	if out, code := j.shell(strings.Join(job.After, "\n"), slices.DeleteFunc(env, func(v string) bool { return v == "SURPRISAL_TOKEN=secret" })); code != 0 || len(j.calls()) > 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestShell runs the script for other places as the page shows it.
func TestShell(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	j.propose(failing)
	out, code := j.shell(j.files["gates.sh"], []string{"SURPRISAL=" + j.source, "BASE=origin/main"})
	if code != 4 || !strings.Contains(out, "\nagainst origin/main: ") || !strings.HasSuffix(strings.TrimSpace(out), "a gate failed; see above") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	j.wantFailure(j.read("results/summary.md"))
	out, code = j.shell(j.files["gates.sh"], []string{"SURPRISAL=" + j.source})
	if code != 4 || strings.Contains(out, "\nagainst ") {
		t.Errorf("without a base: exit code %d\n%s", code, out)
	}
}

// TestPlanWorkflow runs the workflow of the guide that only plans.
func TestPlanWorkflow(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	j.propose(failing)
	var w workflow
	strict(t, pageFiles(t, "how-to.md")[".github/workflows/plan.yml"], &w)
	// The job has the runner on its PATH.
	j.programs = []string{build(t)}
	got := j.github(w.Jobs["plan"].Steps)
	page := rendered(t, got.summary)
	if got.codes[""] != 0 || !strings.Contains(page, "<td><code>models.night.backend.ngram.order</code></td>\n<td><code>3</code></td>\n<td><code>4</code></td>") ||
		!strings.HasPrefix(got.summary, "<!-- surprisal plan: mine -->\n## Plan of `mine` against `origin/main`\n") {
		t.Errorf("%v\n%s\n%s", got.codes, got.summary, got.log)
	}
}

// marker is the first line of the comments of the experiment.
const marker = "<!-- surprisal run: mine -->"

// Changes of a pull request, a file of the spec: a candidate that lost the text of the book, and one that did not.
const (
	failing = "models: night: backend: ngram: {order: 4, train: \"train/go\"}\n"
	passing = "models: night: backend: ngram: {order: 4, train: [\"train/go\", \"train/book\"]}\n"
)

// job is a checkout of a repository with an experiment.
type job struct {
	t *testing.T
	// files are those of the page.
	files map[string]string
	// dir is the checkout, standIns has the programs of the place, and tmp other files. programs are other
	// directories of programs.
	dir, standIns, tmp, source string
	programs                   []string
}

func newJob(t *testing.T) *job {
	t.Helper()
	j := &job{t: t, tmp: t.TempDir()}
	j.dir, j.standIns = filepath.Join(j.tmp, "checkout"), filepath.Join(j.tmp, "programs")
	var err error
	if j.source, err = filepath.Abs(".."); err != nil {
		t.Fatal(err)
	}
	j.files = pageFiles(t, "ci.md")
	j.experiment()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(j.standIns, 0o755); err != nil {
		t.Fatal(err)
	}
	for name := range standIns() {
		if err := os.Symlink(program, filepath.Join(j.standIns, name)); err != nil {
			t.Fatal(err)
		}
	}
	j.comments([]map[string]any{})
	return j
}

// pageFiles returns the files that a page shows.
func pageFiles(t *testing.T, name string) map[string]string {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	document := goldmark.DefaultParser().Parse(text.NewReader(page))
	for n := document.FirstChild(); n != nil; n = n.NextSibling() {
		block, ok := n.(*ast.FencedCodeBlock)
		if !ok || block.Info == nil {
			continue
		}
		if info := strings.Fields(string(block.Info.Segment.Value(page))); len(info) == 2 {
			files[info[1]] = string(block.Lines().Value(page))
		}
	}
	return files
}

// experiment makes the repository, whose branch main is also that of its origin.
func (j *job) experiment() {
	j.t.Helper()
	root, err := exec.CommandContext(j.t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		j.t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src")
	mine := filepath.Join(j.dir, "experiments", "mine")
	if err := errors.Join(os.MkdirAll(filepath.Join(mine, "train"), 0o755), os.Mkdir(filepath.Join(mine, "test"), 0o755)); err != nil {
		j.t.Fatal(err)
	}
	link := func(pattern, to string) {
		found, err := filepath.Glob(filepath.Join(source, pattern))
		if err != nil || len(found) == 0 {
			j.t.Fatal(pattern, err)
		}
		for _, file := range found {
			data, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(filepath.Join(mine, to, filepath.Base(file)), data, 0o644)
			}
			if err != nil {
				j.t.Fatal(err)
			}
		}
	}
	link("strings/*.go", "train")
	link("net/[a-h]*.go", "test")
	link("testdata/Isaac.Newton-Opticks.txt", ".")
	spec := strings.NewReplacer("package nightly", "package mine", `name: "nightly"`, `name: "mine"`, "text/src/testdata/", "", "text/src/{strings,bytes}/*.go", "train/*.go",
		"text/src/net/**/*.go", "test/*.go", `"tuesday": {candidate: "tuesday"`, `"night": {candidate: "night"`).Replace(j.files["experiment.cue"])
	var kept []string
	for line := range strings.Lines(spec) {
		if !strings.Contains(line, `"tuesday": backend`) {
			kept = append(kept, line)
		}
	}
	j.write("experiments/mine/experiment.cue", strings.Join(kept, ""))
	j.write("experiments/mine/change.cue", "package mine\n\nmodels: night: backend: ngram: {order: 3, train: [\"train/go\", \"train/book\"]}\n")
	j.git("init", "--quiet", "--initial-branch", "main")
	j.git("add", ".")
	j.git("commit", "--quiet", "--message", "An experiment")
	j.git("update-ref", "refs/remotes/origin/main", "HEAD")
}

// propose makes a pull request that changes the spec.
func (j *job) propose(change string) {
	j.t.Helper()
	if !strings.HasPrefix(change, "models:") {
		change += passing
	}
	j.write("experiments/mine/change.cue", "package mine\n\n"+change)
	j.git("add", "experiments")
	j.git("commit", "--quiet", "--allow-empty", "--message", "A change")
}

func (j *job) write(name, content string) {
	j.t.Helper()
	if err := os.WriteFile(filepath.Join(j.dir, name), []byte(content), 0o644); err != nil {
		j.t.Fatal(err)
	}
}

func (j *job) read(name string) string {
	j.t.Helper()
	data, err := os.ReadFile(filepath.Join(j.dir, name))
	if err != nil {
		j.t.Fatal(err)
	}
	return string(data)
}

func (j *job) git(args ...string) string {
	j.t.Helper()
	c := exec.CommandContext(j.t.Context(), "git", append([]string{"-C", j.dir, "-c", "user.name=me", "-c", "user.email=me@example.org"}, args...)...)
	out, err := c.CombinedOutput()
	if err != nil {
		j.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// comments sets the comments that the programs of the place list.
func (j *job) comments(all []map[string]any) {
	j.t.Helper()
	data, err := json.Marshal(all)
	if err == nil {
		err = os.WriteFile(filepath.Join(j.tmp, "comments.json"), data, 0o644)
	}
	if err != nil {
		j.t.Fatal(err)
	}
}

// calls returns the comments that were posted or changed since the last call.
func (j *job) calls() (all []call) {
	j.t.Helper()
	file := filepath.Join(j.tmp, "calls.jsonl")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Remove(file)
	}
	if err != nil {
		j.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var c call
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			j.t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// shell runs a script in the checkout, with the variables of the place and without those of the place of this test.
func (j *job) shell(script string, env []string) (output string, code int) {
	j.t.Helper()
	c := exec.CommandContext(j.t.Context(), "bash", "-e", "-c", script)
	c.Dir = j.dir
	path := os.Getenv("PATH")
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if name != "CI" && name != "SURPRISAL" && !strings.HasPrefix(name, "GITHUB_") && !strings.HasPrefix(name, "GITLAB_") && !strings.HasPrefix(name, "CI_") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, "PATH="+j.standIns+":"+path, "NO_COLOR=1", pathVariable+"="+path, sourceVariable+"="+j.source,
		callsVariable+"="+filepath.Join(j.tmp, "calls.jsonl"), commentsVariable+"="+filepath.Join(j.tmp, "comments.json"))
	c.Env = append(c.Env, env...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), exit.ExitCode()
	}
	if err != nil {
		j.t.Fatal(err)
	}
	return out.String(), 0
}

// workflow is a workflow of GitHub Actions.
type workflow struct {
	Name        string
	On          yaml.Node
	Permissions map[string]string
	Jobs        map[string]struct {
		RunsOn string `yaml:"runs-on"`
		Steps  []step
	}
}

type step struct {
	Name, ID, Uses, If, Run string
	Env, With               map[string]string
}

func (j *job) workflow(name string) workflow {
	j.t.Helper()
	var w workflow
	strict(j.t, j.files[".github/workflows/"+name], &w)
	if len(w.Jobs["gates"].Steps) == 0 {
		j.t.Fatal("no steps")
	}
	return w
}

// strict decodes YAML, and fails if it has other fields than the value.
func strict(t *testing.T, document string, v any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(document))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil {
		t.Fatal(err)
	}
}

// result is what a job leaves.
type result struct {
	// codes are the exit codes of the steps with commands, by name.
	codes                 map[string]int
	log, summary, outputs string
}

// github runs a workflow as GitHub Actions does for a pull request.
func (j *job) github(steps []step) result {
	j.t.Helper()
	r := result{codes: map[string]int{}}
	file := func(name string) string { return filepath.Join(j.tmp, name) }
	env := map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_BASE_REF": "main", "GITHUB_HEAD_REF": "change", "GITHUB_EVENT_NAME": "pull_request",
		"GITHUB_REPOSITORY": "me/mine", "GITHUB_WORKSPACE": j.dir, "GITHUB_REF": "refs/pull/7/merge", "GITHUB_SHA": j.git("rev-parse", "HEAD"),
		"GITHUB_STEP_SUMMARY": file("summary"), "GITHUB_OUTPUT": file("output"), "GITHUB_PATH": file("path"), "GITHUB_ENV": file("env"),
		"RUNNER_TEMP": file("temp"),
	}
	failed := false
	var added []string
	for _, s := range steps {
		if failed && !strings.HasPrefix(s.If, "always()") {
			continue
		}
		if s.Uses != "" {
			j.use(s)
			continue
		}
		for _, name := range []string{"summary", "output", "path", "env"} {
			if err := os.WriteFile(file(name), nil, 0o644); err != nil {
				j.t.Fatal(err)
			}
		}
		of := maps.Clone(env)
		for name, value := range s.Env {
			of[name] = j.expand(value)
		}
		var all []string
		for name, value := range of {
			all = append(all, name+"="+value)
		}
		all = append(all, "PATH="+strings.Join(slices.Concat(added, j.programs, []string{j.standIns, os.Getenv("PATH")}), ":"))
		out, code := j.shell(s.Run, all)
		r.codes[s.Name] = code
		r.log += "\n" + out
		failed = failed || code != 0
		read := func(name string) string {
			data, err := os.ReadFile(file(name))
			if err != nil {
				j.t.Fatal(err)
			}
			return string(data)
		}
		added = append(strings.Fields(read("path")), added...)
		r.summary += read("summary")
		r.outputs += read("output")
	}
	return r
}

// use does what an action does of which later steps depend, and checks its inputs.
func (j *job) use(s step) {
	j.t.Helper()
	name, _, _ := strings.Cut(s.Uses, "@")
	switch name {
	case "actions/checkout":
		if path := s.With["path"]; path != "" {
			link := filepath.Join(j.dir, path)
			if err := os.Symlink(j.source, link); err != nil && !errors.Is(err, fs.ErrExist) {
				j.t.Fatal(err)
			}
		} else if s.With["fetch-depth"] != "0" {
			j.t.Error("the base is not fetched")
		}
	case "actions/setup-go":
		for _, file := range []string{s.With["go-version-file"], s.With["cache-dependency-path"]} {
			j.read(file)
		}
	case "actions/cache/restore":
	case "actions/cache/save":
		// The store is there after a run, if one began.
		if !strings.HasSuffix(s.With["path"], "/.surprisal/store") {
			j.t.Errorf("caches %s", s.With["path"])
		}
	case "actions/upload-artifact":
		j.read(filepath.Join(s.With["path"], "junit.xml"))
	default:
		j.t.Errorf("unknown action %s", s.Uses)
	}
}

// expand replaces the expressions of a value.
func (j *job) expand(value string) string {
	return regexp.MustCompile(`\$\{\{ *(.*?) *\}\}`).ReplaceAllStringFunc(value, func(found string) string {
		values := map[string]string{"github.token": "secret", "github.event.number": "7"}
		value, ok := values[strings.TrimSpace(strings.Trim(found, "${}"))]
		if !ok {
			j.t.Errorf("unknown expression %s", found)
		}
		return value
	})
}

// wantFailure checks the summary and the JUnit report of the change that fails.
func (j *job) wantFailure(summary string) {
	j.t.Helper()
	if !strings.HasPrefix(summary, "## FAIL: `books/opticks`") {
		j.t.Errorf("the first line is %q", strings.SplitN(summary, "\n", 2)[0])
	}
	page := rendered(j.t, summary)
	for _, want := range []string{
		"<td><code>gate night</code></td>\n<td>FAIL</td>", "<td><code>models.night.backend.ngram.order</code></td>\n<td><code>3</code></td>\n<td><code>4</code></td>",
		"<td><code>models.night.backend.ngram.train</code></td>", "<details>\n<summary>",
	} {
		if !strings.Contains(page, want) {
			j.t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Count(page, "<details>") != strings.Count(page, "</details>") {
		j.t.Errorf("details are not closed:\n%s", page)
	}
	outcomes := map[string]string{}
	for _, c := range j.junit() {
		outcomes[c.Suite+"|"+c.Name] = c.Outcome
		if c.Suite == "gate night" && (c.Properties["margin"] != "0.0500" || c.Properties["gap bpb"] == "" || c.Properties["interval"] == "" || c.Properties["units"] == "") {
			j.t.Errorf("properties %v", c.Properties)
		}
	}
	if outcomes["gate night|books/opticks"] != "failure" || outcomes["run|all actions"] != "" || len(outcomes) != 4 {
		j.t.Errorf("%v", outcomes)
	}
}

func rendered(t *testing.T, source string) string {
	t.Helper()
	var page bytes.Buffer
	// GitHub and GitLab show HTML, too.
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe())).Convert([]byte(source), &page); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// junit returns the test cases of the report.
func (j *job) junit() []junittest.Case {
	j.t.Helper()
	cases, err := junittest.Read([]byte(j.read("results/junit.xml")))
	if err != nil {
		j.t.Fatal(err)
	}
	return cases
}

// wantAnnotation checks that the log has the annotation of the gate, at its line in the spec.
func (j *job) wantAnnotation(log string) {
	j.t.Helper()
	found := regexp.MustCompile(`(?m)^::error file=([^,]+),line=(\d+),title=gate night%3A FAIL::(.*)$`).FindStringSubmatch(log)
	if found == nil || strings.Count(log, "\n::") != 1 {
		j.t.Fatalf("annotations in\n%s", log)
	}
	line, err := strconv.Atoi(found[2])
	if err != nil {
		j.t.Fatal(err)
	}
	lines := strings.Split(j.read(found[1]), "\n")
	if line > len(lines) || !strings.Contains(lines[line-1], `"night": {candidate`) || !strings.Contains(found[3], "books/opticks") {
		j.t.Errorf("line %d of %s: %s", line, found[1], fmt.Sprint(lines))
	}
}
