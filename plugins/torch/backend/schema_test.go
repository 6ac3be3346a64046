//go:build torch

package backend

import (
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
)

// TestBatchTokens checks that the default size of batches depends on the device, and that a size that is set does not.
func TestBatchTokens(t *testing.T) {
	context := cuecontext.New()
	definition := context.CompileString(schema).LookupPath(cue.ParsePath("#Config"))
	for config, want := range map[string]int64{
		`{}`: 2048, `{device: "cpu"}`: 2048, `{device: "cuda"}`: 16384, `{device: "cuda:1"}`: 16384,
		`{device: "cuda", batchTokens: 7}`: 7, `{batchTokens: 7}`: 7,
	} {
		got, err := definition.Unify(context.CompileString(config)).LookupPath(cue.ParsePath("batchTokens")).Int64()
		if err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", config, got, err, want)
		}
	}
	if err := definition.Unify(context.CompileString(`{batchTokens: 0}`)).Validate(cue.Concrete(true)); err == nil {
		t.Error("a batch of 0 tokens is valid")
	}
}
