package ngram

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"

	"surprisal.dev/internal/golden"
	"surprisal.dev/plugins/protocol"
)

// A model file is the same on every machine. Losses are logarithms, whose last bit may differ between architectures.
func TestGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	texts := strings.SplitAfter(string(data), "\n\n")
	unseen := []string{"", "The keeper's ships went out at night. Корабли! 2,500 🚢", texts[1]}
	results := map[string][]byte{}
	for _, order := range []int{1, 3, 5} {
		for _, tokens := range []string{"bytes", "words"} {
			name := fmt.Sprintf("%s of order %d", tokens, order)
			config := fmt.Sprintf(`{"order": %d, "tokens": %q}`, order, tokens)
			results[name+": model file"] = file(t, config, texts...)
			scored := scoreAll(t, trained(t, config, texts...), protocol.Settings{EOS: true, Context: 20, Stride: 10}, unseen...)
			results[name+": scores on "+runtime.GOARCH] = encoded(scored)
		}
	}
	golden.Check(t, version, results)
}

// encoded is the complete answer to the documents, losses to the last bit.
func encoded(documents []protocol.ScoredDocument) []byte {
	var b []byte
	put := func(losses ...float64) {
		for _, loss := range losses {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(loss))
		}
	}
	for _, d := range documents {
		b = fmt.Append(b, d.Index, d.TokenIDs, d.TokenStarts, d.TokenEnds, d.Unscored)
		put(d.TokenNLL...)
		put(d.EOSNLL, d.TotalNLL)
	}
	return b
}
