// Command gap measures the gap report. It makes two tables of realistic scored text from a seed, compares them in a
// separate process, and prints MB/s of scored text and that process's peak resident memory. Both tables together count
// once: -mb 50 is 50 MB of text that two models scored.
//
//	go run ./bench/gap -mb 5,50
//
// With -against, it compares in turn with this command of another commit, and prints the ratios:
//
//	git archive COMMIT | tar -x -C DIR && (cd DIR && go build -o before ./bench/gap)
//	go run ./bench/gap -mb 50 -runs 5 -against DIR/before
package main

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
	"strconv"
	"strings"
	"time"

	"surprisal.dev/runner/action/gap"
)

func main() {
	var b benchmark
	flag.StringVar(&b.sizes, "mb", "5,50", "sizes of the scored text in MB, separated by commas")
	flag.IntVar(&b.runs, "runs", 3, "comparisons per size; the table shows each")
	flag.Uint64Var(&b.seed, "seed", 1, "seed of the text and its losses")
	flag.StringVar(&b.dir, "dir", "", "directory for the tables (default: a temporary one)")
	flag.StringVar(&b.against, "against", "", "this command, built from another commit, to compare with")
	compare := flag.String("compare", "", "compare the tables in this directory and exit; used by the measured process")
	flag.Parse()
	work := b.measure
	if *compare != "" {
		work = func() error { return errors.Join(report(*compare), printPeak()) }
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// benchmark is what to measure.
type benchmark struct {
	sizes        string
	runs         int
	seed         uint64
	dir, against string
}

func (b benchmark) measure() (err error) {
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "bench-gap-*"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	programs := []program{{"this", self}}
	if b.against != "" {
		programs = append(programs, program{"other", b.against})
	}
	fmt.Printf("%s/%s, %d CPUs, %s\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	fmt.Println("| program | text, MB | tables, MB | seconds | MB/s | CPU seconds | peak RSS, MB |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	var ratios []string
	for size := range strings.SplitSeq(b.sizes, ",") {
		mb, err := strconv.Atoi(size)
		if err != nil || mb <= 0 {
			return fmt.Errorf("-mb %q: expected whole numbers above 0, separated by commas", b.sizes)
		}
		tables := filepath.Join(b.dir, size)
		text, onDisk, err := generate(tables, mb*1e6, b.seed)
		if err != nil {
			return err
		}
		costs := make([][]cost, len(programs))
		for range b.runs {
			for i, p := range programs {
				c, err := p.run(tables)
				if err != nil {
					return err
				}
				costs[i] = append(costs[i], c)
				fmt.Printf("| %s | %.1f | %.1f | %.2f | %.1f | %.2f | %.0f |\n", p.name, float64(text)/1e6, float64(onDisk)/1e6, c.seconds,
					float64(text)/1e6/c.seconds, c.cpu, c.peak)
			}
		}
		if b.against != "" {
			ratios = append(ratios, ratio(float64(text)/1e6, costs[0], costs[1]))
		}
	}
	fmt.Println()
	for _, r := range ratios {
		fmt.Println(r)
	}
	return nil
}

// program is a build of this command.
type program struct{ name, path string }

// cost is what a comparison needs: seconds of time and of all processors, and MB of memory at most.
type cost struct{ seconds, cpu, peak float64 }

// run compares the tables in a directory in a separate process.
func (p program) run(tables string) (c cost, err error) {
	command := exec.Command(p.path, "-compare", tables)
	command.Stderr = os.Stderr
	start := time.Now()
	peak, err := command.Output()
	if err != nil {
		return c, fmt.Errorf("%s: %w", p.path, err)
	}
	kib, err := strconv.Atoi(string(peak))
	if err != nil {
		return c, fmt.Errorf("%s printed %q, expected its peak memory in KiB", p.path, peak)
	}
	cpu := command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return cost{time.Since(start).Seconds(), cpu.Seconds(), float64(kib) * 1024 / 1e6}, nil
}

// ratio says how the median costs of this program compare with those of the other.
func ratio(mb float64, these, others []cost) string {
	of := func(value func(cost) float64) float64 { return median(these, value) / median(others, value) }
	return fmt.Sprintf("%.1f MB, medians of %d, this to the other: %.2f of the time, %.2f of the CPU time, %.2f of the memory", mb, len(these),
		of(func(c cost) float64 { return c.seconds }), of(func(c cost) float64 { return c.cpu }), of(func(c cost) float64 { return c.peak }))
}

func median(costs []cost, value func(cost) float64) float64 {
	var values []float64
	for _, c := range costs {
		values = append(values, value(c))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// printPeak prints this process's peak resident memory in KiB. The parent's wait4 cannot be used: it starts a child's
// peak from the parent's memory at the fork.
func printPeak() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("peak memory is only known on Linux: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			fmt.Print(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB")))
			return nil
		}
	}
	return errors.New("/proc/self/status has no VmHWM")
}

func report(dir string) (err error) {
	out, err := os.MkdirTemp("", "bench-gap-report-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(out)) }()
	_, err = gap.Compare(context.Background(), side(dir, "a"), side(dir, "b"), out, gap.Options{})
	return err
}

func side(dir, model string) gap.Side {
	s := gap.Side{Name: model}
	for _, key := range datasets {
		at := filepath.Join(dir, model, key)
		s.Datasets = append(s.Datasets, gap.Table{
			Dataset: key, Tags: []string{"bench/" + key, "generated"}, ScoredPath: filepath.Join(at, "scored_documents.parquet"),
		})
	}
	return s
}
