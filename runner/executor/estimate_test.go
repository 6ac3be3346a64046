package executor

import (
	"errors"
	"testing"

	"surprisal.dev/plugins/protocol"
)

// An estimate is made once for a model and its settings, and again after an error.
func TestEstimates(t *testing.T) {
	var e estimates
	made := 0
	get := func(id estimated, problem error) (protocol.Estimate, error) {
		return e.get(id, func() (protocol.Estimate, error) {
			made++
			return protocol.Estimate{Parameters: int64(made)}, problem
		})
	}
	a, b := estimated{"m", protocol.Settings{Context: 1}}, estimated{"m", protocol.Settings{Context: 2}}
	broken := errors.New("broken")
	if _, err := get(a, broken); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	for _, test := range []struct {
		id   estimated
		want int64
	}{{a, 2}, {a, 2}, {b, 3}, {a, 2}} {
		if got, err := get(test.id, nil); err != nil || got.Parameters != test.want {
			t.Errorf("%+v: got %d, %v, want %d", test.id, got.Parameters, err, test.want)
		}
	}
}
