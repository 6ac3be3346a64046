// Command site measures the site of a large experiment. It makes tables of scores of five models from a seed, compares all
// ten pairs, exports the site, and prints how long the export took, its peak memory, and the bytes that a browser loads
// first. Then it opens the pages in Chromium, and prints how long each takes until it can be used, what it requested, and
// which goals of the site are missed.
//
//	go run ./bench/site -dir DIR
//
// It keeps the site in DIR/site, for a look with `runner serve DIR/site`. With -browse SITE it opens the pages of that site
// again.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"surprisal.dev/runner/artifact"
)

// models is the number of models, which have ten pairs.
const models = 5

type benchmark struct {
	dir       string
	datasets  int
	documents int
	bytes     int
	large     int
	text      string
	browse    string
}

func main() {
	var b benchmark
	flag.StringVar(&b.dir, "dir", "", "directory for the experiment and the site (default: a temporary one)")
	flag.IntVar(&b.datasets, "datasets", 1000, "datasets")
	flag.IntVar(&b.documents, "documents", 100_000, "documents of all datasets together")
	flag.IntVar(&b.bytes, "bytes", 200, "mean bytes of a document")
	flag.IntVar(&b.large, "large", 500_000, "bytes of the first document")
	flag.StringVar(&b.text, "text", "all", "what is published: all, sampled or none")
	flag.StringVar(&b.browse, "browse", "", "only open the pages of a site that an earlier run left here")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := b.measure(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

func (b *benchmark) measure(ctx context.Context) (err error) {
	if b.browse != "" {
		return browse(ctx, b.browse)
	}
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "bench-site-*"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	study, program := filepath.Join(b.dir, "study"), filepath.Join(b.dir, "runner")
	if err := b.generate(study); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"go", "build", "-trimpath", "-buildvcs=false", "-o", program, "./runner"}, {program, "pin", study}, {program, "run", study},
	} {
		if _, err := run(ctx, args...); err != nil {
			return err
		}
	}
	out := filepath.Join(b.dir, "site")
	var used [2]usage
	for i := range used {
		if used[i], err = run(ctx, program, "export", "site", out, study, "--text", b.text); err != nil {
			return err
		}
	}
	fmt.Printf("export: %.1f s, peak memory %d MB; over the same site: %.1f s\n", used[0].seconds, used[0].memory>>20, used[1].seconds)
	if err := report(out); err != nil {
		return err
	}
	return browse(ctx, out)
}

// usage is what a command took.
type usage struct {
	seconds float64
	memory  int64
}

func run(ctx context.Context, args ...string) (usage, error) {
	started := time.Now()
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	if out, err := c.CombinedOutput(); err != nil {
		return usage{}, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	u := usage{seconds: time.Since(started).Seconds()}
	// On Linux, Maxrss is in kB.
	u.memory = c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	fmt.Fprintf(os.Stderr, "%s: %.1f s\n", strings.Join(args[:2], " "), u.seconds)
	return u, nil
}

const spec = `package bench

import "surprisal.dev/experiment"

experiment.#Experiment

name: "bench"
let numbers = [1, 2, 3, 4, 5]
models: {for n in numbers {"model-\(n)": scores: {path: "model-\(n).parquet", protocol: "generated"}}}
matrix: all: models: [for n in numbers {"model-\(n)"}]
`

// generate writes the experiment: its specification, and the tables of all models over the same documents.
func (b *benchmark) generate(dir string) (err error) {
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "experiment.cue"), []byte(spec), 0o644)); err != nil {
		return err
	}
	var writers [models]*artifact.ExportedWriter
	for m := range writers {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("model-%d.parquet", m+1)))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		writers[m] = artifact.NewExportedWriter(f)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b.documents {
		size := 1 + int(float64(b.bytes)*r.ExpFloat64())
		if i == 0 {
			size = b.large
		}
		text := words(r, size)
		dataset := i * b.datasets / b.documents
		for m, w := range writers {
			if err := w.Write(score(r, dataset, int64(i), text, 1+0.02*float64(m))); err != nil {
				return err
			}
		}
	}
	for _, w := range writers {
		err = errors.Join(err, w.Close())
	}
	return err
}

// words returns random text of a size in bytes.
func words(r *rand.Rand, size int) string {
	var text strings.Builder
	for text.Len() < size {
		for range 2 + r.IntN(6) {
			text.WriteByte('a' + byte(min(r.IntN(26), r.IntN(26))))
		}
		text.WriteByte(" \n"[min(r.IntN(2), r.IntN(2), r.IntN(2))])
	}
	return text.String()[:size]
}

// score returns a document with random losses. Tokens have up to seven bytes.
func score(r *rand.Rand, dataset int, row int64, text string, scale float64) artifact.ExportedDocument {
	d := artifact.ExportedDocument{
		Dataset: fmt.Sprintf("family-%02d/dataset-%04d", dataset%20, dataset), Tags: []string{fmt.Sprintf("tag-%02d", dataset%10)},
		Shard: "part-00000", Row: row, Text: text, ScoreEnd: int32(len(text)),
	}
	for at := 0; at < len(text); {
		n := min(1+r.IntN(7), len(text)-at)
		d.TokenIDs, d.TokenStarts = append(d.TokenIDs, r.Int32N(50_000)), append(d.TokenStarts, int32(at))
		loss := scale * r.ExpFloat64()
		for range n {
			d.PerByteLoss = append(d.PerByteLoss, loss)
		}
		at += n
		d.TokenEnds = append(d.TokenEnds, int32(at))
	}
	return d
}

// report prints the sizes of a site.
func report(dir string) error {
	var files, bytes int64
	first, code := int64(0), int64(0)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		bytes += info.Size()
		compressed, err := gzipped(filepath.Join(dir, name))
		switch {
		case name == "site.json":
			fmt.Printf("site.json: %d bytes, %d gzipped\n", info.Size(), compressed)
			first += info.Size()
		case name == "index.html" || strings.HasPrefix(name, "assets/"):
			code += compressed
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("first load: %d bytes of data; all code gzipped: %d bytes\n%d files, %d MB\n", first, code, files, bytes>>20)
	return reportPage(dir)
}

// reportPage prints the sizes of the files of a comparison.
func reportPage(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "site.json"))
	if err != nil {
		return err
	}
	var site struct {
		Entries []struct {
			ID, Kind string
			Files    map[string]struct{ Bytes int64 }
		}
	}
	if err := json.Unmarshal(data, &site); err != nil {
		return err
	}
	shown := map[string]bool{}
	for _, e := range site.Entries {
		if !shown[e.Kind] {
			fmt.Printf("%s: %v\n", e.ID, e.Files)
			shown[e.Kind] = true
		}
	}
	return nil
}

func gzipped(path string) (int64, error) {
	if filepath.Ext(path) == ".parquet" {
		return 0, nil // It is compressed.
	}
	in, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err = io.Copy(w, in)
	err = errors.Join(err, w.Close(), in.Close())
	return int64(out.Len()), err
}
