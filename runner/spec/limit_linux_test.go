package spec_test

import (
	"path/filepath"
	"testing"
	"time"

	. "surprisal.dev/runner/spec"
)

// TestLowerLimit checks that a spec is evaluated where the system allows less memory than an evaluation may use.
func TestLowerLimit(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "x.cue"), "package x\nimport \"surprisal.dev/experiment\"\nexperiment.#Experiment\nname: \"partial\"\n")
	_, want := Load(t.Context(), dir, plugins())
	limited := bounded(t, time.Minute, 1<<30)
	limited.Command = append([]string{"sh", "-c", `ulimit -d 1000000 && exec "$0" "$@"`}, limited.Command...)
	if _, err := limited.Load(t.Context(), dir, plugins()); err == nil || want == nil || err.Error() != want.Error() {
		t.Errorf("found %v, want %v", err, want)
	}
}
