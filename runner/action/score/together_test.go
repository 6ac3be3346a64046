package score

import (
	"testing"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
)

// Scores are comparable only if scoring protocol, documents and scored bytes are all equal.
func TestComparable(t *testing.T) {
	x := artifact.ScoreSummary{Documents: 3, ScoredBytes: 10, Protocol: artifact.ScoringProtocol{Prefix: protocol.PrefixBOS}}
	for name, change := range map[string]func(*artifact.ScoreSummary){
		"protocol":     func(y *artifact.ScoreSummary) { y.Protocol.Prefix = protocol.PrefixNone },
		"documents":    func(y *artifact.ScoreSummary) { y.Documents++ },
		"scored bytes": func(y *artifact.ScoreSummary) { y.ScoredBytes++ },
	} {
		y := x
		change(&y)
		if err := comparable("d", "a", "b", x, y); protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("other %s: got %v, want an error of invalid input", name, err)
		}
	}
	if err := comparable("d", "a", "b", x, x); err != nil {
		t.Error(err)
	}
}
