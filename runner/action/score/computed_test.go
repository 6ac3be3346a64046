package score

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComputedDifferences(t *testing.T) {
	cpu := map[string]string{"device": "cpu", "ranks": "1", "libtorch": "2.11"}
	cuda := map[string]string{"device": "cuda", "ranks": "1", "libtorch": "2.11"}
	pair := map[string]string{"device": "cuda", "ranks": "2", "libtorch": "2.11"}
	other := map[string]string{"device": "cpu", "architecture": "amd64"}
	type scores = [][]map[string]string
	for name, test := range map[string]struct {
		computed scores
		want     []string
	}{
		"nothing":             {nil, []string{}},
		"imported":            {scores{{cpu}, {}}, []string{}},
		"equal":               {scores{{cpu, cpu}, {cpu}}, []string{}},
		"devices":             {scores{{cpu}, {cuda}}, []string{`device: "a" has cpu, "b" has cuda`}},
		"devices and ranks":   {scores{{cpu}, {pair}}, []string{`device: "a" has cpu, "b" has cuda`, `ranks: "a" has 1, "b" has 2`}},
		"another backend":     {scores{{pair}, {other}}, []string{`device: "a" has cuda, "b" has cpu`}},
		"two for one dataset": {scores{{cpu, cuda}, {cpu}}, []string{`device: "a" has cpu and cuda, "b" has cpu`}},
		"three models":        {scores{{cpu}, {cpu}, {cuda}}, []string{`device: "a" has cpu, "b" has cpu, "c" has cuda`}},
	} {
		if diff := cmp.Diff(test.want, ComputedDifferences([]string{"a", "b", "c"}[:len(test.computed)], test.computed)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
