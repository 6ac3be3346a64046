package spec_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	. "surprisal.dev/runner/spec"
)

const header = "package big\n\nimport (\n\t\"surprisal.dev/experiment\"\n%s)\n\nexperiment.#Experiment\n\nname: \"big\"\nlimits: {documents: 256, bytes: 32768}\n"

// literalSpec returns a spec that lists every dataset and model.
func literalSpec(models, datasets int) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, header, "")
	for i := range datasets {
		fmt.Fprintf(b, "datasets: \"area-%d/set-%d\": {source: text: {path: \"data/%d.txt\", split: \"lines\"}, tags: [\"area:%d\", \"generated\"]}\n",
			i%10, i, i, i%10)
	}
	b.WriteString("datasets: \"train/all\": {source: text: path: \"train.txt\", use: \"train\"}\n")
	for i := range models {
		fmt.Fprintf(b, "models: \"model-%d\": {backend: ngram: {order: %d, train: \"train/all\"}, family: \"f\"}\n", i, i%10+1)
	}
	b.WriteString("matrix: all: models: [\"model-0\", \"model-1\", \"model-2\"]\n")
	return b.String()
}

// comprehensionSpec returns the same experiment with comprehensions.
func comprehensionSpec(models, datasets int) string {
	return fmt.Sprintf(header, "\t\"list\"\n") + fmt.Sprintf(`
for i in list.Range(0, %d, 1) {
	datasets: "area-\(mod(i, 10))/set-\(i)": {
		source: text: {path: "data/\(i).txt", split: "lines"}
		tags: ["area:\(mod(i, 10))", "generated"]
	}
}
datasets: "train/all": {source: text: path: "train.txt", use: "train"}
models: {for i in list.Range(0, %d, 1) {"model-\(i)": {backend: ngram: {order: mod(i, 10)+1, train: "train/all"}, family: "f"}}}
matrix: all: models: ["model-0", "model-1", "model-2"]
`, datasets, models)
}

// TestLargeSpec checks that both specs of a large experiment are equal.
func TestLargeSpec(t *testing.T) {
	var got []string
	for _, source := range []string{literalSpec(100, 1000), comprehensionSpec(100, 1000)} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "big.cue"), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		e, err := Load(t.Context(), dir, plugins())
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Datasets) != 1001 || len(e.Models) != 100 || bytes.Count(e.Sections["gap"], []byte("area-0/set-0")) != 3 {
			t.Fatalf("%d datasets, %d models, gaps %s", len(e.Datasets), len(e.Models), e.Sections["gap"])
		}
		var lines []string
		for _, d := range e.Datasets {
			lines = append(lines, fmt.Sprint(d.Name, string(d.Source.Config), d.Tags, d.Limits))
		}
		for _, m := range e.Models {
			lines = append(lines, fmt.Sprint(m.Name, string(m.Backend.Config), m.Backend.Train, m.Scoring))
		}
		got = append(got, strings.Join(lines, "\n"))
	}
	if got[0] != got[1] {
		t.Error("the written-out and the generated experiment differ")
	}
}

func BenchmarkLoad(b *testing.B) {
	for name, source := range map[string]string{"literal": literalSpec(100, 1000), "comprehension": comprehensionSpec(100, 1000)} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "big.cue"), []byte(source), 0o644); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Load(b.Context(), dir, plugins()); err != nil {
					b.Fatal(err)
				}
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-system")
		})
	}
}
