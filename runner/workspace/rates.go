package workspace

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
)

const (
	// ratesFile is the file in a run's directory with the time that its work took. A run that did no work has no such
	// file.
	ratesFile = "rates.json"
	// ratedRuns is the number of latest runs with work that projections of time are based on.
	ratedRuns = 5
	// maxRates is the maximum size of such a file in bytes.
	maxRates = 8 << 20
)

// work identifies comparable work in different runs: actions of a kind by a model or a provider.
type work struct{ kind, who string }

// measurement is the amount of work in bytes that were computed, and the time that it took in seconds.
type measurement struct {
	bytes, seconds float64
}

// rate is an element of a ratesFile.
type rate struct {
	Kind    string  `json:"kind"`
	Who     string  `json:"who"`
	Bytes   float64 `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// measure adds the work of a finished action.
func measure(all map[work]measurement, a *plan.Action) {
	if a.Cost.Computed() <= 0 {
		return
	}
	of := work{a.Kind, a.Rates.Who}
	t := all[of]
	all[of] = measurement{t.bytes + float64(a.Cost.Computed()), t.seconds + a.Seconds}
}

// saveRates writes the measurements of a run into its directory.
func saveRates(dir *os.Root, all map[work]measurement) error {
	if len(all) == 0 {
		return nil
	}
	order := func(a, b work) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.who, b.who)) }
	var rates []rate
	for _, of := range slices.SortedFunc(maps.Keys(all), order) {
		rates = append(rates, rate{of.kind, of.who, all[of].bytes, all[of].seconds})
	}
	data, err := json.Marshal(rates)
	if err != nil {
		return err
	}
	return dir.WriteFile(ratesFile, append(data, '\n'), 0o644)
}

// readRates reads the file of saveRates. It returns fs.ErrNotExist for a run without measurements, such as a killed
// one.
func readRates(dir string) (rates []rate, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	f, err := openRegular(root, ratesFile)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := bounded.ReadAll(f, maxRates)
	switch {
	case err != nil:
		return nil, err
	case len(data) == 0:
		return nil, fs.ErrNotExist
	}
	if err := json.Unmarshal(data, &rates); err != nil {
		return nil, err
	}
	for _, r := range rates {
		if !(r.Bytes > 0 && r.Bytes < math.MaxInt64 && r.Seconds >= 0 && r.Seconds < math.MaxInt64) {
			return nil, fmt.Errorf("invalid measurement: %v bytes in %v seconds", r.Bytes, r.Seconds)
		}
	}
	return rates, nil
}

// rates returns the seconds per byte of the latest runs, by kind and model or provider. It skips files that cannot be
// read, with a warning: without them a plan only lacks projections of time.
func (w *Workspace) rates() map[string]map[string]float64 {
	dirs, err := engine.JournalDirs(w.runs())
	if err != nil {
		w.warnings = append(w.warnings, fmt.Sprintf("cannot read the durations of earlier runs: %v", err))
	}
	all := map[work]measurement{}
	found := 0
	for _, dir := range dirs {
		rates, err := readRates(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			w.warnings = append(w.warnings, fmt.Sprintf("%s: cannot read the durations of this run: %v; remove the file",
				filepath.Join(dir, ratesFile), err))
			continue
		}
		for _, r := range rates {
			of := work{r.Kind, r.Who}
			all[of] = measurement{all[of].bytes + r.Bytes, all[of].seconds + r.Seconds}
		}
		if found++; found == ratedRuns {
			break
		}
	}
	rates := map[string]map[string]float64{}
	for of, t := range all {
		if rates[of.kind] == nil {
			rates[of.kind] = map[string]float64{}
		}
		rates[of.kind][of.who] = t.seconds / t.bytes
	}
	return rates
}
