package action_test

import (
	"testing"

	"surprisal.dev/runner/action"
)

func TestProgress(t *testing.T) {
	p := action.Progress{Documents: 1, Bytes: 20, Tokens: 300, Nats: 4000, ScoredBytes: 50000}
	p.Add(action.Progress{Documents: 2, Bytes: 30, Tokens: 400, Nats: 5000, ScoredBytes: 60000})
	if want := (action.Progress{Documents: 3, Bytes: 50, Tokens: 700, Nats: 9000, ScoredBytes: 110000}); p != want {
		t.Errorf("got %+v, want %+v", p, want)
	}
}
