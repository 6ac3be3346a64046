// Command plan measures the time and memory of `runner plan` on a large spec, and of `runner run` on a small one whose
// results are all cached.
//
//	go run ./bench/plan -runner bin/runner
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	runner := flag.String("runner", "bin/runner", "the runner to measure")
	repeats := flag.Int("repeats", 5, "measurements per command; the median is reported")
	flag.Parse()
	if err := run(*runner, *repeats); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// scale is the size of a generated spec.
type scale struct{ models, datasets int }

func run(runner string, repeats int) (err error) {
	runner, err = filepath.Abs(runner)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-plan-")
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, os.RemoveAll(dir)) }()
	large, small := filepath.Join(dir, "large"), filepath.Join(dir, "small")
	if err := generate(large, scale{100, 1000}); err != nil {
		return err
	}
	// 10 x 89 scores, 89 datasets plus one for training, 10 models: nearly a thousand actions.
	if err := generate(small, scale{10, 89}); err != nil {
		return err
	}
	if out, err := exec.Command(runner, "run", small).CombinedOutput(); err != nil {
		return fmt.Errorf("first run: %w\n%s", err, out)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "command\tactions\tmedian\tprocessor time\tpeak memory")
	for _, m := range []struct {
		name    string
		args    []string
		actions string
	}{
		{"runner plan, nothing cached", []string{"plan", large}, "experiment"},
		{"runner run, all cached", []string{"run", small}, "nothing to do"},
	} {
		took, err := measure(runner, m.args, m.actions, repeats)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		fmt.Fprintf(out, "%s\t%s\t%.2f s\t%.2f s\t%d MB\n", m.name, took.line, took.seconds, took.processor, took.memory/1e6)
	}
	return out.Flush()
}

// figures are the medians of a command's times in seconds, and the peak memory in bytes of one of its processes.
type figures struct {
	seconds float64
	// processor is the processor time of all processes of the command, which is less sensitive to other work on the
	// machine.
	processor float64
	memory    int64
	// line is the line of the command's output that contains the number of actions.
	line string
}

func measure(runner string, args []string, mark string, repeats int) (f figures, err error) {
	var seconds, processor []float64
	for range repeats {
		c := exec.Command(runner, args...)
		var stdout, stderr bytes.Buffer
		c.Stdout, c.Stderr = &stdout, &stderr
		started := time.Now()
		if err := c.Run(); err != nil {
			return f, fmt.Errorf("%w\n%s", err, stderr.String())
		}
		seconds = append(seconds, time.Since(started).Seconds())
		processor = append(processor, (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds())
		f.memory = max(f.memory, c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss<<10)
		if f.line = lineWith(stdout.String(), mark); f.line == "" {
			return f, fmt.Errorf("its output has no line with %q", mark)
		}
	}
	slices.Sort(seconds)
	slices.Sort(processor)
	f.seconds, f.processor = seconds[repeats/2], processor[repeats/2]
	return f, nil
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// generate writes a spec with one text file per dataset.
func generate(dir string, s scale) error {
	if err := os.MkdirAll(filepath.Join(dir, "text"), 0o755); err != nil {
		return err
	}
	var spec strings.Builder
	fmt.Fprint(&spec, "package large\n\nimport \"surprisal.dev/experiment\"\n\nexperiment.#Experiment\n\nname: \"large\"\n\ndatasets: {\n")
	fmt.Fprintf(&spec, "\t\"train\": {source: text: {path: \"text/0.txt\", split: \"lines\"}, use: \"train\"}\n")
	for i := range s.datasets {
		text := strings.Repeat(fmt.Sprintf("Line %d of a small text.\n", i), 5)
		if err := os.WriteFile(filepath.Join(dir, "text", fmt.Sprintf("%d.txt", i)), []byte(text), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&spec, "\t\"group-%d/slice-%d\": {source: text: {path: \"text/%d.txt\", split: \"lines\"}, tags: [\"group:%d\"]}\n", i%10, i, i, i%10)
	}
	fmt.Fprint(&spec, "}\n\nmodels: {\n")
	for i := range s.models {
		fmt.Fprintf(&spec, "\t\"model-%d\": {backend: ngram: {order: %d, train: \"train\"}, scoring: context: %d}\n", i, 1+i%8, 64+2*i)
	}
	fmt.Fprint(&spec, "}\n")
	return os.WriteFile(filepath.Join(dir, "experiment.cue"), []byte(spec.String()), 0o644)
}
