// Command gap measures the gap report. It makes two tables of realistic scored text from a seed, compares them in a
// separate process, and prints MB/s of scored text and that process's peak resident memory. Both tables together count
// once: -mb 50 is 50 MB of text that two models scored.
//
//	go run ./bench/gap -mb 5,50
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
	"strconv"
	"strings"
	"time"

	"surprisal.dev/runner/action/gap"
)

func main() {
	megabytes := flag.String("mb", "5,50", "sizes of the scored text in MB, separated by commas")
	runs := flag.Int("runs", 3, "comparisons per size; the table shows each")
	seed := flag.Uint64("seed", 1, "seed of the text and its losses")
	dir := flag.String("dir", "", "directory for the tables (default: a temporary one)")
	compare := flag.String("compare", "", "compare the tables in this directory and exit; used by the measured process")
	flag.Parse()
	work := func() error { return measure(*megabytes, *runs, *seed, *dir) }
	if *compare != "" {
		work = func() error { return errors.Join(report(*compare), printPeak()) }
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(sizes string, runs int, seed uint64, dir string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "bench-gap-*"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("%s/%s, %d CPUs, %s\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	fmt.Println("| text, MB | tables, MB | seconds | MB/s | CPU seconds | peak RSS, MB |")
	fmt.Println("| ---: | ---: | ---: | ---: | ---: | ---: |")
	for size := range strings.SplitSeq(sizes, ",") {
		mb, err := strconv.Atoi(size)
		if err != nil || mb <= 0 {
			return fmt.Errorf("-mb %q: expected whole numbers above 0, separated by commas", sizes)
		}
		tables := filepath.Join(dir, size)
		text, onDisk, err := generate(tables, mb*1e6, seed)
		if err != nil {
			return err
		}
		for range runs {
			command := exec.Command(self, "-compare", tables)
			command.Stderr = os.Stderr
			start := time.Now()
			peak, err := command.Output()
			if err != nil {
				return err
			}
			seconds := time.Since(start).Seconds()
			cpu := command.ProcessState.UserTime() + command.ProcessState.SystemTime()
			kib, err := strconv.Atoi(string(peak))
			if err != nil {
				return fmt.Errorf("the measured process printed %q, expected its peak memory in KiB", peak)
			}
			fmt.Printf("| %.1f | %.1f | %.2f | %.1f | %.2f | %.0f |\n", float64(text)/1e6, float64(onDisk)/1e6, seconds,
				float64(text)/1e6/seconds, cpu.Seconds(), float64(kib)*1024/1e6)
		}
	}
	return nil
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
